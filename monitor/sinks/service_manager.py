"""Tells systemd that the run has begun, works, and ends (sd_notify): ``Type=notify`` with a watchdog.

Without ``NOTIFY_SOCKET`` in the environment, nobody is told.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Self

from monitor.live.sink import Sink
from monitor.reports import RunReport
from monitor.states import LOST, CameraState
from monitor.text.wording import counted

_STATUS_EVERY_S = 1.0
_PARTS = 3
"""Signs of life per interval of the watchdog: systemd ends a process that gives none."""


class ServiceManagerSink(Sink):
    """A context manager: a sign of life with each report of the main loop, so a loop that hangs is noticed.

    The variables are removed from the environment: they are not meant for child processes.

    environ  the environment; clock: time.monotonic
    """

    def __init__(
        self, environ: MutableMapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._to = environ.pop("NOTIFY_SOCKET", "")
        interval_us, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        meant = interval_us.isdecimal() and pid in ("", str(os.getpid()))
        self._every_s = int(interval_us) / 1e6 / _PARTS if meant else None
        self._socket: socket.socket | None = None
        self._ready = False
        self._alive_at = self._said_at = -math.inf
        self._said = ""

    def __enter__(self) -> Self:
        if self._to.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._tell("STOPPING=1")
            self._socket.close()
            self._socket = None

    def tick(self, report: RunReport) -> None:
        """Tell that the run has begun, that it works, and how many cameras give frames."""
        if self._socket is None:
            return
        now, lines = self._clock(), []
        if not self._ready:
            lines.append("READY=1")
        if self._every_s is not None and now - self._alive_at >= self._every_s:
            lines.append("WATCHDOG=1")
        status = self._status(report)
        if status != self._said and now - self._said_at >= _STATUS_EVERY_S:
            lines.append(f"STATUS={status}")
        # What was not taken is told again with the next report.
        if not lines or not self._tell("\n".join(lines)):
            return
        self._ready = True
        self._alive_at = now if "WATCHDOG=1" in lines else self._alive_at
        if lines[-1].startswith("STATUS="):
            self._said, self._said_at = status, now

    @staticmethod
    def _status(report: RunReport) -> str:
        cameras = report.cameras
        up = sum(camera.state not in (*LOST, CameraState.CONNECTING) for camera in cameras)
        learning = sum(camera.state is CameraState.LEARNING for camera in cameras)
        alarmed = sum(camera.alarmed for camera in cameras)
        more = [f"{learning} learning"] * bool(learning) + [f"{alarmed} with an alarm"] * bool(alarmed)
        return ", ".join([f"frames from {up} of {counted(len(cameras), 'camera')}", *more])

    def _tell(self, text: str) -> bool:
        assert self._socket is not None
        address = f"\0{self._to[1:]}" if self._to.startswith("@") else self._to
        with suppress(OSError):  # the service manager is gone, or takes nothing now: the run continues
            self._socket.sendto(text.encode(), address)
            return True
        return False
