"""How this project opens things with OpenCV: without chatter on stderr, and without one camera blocking another.

Importing this module sets both for the process; it must come before the first ``cv2.VideoCapture``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

# FFmpeg reads these at the first open. Without the second OpenCV holds one lock around every open and close, so that
# an unreachable camera delays all others by its whole timeout; FFmpeg itself has needed no such lock since 4.0.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_FFMPEG_IS_THREAD_SAFE", "1")
# A USB camera's read deadline in seconds, 10 by default, which would be found too late.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "4")

import cv2  # after the settings above

if "OPENCV_LOG_LEVEL" not in os.environ:  # whoever set it wants to see the messages
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

FALLBACK_FPS = 25.0


def open_capture(
    target: str | int, api: int = cv2.CAP_FFMPEG, parameters: Sequence[int] = (), *, hardware: bool = False
) -> cv2.VideoCapture:
    """A ``cv2.VideoCapture`` of a URL, a path or a device's index; it may turn out not to be opened.

    parameters  pairs of property and value that must hold during the open
    hardware    decode on whatever hardware OpenCV and FFmpeg find; where there is none, in software as ever
    """
    acceleration = [cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_ANY] if hardware else []
    return cv2.VideoCapture(target, api, [*parameters, *acceleration])


def plausible_fps(capture: cv2.VideoCapture) -> float:
    """The stream's own rate in frames a second if it is in 1..240, otherwise 25: containers lie."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 1.0 <= fps <= 240.0 else FALLBACK_FPS
