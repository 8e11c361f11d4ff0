"""Checks of the promises of ``monitor.detector.base``. Every detector passes them. Use them to test your own detector.

    @pytest.mark.parametrize("check", DETECTOR_CHECKS, ids=lambda check: check.__name__)
    def test_my_detector(check: DetectorCheck) -> None:
        check(DetectorCase(MyDetector.fit(normal), clips=[one_camera, another_camera]))

A check raises AssertionError with one sentence if the detector breaks a promise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from monitor.detector.base import Observation
from monitor.places import PlaceRules, Polygon
from monitor.testing.detector_case import (
    DetectorCase,
    anew,
    assert_same_detections,
    bytes_of,
    scored_alone,
    scored_by,
)
from monitor.testing.detector_storing import (
    _assert_same_parts,
    _stored,
    check_cpu,
    check_damaged_settings,
    check_damaged_tensors,
    check_devices,
    check_storing,
)
from monitor.types import Detection, Frame

LEFT = Polygon(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
"""The left half of the picture."""


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
        found = scored_alone(case.detector, clip)
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
        for detection in scored_alone(case.detector, clip):
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
        expected = scored_alone(case.detector, clip)
        for size in (3, 8):
            stream = case.detector.new_stream()
            seen = [Observation(frame, stream) for frame in anew(clip)]
            found: list[Detection] = []
            for start in range(0, len(seen), size):
                found += case.detector.score(seen[start : start + size])
            assert_same_detections(found, expected, f"in batches of {size}")


def check_cameras(case: DetectorCase) -> None:
    """A frame gets the same bytes if other cameras are in the batch; streams do not influence each other."""
    expected = [scored_alone(case.detector, clip) for clip in case.clips]
    assert bytes_of(expected[0]) != bytes_of(expected[1]), "the clips of the case must differ in their scores"
    order = sorted(
        (frame.time_s, number, at) for number, clip in enumerate(case.clips) for at, frame in enumerate(clip)
    )
    for size in (1, 8):
        streams = [case.detector.new_stream() for _ in case.clips]
        frames = [anew(clip) for clip in case.clips]
        found: list[list[Detection]] = [[] for _ in case.clips]
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            detections = case.detector.score([Observation(frames[n][at], streams[n]) for _, n, at in batch])
            assert len(detections) == len(batch), f"{len(batch)} frames give {len(detections)} detections"
            for (_, number, _), detection in zip(batch, detections, strict=True):
                found[number].append(detection)
        for one, its in zip(found, expected, strict=True):
            assert_same_detections(one, its, f"among other cameras, in batches of {size}")


def check_fresh_stream(case: DetectorCase) -> None:
    """A fresh stream remembers nothing, in the same batch or later, even if time goes back."""
    first, second = case.clips[0], case.clips[1]
    expected = [scored_alone(case.detector, clip) for clip in (first, second)]
    for clip, its in ((second, expected[1]), (first, expected[0])):
        assert_same_detections(scored_alone(case.detector, clip), its, "with a fresh stream after another clip")
    old, fresh = case.detector.new_stream(), case.detector.new_stream()
    batch = [
        *(Observation(frame, old) for frame in anew(first)),
        *(Observation(frame, fresh) for frame in anew(second)),
    ]
    assert_same_detections(
        case.detector.score(batch), [*expected[0], *expected[1]], "with a fresh stream in the same batch"
    )


def check_jumps(case: DetectorCase) -> None:
    """A stream with missing frames, times far from 0 and a long pause is scored, with the same bytes each time."""
    for clip in case.clips:
        half = len(clip) // 2
        kept = [(frame, 1e6 + frame.time_s) for number, frame in enumerate(clip[:half]) if number % 4 != 1]
        kept += [(frame, 1e6 + 60.0 + frame.time_s) for frame in clip[half:]]
        frames = [Frame(frame.camera, frame.index, time_s, frame.image) for frame, time_s in kept]
        found = scored_alone(case.detector, frames)
        assert not any(math.isinf(detection.score) for detection in found), "a pause gives an infinite score"
        assert_same_detections(scored_alone(case.detector, frames), found, "the second time")


# Nothing is changed


def check_ignored_places(case: DetectorCase) -> None:
    """A place that is not scored is nowhere the highest in the map, and nothing else changes in the other places."""
    left = PlaceRules(ignored=(LEFT,))
    for clip in case.clips:
        found = scored_by(case.detector, [replace(frame, places=left) for frame in clip])
        for all_scored, one in zip(scored_by(case.detector, clip), found, strict=True):
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
        plain = scored_by(case.detector, clip)
        for sensitivity in (0.5, 2.0):
            rules = PlaceRules(weighed=((LEFT, sensitivity),))
            found = scored_by(case.detector, [replace(frame, places=rules) for frame in clip])
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
        plain = scored_by(case.detector, clip)
        every = scored_by(case.detector, [replace(frame, places=PlaceRules(must_touch=(whole,))) for frame in clip])
        assert_same_detections(every, plain, "with a zone of the whole picture that must be touched")
        found = scored_by(case.detector, [replace(frame, places=PlaceRules(must_touch=(LEFT,))) for frame in clip])
        for one, touching in zip(plain, found, strict=True):
            assert math.isnan(one.score) == math.isnan(touching.score), "a zone takes the score"
            if one.anomaly_map is not None and touching.anomaly_map is not None:
                assert (touching.anomaly_map <= one.anomaly_map + 1e-6).all(), "a zone raises the map"


def check_frames_unchanged(case: DetectorCase) -> None:
    """Scoring writes neither into a frame's picture nor into its small pictures, which detectors share."""
    for clip in case.clips:
        frames = anew(clip)
        images = [frame.image.copy() for frame in frames]
        first = scored_by(case.detector, frames)
        samples = [frame.small.sample.copy() for frame in anew(clip)]
        for frame, image, sample in zip(frames, images, samples, strict=True):
            assert np.array_equal(frame.image, image), f"scoring changes the picture at {frame.time_s:.2f} s"
            assert np.array_equal(frame.small.sample, sample), f"scoring changes the sample at {frame.time_s:.2f} s"
        assert_same_detections(scored_by(case.detector, frames), first, "with frames that were scored before")


def check_kept_detections(case: DetectorCase) -> None:
    """A detection does not change when later frames are scored."""
    for clip in case.clips:
        stream = case.detector.new_stream()
        found, copies = [], []
        for frame in anew(clip):
            (detection,) = case.detector.score([Observation(frame, stream)])
            found.append(detection)
            copies.append(bytes_of([detection]))
        for detection, copy, frame in zip(found, copies, clip, strict=True):
            assert bytes_of([detection]) == copy, f"the detection at {frame.time_s:.2f} s changes later"


def check_detector_unchanged(case: DetectorCase) -> None:
    """Scoring does not change the settings and tensors of the detector."""
    before = _stored(case.detector)
    for clip in case.clips:
        scored_alone(case.detector, clip)
    _assert_same_parts(_stored(case.detector), before, "after scoring")


# Storing


# Devices


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
