"""Opens cameras and files with OpenCV: without messages on stderr, and so that one camera does not block another.

Importing this module applies both settings to the whole process. Import it before the first ``cv2.VideoCapture``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from monitor.sources.picture_budget import MOST_PIXELS, fits
from monitor.types import Image

# FFmpeg reads these variables at the first open. Without the second one, OpenCV holds one lock during every open and
# close, and an unreachable camera delays all others by its whole timeout. FFmpeg has not needed this lock since 4.0.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_FFMPEG_IS_THREAD_SAFE", "1")
# The read timeout of USB cameras, seconds. The default of 10 s would detect a stalled camera too late.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "4")
# OpenCV refuses larger pictures by itself, in child processes at least, which get these variables from the start.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))

import cv2  # must come after the settings above

if "OPENCV_LOG_LEVEL" not in os.environ:  # a user who sets this variable wants to see the messages
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

FALLBACK_FPS = 25.0
MOST_UNDECODED, MOST_UNDECODED_LIVE = 50, 10
"""``grab`` of OpenCV fails at a frame that cannot be decoded, as at the end. So many in a row are the end of a file,
and of a connection: a camera that sends garbage must be opened again soon."""
_LAST_DEVICE = 2**31 - 1


def open_capture(
    target: str | int, api: int = cv2.CAP_FFMPEG, parameters: Sequence[int] = (), *, hardware: bool = False
) -> cv2.VideoCapture:
    """A ``cv2.VideoCapture`` of a URL, a path or a device index. Check ``isOpened``: opening may have failed.

    parameters  pairs of property and value that apply during the open
    hardware    decode on any hardware that OpenCV and FFmpeg find; if there is none, decode in software
    """
    if not is_text(target) if isinstance(target, str) else not 0 <= target <= _LAST_DEVICE:
        return cv2.VideoCapture()  # OpenCV would crash, or raise an error
    acceleration = [cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_ANY] if hardware else []
    return cv2.VideoCapture(target, api, [*parameters, *acceleration])


def retrieved(capture: cv2.VideoCapture, memory: Image | None = None) -> Image | None:
    """The last grabbed frame: (H, W, 3) uint8 BGR; None if it cannot be decoded.

    memory  an array of that size to write it to; None: a new array
    """
    decoded, image = capture.retrieve() if memory is None else capture.retrieve(memory)
    return cast(Image, image) if decoded else None


def is_text(name: str) -> bool:
    """Whether an address or a path is text that OpenCV can take. The name of a file may be any bytes."""
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False


@contextmanager
def name_for_opencv(path: Path) -> Iterator[str]:
    """A name of a file that OpenCV can open, even if the file's own name is not text. Raises OSError."""
    # FFmpeg would take what stands before a colon in a relative path for a protocol.
    name = str(path.absolute())
    if is_text(name):
        yield name
        return
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def has_budget(capture: cv2.VideoCapture) -> bool:
    """Whether the pictures of an open stream are small enough to be decoded; True if it does not say their size."""
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    return (width <= 0 and height <= 0) or fits(width, height)


def plausible_fps(capture: cv2.VideoCapture) -> float:
    """The stream's own rate, frames per second, if it is in 1..240; otherwise 25, because containers may be wrong."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if 1.0 <= fps <= 240.0 else FALLBACK_FPS
