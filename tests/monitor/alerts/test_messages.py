from __future__ import annotations

import json
import math
import re
import sys
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from monitor.alerts.endpoints import check_endpoint
from monitor.alerts.message_parts import ModelRef, ReasonBody, RegionBody
from monitor.alerts.messages import (
    AlertMessage,
    HealthMessage,
    Heartbeat,
    MalformedError,
    Message,
    MomentMessage,
    RankedMoment,
    ScoreMessage,
    decode,
    encode,
    json_schema,
    new_epoch,
)
from monitor.errors import ConfigError
from monitor.states import CameraState, Phase, Reason, Region
from tests.helpers.commands import module
from tests.places import ROOT

ENVELOPE: dict[str, Any] = {"schema": 1, "node": "lab", "epoch": "0a", "seq": 7, "sent_at": 1.5e9}


def an_alert(**changes: Any) -> AlertMessage:
    values: dict[str, Any] = {
        **ENVELOPE,
        "event_id": "0a-cam1-3",
        "phase": Phase.END,
        "camera": "cam1",
        "started_at": 1.5e9,
        "ended_at": 1.5e9 + 2,
        "started_s": 10.25,
        "ended_s": 12.25,
        "score": 0.5,
        "peak_score": 1.75,
        "expected_false_alarms_per_day": 1.0,
        "notify": True,
        "regions": (RegionBody.of(Region(1, 2, 30, 40, 5.5)),),
        "reasons": (ReasonBody.of(Reason("speed", 3.1, 1.2, "px/frame")),),
        "model": ModelRef(id="street", hash="ab12"),
        "frame_age_s": 0.125,
        "dropped_frames": 4,
        "evidence": ("a.mp4",),
    }
    return AlertMessage(**(values | changes))


def a_score(**changes: Any) -> ScoreMessage:
    values: dict[str, Any] = {"camera": "cam1", "time_s": 1.0, "frame_index": 25, "score": 0.3, "captured_at": 1.5e9}
    return ScoreMessage(**(ENVELOPE | values | {"raw": {"motion": 2.5}} | changes))


MESSAGES: list[Message] = [
    an_alert(),
    HealthMessage(**ENVELOPE, camera="cam1", state=CameraState.STALLED, since=1.5e9, detail="no frame for 5 s"),
    Heartbeat(**ENVELOPE, last_seq={"alert/cam1/": 7, "score/cam1/": 900}),
    a_score(),
    MomentMessage(
        **ENVELOPE,
        camera="cam1",
        moment_id="cam1-20260302T130731.000",
        at=1.5e9,
        local="2026-03-02T14:07:31.000+01:00",
        day="2026-03-02",
        media_s=None,
        score=1.25,
        event_id="0a-cam1-3",
        reasons=(ReasonBody.of(Reason("speed", 3.1, 1.2, "px/frame")),),
        model=ModelRef(id="street", hash="ab12"),
        files=("cam1/2026-03-02/130731.000-1-peak.jpg",),
        per_day=10,
        watched_s=60.0,
        ranking=(RankedMoment(moment_id="cam1-20260302T130731.000", score=1.25, rare="nothing like it in 1 min"),),
    ),
]
each_kind = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)


@each_kind
def test_what_is_encoded_comes_back_from_decoding(message: Message) -> None:
    decoded = decode([message.topic.encode(), encode(message), b"\xff\xd8jpeg"])
    assert decoded.message == message
    assert decoded.jpeg == b"\xff\xd8jpeg"
    assert decode([message.topic.encode(), encode(message)]).jpeg is None


def test_alert_body_has_plain_names_and_values() -> None:
    body = json.loads(encode(an_alert()))
    assert body["schema"] == 1
    assert body["phase"] == "end"
    assert body["threshold"] == 1.0
    assert body["regions"] == [{"x": 1, "y": 2, "width": 30, "height": 40, "score": 5.5}]
    assert body["reasons"][0]["text"] == "speed 3.1 px/frame, usual here up to 1.2 px/frame"
    assert body["model"] == {"id": "street", "hash": "ab12"}


def test_the_monitor_cannot_build_a_message_with_an_undeclared_field() -> None:
    with pytest.raises(ValidationError, match="colour"):
        an_alert(colour="red")


def test_a_subscriber_ignores_fields_and_parts_of_a_newer_monitor_at_every_depth() -> None:
    message = an_alert()
    body = json.loads(encode(message)) | {"colour": "red", "schema": 2}
    body["regions"][0]["track"] = 5
    body["model"]["version"] = 2
    decoded = decode([b"alert/cam1/", json.dumps(body).encode(), b"", b"a later part"])
    assert decoded.message == an_alert(schema=2)


def test_a_health_state_of_a_newer_monitor_arrives_as_text() -> None:
    body = json.loads(encode(MESSAGES[1]))
    known = decode([b"health/cam1/", json.dumps(body).encode()]).message
    newer = decode([b"health/cam1/", json.dumps(body | {"state": "underwater"}).encode()]).message
    assert isinstance(known, HealthMessage)
    assert isinstance(newer, HealthMessage)
    assert known.state is CameraState.STALLED
    assert newer.state == "underwater"


def no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


def test_numbers_that_json_does_not_know_are_sent_as_null_or_the_largest_number() -> None:
    message = a_score(score=math.nan, raw={"motion": math.inf, "static": math.nan})
    body = json.loads(encode(message), parse_constant=no_constant)
    assert body["score"] is None
    assert body["raw"] == {"motion": sys.float_info.max, "static": None}
    assert json.loads(encode(an_alert(peak_score=math.inf)), parse_constant=no_constant)["peak_score"] > 1e300


@pytest.mark.parametrize("camera", ["", "a/b", "/"])
def test_a_camera_name_that_would_break_topics_is_refused(camera: str) -> None:
    with pytest.raises(ValidationError, match="camera"):
        an_alert(camera=camera)


def test_epochs_are_unique_and_sort_by_time() -> None:
    epochs = [new_epoch() for _ in range(100)]
    assert len(set(epochs)) == 100
    stamps = [epoch.split("-")[0] for epoch in epochs]
    assert stamps == sorted(stamps)
    assert {len(epoch) for epoch in epochs} == {25}


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([], "0 part"),
        ([b"alert/cam1/"], "1 part"),
        ([b"\xff\xfe/", b"{}"], "not UTF-8"),
        ([b"weather/", b"{}"], "does not begin with alert/"),
        ([b"alert/cam1/", b"no json"], "body: it is no JSON"),
        ([b"alert/cam1/", b"[1, 2]"], "body: it must hold"),
        ([b"alert/cam1/", b"{}"], "schema: it is missing"),
        ([b"alert/cam1/", encode(an_alert()).replace(b'"seq":7', b'"seq":0')], "seq: it must be greater than 0"),
        ([b"alert/cam1/", encode(an_alert()).replace(b'"sent_at":1500000000.0', b'"sent_at":NaN')], "sent_at"),
        ([b"alert/cam10/", encode(an_alert())], "belongs to topic alert/cam1/"),
        ([b"heartbeat/x/", encode(MESSAGES[2])], "belongs to topic heartbeat/"),
    ],
)
def test_malformed_parts_are_refused_with_the_reason(parts: list[bytes], why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        decode(parts)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(parts=st.lists(st.binary(max_size=40) | st.sampled_from([b"alert/cam1/", b"heartbeat/", b"score/"]), max_size=4))
def test_decoding_any_bytes_raises_nothing_but_malformed(parts: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        decode(parts)


@given(data=st.data())
def test_decoding_a_body_with_any_field_replaced_gives_a_message_or_malformed(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(MESSAGES))
    body = json.loads(encode(message))
    body[data.draw(st.sampled_from(sorted(body)))] = data.draw(json_values)
    try:
        decoded = decode([message.topic.encode(), json.dumps(body).encode()])
    except MalformedError:
        return
    assert decode([message.topic.encode(), encode(decoded.message)]).message == decoded.message


@each_kind
def test_the_schema_declares_and_requires_exactly_what_is_sent(message: Message) -> None:
    definition = json_schema()["$defs"][type(message).__name__]
    sent = set(json.loads(encode(message)))
    assert set(definition["properties"]) == sent
    assert set(definition["required"]) == sent
    assert "additionalProperties" not in definition


@each_kind
def test_the_documentation_has_a_row_for_every_field(message: Message) -> None:
    text = (ROOT / "docs/alerts.md").read_text()
    first_cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    documented = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert set(json.loads(encode(message))) <= documented


def test_the_module_prints_its_schema() -> None:
    done = module("monitor.alerts.messages")
    assert json.loads(done.stdout) == json_schema()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:5560", "tcp://*:*", "tcp://[::1]:0", "ipc:///run/alerts"])
def test_addresses_of_sockets_are_accepted(endpoint: str) -> None:
    check_endpoint(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    ["", "5560", "127.0.0.1:5560", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "tcp://:1", "udp://a:1", "ipc://",
     "inproc://a", "tcp://a\0:1", "tcp://a:\N{SUPERSCRIPT TWO}"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_an_example(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"write one with host and port, such as tcp://127\.0\.0\.1:5560"):
        check_endpoint(endpoint)
