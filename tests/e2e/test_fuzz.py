"""Reads and receives arbitrary input. It is accepted or refused with a sentence, never with a traceback.

The cases take a few seconds. ``make nightly`` tries over 10,000.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from monitor.alerts.messages import MalformedError, decode, encode
from monitor.app.config import MonitorConfig
from monitor.app.config_file import load_config
from monitor.app.demo import MODEL_FOLDER
from monitor.app.planning import plan_cameras
from monitor.client import AlertSubscriber, Gap, Malformed, Received
from monitor.client.lines import json_line, text_line
from monitor.detector.base import Observation
from monitor.errors import ConfigError, ModelError, SourceError, UsageError
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.model.model_store import CARD_FILE, WEIGHTS_FILE, load_model
from monitor.scores.smoothing import SmoothingSettings
from monitor.sinks.score_record import alert_line, header_line, read_scores, score_line
from monitor.sources.finding import open_sources
from monitor.testing.fakes import brightness_model, frame, scored
from tests.helpers.fuzzing import broken, cases, damaged, said
from tests.monitor.alerts.test_messages import MESSAGES
from tests.places import CONFIGS
from training.evaluate.what_if import Changes, replay

pytestmark = pytest.mark.no_cover  # other tests reach the same lines


# Config files


def toml(value: Any) -> str:
    """A value in TOML syntax, with inline tables."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case list():
            return f"[{', '.join(toml(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{toml(key)} = {toml(item)}' for key, item in value.items())}}}"
        case None:
            return "1979-05-27T07:32:00Z"  # TOML has no null, but has times
    return str(value)


CONFIG = TypeAdapter(dict[str, Any]).validate_python(MonitorConfig().model_dump(mode="json")) | {
    "model": "models/street",
    "cameras": {"door": {"source": "rtsp://10.0.0.1/live", "model": "models/door"}, "yard": {"source": "0"}},
}


def read_config(content: bytes) -> None:
    """What a monitor does with its config file before it starts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cameras.toml"
        path.write_bytes(content)
        try:
            config = load_config(path)
            plan_cameras([], config, None)
            open_sources([f"{name}={camera.source}" for name, camera in config.cameras.items()])
            CameraMonitor("cam", ModelScale(brightness_model(), config.false_alarms_per_day, config.smoothing),
                          config.smoothing, config.alert)  # fmt: skip
        except (ConfigError, SourceError, ModelError) as error:
            said(error)


@cases(200, 5000)
@given(damaged(CONFIG))
def test_a_config_with_any_setting_changed_is_read_or_refused(content: dict[str, Any]) -> None:
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in content.items())
    read_config(text.encode(errors="replace"))


@cases(100, 3000)
@example(b"node = " + b"[" * 2000)
@example(b".".join([b"a"] * 900) + b" = 1")
@example(b".".join([b"cameras"] * 60) + b" = 1")
@example(b"[[cameras]]\n" * 2000)
@example(b"false_alarms_per_day = 5e-324")
@example(b"analysis_fps = " + b"9" * 5000)
@example(b"false_alarms_per_day = inf")
@example(b'[cameras.door]\nsource = "~nobody-by-this-name/clip.mp4"')
@example(b'[cameras.door]\nsource = "' + b"[" * 5000 + b'"')
@given(
    broken((CONFIGS / "cameras.toml").read_bytes()) | st.binary(max_size=200) | st.text(max_size=100).map(str.encode)
)
def test_a_config_file_of_any_bytes_is_read_or_refused(content: bytes) -> None:
    read_config(content)


# Model folders

CARD = json.loads((MODEL_FOLDER / CARD_FILE).read_bytes())
WEIGHTS = (MODEL_FOLDER / WEIGHTS_FILE).read_bytes()


def use_model(card: bytes, weights: bytes) -> None:
    """Load a model, set its thresholds and score a few frames. May raise ModelError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / CARD_FILE).write_bytes(card)
        (folder / WEIGHTS_FILE).write_bytes(weights)
        try:
            model = load_model(folder)
            ModelScale(model, 1.0, SmoothingSettings())
        except ModelError as error:
            said(error)
            return
    for detector in model.detectors:
        stream = detector.new_stream()
        for number in range(3):
            (found,) = detector.score([Observation(frame(number / 10, 40 * number), stream)])
            assert not math.isinf(found.score)


def card_of(weights: bytes) -> dict[str, Any]:
    return {**CARD, "weights_sha256": hashlib.sha256(weights).hexdigest()}


def with_neighbours(count: int) -> dict[str, Any]:
    card: dict[str, Any] = copy.deepcopy(CARD)
    card["detectors"][0]["settings"]["neighbours"] = count
    return card


@cases(60, 1500)
@example(with_neighbours(97))
@given(damaged(CARD))
def test_a_model_card_with_any_field_changed_is_used_or_refused(card: dict[str, Any]) -> None:
    use_model(json.dumps(card).encode(), WEIGHTS)


@cases(60, 1500)
@example(b"[" * 2000)
@example(b"9" * 5000)
@given(broken((MODEL_FOLDER / CARD_FILE).read_bytes()))
def test_a_model_card_of_any_bytes_is_used_or_refused(card: bytes) -> None:
    use_model(card, WEIGHTS)


@cases(25, 1000)
@given(broken(WEIGHTS), st.booleans())
def test_damaged_weights_are_refused(weights: bytes, signed: bool) -> None:
    use_model(json.dumps(card_of(weights) if signed else CARD).encode(), weights)


@functools.cache
def tensors() -> dict[str, Any]:
    return load_tensors(WEIGHTS)


arrays = st.sampled_from(
    [np.zeros(0), np.zeros(()), np.zeros((3, 3), np.float16), np.full(3600, np.nan), np.ones(3600), np.arange(3600)]
)


@cases(25, 1000)
@given(st.data())
def test_exchanged_tensors_are_used_or_refused(data: st.DataObject) -> None:
    content = dict(tensors())
    for _ in range(data.draw(st.integers(1, 3))):
        key, other = (data.draw(st.sampled_from(sorted(content))) for _ in range(2))
        match data.draw(st.sampled_from(["exchange", "replace", "scale", "take away", "rename"])):
            case "exchange":
                content[key], content[other] = content[other], content[key]
            case "replace":
                content[key] = data.draw(arrays)
            case "scale":
                content[key] = (content[key] * data.draw(st.sampled_from([0.0, -1.0]))).astype(content[key].dtype)
            case "take away" if len(content) > 1:
                del content[key]
            case _:
                content[data.draw(st.text(max_size=12))] = content.pop(key)
    weights = dump_tensors({key: np.ascontiguousarray(array) for key, array in content.items()})
    use_model(json.dumps(card_of(weights)).encode(), weights)


def test_held_out_numbers_of_another_kind_are_refused(tmp_path: Path) -> None:
    content = dict(tensors())
    content["held_out/clip"] = content["held_out/score/motion"]
    weights = dump_tensors(content)
    (tmp_path / WEIGHTS_FILE).write_bytes(weights)
    (tmp_path / CARD_FILE).write_text(json.dumps(card_of(weights)))
    with pytest.raises(ModelError, match="held_out/clip does not hold finite int32 numbers"):
        load_model(tmp_path)


def test_held_out_times_that_go_back_are_refused(tmp_path: Path) -> None:
    content = dict(tensors())
    content["held_out/time_s"] = -content["held_out/time_s"]
    weights = dump_tensors(content)
    (tmp_path / WEIGHTS_FILE).write_bytes(weights)
    (tmp_path / CARD_FILE).write_text(json.dumps(card_of(weights)))
    with pytest.raises(ModelError, match="held_out/time_s goes back within a clip"):
        load_model(tmp_path)


# Messages

BODIES = [(message.topic.encode(), json.loads(encode(message))) for message in MESSAGES]
BODIES += [(topic, body | {"history": "tcp://127.0.0.1:9", "position": 3}) for topic, body in BODIES[2:3]]


@st.composite
def wire(draw: st.DrawFn) -> list[bytes]:
    """The parts of a message that is damaged in some way."""
    topic, body = draw(st.sampled_from(BODIES))
    content = draw(damaged(body).map(lambda b: json.dumps(b).encode()) | broken(json.dumps(body).encode()))
    topic = draw(st.just(topic) | broken(topic) | st.binary(max_size=20))
    return draw(
        st.just([topic, content])
        | st.just([topic, content, b"\xff\xd8jpeg", b"more"])
        | st.lists(st.binary(max_size=30), min_size=1, max_size=4)
    )


@cases(300, 8000)
@given(wire())
def test_any_message_is_decoded_or_malformed(parts: list[bytes]) -> None:
    try:
        decoded = decode(parts)
    except MalformedError as error:
        said(error)
        return
    assert decode([parts[0], encode(decoded.message)]).message == decoded.message


@pytest.fixture(scope="module")
def line() -> Iterator[tuple[zmq.Socket[bytes], AlertSubscriber]]:
    """The plain socket of a publisher, and a subscriber that is connected to it."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as xpub:
        port = xpub.bind_to_random_port("tcp://127.0.0.1")
        with AlertSubscriber(f"tcp://127.0.0.1:{port}", health=True, silence_s=3600.0) as subscriber:
            for _ in range(3):
                assert xpub.poll(10_000), "it subscribes to alerts, health and heartbeats"
                xpub.recv()
            yield xpub, subscriber


@cases(150, 4000)
@given(st.lists(wire(), max_size=4))
def test_a_subscriber_survives_any_message(
    line: tuple[zmq.Socket[bytes], AlertSubscriber], messages: list[list[bytes]]
) -> None:
    xpub, subscriber = line
    for parts in messages:
        xpub.send_multipart(parts)
    xpub.send_multipart([b"alert/the last one/", b""])
    for item in subscriber:
        assert text_line(item).isprintable()
        if isinstance(item, Received | Gap):
            json.loads(json_line(item))
        if isinstance(item, Malformed) and item.topic == "alert/the last one/":
            break


# Records of scores


@functools.cache
def record() -> tuple[str, ...]:
    """Lines of a run with one alert."""
    scale = ModelScale(brightness_model(), 1.0, SmoothingSettings())
    monitor = CameraMonitor("cam", scale, SmoothingSettings(), MonitorConfig().alert)
    levels = [25] * 8 + [200] * 15 + [25] * 4
    judged = [monitor.update(scored(number / 10, level)) for number, level in enumerate(levels)]
    return (header_line(monitor, sort=True), *(score_line(judgement) for judgement in judged))


@functools.cache
def record_of_senses() -> tuple[str, ...]:
    """Lines of a run with two detectors that see different things."""
    scale = ModelScale(load_model(MODEL_FOLDER), 1.0, SmoothingSettings())
    monitor = CameraMonitor("cam", scale, SmoothingSettings(), MonitorConfig().alert)
    line = json.loads(record()[1])
    levels = [1.0] * 5 + [1e3] * 15
    scores = [
        {**line, "time_s": number / 10, "index": number, "score": level, "raw": dict.fromkeys(scale.names, level)}
        for number, level in enumerate(levels)
    ]
    return (header_line(monitor, sort=True), *map(json.dumps, scores))


def what_if(content: bytes, changes: Changes) -> None:
    """What ``python -m training what-if`` does with a record."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.jsonl"
        path.write_bytes(content)
        try:
            outcome = replay(read_scores(path), changes)
        except UsageError as error:
            said(error)
            return
    for alert in outcome.alerts:
        alert_line(alert)


budgets = st.none() | st.floats(min_value=1e-6)
changes = st.builds(Changes, st.none() | st.floats(min_value=0.01), budgets)


@cases(150, 4000)
@given(st.data())
def test_a_record_with_any_field_changed_is_replayed_or_refused(data: st.DataObject) -> None:
    lines = list(data.draw(st.sampled_from([record, record_of_senses]))())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from([0, 0, *range(len(lines))]))
        lines[at] = json.dumps(data.draw(damaged(json.loads(lines[at]))))
    what_if("".join(line + "\n" for line in lines).encode(errors="replace"), data.draw(changes))


@cases(80, 3000)
@example(b"[" * 2000 + b"\n", Changes())
@example("\n".join(record()).replace(": 0.7843137254901961", ": 1e999").encode(), Changes())
@example(b"9" * 5000 + b"\n", Changes())
@example("\n".join(record()).encode(), Changes(false_alarms_per_day=math.inf))
@example("\n".join(record_of_senses()).encode(), Changes(false_alarms_per_day=5e-324))
@example("\n".join(record_of_senses()).replace('_per_day":1.0', '_per_day":5e-324').encode(), Changes())
@example("\n".join(record_of_senses()).replace('"duration_s":', '"duration_s":0e').encode(), Changes())
@example(b'{"a":' * 900 + b"1" + b"}" * 900 + b"\n", Changes())
@given(broken("\n".join(record()).encode()), changes)
def test_a_record_of_any_bytes_is_replayed_or_refused(content: bytes, changed: Changes) -> None:
    what_if(content, changed)
