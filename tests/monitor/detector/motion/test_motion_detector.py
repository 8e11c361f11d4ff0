"""The front end and the cell motion memory, on a small synthetic scene: a square that moves to the right."""

import math
from dataclasses import replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.detector.frontend import BLOCK, FrontEnd, View
from monitor.detector.motion.cells import TERMS, reasons
from monitor.detector.motion.motion_detector import Motion
from monitor.errors import ModelError, UsageError
from monitor.states import TIMES_USUAL, Reason
from monitor.types import Detection, Frame, Image

WIDTH, HEIGHT, RATE = 320, 176, 10.0


def _texture(shape: tuple[int, int], seed: int) -> Image:
    coarse = np.random.default_rng(seed).integers(40, 210, (shape[0] // 8, shape[1] // 8)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


@cache
def _ground() -> Image:
    return _texture((HEIGHT, WIDTH), 1) // 2 + 60


def _picture(x: float, size: int = 32) -> Image:
    """The ground with a textured square, its left edge at column x (it wraps around)."""
    grey = _ground().copy()
    columns = (round(x) + np.arange(size)) % WIDTH
    grey[80 : 80 + size, columns] = _texture((size, size), 2)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _clip(speed: float, seconds: float, start: float = 0.0, rate: float = RATE) -> list[Frame]:
    """A square that moves at ``speed`` px/s."""
    times = np.arange(round(seconds * rate)) / rate
    return [Frame("a", i, float(t), _picture(start + speed * t)) for i, t in enumerate(times)]


def _scores(detector: Motion, frames: list[Frame]) -> list[Detection]:
    stream = detector.new_stream()
    return [detector.score([Observation(frame, stream)])[0] for frame in frames]


@pytest.fixture(scope="module")
def motion() -> Motion:
    return Motion.fit([_clip(40, 10, start) for start in (0, 53, 171)] + [_clip(60, 10), _clip(50, 10, 99)])


def _speed(view: View | None) -> float:
    assert view is not None
    return float(view.speed.sum() / view.moving.sum())


@pytest.mark.parametrize("rate", [8.0, 10.0, 25.0])
def test_speed_is_in_pixels_a_second_whatever_the_frame_rate(rate: float) -> None:
    front_end = FrontEnd(_ground())
    views = [front_end.update(frame) for frame in _clip(50, 1.5, rate=rate)]
    assert _speed(views[-1]) == pytest.approx(50, rel=0.25)


def test_a_dropped_frame_does_not_change_the_speed() -> None:
    front_end = FrontEnd(_ground())
    views = [front_end.update(frame) for i, frame in enumerate(_clip(40, 1.0)) if i != 8]
    last = views[-1]
    assert last is not None
    assert last.lag_s == pytest.approx(0.2)
    assert _speed(last) == pytest.approx(40, rel=0.25)


def test_the_speed_over_seconds_is_that_of_what_moves_on_the_whole() -> None:
    """A square that moves at 0 and 60 px/s in turn moves at 30 px/s on average. The time at rest counts too."""
    front_end = FrontEnd(_ground())
    x, ratios = 30.0, []
    for i in range(40):
        x += 6.0 if i // 2 % 2 else 0.0
        view = front_end.update(Frame("a", i, i / 10, _picture(x)))
        if view is not None and view.moving.sum() > 100:
            ratios.append((_speed(view), float(view.steady.sum() / view.moving.sum())))
    speeds, steady = np.array(ratios[8:]).T
    assert np.ptp(steady) < 0.5 * np.ptp(speeds) + 5
    assert np.median(steady) < 0.9 * np.median(speeds)


def test_the_speed_over_seconds_follows_what_moves_evenly() -> None:
    front_end = FrontEnd(_ground())
    views = [front_end.update(frame) for frame in _clip(50, 2.5)]
    early, last = views[2], views[-1]
    assert early is not None
    assert last is not None
    inside = last.moving > BLOCK**2 - 2
    assert np.median(last.steady[inside] / last.moving[inside]) == pytest.approx(0.85 * _speed(last), rel=0.15)
    assert early.steady.sum() / early.moving.sum() < 0.6 * _speed(early)  # too short to measure a steady speed
    assert last.steady2.sum() >= last.steady.sum() ** 2 / last.moving.sum() * 0.99


def test_what_was_followed_is_forgotten_after_seconds() -> None:
    front_end = FrontEnd(_ground())
    moving = [front_end.update(frame) for frame in _clip(50, 2.0)]
    still = [front_end.update(Frame("a", 20 + i, 2.0 + i / 10, _picture(95))) for i in range(25)]
    again = [front_end.update(Frame("a", 45 + i, 4.5 + i / 10, _picture(95 + 5 * i))) for i in range(3)]
    first, last = moving[-1], again[-1]
    assert first is not None
    assert last is not None
    assert still[-1] is not None
    assert still[-1].steady.sum() == 0
    assert last.steady.sum() / last.moving.sum() < 0.7 * first.steady.sum() / first.moving.sum()


def test_motion_goes_into_the_bin_and_the_blocks_where_it_is() -> None:
    front_end = FrontEnd(_ground())
    for frame in _clip(-50, 1.0, start=200):
        view = front_end.update(frame)
    assert view is not None
    assert view.flow.sum(axis=(0, 1)).argmax() == 4  # to the left
    rows, columns = np.nonzero(view.moving > BLOCK)
    assert rows.min() >= 80 // BLOCK - 1
    assert rows.max() <= 112 // BLOCK
    assert columns.min() >= 155 // BLOCK - 1
    assert columns.max() <= 192 // BLOCK


def test_the_front_end_waits_for_a_second_frame_and_starts_anew_after_a_pause() -> None:
    front_end = FrontEnd(_ground())
    assert front_end.update(Frame("a", 0, 0.0, _picture(0))) is None
    assert front_end.update(Frame("a", 1, 0.1, _picture(5))) is not None
    assert front_end.update(Frame("a", 2, 5.0, _picture(9))) is None
    assert front_end.update(Frame("a", 3, 5.1, _picture(13))) is not None


def test_the_background_is_replaced_at_once_by_another_scene() -> None:
    front_end = FrontEnd(_ground())
    other = np.repeat(_texture((HEIGHT, WIDTH), 9)[:, :, None], 3, axis=2)
    views = [front_end.update(Frame("a", i, i / 10, other)) for i in range(3)]
    assert views[2] is not None
    assert views[2].foreground.sum() == 0


def test_normal_motion_scores_low_and_fast_or_contrary_motion_high(motion: Motion) -> None:
    def peak(frames: list[Frame]) -> float:
        return float(np.median([d.score for d in _scores(motion, frames)[5:]]))

    usual = peak(_clip(45, 3, 30))
    assert usual < 1.5
    assert peak(_clip(130, 2)) > 1.5 * usual
    assert peak(_clip(-50, 3, 200)) > 1.5 * usual


def test_reasons_say_what_their_numbers_are_measured_in() -> None:
    assert str(Reason("speed", 4.1, 1.6, "px/s")) == "speed 4.1 px/s, usual here up to 1.6 px/s"
    assert str(Reason("moving area", 60.0, 20.0, "%", "of the place")) == (
        "moving area 60 % of the place, usual here up to 20 %"
    )
    assert str(Reason("speed", 1234.5, 102.4, "px/s")) == "speed 1200 px/s, usual here up to 100 px/s"
    assert str(Reason("speed", 104.4, 102.4, "px/s")) == "speed 104 px/s, usual here up to 102 px/s"
    assert str(Reason("distance", 2.3, 1.0, TIMES_USUAL)) == "distance 2.3 times the usual"
    assert str(Reason("texture", 0.5, 0.2)) == "texture 0.5, usual here up to 0.2 (on a scale of its own)"
    assert str(Reason("texture", 0.4, 0.0)) == "texture 0.4, usually none here (on a scale of its own)"
    assert str(Reason("likeness", 0.4, -2.0)) == "likeness 0.4, usual here up to -2 (on a scale of its own)"
    assert str(Reason("speed", 0.4, 0.004, "px/s")) == "speed 0.4 px/s, usual here up to 0.004 px/s"
    assert str(Reason("speed", 60.0, 6e-8, "px/s")) == "speed 60 px/s, usually none here", (
        "no more than a rounding error"
    )
    high = {"movement downwards": 0.9, "speed": 20.0, "moving area": 0.6}
    terms = np.array([high.get(term, 0.0) for term in TERMS], np.float32)
    found = {reason.term: str(reason) for reason in reasons(terms, np.zeros_like(terms), 2.0)}
    assert found == {
        "movement downwards": "movement downwards 90 % of the movement there, usually none here",
        "speed": "speed 40 px/s, usually none here",
        "moving area": "moving area 60 % of the place, usually none here",
    }


def test_reasons_say_what_is_unusual(motion: Motion) -> None:
    contrary = [reason.term for d in _scores(motion, _clip(-50, 3, 200))[5:] for reason in d.reasons]
    assert max(set(contrary), key=contrary.count) == "movement to the left"
    fast = [reason for d in _scores(motion, _clip(130, 2))[5:] for reason in d.reasons if reason.term == "speed"]
    assert fast
    assert all(reason.value > reason.usual and reason.unit == "px/s" for reason in fast)


def test_the_first_frame_cannot_be_judged_and_a_still_scene_scores_nothing(motion: Motion) -> None:
    first, *rest = _scores(motion, _clip(0, 0.5))
    assert math.isnan(first.score)
    assert [d.score for d in rest] == [0.0] * len(rest)
    assert rest[0].anomaly_map is not None
    assert rest[0].anomaly_map.shape == (10, 19)


def test_the_map_peaks_where_the_motion_is(motion: Motion) -> None:
    anomaly_map = _scores(motion, _clip(-50, 1.0, 200))[-1].anomaly_map
    assert anomaly_map is not None
    row, column = np.unravel_index(int(anomaly_map.argmax()), anomaly_map.shape)
    assert abs(row * 16 + 16 - 96) <= 32
    assert abs(column * 16 + 16 - 171) <= 48


def test_a_stream_scores_the_same_in_any_batch(motion: Motion) -> None:
    a, b = _clip(45, 1.0), _clip(-45, 1.0, 100)
    alone = _scores(motion, a)
    streams = motion.new_stream(), motion.new_stream()
    for i, (frame, other) in enumerate(zip(a, b, strict=True)):
        mixed = motion.score([Observation(other, streams[1]), Observation(frame, streams[0])])[1]
        assert repr(mixed.score) == repr(alone[i].score)
        assert mixed.reasons == alone[i].reasons


def test_a_model_survives_its_own_settings_and_tensors(motion: Motion) -> None:
    again = Motion.load(motion.settings(), motion.tensors(), "cpu")
    frames = _clip(70, 1.0)
    np.testing.assert_array_equal([d.score for d in _scores(again, frames)], [d.score for d in _scores(motion, frames)])


def _without(tensors: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in tensors.items() if key != name}


def test_what_is_faster_or_larger_than_usual_counts_besides(motion: Motion) -> None:
    """Older models have no weights for it. They still score in the units of their thresholds."""
    before = Motion.load({k: v for k, v in motion.settings().items() if "weight" not in k}, motion.tensors(), "cpu")

    def highest(detector: Motion, speed: float, size: int = 32) -> float:
        times = np.arange(12) / RATE
        frames = [Frame("a", i, float(t), _picture(20 + speed * t, size)) for i, t in enumerate(times)]
        return _scores(detector, frames)[-1].score

    def beyond(speed: float, size: int = 32) -> float:
        return math.sqrt(highest(motion, speed, size) ** 2 - highest(before, speed, size) ** 2)

    assert beyond(50) < 1
    assert beyond(90) > 1.5 * beyond(50)
    assert beyond(130) > 2 * beyond(50)
    assert beyond(50, 64) > 2 * beyond(50)
    assert before.settings()["speed_weight"] == before.settings()["area_weight"] == 0


def test_a_damaged_model_is_refused_with_the_reason(motion: Motion) -> None:
    settings, tensors = motion.settings(), motion.tensors()
    with pytest.raises(ModelError, match="motion detector lacks the tensor 'scale'"):
        Motion.load(settings, _without(tensors, "scale"), "cpu")
    with pytest.raises(ModelError, match=r"'scale' is \(9, 19\) float32 and should be \(10, 19\) float32"):
        Motion.load(settings, tensors | {"scale": tensors["scale"][:-1]}, "cpu")
    with pytest.raises(ModelError, match="earlier version, which did not follow objects: learn the camera again"):
        Motion.load(settings, tensors | {"deviation": tensors["deviation"][:13]}, "cpu")
    with pytest.raises(ModelError, match="'deviation' holds values that are not finite"):
        Motion.load(settings, tensors | {"deviation": tensors["deviation"] * np.float32(np.nan)}, "cpu")
    with pytest.raises(ModelError, match="not above 0"):
        Motion.load(settings, tensors | {"scale": np.zeros_like(tensors["scale"])}, "cpu")
    with pytest.raises(ModelError, match="setting 'colour' of the motion detector"):
        Motion.load(settings | {"colour": 1}, tensors, "cpu")


@pytest.mark.parametrize("clips", [[(8, 0.0)], [(0.5, start) for start in (0, 20, 40, 60)], [(0.1, 0.0), (3, 9.0)]])
def test_short_clips_are_enough(clips: list[tuple[float, float]]) -> None:
    detector = Motion.fit(_clip(45, seconds, start) for seconds, start in clips)
    assert _scores(detector, _clip(-50, 1.0, 60))[-1].score > 1.5 * _scores(detector, _clip(45, 1.0, 20))[-1].score


def test_footage_to_learn_from_must_be_enough_and_must_move() -> None:
    with pytest.raises(UsageError, match="at least 20 frames"):
        Motion.fit([_clip(40, 1)])
    with pytest.raises(UsageError, match="nothing moves"):
        Motion.fit([_clip(0, 4)])


RATES = [0.5, 1.0, 1.6, 2.0, 5.0, 25.0, 60.0]


@pytest.mark.parametrize("rate", RATES)
def test_frames_of_any_rate_are_judged_and_usual_motion_stays_low(motion: Motion, rate: float) -> None:
    first, *rest = _scores(motion, _clip(45, max(1.0, 6 / rate), 20, rate))
    assert math.isnan(first.score)
    scores = [d.score for d in rest if rate < 10 or not math.isnan(d.score)]
    assert len(scores) >= len(rest) - 4, "0.07 s must pass before motion can be measured"
    # At 2 per second, this square has moved by most of its own width: flow is at its limit.
    assert 0 < np.median(scores) < (5 if rate == 2 else 1.5)


@pytest.mark.parametrize("rate", [0.5, 1.0, 1.6])
def test_frames_too_far_apart_to_follow_anything_are_judged_by_place_and_size(motion: Motion, rate: float) -> None:
    """Where nothing has ever moved, and what is larger than anything: no speed or direction is needed for that."""
    times = np.arange(6) / rate

    def peak(top: int, size: int) -> Detection:
        images = [np.roll(_picture(20 + 45 * t, size), top, axis=0) for t in times]
        return _scores(
            motion, [Frame("a", i, float(t), image) for i, (t, image) in enumerate(zip(times, images, strict=True))]
        )[-1]

    usual = peak(0, 32)
    assert peak(0, 80).score > 1.5 * usual.score
    assert peak(40, 32).score > 1.5 * usual.score
    assert {reason.term for reason in peak(0, 80).reasons} <= {"foreground area"}


def test_one_frame_per_second_is_enough_to_learn_from() -> None:
    """What is learned at one rate is compared in the same way at any other."""
    slow = Motion.fit([_clip(45, 24, start, 1.0) for start in (0, 20)])
    for rate in (0.5, 1.0, 10.0, 25.0):
        times = np.arange(round(4 * max(rate, 1.0))) / rate
        usual = _scores(slow, [Frame("a", i, float(t), _picture(20 + 45 * t)) for i, t in enumerate(times)])
        large = _scores(slow, [Frame("a", i, float(t), _picture(20 + 45 * t, 80)) for i, t in enumerate(times)])
        assert not math.isnan(usual[-1].score)
        assert 0 < usual[-1].score < 1.5
        assert large[-1].score > 1.5 * usual[-1].score


def test_a_detector_learned_from_slow_frames_survives_storage() -> None:
    slow = Motion.fit([_clip(45, 24, 0, 1.0)])
    again = Motion.load(slow.settings(), slow.tensors(), "cpu")
    frames = _clip(45, 8, 30, 1.0)
    assert [repr(d.score) for d in _scores(again, frames)] == [repr(d.score) for d in _scores(slow, frames)]


def test_pictures_that_repeat_the_one_before_change_neither_speed_nor_score(motion: Motion) -> None:
    """A camera of 5 pictures per second in a file of 10: every second picture is the one before."""
    new = _clip(50, 2.0, rate=5.0)
    repeated = [replace(new[i // 2], index=i, time_s=i / 10) for i in range(2 * len(new))]
    front_end = FrontEnd(_ground())
    views = [front_end.update(frame) for frame in repeated]
    assert all(_speed(view) == pytest.approx(50, rel=0.25) for view in views[4:])
    once = [detection.score for detection in _scores(motion, new)]
    twice = [detection.score for detection in _scores(motion, repeated)]
    assert twice[4::2] == pytest.approx(once[2:], rel=0.2)
    assert twice[5::2] == twice[4:-1:2], "a repeated picture has the score of the one before"


def test_something_that_stops_is_still_after_a_moment() -> None:
    moving = _clip(50, 1.0)
    stopped = [replace(moving[-1], index=10 + i, time_s=1.0 + i / 10) for i in range(12)]
    front_end = FrontEnd(_ground())
    views = [front_end.update(frame) for frame in moving + stopped]
    assert views[-1] is not None
    assert views[-1].moving.sum() == 0
