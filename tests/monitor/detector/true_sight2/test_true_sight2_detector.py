"""True Sight 2 as a detector: its inputs, reproducible scores, and that saving keeps it unchanged."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from monitor.detector.base import Observation
from monitor.detector.true_sight2.clip_inputs import CHANNELS, SIZE, ClipInputs, choose
from monitor.detector.true_sight2.clip_net import HEADS, ClipNet
from monitor.detector.true_sight2.true_sight2_detector import ClipStream, Scene, TrueSight2, TrueSight2Settings
from monitor.errors import ModelError
from monitor.types import Detection, FloatArray, Frame, Image
from tests.helpers.gliding import HEIGHT, WIDTH, clip, ground, texture


def _detector(width: int = 4) -> TrueSight2:
    torch.manual_seed(3)
    net = ClipNet(CHANNELS, width)
    net(torch.randn(4, CHANNELS, 96, 160))  # changes the statistics of the batch norms from their initial values
    scene = Scene(ground().astype(np.float32), np.full((6, 10), 10, np.float32))
    return TrueSight2(net, TrueSight2Settings(width=width), scene)


def _scores(detector: TrueSight2, frames: Sequence[Frame]) -> list[Detection]:
    stream = detector.new_stream()
    return [detector.score([Observation(frame, stream)])[0] for frame in frames]


def _bytes(detections: Sequence[Detection]) -> list[bytes]:
    maps = [b"" if d.anomaly_map is None else d.anomaly_map.tobytes() for d in detections]
    return [np.float64(d.score).tobytes() + m for d, m in zip(detections, maps, strict=True)]


def test_a_stream_has_no_score_for_its_first_quarter_of_a_second_and_then_the_peak_of_its_map() -> None:
    found = _scores(_detector(), clip(20, 1.0))
    known = [not np.isnan(d.score) for d in found]
    assert known == [False] * 3 + [True] * 7
    last = found[-1]
    assert last.anomaly_map is not None
    assert last.anomaly_map.shape == (23, 39)
    assert last.anomaly_map.dtype == np.float32
    assert last.score == last.anomaly_map.max()


def test_a_frame_scores_the_same_bytes_whatever_else_is_in_the_batch() -> None:
    detector = _detector()
    one, other = clip(20, 1.0), clip(-35, 1.0, start=90)
    streams = detector.new_stream(), detector.new_stream()
    mixed: list[list[Detection]] = [[], []]
    for pair in zip(one, other, strict=True):
        found = detector.score([Observation(frame, stream) for frame, stream in zip(pair, streams, strict=True)])
        for k in range(2):
            mixed[k].append(found[k])
    stream = detector.new_stream()
    together = detector.score([Observation(frame, stream) for frame in one])
    assert _bytes(mixed[0]) == _bytes(together) == _bytes(_scores(detector, one))
    assert _bytes(mixed[1]) == _bytes(_scores(detector, other))
    assert mixed[0][-1].score != mixed[1][-1].score


def test_the_stored_and_loaded_detector_scores_the_same_bytes() -> None:
    detector = _detector().with_usual(-9.0, (-9.0, -9.0, -9.0)).with_auc(0.9)
    settings = json.loads(json.dumps(detector.settings()))
    tensors = {key: np.frombuffer(v.tobytes(), v.dtype).reshape(v.shape) for key, v in detector.tensors().items()}
    loaded = TrueSight2.load(settings, tensors, "cpu")
    frames = clip(25, 0.8)
    assert _bytes(_scores(loaded, frames)) == _bytes(_scores(detector, frames))
    assert _scores(loaded, frames)[-1].reasons == _scores(detector, frames)[-1].reasons
    assert loaded.settings() == detector.settings()
    assert loaded.trust == pytest.approx(0.64)
    assert detector.on_cpu() is detector


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("usual_speed", np.zeros((6, 10), np.float32), "not above 0"),
        ("background", np.zeros((2, 2), np.float32), "should be"),
        ("fuse", np.zeros(3, np.float32), "unknown tensor"),
    ],
)
def test_a_damaged_part_is_refused(name: str, array: FloatArray, sentence: str) -> None:
    detector = _detector()
    with pytest.raises(ModelError, match=sentence):
        TrueSight2.load(detector.settings(), detector.tensors() | {name: array}, "cpu")


def test_a_missing_part_is_refused() -> None:
    detector = _detector()
    tensors = detector.tensors()
    del tensors["network.fuse_weight"]
    with pytest.raises(ModelError, match=r"lacks the tensor 'network\.fuse_weight'"):
        TrueSight2.load(detector.settings(), tensors, "cpu")


def test_a_reason_names_the_head_that_speaks_and_only_above_what_is_usual() -> None:
    frames = clip(20, 0.6)
    quiet, score = _detector().with_usual(100.0, (0.0, 0.0, 0.0)), _scores(_detector(), frames)[-1].score
    assert _scores(quiet, frames)[-1].reasons == ()
    for k, head in enumerate(HEADS):
        levels = [100.0, 100.0, 100.0]
        levels[k] = -100.0
        (reason,) = _scores(_detector().with_usual(score - 1, (levels[0], levels[1], levels[2])), frames)[-1].reasons
        assert reason.term == f"unlike anything learned here ({head})"
        assert reason.value == score
        assert reason.usual == pytest.approx(score - 1)


def test_earlier_frames_are_chosen_by_their_age() -> None:
    at_10, at_25, at_30 = (np.arange(40) / rate for rate in (10.0, 25.0, 30.0))
    assert choose(at_10, 4.0) == [39, 38, 37, 36]
    assert choose(at_10[[30, 31, 32, 34, 35, 36, 38, 39]], 4.0) == [7, 6, 6, 5]  # one is lost, so the later one is used
    assert choose(at_25, 1.6) == [38, 35, 33, 30]
    assert choose(at_30, 40 / 30) == [37, 34, 31, 28]
    assert choose(at_10, 4.0, speed=3.0) == [37, 34, 31, 28]


def test_without_a_past_of_the_right_age_nothing_is_chosen() -> None:
    assert choose([], 1.0) is None
    assert choose([0.8, 0.9], 1.0) is None
    assert choose([0.1], 1.0) is None
    assert choose([0.0, 0.1, 0.2, 0.3], 0.4, speed=3.0) is None


@pytest.mark.parametrize("rate", [5.0, 10.0, 25.0])
def test_flow_is_in_units_of_the_usual_speed_whatever_the_frame_rate(rate: float) -> None:
    stream = ClipStream(Scene(ground().astype(np.float32), np.full((6, 10), 20, np.float32)))
    for frame in clip(20, 1.0, rate=rate):
        inputs = stream.update(frame)
    assert inputs is not None
    assert inputs.shape == (CHANNELS, 96, 160)
    assert inputs.dtype == np.float32
    there = np.abs(inputs[1]) > 0.5  # different from the background
    assert np.median(inputs[12][there]) == pytest.approx(1.0, rel=0.3)


def test_who_stands_still_becomes_part_of_the_recent_background_alone() -> None:
    stream = ClipStream(Scene(ground().astype(np.float32), np.full((6, 10), 10, np.float32)))
    for frame in clip(0, 14.0):
        inputs = stream.update(frame)
    assert inputs is not None
    assert np.abs(inputs[2]).max() < 0.1
    assert np.abs(inputs[1]).max() > 1


def test_who_stands_there_when_a_stream_begins_has_not_just_appeared() -> None:
    empty = ground()
    stream = ClipStream(Scene(empty.astype(np.float32), np.full((6, 10), 10, np.float32)))
    inputs = None
    for number in range(4):
        picture = empty.copy()
        picture[20:50, 20:35] = 250  # stands still
        picture[20:50, 80 + 3 * number : 95 + 3 * number] = 250  # walks
        inputs = stream.update_grey(picture, number / 10)
    assert inputs is not None
    background, recent = inputs[1], inputs[2]
    assert background[25:45, 22:33].min() > 1, "a standing object is not part of the empty scene"
    assert np.abs(recent[25:45, 22:33]).max() < 0.1
    assert recent[25:45, 92:102].min() > 1, "a moving object is new at its place"


def test_another_light_is_not_foreground_and_another_scene_is_taken_over() -> None:
    scene = Scene(ground().astype(np.float32), np.full((6, 10), 10, np.float32))
    darker = [Frame("a", i, i / 10, np.repeat((ground() * 0.7).astype(np.uint8)[..., None], 3, 2)) for i in range(6)]
    other = [Frame("a", i, i / 10, np.repeat(texture((96, 160), 5)[..., None], 3, 2)) for i in range(6)]
    for frames in (darker, other):
        stream = ClipStream(scene)
        for frame in frames:
            inputs = stream.update(frame)
        assert inputs is not None
        assert np.abs(inputs[1]).mean() < 0.1


def test_frames_of_any_size_give_a_map_of_one_size() -> None:
    detector = _detector()
    for height, width in ((60, 80), (300, 200), (7, 9)):
        frames = [Frame("a", i, i / 10, np.full((height, width, 3), 90 + i, np.uint8)) for i in range(6)]
        last = _scores(detector, frames)[-1]
        assert last.anomaly_map is not None
        assert np.isfinite(last.anomaly_map).all()


def test_the_scene_of_the_tests_has_the_size_that_is_looked_at() -> None:
    assert (WIDTH, HEIGHT) == SIZE
    picture: Image = ground()
    inputs = ClipInputs()(picture, [picture] * 4, [0.1, 0.2, 0.3, 0.4], picture.astype(np.float32), picture * 1.0)
    assert np.abs(inputs[1:13]).max() == 0


def test_inputs_do_not_depend_on_where_they_lie_in_memory() -> None:
    frames = clip(20, 0.5)
    scene = Scene(ground().astype(np.float32), np.full((6, 10), 10, np.float32))
    seen = set()
    elsewhere = []
    for size in range(1, 400, 13):
        elsewhere.append(bytearray(size * 16))  # so that arrays start at other addresses
        stream = ClipStream(scene)
        inputs = [stream.update(frame) for frame in frames][-1]
        assert inputs is not None
        seen.add(inputs.tobytes())
    assert len(seen) == 1
