"""USB cameras that are named by the path of their device, such as ``/dev/v4l/by-id/usb-046d_C920-video-index0``.

The number of a camera (``/dev/video0``) depends on the order in which cameras were plugged in; these names stay.
"""

from __future__ import annotations

import re
from pathlib import Path

from monitor.reading import real_path

_STABLE = Path("/dev/v4l")
_NUMBERED = re.compile(r"/dev/video([0-9]{1,4})")


def is_device(path: Path) -> bool:
    """Return True if the path names a USB camera, even if the camera is not plugged in."""
    return has_stable_name(path) or device_index(path) is not None


def has_stable_name(path: Path) -> bool:
    """Return True if the path is one of the names that Linux gives to a camera for ever."""
    return path.parent.parent == _STABLE


def device_index(path: Path) -> int | None:
    """Return the number of the camera that the path or link leads to now; None if there is none."""
    found = _NUMBERED.fullmatch(str(real_path(path)))
    return int(found.group(1)) if found else None
