"""Checks of the promises of ``monitor.detector.base``. Every detector passes them. Use them to test your own detector.

    @pytest.mark.parametrize("check", DETECTOR_CHECKS, ids=lambda check: check.__name__)
    def test_my_detector(check: DetectorCheck) -> None:
        check(DetectorCase(MyDetector.fit(normal), clips=[one_camera, another_camera]))

A check raises AssertionError with one sentence if the detector breaks a promise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from monitor.detector.base import Detector, Observation, Precision, Tensors
from monitor.errors import ModelError, MonitorError, UsageError
from monitor.places import PlaceRules, Polygon
from monitor.states import Reason
from monitor.types import Detection, Frame

_DAMAGED = 4
_PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")
LEFT = Polygon(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
"""The left half of the picture."""
_NONSENSE: tuple[Any, ...] = ("nonsense", -1, 0, 1e30, 10**9, None, True, [], {}, math.nan)


@dataclass(frozen=True)
class DetectorCase:
    """A detector under test.

    detector  ready to score; on the CPU, so that a loaded copy gives the same bytes
    clips     frames of two cameras or more, each in order of time, 8 or more per camera. The detector gives scores for
              each of them, and reasons for at least one frame if it ever gives any
    strength  returns how far a reason is above its usual value; None if the detector gives at most one reason per frame
    whole     True if it compares whole pictures: without a place, the others may be compared with another picture
    optional  tensors that a stored detector may lack, because earlier versions did not store them
    """

    detector: Detector
    clips: Sequence[Sequence[Frame]]
    strength: Callable[[Reason], float] | None = None
    optional: frozenset[str] = frozenset()
    whole: bool = False


DetectorCheck = Callable[[DetectorCase], None]


# Scores


def check_attributes(case: DetectorCase) -> None:
    """The numbers and names that the monitor reads from a detector are usable."""
    detector = case.detector
    assert detector.name, "the detector has no name"
    assert isinstance(detector.sees, str), f"sees is {detector.sees!r}"
    assert isinstance(detector.small, bool), f"small is {detector.small!r}"
    assert detector.device, "the detector has no device"
    assert 0 < detector.trust <= 1, f"trust is {detector.trust}"
    assert detector.min_threshold < math.inf, f"min_threshold is {detector.min_threshold}"
    assert detector.usual < math.inf, f"usual is {detector.usual}"
    for clip_s in (0.0, 1.0, 1e6):
        shown = detector.shown_by(clip_s, 1.0)
        assert isinstance(shown, (bool, np.bool_)), f"shown_by gives {shown!r}"


def check_detections(case: DetectorCase) -> None:
    """A score is a float, finite or NaN; a map is (h, w) float32 and finite, or None."""
    for clip in case.clips:
        found = _alone(case.detector, clip)
        assert any(not math.isnan(detection.score) for detection in found), "a clip gets no score at all"
        for detection, frame in zip(found, clip, strict=True):
            when = f"at {frame.time_s:.2f} s"
            assert isinstance(detection.score, float), f"{when}, the score is {detection.score!r}"
            assert not math.isinf(detection.score), f"{when}, the score is infinite"
            anomaly_map = detection.anomaly_map
            if anomaly_map is None:
                continue
            what = f"{when}, the map is {anomaly_map.shape} {anomaly_map.dtype}"
            assert anomaly_map.ndim == 2, what
            assert anomaly_map.size > 0, what
            assert anomaly_map.dtype == np.float32, what
            assert np.isfinite(anomaly_map).all(), f"{when}, the map contains values that are not finite"


def check_reasons(case: DetectorCase) -> None:
    """Each reason is above its usual value; the strongest one is the first. A frame without a score has no reason."""
    for clip in case.clips:
        for detection in _alone(case.detector, clip):
            assert isinstance(detection.reasons, tuple), f"the reasons are a {type(detection.reasons).__name__}"
            assert not (math.isnan(detection.score) and detection.reasons), "a frame without a score has a reason"
            for reason in detection.reasons:
                assert reason.term, "a reason has no name"
                assert math.isfinite(reason.value), f"a reason has the value {reason.value}"
                assert reason.value > reason.usual, f"'{reason}' is given although it is not above its usual value"
            if case.strength is None:
                assert len(detection.reasons) <= 1, "there are several reasons: the case must give their strength"
                continue
            strengths = [case.strength(reason) for reason in detection.reasons]
            for before, after in pairwise(strengths):
                assert before >= after * (1 - 1e-6), f"reasons of strength {strengths} are not in order"


# Streams and batches


def check_batches(case: DetectorCase) -> None:
    """A frame gets the same bytes for any number of frames of its camera in the batch; an empty batch is allowed."""
    assert case.detector.score([]) == [], "an empty batch gives detections"
    for clip in case.clips:
        expected = _alone(case.detector, clip)
        for size in (3, 8):
            stream = case.detector.new_stream()
            seen = [Observation(frame, stream) for frame in _anew(clip)]
            found: list[Detection] = []
            for start in range(0, len(seen), size):
                found += case.detector.score(seen[start : start + size])
            _assert_same(found, expected, f"in batches of {size}")


def check_cameras(case: DetectorCase) -> None:
    """A frame gets the same bytes if other cameras are in the batch; streams do not influence each other."""
    expected = [_alone(case.detector, clip) for clip in case.clips]
    assert _bytes(expected[0]) != _bytes(expected[1]), "the clips of the case must differ in their scores"
    order = sorted(
        (frame.time_s, number, at) for number, clip in enumerate(case.clips) for at, frame in enumerate(clip)
    )
    for size in (1, 8):
        streams = [case.detector.new_stream() for _ in case.clips]
        frames = [_anew(clip) for clip in case.clips]
        found: list[list[Detection]] = [[] for _ in case.clips]
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            detections = case.detector.score([Observation(frames[n][at], streams[n]) for _, n, at in batch])
            assert len(detections) == len(batch), f"{len(batch)} frames give {len(detections)} detections"
            for (_, number, _), detection in zip(batch, detections, strict=True):
                found[number].append(detection)
        for one, its in zip(found, expected, strict=True):
            _assert_same(one, its, f"among other cameras, in batches of {size}")


def check_fresh_stream(case: DetectorCase) -> None:
    """A fresh stream remembers nothing, in the same batch or later, even if time goes back."""
    first, second = case.clips[0], case.clips[1]
    expected = [_alone(case.detector, clip) for clip in (first, second)]
    for clip, its in ((second, expected[1]), (first, expected[0])):
        _assert_same(_alone(case.detector, clip), its, "with a fresh stream after another clip")
    old, fresh = case.detector.new_stream(), case.detector.new_stream()
    batch = [
        *(Observation(frame, old) for frame in _anew(first)),
        *(Observation(frame, fresh) for frame in _anew(second)),
    ]
    _assert_same(case.detector.score(batch), [*expected[0], *expected[1]], "with a fresh stream in the same batch")


def check_jumps(case: DetectorCase) -> None:
    """A stream with missing frames, times far from 0 and a long pause is scored, with the same bytes each time."""
    for clip in case.clips:
        half = len(clip) // 2
        kept = [(frame, 1e6 + frame.time_s) for number, frame in enumerate(clip[:half]) if number % 4 != 1]
        kept += [(frame, 1e6 + 60.0 + frame.time_s) for frame in clip[half:]]
        frames = [Frame(frame.camera, frame.index, time_s, frame.image) for frame, time_s in kept]
        found = _alone(case.detector, frames)
        assert not any(math.isinf(detection.score) for detection in found), "a pause gives an infinite score"
        _assert_same(_alone(case.detector, frames), found, "the second time")


# Nothing is changed


def check_ignored_places(case: DetectorCase) -> None:
    """A place that is not scored is nowhere the highest in the map, and nothing else changes in the other places."""
    left = PlaceRules(ignored=(LEFT,))
    for clip in case.clips:
        found = _score(case.detector, [replace(frame, places=left) for frame in clip])
        for all_scored, one in zip(_score(case.detector, clip), found, strict=True):
            assert math.isnan(one.score) == math.isnan(all_scored.score), "a place that is not scored takes the score"
            if one.anomaly_map is None or all_scored.anomaly_map is None:
                continue
            left_out = left.left_out(*one.anomaly_map.shape)
            assert left_out.any(), "a map has no cell in the left half of the picture"
            least = max(0.0, float(one.anomaly_map[~left_out].min()))
            assert float(one.anomaly_map[left_out].max()) <= least, "a place that is not scored is high in the map"
            same = np.array_equal(one.anomaly_map[~left_out], all_scored.anomaly_map[~left_out])
            assert same or case.whole, "a place that is not scored changes the others"


def check_weighed_places(case: DetectorCase) -> None:
    """A sensitivity above 1 raises what is above typical in the map, one below 1 lowers it; the score follows."""
    for clip in case.clips:
        plain = _score(case.detector, clip)
        for sensitivity in (0.5, 2.0):
            rules = PlaceRules(weighed=((LEFT, sensitivity),))
            found = _score(case.detector, [replace(frame, places=rules) for frame in clip])
            for one, weighed in zip(plain, found, strict=True):
                assert math.isnan(one.score) == math.isnan(weighed.score), "a sensitivity takes the score"
                higher = (weighed.score - one.score) * (sensitivity - 1)
                assert math.isnan(higher) or higher >= -1e-6, "the score does not follow the sensitivity"
                if one.anomaly_map is None or weighed.anomaly_map is None:
                    continue
                half = one.anomaly_map.shape[1] // 2 + 1
                same = np.array_equal(one.anomaly_map[:, half:], weighed.anomaly_map[:, half:])
                assert same, "a zone changes other places"
                low, high = sorted((one, weighed), key=lambda found: (found is weighed) == (sensitivity > 1))
                assert low.anomaly_map is not None
                assert high.anomaly_map is not None
                assert (high.anomaly_map >= low.anomaly_map - 1e-6).all(), "the map does not follow the sensitivity"


def check_required_places(case: DetectorCase) -> None:
    """What touches a zone is scored as without it, all of it. What touches none is nowhere high."""
    whole = Polygon(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
    for clip in case.clips:
        plain = _score(case.detector, clip)
        every = _score(case.detector, [replace(frame, places=PlaceRules(must_touch=(whole,))) for frame in clip])
        _assert_same(every, plain, "with a zone of the whole picture that must be touched")
        found = _score(case.detector, [replace(frame, places=PlaceRules(must_touch=(LEFT,))) for frame in clip])
        for one, touching in zip(plain, found, strict=True):
            assert math.isnan(one.score) == math.isnan(touching.score), "a zone takes the score"
            if one.anomaly_map is not None and touching.anomaly_map is not None:
                assert (touching.anomaly_map <= one.anomaly_map + 1e-6).all(), "a zone raises the map"


def check_frames_unchanged(case: DetectorCase) -> None:
    """Scoring writes neither into a frame's picture nor into its small pictures, which detectors share."""
    for clip in case.clips:
        frames = _anew(clip)
        images = [frame.image.copy() for frame in frames]
        first = _score(case.detector, frames)
        samples = [frame.small.sample.copy() for frame in _anew(clip)]
        for frame, image, sample in zip(frames, images, samples, strict=True):
            assert np.array_equal(frame.image, image), f"scoring changes the picture at {frame.time_s:.2f} s"
            assert np.array_equal(frame.small.sample, sample), f"scoring changes the sample at {frame.time_s:.2f} s"
        _assert_same(_score(case.detector, frames), first, "with frames that were scored before")


def check_kept_detections(case: DetectorCase) -> None:
    """A detection does not change when later frames are scored."""
    for clip in case.clips:
        stream = case.detector.new_stream()
        found, copies = [], []
        for frame in _anew(clip):
            (detection,) = case.detector.score([Observation(frame, stream)])
            found.append(detection)
            copies.append(_bytes([detection]))
        for detection, copy, frame in zip(found, copies, clip, strict=True):
            assert _bytes([detection]) == copy, f"the detection at {frame.time_s:.2f} s changes later"


def check_detector_unchanged(case: DetectorCase) -> None:
    """Scoring does not change the settings and tensors of the detector."""
    before = _stored(case.detector)
    for clip in case.clips:
        _alone(case.detector, clip)
    _assert_same_parts(_stored(case.detector), before, "after scoring")


# Storing


def check_storing(case: DetectorCase) -> None:
    """Settings survive JSON, tensors survive a file, and the loaded detector gives the same bytes."""
    stored = _stored(case.detector)
    loaded = _load(case, *stored)
    assert loaded.name == case.detector.name, f"the loaded detector is a '{loaded.name}'"
    _assert_same_parts(_stored(loaded), stored, "after loading")
    for what in ("sees", "small", "trust", "usual", "min_threshold"):
        one, other = getattr(loaded, what), getattr(case.detector, what)
        assert one == other, f"{what} of the loaded detector is {one} and not {other}"
    for clip in case.clips:
        _assert_same(_alone(loaded, clip), _alone(case.detector, clip), "after loading")


def check_damaged_tensors(case: DetectorCase) -> None:
    """``load`` raises ModelError if a tensor is missing, has another shape, another type or is not finite.

    For a network with many layers, it checks only some of the tensors.
    """
    settings, tensors = _stored(case.detector)
    names = sorted(tensors, key=lambda name: (name.count("."), name))
    own, rest = names[:_DAMAGED], names[_DAMAGED:]
    for name in [*own, *rest[:: max(1, len(rest) // _DAMAGED)]]:
        tensor = tensors[name]
        others = {key: value for key, value in tensors.items() if key != name}
        if name not in case.optional:
            _assert_refused(case, settings, others, f"without the tensor '{name}'")
        for damaged in _damaged(tensor):
            what = f"with the tensor '{name}' as {damaged.shape} {damaged.dtype}"
            _assert_refused(case, settings, {**others, name: damaged}, what)


def check_damaged_settings(case: DetectorCase) -> None:
    """``load`` raises ModelError, and nothing else, for settings that it cannot use."""
    settings, tensors = _stored(case.detector)
    for name in settings:
        others = {key: value for key, value in settings.items() if key != name}
        _load_or_refuse(case, others, tensors, f"without the setting '{name}'")
        for value in _NONSENSE:
            _load_or_refuse(case, {**others, name: value}, tensors, f"with the setting '{name}' = {value!r}")


def check_foreign_parts(case: DetectorCase) -> None:
    """``load`` raises ModelError for an unknown setting or tensor, as all detectors of this project do."""
    settings, tensors = _stored(case.detector)
    _assert_refused(case, settings, {**tensors, "foreign": np.zeros(3, np.float32)}, "with an unknown tensor")
    _assert_refused(case, {**settings, "foreign": 1}, tensors, "with an unknown setting")


# Devices


def check_cpu(case: DetectorCase) -> None:
    """``on_cpu`` gives the same detector on the CPU, and streams continue with it."""
    other = case.detector.on_cpu()
    assert isinstance(other, Detector), f"on_cpu gives {other!r}"
    assert other.name == case.detector.name, f"on_cpu gives a '{other.name}'"
    assert other.device == "cpu", f"the detector on the CPU says that it runs on {other.device}"
    assert other.on_cpu() is other, "on_cpu of a detector on the CPU gives another one"
    for clip in case.clips:
        stream, half = case.detector.new_stream(), len(clip) // 2
        seen = [Observation(frame, stream) for frame in _anew(clip)]
        found = [*case.detector.score(seen[:half]), *other.score(seen[half:])]
        if case.detector.device == "cpu":
            _assert_same(found, _alone(case.detector, clip), "continued on the CPU")


def check_devices(case: DetectorCase) -> None:
    """``load`` accepts any device and precision, or raises UsageError for one that is not available."""
    stored = _stored(case.detector)
    for device in ("auto", "cuda", "cuda:99", "nonsense"):
        loaded = _load_or_none(case, stored, device)
        assert loaded is not None or device != "auto", "load refuses the device auto"
        assert loaded is None or loaded.device, f"loaded for {device}, the detector has no device"
    for precision in _PRECISIONS:
        loaded = _load_or_none(case, stored, "cpu", precision)
        assert loaded is not None or precision == "bfloat16", f"load refuses the precision {precision}"
        found = [] if loaded is None else _alone(loaded, case.clips[0])
        assert loaded is None or any(not math.isnan(one.score) for one in found), f"in {precision} there is no score"


DETECTOR_CHECKS: tuple[DetectorCheck, ...] = (
    check_attributes,
    check_detections,
    check_reasons,
    check_batches,
    check_cameras,
    check_fresh_stream,
    check_jumps,
    check_ignored_places,
    check_weighed_places,
    check_required_places,
    check_frames_unchanged,
    check_kept_detections,
    check_detector_unchanged,
    check_storing,
    check_damaged_tensors,
    check_damaged_settings,
    check_cpu,
    check_devices,
)


# Help

_Stored = tuple[dict[str, Any], Tensors]


def _anew(frames: Sequence[Frame]) -> list[Frame]:
    """Copies of the frames, without small pictures."""
    return [Frame(f.camera, f.index, f.time_s, f.image, f.segment, f.captured_at, f.wall_time) for f in frames]


def _score(detector: Detector, frames: Sequence[Frame]) -> list[Detection]:
    stream = detector.new_stream()
    return [detection for frame in frames for detection in detector.score([Observation(frame, stream)])]


def _alone(detector: Detector, frames: Sequence[Frame]) -> list[Detection]:
    """One frame per batch, in a fresh stream."""
    return _score(detector, _anew(frames))


def _bytes(detections: Sequence[Detection]) -> list[tuple[bytes, bytes, str]]:
    return [
        (
            np.float64(detection.score).tobytes(),
            b"" if detection.anomaly_map is None else detection.anomaly_map.tobytes(),
            repr(detection.reasons),
        )
        for detection in detections
    ]


def _assert_same(found: Sequence[Detection], expected: Sequence[Detection], when: str) -> None:
    assert len(found) == len(expected), f"{when}, there are {len(found)} detections and not {len(expected)}"
    for number, (one, other) in enumerate(zip(_bytes(found), _bytes(expected), strict=True)):
        same = [a == b for a, b in zip(one, other, strict=True)]
        for part, equal in zip(("score", "map", "reasons"), same, strict=True):
            scores = found[number].score, expected[number].score
            assert equal, f"{when}, frame {number} has another {part} (scores {scores[0]!r} and {scores[1]!r})"


def _stored(detector: Detector) -> _Stored:
    """Settings and tensors after they were stored and loaded, as in a model folder."""
    try:
        settings = json.loads(json.dumps(detector.settings(), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the settings cannot be stored as JSON: {error}") from error
    tensors = detector.tensors()
    for name, tensor in tensors.items():
        assert isinstance(tensor, np.ndarray), f"the tensor '{name}' is a {type(tensor).__name__}"
    found: Tensors = load_tensors(save_tensors({name: np.array(t, order="C") for name, t in tensors.items()}))
    for name, tensor in tensors.items():
        assert np.array_equal(found[name], tensor, equal_nan=tensor.dtype.kind == "f"), f"'{name}' cannot be stored"
    return settings, found


def _assert_same_parts(found: _Stored, expected: _Stored, when: str) -> None:
    assert found[0] == expected[0], f"{when}, the settings differ"
    assert found[1].keys() == expected[1].keys(), f"{when}, the names of the tensors differ"
    for name, tensor in found[1].items():
        other = expected[1][name]
        assert tensor.dtype == other.dtype, f"{when}, '{name}' is {tensor.dtype}"
        assert tensor.shape == other.shape, f"{when}, '{name}' is {tensor.shape}"
        assert tensor.tobytes() == other.tobytes(), f"{when}, '{name}' holds other values"


def _damaged(tensor: NDArray[Any]) -> list[NDArray[Any]]:
    """The tensor in another shape, in another type and, if it can hold such values, not finite."""
    another = np.float32 if tensor.dtype == np.float64 else np.float64
    found: list[NDArray[Any]] = [np.concatenate([np.atleast_1d(tensor)] * 2), tensor.astype(another)]
    if tensor.dtype.kind == "f":
        spoiled = np.array(tensor)
        spoiled.flat[0] = math.nan
        found.append(spoiled)
    return found


def _load(case: DetectorCase, settings: Mapping[str, Any], tensors: Tensors) -> Detector:
    return type(case.detector).load(settings, tensors, "cpu")


def _load_or_refuse(case: DetectorCase, settings: Mapping[str, Any], tensors: Tensors, what: str) -> bool:
    """Load the detector. Returns False if ``load`` raises a ModelError."""
    try:
        _load(case, settings, tensors)
    except ModelError as error:
        _assert_sentence(error)
        return False
    except Exception as error:
        raise AssertionError(f"load {what} raises {error!r}, which is not a ModelError") from error
    return True


def _load_or_none(case: DetectorCase, stored: _Stored, device: str, precision: Precision = "auto") -> Detector | None:
    """Load the detector; None if the device or the precision is not available."""
    try:
        return type(case.detector).load(*stored, device, precision)
    except UsageError as error:
        _assert_sentence(error)
        return None


def _assert_refused(case: DetectorCase, settings: Mapping[str, Any], tensors: Tensors, what: str) -> None:
    assert not _load_or_refuse(case, settings, tensors, what), f"load accepts the detector {what}"


def _assert_sentence(error: MonitorError) -> None:
    text = str(error)
    assert text.strip(), f"{type(error).__name__} has no text"
    assert "\n" not in text, f"an error is more than one line: {text}"
    assert not text.endswith("."), f"an error ends with a full stop, unlike the others: {text}"
