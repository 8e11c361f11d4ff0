"""How an RTSP camera is connected: over TCP or UDP, and against which certificates it is checked.

FFmpeg takes these options; OpenCV passes them on from a variable of the environment that holds for the whole process.
So a camera with a link of its own is always decoded in a process of its own.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import cv2

from monitor.sources.reach import PORTS

Transport = Literal["tcp", "udp"]

VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
"""OpenCV reads it at each open: ``name;value|name;value``."""
SEPARATORS = ";|"
"""What no value of an option may hold."""
_CHECKS = 62
"""First version of libavformat (FFmpeg 8) in which these options were found to reach the connection. An older one may
leave them out without a word, so that nothing would be checked."""

TOO_OLD = "this OpenCV cannot check certificates: install opencv-python-headless 5 or newer"


@dataclass(frozen=True, slots=True)
class Link:
    """How to connect to an RTSP camera.

    transport  how pictures come; None: over TCP if the camera can, otherwise over UDP
    check      True: refuse a camera with a certificate that nobody vouches for, or that is for another host
    ca         certificates (PEM) of those who vouch; None: those of the system
    """

    transport: Transport | None = None
    check: bool = False
    ca: Path | None = None

    @property
    def usual(self) -> bool:
        """True if nothing is to be set."""
        return self == USUAL

    @property
    def options(self) -> dict[str, str]:
        """Options of FFmpeg. Raises ValueError if the system has no certificates, or none can be checked."""
        options: dict[str, str] = {} if self.transport is None else {"rtsp_transport": self.transport}
        if self.check:
            options |= {"tls_verify": "1", "ca_file": str(self._authorities())}
        return options

    def set_for_opencv(self) -> None:
        """Set the options for all that OpenCV opens in this process from now on. Raises ValueError."""
        if self.usual:
            return
        if self.check and not opencv_checks():
            raise ValueError(TOO_OLD)
        given = os.environ.get(VARIABLE)
        # With this variable, OpenCV leaves out its own preference for TCP.
        options = {"rtsp_flags": "prefer_tcp"} if self.transport is None and given is None else {}
        own = "|".join(f"{name};{value}" for name, value in (options | self.options).items())
        os.environ[VARIABLE] = own if given is None else f"{given}|{own}"

    def _authorities(self) -> Path:
        if self.ca is not None:
            return self.ca.absolute()
        import ssl  # most decoders check no certificate

        found = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
        if not Path(found).exists():
            raise ValueError("this system has no file of certificates: name one with the setting 'ca'")
        return Path(found)


USUAL = Link()
"""As OpenCV connects by itself."""


def opencv_checks() -> bool:
    """Whether OpenCV's FFmpeg is known to check certificates if it is told to."""
    version = re.search(r"avformat:\s+YES \((\d+)\.", cv2.getBuildInformation())
    return version is not None and int(version[1]) >= _CHECKS


def certificate_problem(url: str, ca_file: str, timeout_s: float) -> str | None:
    """Why the certificate of a camera is refused; None if it is accepted, or if no connection is possible.

    FFmpeg says only that it failed. This connects once more, without logging in.
    """
    import ssl

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS["rtsps"]
        context = ssl.create_default_context(cafile=ca_file)
        with (
            socket.create_connection((host, port), timeout_s) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".") or "it cannot be verified"
    except ssl.SSLError as error:
        return f"no encrypted connection is possible ({error.reason or 'TLS failed'})"
    except (OSError, ValueError):
        return None
