"""A detector as the contract suite checks it, and what the checks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.detector.base import Detector, Observation
from monitor.errors import MonitorError
from monitor.states import Reason
from monitor.types import Detection, Frame


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


def anew(frames: Sequence[Frame]) -> list[Frame]:
    """Copies of the frames, without small pictures."""
    return [Frame(f.camera, f.index, f.time_s, f.image, f.segment, f.captured_at, f.wall_time) for f in frames]


def scored_by(detector: Detector, frames: Sequence[Frame]) -> list[Detection]:
    """What a detector says of the frames of a new stream, frame after frame."""
    stream = detector.new_stream()
    return [detection for frame in frames for detection in detector.score([Observation(frame, stream)])]


def scored_alone(detector: Detector, frames: Sequence[Frame]) -> list[Detection]:
    """One frame per batch, in a fresh stream."""
    return scored_by(detector, anew(frames))


def bytes_of(detections: Sequence[Detection]) -> list[tuple[bytes, bytes, str]]:
    """All that must be equal in two detections."""
    return [
        (
            np.float64(detection.score).tobytes(),
            b"" if detection.anomaly_map is None else detection.anomaly_map.tobytes(),
            repr(detection.reasons),
        )
        for detection in detections
    ]


def assert_same_detections(found: Sequence[Detection], expected: Sequence[Detection], when: str) -> None:
    """Fail with a sentence if two lists of detections differ in a byte."""
    assert len(found) == len(expected), f"{when}, there are {len(found)} detections and not {len(expected)}"
    for number, (one, other) in enumerate(zip(bytes_of(found), bytes_of(expected), strict=True)):
        same = [a == b for a, b in zip(one, other, strict=True)]
        for part, equal in zip(("score", "map", "reasons"), same, strict=True):
            scores = found[number].score, expected[number].score
            assert equal, f"{when}, frame {number} has another {part} (scores {scores[0]!r} and {scores[1]!r})"


def assert_error_sentence(error: MonitorError) -> None:
    """Fail if an error is not one line that says something."""
    text = str(error)
    assert text.strip(), f"{type(error).__name__} has no text"
    assert "\n" not in text, f"an error is more than one line: {text}"
    assert not text.endswith("."), f"an error ends with a full stop, unlike the others: {text}"
