"""Recognises a recording on a web server: it ends, so it is played like a file and not kept alive like a camera."""

from __future__ import annotations

from monitor.errors import CaptureError
from monitor.sources.video import COUNTED, suffix_of
from monitor.sources.web import Web
from monitor.sources.web_address import is_web


def is_recording(address: str, timeout_s: float) -> bool:
    """Whether an address is that of a recording, and of no live stream: the server knows how long it is.

    Only an address that ends like a video file is asked for. A server that does not answer now may be a camera that is
    off, so it counts as one.
    """
    if not is_web(address) or suffix_of(address) not in COUNTED:
        return False
    try:
        answer = Web(address, timeout_s).ask()
    except CaptureError:
        return False
    return bool(answer.length) and not answer.is_page
