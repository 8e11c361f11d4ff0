"""Reports on the cameras and on the run, which the main loop sends to the sinks ten times per second."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.promise import AlarmRate
from monitor.states import CameraState
from monitor.text.durations import in_words


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a camera that learns.

    fraction  0..1 of all stages; it never falls until the camera is watched
    text      the present step
    left_s    approximate time until ``left_of`` ends, seconds; None if it cannot be estimated yet
    of        what the fraction is a share of, in words
    left_of   what the time left belongs to, in words; "" if it belongs to ``of``
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
        """``learning 43 %, 12 s left``; or ``12 %, 9.5 min of recording left``, to show next to the state."""
        left = self._left()
        return f"{'' if self.left_of else 'learning '}{100 * self.fraction:.0f} %{left and f', {left}'}"

    def _left(self) -> str:
        if self.left_s is None:
            return ""
        return f"{in_words(max(1.0, self.left_s))}{self.left_of and f' of {self.left_of}'} left"


@dataclass(frozen=True, slots=True)
class CameraReport:
    """The report on one camera, for display and for health messages.

    source        where its frames come from, for display
    since         time.monotonic() at which the state started, seconds
    detail        a sentence about the state; may be empty
    score         smoothed, 1 = the threshold; NaN before the first score
    alarmed       True while an event is open
    history       highest score of each of the last seconds, oldest first; None for a second without a score
    fps_in        pictures received per second
    fps_analysed  frames analysed per second
    age_p50_s     median time from reading a frame to its score, of the last frames, seconds; None before the first
    age_p99_s     99 % quantile of the same time
    frames_in     pictures received, analysed or not
    analysed      frames analysed
    dropped       frames dropped from the queue
    unscored      the reason why no frame has been scored so far; "" if unknown, or if a frame has been scored
    unscored_s    seconds of stream time in which no detector could judge; moments of less than 5 s are not counted
    watched_s     seconds of stream time in which frames came, judged or not
    to_judge      frames that should have been judged: analysed with a model, dropped, or not to be decoded
    judged        frames of these that were judged
    unjudged      why most of the others were not judged; "" if all were
    unwatched     True if nearly nothing has been judged for a minute, whatever the reason
    progress      progress of learning; None if it does not learn
    rests_on_s    seconds of held-out footage that the threshold is extrapolated from; None if it is not extrapolated
    promise       its alarms of the last seven days watched beside its budget; None while it has no model

    For reconnects, stalls, missing and unreadable, see CaptureStatus. events: number of events started.
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
    unscored_s: float = 0.0
    watched_s: float = 0.0
    to_judge: int = 0
    judged: int = 0
    unjudged: str = ""
    unwatched: bool = False
    progress: Progress | None = None
    rests_on_s: float | None = None
    promise: AlarmRate | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """The report on the whole run. elapsed_s: seconds since its start; queue_depth: waiting frames of all cameras."""

    elapsed_s: float
    queue_depth: int
    cameras: tuple[CameraReport, ...]
