"""States of cameras and events, and the data of an event: plain values, without NumPy or OpenCV.

The client needs only this module, so it starts without the monitor's large libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from monitor.text.wording import about


class CameraState(StrEnum):
    """The state of a camera, as published in health messages."""

    CONNECTING = "connecting"
    LEARNING = "learning"
    """The camera has no model yet: everything it shows now is learned as normal."""
    ONLINE = "online"
    STALLED = "stalled"
    OFFLINE = "offline"
    FROZEN = "frozen"
    DARK = "dark"
    MISFIT = "misfit"
    """The picture's aspect ratio differs from the learned one: frames are not scored."""
    SCENE_CHANGE = "scene_change"
    """The whole picture changes, for example by infrared or a light switch. Not scored until the picture is steady."""
    PAUSED = "paused"
    """A person has paused the scoring: frames arrive, and none is scored."""
    MOVED = "moved"
    DEFOCUSED = "defocused"
    FLIPPED = "flipped"
    """Frames arrive mirrored or upside down; they are corrected before they are scored."""
    NOISY = "noisy"
    DRIFTED = "drifted"
    """The camera is scored, but its usual picture is no longer the learned one: learn the camera again."""
    OVER_BUDGET = "over_budget"
    """The camera is scored, but raises more alarms than its false-alarm budget promises, beyond doubt."""
    LIMITED = "limited"
    """The camera is scored, but some detectors of its model have not been able to judge for a while."""
    UNSCORED = "unscored"
    """Frames arrive, but no detector can judge them: nothing is watched."""
    OVERLOADED = "overloaded"
    ENDED = "ended"
    FAILED = "failed"
    """The rest of a file cannot be read; the monitor does not retry."""


PAUSED = (
    CameraState.FROZEN,
    CameraState.DARK,
    CameraState.SCENE_CHANGE,
    CameraState.MISFIT,
    CameraState.PAUSED,
)
"""States in which no frame is scored. After such a state, all temporal state starts again from zero."""

LOST = (CameraState.STALLED, CameraState.OFFLINE, CameraState.FAILED, CameraState.ENDED)
"""States in which no frame arrives: the last score does not apply any more, and the next frame starts a new segment."""


class Phase(StrEnum):
    """The phase of an event."""

    START = "start"
    UPDATE = "update"
    END = "end"


class AlertKind(StrEnum):
    """What an alert is about."""

    ANOMALY = "anomaly"
    CAMERA_LOST = "camera_lost"
    """A camera gives no frames, or none that can be judged: nothing is watched there."""


REMOVED = "removed"
"""The detail of the last state of a camera that is no longer watched, while the run goes on."""
CAMERA_BACK = "the camera is back"
"""The reason at the end of an alert about a lost camera, in words. With any other, the camera is not back."""


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One phase of an event of one camera. All times are in seconds on the stream's clock.

    number      1-based number of the event among the camera's events in this run
    started_s   when the score first passed the threshold
    ended_s     when the score was last above the threshold; None while the event is open
    peak_score  highest smoothed score so far (1 = the threshold)
    peak_s      time of the highest score
    notify      False if the event repeats one that people were notified of shortly before, or if it is not armed; it is
                still recorded. It can become True during the event, never False again
    armed       False if the whole event so far lies outside of the times in which the camera's alerts are raised
    """

    number: int
    phase: Phase
    started_s: float
    ended_s: float | None
    score: float
    peak_score: float
    peak_s: float
    notify: bool
    armed: bool = True


@dataclass(frozen=True, slots=True)
class Region:
    """A box in pixels of the source frame. score: the highest value of the anomaly map inside the box."""

    x: int
    y: int
    width: int
    height: int
    score: float


TIMES_USUAL = "times the usual"
"""The unit of a reason whose usual value is 1 by definition."""
_NONE = 1e-3
"""If the usual value is below this share of the present value, the text says "none" instead of the usual value."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A term that is above normal. ``value``: now; ``usual``: its upper normal value; both in ``unit``.

    unit  "" if the term has a scale of its own
    of    for a percentage: what it is a percentage of, in words for the user
    said  the whole reason in words, if numbers do not say it; otherwise ""
    """

    term: str
    value: float
    usual: float
    unit: str = ""
    of: str = ""
    said: str = ""

    def __str__(self) -> str:
        if self.said:
            return self.said
        if self.unit == TIMES_USUAL:
            return f"{self.term} {self.value:.3g} {self.unit}"
        unit, of = f" {self.unit}" if self.unit else "", f" {self.of}" if self.of else ""
        scale = "" if self.unit else " (on a scale of its own)"
        value, usual = about(self.value), about(self.usual)
        if value == usual:  # only a third digit shows the difference
            value, usual = f"{self.value:.3g}", f"{self.usual:.3g}"
        none = 0 <= self.usual <= _NONE * self.value
        usually = "usually none here" if none else f"usual here up to {usual}{unit}"
        return f"{self.term} {value}{unit}{of}, {usually}{scale}"
