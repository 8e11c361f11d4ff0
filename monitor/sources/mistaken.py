"""Says what to write if a source is neither a file nor a folder: most are addresses without a scheme."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from pathlib import Path

from monitor.text.redaction import redact_source

_KINDS = (
    (stat.S_ISFIFO, "a pipe (FIFO): write the video to a file, or let the program that writes it serve RTSP or HTTP"),
    (stat.S_ISSOCK, "a socket: give the address of the camera, such as rtsp://192.168.1.20/stream"),
    (stat.S_ISCHR, "a device, but no camera: give the index of a USB camera, or its device, such as /dev/video0"),
    (stat.S_ISBLK, "a disk: give a video or a folder on it"),
)
_BEGIN = re.compile(r"(rtsps?|https?):/*", re.IGNORECASE)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.\-]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/.*)?")
_NAMED = re.compile(r"[A-Za-z0-9\-]+(\.[A-Za-z0-9\-]+)*\.(local|lan|home|internal|fritz\.box|net|com|org|io|de|eu)")
_WEB_PORTS = ("80", "443", "8000", "8080", "8081")


def what_it_is(path: Path) -> str:
    """What kind of thing an existing path is that holds no video, and what to give instead."""
    mode = path.stat().st_mode
    return next(
        (words for is_kind, words in _KINDS if is_kind(mode)),
        "neither a file nor a folder: give a video, a folder, a URL or the index of a camera",
    )


def address_meant(spec: str) -> str | None:
    """The address that was probably meant by a source without a scheme, without credentials; None if it is none.

    Examples: ``192.168.1.20``, ``admin:pw@camera.local:554/stream``, ``rtsp:192.168.1.20``, ``camera:8080/mjpg``.
    """
    begin = _BEGIN.match(spec)
    scheme, rest = (begin[1], spec[begin.end() :]) if begin else ("", spec)
    _, has_user, rest = rest.rpartition("@")
    found = _HOST.fullmatch(rest)
    if found is None:
        return None
    host, port, path = found["host"], found["port"], found["path"]
    certain = _is_ip(host) or _NAMED.fullmatch(host) or scheme or has_user or (port and path)
    if not certain:
        return None
    guess = "http" if port in _WEB_PORTS else "rtsp"
    who = "USER:PASSWORD@" if has_user else ""
    return f"{(scheme or guess).lower()}://{who}{host}{f':{port}' if port else ''}/stream"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def nothing_there(path: Path, spec: str) -> str:
    """The sentence for a path that does not exist: nothing of it is shown that may be a password."""
    meant = address_meant(spec)
    if meant is not None:  # a part of it may be a password or a token
        return f"this is no file or folder: for a camera, write its whole address, such as {meant}"
    for place in (path, *path.parents):
        if os.path.islink(place) and not os.path.exists(place):  # noqa: PTH110, PTH114 - for any text, also one too long
            return f"the link {redact_source(str(place))} leads to no file or folder: remove it, or set it again"
    nothing = f"there is no file or folder {redact_source(str(path))}"
    return f"{nothing}: check the path{'' if path.is_absolute() else f', which is relative to {Path.cwd()}'}"
