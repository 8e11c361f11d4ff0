"""The frozen messages that pass between stages.

Images are ``(H, W, 3) uint8 BGR`` in the source's own size. Times named ``time_s`` are seconds on
the stream's own clock: media time for files and folders, seconds since the start for live cameras.
Everything that decides (smoothing, alert rule) uses that clock, so a file gives the same alerts
however fast it is played. A high score is abnormal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from monitor.small_pictures import SmallPictures
from monitor.text.wording import about

Image = NDArray[np.uint8]
FloatArray = NDArray[np.float32]


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


@dataclass(frozen=True, slots=True)
class Health:
    """What there is to say of a picture, and whether it is worth scoring.

    state   ONLINE, or what is wrong
    detail  a sentence that says what, and what is done about it
    scored  whether the picture is to be scored: a camera that has moved goes on to be, a frozen one does not.
            Single frames that are corrupted are not, without a state of their own
    """

    state: CameraState = CameraState.ONLINE
    detail: str = ""
    scored: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture of one camera.

    camera       name, unique in a run; no ``/``
    index        0-based number in the source, missing frames counted
    time_s       seconds on the stream's clock, strictly increasing in a run
    image        (H, W, 3) uint8 BGR
    segment      grows at each gap, reconnect, loop or change of frame size: temporal state starts anew
    captured_at  time.monotonic() when the frame was read, seconds
    wall_time    time.time() when the frame was read, seconds; for people only
    health       whether it is worth scoring: detectors never see a frame that is not
    media_s      where in its file or folder it is, seconds from the beginning; None of a live camera
    small        the image made small, shared by all detectors
    """

    camera: str
    index: int
    time_s: float
    image: Image
    segment: int = 0
    captured_at: float = 0.0
    wall_time: float = 0.0
    health: Health = Health()
    media_s: float | None = None
    small: SmallPictures = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "small", SmallPictures(self.image))


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


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """What one detector says of one frame.

    score        raw, in the detector's own units; a high score is abnormal; NaN while it cannot judge yet
    anomaly_map  (h, w) float32 over the whole frame, any resolution, high is abnormal; None without one
    reasons      terms that rose above what is usual, strongest first
    """

    score: float
    anomaly_map: FloatArray | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ScoredFrame:
    """A frame with the raw detections of every detector of its model, in the model's order."""

    frame: Frame
    detections: tuple[Detection, ...]
    scored_at: float
    """time.monotonic() when the detectors were done, seconds."""
    model: str = ""
    """Which model (its ``id``) that was; "" where only one ever comes into question."""


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
class CaptureStatus:
    """A capture thread's account of itself, replaced as a whole at every change.

    since          time.monotonic() of the last change of state, seconds
    frames_in      pictures received (grabbed), analysed or not
    missing        gaps in a folder's numbering, in frames
    unreadable     files of a folder, or pictures of a stream, that could not be decoded
    reconnects     times the camera was opened again after it had been lost or could not be reached
    stalls         reads that ran into the deadline
    last_frame_at  time.monotonic() of the last picture received; None before the first
    behind_s       how far a file is behind the pace at which it is to be played, seconds
    """

    state: CameraState = CameraState.CONNECTING
    since: float = 0.0
    detail: str = ""
    frames_in: int = 0
    missing: int = 0
    unreadable: int = 0
    reconnects: int = 0
    stalls: int = 0
    last_frame_at: float | None = None
    size: tuple[int, int] | None = field(default=None)
    """(width, height) in pixels of the last picture decoded."""
    behind_s: float = 0.0
