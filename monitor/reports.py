"""How cameras and the run are doing: what the main loop reports to sinks, ten times per second."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.states import CameraState
from monitor.text.durations import in_words


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a camera is with learning.

    fraction  0..1 of all its stages, which never falls until it is watched
    text      what is under way
    left_s    about how long ``left_of`` takes still, seconds; None where it cannot be told yet
    of        what the fraction is a share of
    left_of   what the time is the rest of, where that is not the same
    """

    fraction: float
    text: str
    left_s: float | None = None
    of: str = "all"
    left_of: str = ""

    def __str__(self) -> str:
        return f"{self.how_far}: {self.text}"

    @property
    def how_far(self) -> str:
        """``43 % of all, about 12 s left``."""
        left = self._left()
        return f"{100 * self.fraction:.0f} % of {self.of}{left and f', about {left}'}"

    @property
    def short(self) -> str:
        """``learning 43 %, 12 s left``; ``12 %, 9.5 min of recording left`` beside a state that says what for."""
        left = self._left()
        return f"{'' if self.left_of else 'learning '}{100 * self.fraction:.0f} %{left and f', {left}'}"

    def _left(self) -> str:
        if self.left_s is None:
            return ""
        return f"{in_words(max(1.0, self.left_s))}{self.left_of and f' of {self.left_of}'} left"


@dataclass(frozen=True, slots=True)
class CameraReport:
    """How one camera does, for people and health messages.

    score      smoothed, 1 = the threshold; NaN before the first
    history    highest score of each of the last seconds, oldest first; None where none came
    fps_in     pictures received a second; fps_analysed: frames scored a second
    age_p50_s  median time from reading a frame to its score, seconds, of the last frames; None before the first
    unscored   why not one frame has been scored so far, where that is known
    progress   how far it is with learning; None where it does not
    rests_on_s  seconds of held-out footage that the threshold is extrapolated from; None where it is not
    """

    name: str
    source: str
    state: CameraState
    since: float
    detail: str
    score: float
    alarmed: bool
    history: tuple[float | None, ...]
    fps_in: float
    fps_analysed: float
    age_p50_s: float | None
    age_p99_s: float | None
    frames_in: int
    analysed: int
    dropped: int
    reconnects: int
    stalls: int
    missing: int
    unreadable: int
    events: int
    unscored: str = ""
    progress: Progress | None = None
    rests_on_s: float | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """How the run does as a whole. elapsed_s: seconds since its start."""

    elapsed_s: float
    queue_depth: int
    cameras: tuple[CameraReport, ...]
