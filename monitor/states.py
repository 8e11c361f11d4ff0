"""States of cameras and events, and what is said of an event: plain values, without NumPy or OpenCV.

The client needs only these, so it starts without the monitor's heavy libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from monitor.text.wording import about


class CameraState(StrEnum):
    """What a camera is doing, as published in health messages."""

    CONNECTING = "connecting"
    LEARNING = "learning"
    """There is no model of it yet: what it shows is taken as normal."""
    ONLINE = "online"
    STALLED = "stalled"
    OFFLINE = "offline"
    FROZEN = "frozen"
    DARK = "dark"
    MISFIT = "misfit"
    """Its picture has another shape than the one learned: it is not scored."""
    SCENE_CHANGE = "scene_change"
    """The whole picture changes: infrared, a light switch. Not scored until it has settled."""
    MOVED = "moved"
    DEFOCUSED = "defocused"
    FLIPPED = "flipped"
    """Frames come mirrored or upside down, and are turned back."""
    NOISY = "noisy"
    DRIFTED = "drifted"
    """It is watched, but what it usually shows is no longer what was learned: learn it again."""
    OVERLOADED = "overloaded"
    ENDED = "ended"
    FAILED = "failed"
    """A file that cannot be read on; it is not tried again."""


PAUSED = (CameraState.FROZEN, CameraState.DARK, CameraState.SCENE_CHANGE, CameraState.MISFIT)
"""States in which no frame is scored; after them temporal state starts anew."""

LOST = (CameraState.STALLED, CameraState.OFFLINE, CameraState.FAILED, CameraState.ENDED)
"""States in which no frame comes: the last score says nothing of now, and what comes later is a new segment."""


class Phase(StrEnum):
    """Where an event is in its life."""

    START = "start"
    UPDATE = "update"
    END = "end"


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One step in the life of an event of one camera, on the stream's clock.

    number      1-based count of the camera's events in this run
    started_s   when the score first passed the threshold
    ended_s     when it was last over it; None while the event is open
    peak_score  highest smoothed score so far (1 = the threshold)
    peak_s      when that was
    notify      False while a cool-down holds notifications back; the record is kept all the same
    """

    number: int
    phase: Phase
    started_s: float
    ended_s: float | None
    score: float
    peak_score: float
    peak_s: float
    notify: bool


@dataclass(frozen=True, slots=True)
class Region:
    """A box in pixels of the source frame, with the anomaly map's peak inside it."""

    x: int
    y: int
    width: int
    height: int
    score: float


TIMES_USUAL = "times the usual"
"""The unit of a reason whose usual value is 1 by definition."""
_NONE = 1e-3
"""Share of the value now below which what is usual is as good as nothing."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A term that rose: ``value`` now, ``usual`` its upper normal value, both in ``unit``; "" has a scale of its own.

    of  what a share is a share of, for people
    """

    term: str
    value: float
    usual: float
    unit: str = ""
    of: str = ""

    def __str__(self) -> str:
        if self.unit == TIMES_USUAL:
            return f"{self.term} {self.value:.3g} {self.unit}"
        unit, of = f" {self.unit}" if self.unit else "", f" {self.of}" if self.of else ""
        whose = "" if self.unit else " (on a scale of its own)"
        value, usual = about(self.value), about(self.usual)
        if value == usual:  # a third digit only tells them apart
            value, usual = f"{self.value:.3g}", f"{self.usual:.3g}"
        none = 0 <= self.usual <= _NONE * self.value
        return f"{self.term} {value}{unit}{of}, usual here{': none' if none else f' up to {usual}{unit}'}{whose}"
