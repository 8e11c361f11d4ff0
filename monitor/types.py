"""The frozen messages that pass between stages.

Images are ``(H, W, 3) uint8 BGR`` in the source's own size. Times named ``time_s`` are seconds on
the stream's own clock: media time for files and folders, seconds since the start for live cameras.
Everything that decides (smoothing, alert rule) uses that clock, so a file gives the same alerts
however fast it is played. A high score is abnormal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.small_pictures import SmallPictures
from monitor.states import CameraState, Reason

Image = NDArray[np.uint8]
FloatArray = NDArray[np.float32]


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
