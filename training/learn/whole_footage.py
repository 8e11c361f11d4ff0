"""Reads long footage a second time: detectors that can learn from all of it do so, the others score held-out windows.

Only chunks of long footage are kept in memory. A detector that learns from a stream of frames takes every frame here.
It is scored on the same footage, block by block of time, by what it has learned from the other blocks: so the scores
show how much an hour, or a day, differs from others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.detector.base import Detector
from monitor.errors import CaptureError, SourceError
from monitor.judging.scorer import Bare
from monitor.replay import AS_LIVE, LIVE_FPS, frames, scored
from monitor.scores.held_out import HeldOut
from monitor.stream.frame_rules import FrameRules
from monitor.stream.health.viewpoint import Viewpoint
from monitor.stream.regimes import regime_number
from monitor.types import Frame
from training.learn.held_out_windows import Window
from training.learn.normal_footage import Normal
from training.progress import Report, Steps

LONGEST_BLOCK_S, SHORTEST_BLOCK_S, BLOCKS = 3600.0, 150.0, 8
"""Blocks of time last an hour; in shorter footage, they are an eighth of it, but not shorter than this, seconds."""


class LearnsAll(Protocol):
    """What learns from a stream of frames, such as ``WholeMotion``."""

    def take(self, frame: Frame, block: int, *, fresh: bool) -> None:
        """Take the next frame. block: number of its block of time. fresh: True after a gap."""

    def finish(self) -> tuple[Detector, NDArray[np.float64]]:
        """The detector, and its score of every frame taken by what other blocks know; NaN if it is not held out."""


@dataclass(frozen=True, eq=False)
class Whole:
    """The result of reading all of the footage.

    held_out   the scores of all detectors on one time axis; NaN where a detector has not judged a frame
    detectors  the detectors that have learned from all of the footage
    """

    held_out: HeldOut
    detectors: tuple[Detector, ...]


def read_whole(
    normal: Normal,
    chosen: Sequence[Window],
    detectors: Sequence[Detector],
    learning: Sequence[LearnsAll],
    report: Report,
    viewpoint: Viewpoint,
    analysis_fps: float = LIVE_FPS,
) -> Whole:
    """Read all of the footage again.

    chosen     the windows that ``detectors`` score; each is a stream of its own
    learning   what learns from every frame
    viewpoint  the usual views of the camera, as the live monitor uses them

    If a source cannot be read again to the same point, the frames before the error are used.
    """
    reading = _Reading(normal, chosen, detectors, learning)
    title = "learning from all of the footage" if learning else "scoring held-out footage"
    with report.steps(title, len(normal.sources)) as step:
        for number in range(len(normal.sources)):
            rules = FrameRules(replace(AS_LIVE, analysis_fps=analysis_fps), viewpoint)
            try:
                reading.read(number, rules, step)
            except (CaptureError, SourceError) as error:
                report.say(f"{error}: what is used of this source ends here")
            step()
    scores = {name: np.array(values, np.float64) for name, values in reading.scores.items()}
    learned: list[Detector] = []
    for each in learning:
        with report.steps("comparing the hours with each other", None):
            detector, raw = each.finish()
        scores[detector.name] = raw
        learned.append(detector)
    times, clips = np.array(reading.times, np.float64), np.array(reading.clips, np.int32)
    return Whole(HeldOut(times, clips, scores, np.array(reading.regimes, np.int8)), tuple(learned))


class _Reading:
    """The scored frames so far: their times, clips, regimes, and the raw scores of each detector."""

    def __init__(
        self,
        normal: Normal,
        chosen: Sequence[Window],
        detectors: Sequence[Detector],
        learning: Sequence[LearnsAll],
    ) -> None:
        self._normal, self._chosen, self._detectors, self._learning = normal, chosen, detectors, learning
        self.times: list[float] = []
        self.clips: list[int] = []
        self.regimes: list[int] = []
        self.scores: dict[str, list[float]] = {detector.name: [] for detector in detectors}
        self._block_s = min(LONGEST_BLOCK_S, max(SHORTEST_BLOCK_S, normal.footage_s / BLOCKS))
        self._clip = -1
        self._yielded: deque[int | None] = deque()  # numbers of the frames that are scored, None: not to be scored

    def read(self, number: int, rules: FrameRules, step: Steps) -> None:
        """Read one source. Raises CaptureError and SourceError."""
        for each in scored(self._in_windows(number, rules, step), Bare(tuple(self._detectors))):
            at = self._yielded.popleft()
            if at is not None:
                for detector, detection in zip(self._detectors, each.detections, strict=True):
                    self.scores[detector.name][at] = detection.score

    def _in_windows(self, number: int, rules: FrameRules, step: Steps) -> Iterator[Frame]:
        """The frames of the windows of a source, each window in a segment of its own. All frames are learned from."""
        normal = self._normal
        first_s, length_s = normal.first_s[number], normal.lengths_s[number]
        before_s = sum(normal.lengths_s[:number])
        own = [window for window in self._chosen if window.source == number]
        stream: tuple[int, int] | None = None  # number of the window, -1 outside, and of the segment
        segment = -1
        for frame in frames(normal.sources[number], rules, from_s=first_s, to_s=first_s + length_s + 1e-6):
            step.frame()
            at = next((k for k, window in enumerate(own) if window.from_s <= frame.time_s < window.to_s), -1)
            if (at, frame.segment) != stream:
                stream, self._clip = (at, frame.segment), self._clip + 1
            if frame.health.scored:
                block = int((before_s + frame.time_s - first_s) // self._block_s)
                for each in self._learning:
                    each.take(frame, block, fresh=frame.segment != segment)
                segment = frame.segment
                self.times.append(frame.time_s)
                self.clips.append(self._clip)
                self.regimes.append(regime_number(frame.image))
                for values in self.scores.values():
                    values.append(np.nan)
            if at >= 0 and self._detectors:
                self._yielded.append(len(self.times) - 1 if frame.health.scored else None)
                yield replace(frame, segment=self._clip)
