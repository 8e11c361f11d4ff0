"""The immutable messages that pass between stages.

Images are ``(H, W, 3) uint8 BGR`` in the source's own size. Times named ``time_s`` are seconds on the stream's own
clock: media time for files and folders, seconds since the start for live cameras. All decisions (smoothing, alert rule)
use that clock, so a file gives the same alerts at any playback speed. A high score is abnormal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.places import PlaceRules
from monitor.small_pictures import SmallPictures
from monitor.states import CameraState, Reason

Image = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
Bools = NDArray[np.bool_]
Traits = Mapping[str, NDArray[Any]]
"""What a detector measured in the unusual places of a frame, by name: enough to compare another frame with it."""
Place = tuple[float, float, float, float]
"""A part of a picture: left, top, right, bottom, as shares of its width and height, 0..1."""


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict on a picture, and whether it is scored.

    state   ONLINE, or the problem
    detail  a sentence that describes the problem and what the monitor does about it
    scored  whether the picture is scored. Pictures of a camera that has moved are scored, those of a frozen one are
            not. Single corrupted frames are not scored, but they have no state of their own
    """

    state: CameraState = CameraState.ONLINE
    detail: str = ""
    scored: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture of one camera.

    camera       name, unique in a run; no ``/``
    index        0-based number in the source; missing frames are counted
    time_s       seconds on the stream's clock, strictly increasing in a run
    image        (H, W, 3) uint8 BGR
    segment      increases at each gap, reconnect, loop or change of frame size; then all temporal state starts again
    captured_at  time.monotonic() when the frame was read, seconds
    wall_time    time.time() when the frame was read, seconds; for display only
    health       whether it is scored: detectors never see a frame that is not
    media_s      position in the file or folder, seconds from the beginning; None for a live camera
    places       what holds in places of the picture, for detectors; None if all are scored alike
    armed        False if alerts are not raised at this time, only recorded
    prepared_s   how long it took to decode the frame and to check its health, seconds; 0 if not measured
    small        small copies of the image, shared by all detectors
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
    places: PlaceRules | None = None
    armed: bool = True
    prepared_s: float = 0.0
    small: SmallPictures = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "small", SmallPictures(self.image))


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """The result of one detector for one frame.

    score        raw, in the detector's own units; a high score is abnormal; NaN while it cannot judge yet
    anomaly_map  (h, w) float32 over the whole frame, any resolution, high is abnormal; None without one
    reasons      terms that are above their usual value, strongest first
    traits       what it measured, if something is unusual; None otherwise, or if the detector cannot be taught by it
    excused      (h, w) bool, the places that a lesson knows as normal; None without any
    """

    score: float
    anomaly_map: FloatArray | None = None
    reasons: tuple[Reason, ...] = ()
    traits: Traits | None = None
    excused: Bools | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ScoredFrame:
    """A frame with the raw detections of every detector of its model, in the model's order."""

    frame: Frame
    detections: tuple[Detection, ...]
    scored_at: float
    """time.monotonic() when the detectors were done, seconds."""
    model: str = ""
    """The ``id`` of the model; "" if only one model is possible."""
    started_at: float | None = None
    """time.monotonic() when the first detector began, seconds; None if not measured."""
    took: tuple[tuple[str, float], ...] = ()
    """Name of each detector that has seen the frame, and its share of the time for the batch, seconds."""
    place: Place | None = None
    """Where it is most abnormal, if a record of scores gives it; otherwise the detections' maps show it."""


@dataclass(frozen=True, slots=True)
class CaptureStatus:
    """The status of a capture thread, replaced as a whole at every change.

    since          time.monotonic() of the last change of state, seconds
    frames_in      pictures received (grabbed), analysed or not
    missing        frames missing in the numbering of a folder
    unreadable     files of a folder, or pictures of a stream, that could not be decoded
    reconnects     number of times that the camera was opened again after it was lost or could not be reached
    stalls         number of reads that reached the timeout
    last_frame_at  time.monotonic() of the last picture received; None before the first
    behind_s       how far a file is behind its playback pace, seconds
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
