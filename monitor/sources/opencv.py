"""Opens cameras and files with OpenCV: without messages on stderr, and so that one camera does not block another.

Importing this module applies both settings to the whole process. Import it before the first ``cv2.VideoCapture``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

# FFmpeg reads these variables at the first open. Without the second one, OpenCV holds one lock during every open and
# close, and an unreachable camera delays all others by its whole timeout. FFmpeg has not needed this lock since 4.0.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_FFMPEG_IS_THREAD_SAFE", "1")
# The read timeout of USB cameras, seconds. The default of 10 s would detect a stalled camera too late.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "4")

import cv2  # must come after the settings above

if "OPENCV_LOG_LEVEL" not in os.environ:  # a user who sets this variable wants to see the messages
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

FALLBACK_FPS = 25.0


def open_capture(
    target: str | int, api: int = cv2.CAP_FFMPEG, parameters: Sequence[int] = (), *, hardware: bool = False
) -> cv2.VideoCapture:
    """A ``cv2.VideoCapture`` of a URL, a path or a device index. Check ``isOpened``: opening may have failed.

    parameters  pairs of property and value that apply during the open
    hardware    decode on any hardware that OpenCV and FFmpeg find; if there is none, decode in software
    """
    acceleration = [cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_ANY] if hardware else []
    return cv2.VideoCapture(target, api, [*parameters, *acceleration])


def plausible_fps(capture: cv2.VideoCapture) -> float:
    """The stream's own rate, frames per second, if it is in 1..240; otherwise 25, because containers may be wrong."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 1.0 <= fps <= 240.0 else FALLBACK_FPS
