"""Follows which detectors judge a camera's frames, so that a camera is never watched in appearance only.

A detector gives NaN while it cannot judge: at the start of a segment, or if frames come too slowly for it. That is
normal for a moment. If it lasts, nobody watches, although frames arrive. Pure: times are the stream's own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from monitor.states import PAUSED
from monitor.types import Frame

UNSCORED_AFTER_S = 5.0
"""Seconds of stream time without any judgement after which a camera counts as unscored."""
LIMITED_AFTER_S = 30.0
"""Seconds without a judgement of one detector after which a camera counts as limited. ``scene`` waits up to 20 s for
the light to settle."""
UNWATCHED_AFTER_S = 60.0
"""Seconds of stream time with nearly no judged frame, whatever the reason, after which nothing counts as watched."""
_NEARLY_NOTHING = 0.05  # share of this time that may have been judged
_AGAIN_S = 1.0  # judged for this long without a break, a camera is watched again
_PART_S = 1.0  # the time is added up in parts of this length
_LONGEST_GAP_S = 3.0  # a gap between two segments counts as at most this long
_RECENT = 20  # steps between frames, for their median
_OFTEN = 3  # new segments while no detector judges, from which on they are the reason
_SLOW_S = 0.3  # steps between frames that detectors of motion were made for


@dataclass(frozen=True, slots=True)
class Unjudged:
    """What is not judged now.

    nothing  True if no detector has judged for ``UNSCORED_AFTER_S``
    silent   names of the detectors that have not judged for ``LIMITED_AFTER_S``, if others have
    why      the reason, for people: half a sentence that does not change while the situation lasts
    """

    nothing: bool = False
    silent: tuple[str, ...] = ()
    why: str = ""


ALL_JUDGED = Unjudged()


class WatchedLately:
    """Whether anything has been judged in the last minute of a stream. Takes the time of each frame, in order."""

    def __init__(self) -> None:
        self.nothing = False
        """True if nearly nothing has been judged for ``UNWATCHED_AFTER_S``, until frames are judged again."""
        self._parts: deque[tuple[float, float]] = deque()  # (seconds, of which judged)
        self._all_s = self._judged_s = self._in_a_row_s = 0.0

    def take(self, step_s: float, *, judged: bool) -> None:
        """Take a frame that stands for ``step_s`` seconds."""
        judged_s = step_s if judged else 0.0
        self._all_s, self._judged_s = self._all_s + step_s, self._judged_s + judged_s
        if self._parts and self._parts[-1][0] < _PART_S:
            seconds, of_it = self._parts.pop()
            self._parts.append((seconds + step_s, of_it + judged_s))
        else:
            self._parts.append((step_s, judged_s))
        while self._all_s - self._parts[0][0] >= UNWATCHED_AFTER_S:
            seconds, of_it = self._parts.popleft()
            self._all_s, self._judged_s = self._all_s - seconds, self._judged_s - of_it
        self._in_a_row_s = self._in_a_row_s + step_s if judged else 0.0
        if self._in_a_row_s >= _AGAIN_S:
            self.nothing = False
        elif self._all_s >= UNWATCHED_AFTER_S and self._judged_s <= _NEARLY_NOTHING * self._all_s:
            self.nothing = True


class JudgedTime:
    """Takes one camera's frames with each detector's score, in order of time."""

    def __init__(self) -> None:
        self.now = ALL_JUDGED
        """The situation at the last frame."""
        self.unscored_s = 0.0
        """Seconds of stream time in which no detector could judge; shorter times than ``UNSCORED_AFTER_S`` count 0."""
        self.watched_s = 0.0
        """Seconds of stream time in which frames came, judged or not."""
        self.lately = WatchedLately()
        """What was judged in the last minute, whatever the reason."""
        self._last_s: float | None = None
        self._silent_s: list[float] = []  # per detector: for how long it has not judged
        self._nothing_s = 0.0  # for how long no detector has judged
        self._steps: deque[float] = deque(maxlen=_RECENT)
        self._segment = -1
        self._segments = 0  # started while no detector judges
        self._left_out = False  # frames came that were not scored, although their state is good
        self._begun = False  # a frame of this segment has been judged

    def take(self, frame: Frame, names: Sequence[str], scores: Sequence[float]) -> None:
        """Take a frame with the score of each detector; NaN for a detector that cannot judge it."""
        step_s = 0.0 if self._last_s is None else frame.time_s - self._last_s
        self._last_s = frame.time_s
        if self._segment >= 0:
            self._steps.append(step_s)
        if frame.segment != self._segment:
            self._segments += 1
            step_s = min(step_s, _LONGEST_GAP_S)  # a camera that was lost for a while is not unjudged for that long
            self._begun = False
        self.watched_s += step_s
        self.lately.take(step_s, judged=not all(math.isnan(score) for score in scores))
        self._segment = frame.segment
        if len(self._silent_s) != len(names):  # the first frame, or another model
            self._silent_s = [0.0] * len(names)
        if not frame.health.scored and frame.health.state in PAUSED:  # a state of its own
            self._silent_s = [0.0] * len(names)
            self._judged()
            self.now = ALL_JUDGED
            return
        silent = [math.isnan(score) for score in scores]
        self._silent_s = [s + step_s if nan else 0.0 for s, nan in zip(self._silent_s, silent, strict=True)]
        if all(silent):
            self._left_out |= not frame.health.scored
            self._not_judged(step_s)
        else:
            self._begun = True
            self._judged()
        self._report(names)

    @property
    def cause(self) -> str:
        """Why no detector could judge the last frame, if none could, as half a sentence."""
        if self._left_out or self._nothing_s >= UNSCORED_AFTER_S:
            return f"no detector could judge them: {self._why()}"
        if not self._begun:
            return "detectors need some frames first, at the start of a stream and after a gap"
        return "no detector could judge the picture for a moment"

    def _judged(self) -> None:
        self._nothing_s, self._segments, self._left_out = 0.0, 0, False

    def _not_judged(self, step_s: float) -> None:
        before, self._nothing_s = self._nothing_s, self._nothing_s + step_s
        if self._nothing_s >= UNSCORED_AFTER_S:
            self.unscored_s += step_s if before >= UNSCORED_AFTER_S else self._nothing_s

    def _report(self, names: Sequence[str]) -> None:
        nothing, silent = self._nothing_s >= UNSCORED_AFTER_S, tuple[str, ...]()
        if self._nothing_s == 0.0:
            silent = tuple(n for n, s in zip(names, self._silent_s, strict=True) if s >= LIMITED_AFTER_S)
        if (nothing, silent) != (self.now.nothing, self.now.silent):
            self.now = Unjudged(nothing, silent, self._why() if nothing or silent else "")

    def _why(self) -> str:
        if self._left_out:
            return "its frames are corrupted or change as a whole"
        step_s = median(self._steps or [0.0])
        if step_s > _SLOW_S:
            return f"frames are analysed {step_s:.1f} s apart: raise the camera's frame rate or analysis_fps"
        if self._segments >= _OFTEN:
            return "the stream starts anew again and again (gaps, or pictures of changing size)"
        return "the picture or its light is not of the kind that was learned: learn the camera again"
