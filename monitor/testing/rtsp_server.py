"""Starts, kills and freezes the real RTSP server in ``gst_rtsp_server.py`` for tests."""

from __future__ import annotations

import functools
import selectors
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"  # GStreamer's bindings belong to the system's Python
SERVER = Path(__file__).parent / "gst_rtsp_server.py"
START_DEADLINE_S = 20.0

_PROBE = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtsp", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, Gst, GstRtsp, GstRtspServer
Gst.init(None)
missing = [n for n in ("x264enc", "rtph264pay", "videotestsrc", "decodebin") if Gst.ElementFactory.find(n) is None]
if not Gio.TlsBackend.get_default().supports_tls():
    raise SystemExit("glib-networking, for TLS, is missing")
raise SystemExit(f"GStreamer's elements {missing} are missing" if missing else 0)
"""


@functools.cache
def _what_is_missing() -> str:
    if not Path(SYSTEM_PYTHON).exists():
        return f"no {SYSTEM_PYTHON}"
    probe = subprocess.run([SYSTEM_PYTHON, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False)
    lines = probe.stderr.strip().splitlines()
    return "" if probe.returncode == 0 else lines[-1] if lines else f"the probe ended with {probe.returncode}"


def skip_without_rtsp() -> None:
    """Skip the test, with the reason, if GStreamer's RTSP server is not installed."""
    if reason := _what_is_missing():
        pytest.skip(f"no GStreamer RTSP server here: {reason}")


class RtspServer:
    """A server on its own loopback port, which runs inside the ``with`` block.

    mounts  mount point -> content: ``ball:320x240@25`` (a moving ball), or the path of a video file (looped); it may be
            changed between a ``kill`` and the next ``start``
    tls     file with a certificate and its key (PEM): serve rtsps://
    only    allow one transport of pictures, ``udp`` or ``tcp``
    start   False to begin without a server; a later ``start()`` uses the port that ``url`` already contains
    """

    def __init__(
        self, mounts: dict[str, str], *, start: bool = True, tls: Path | None = None, only: str | None = None
    ) -> None:
        self.mounts = mounts
        self._scheme = "rtsp" if tls is None else "rtsps"
        self._flags = [] if tls is None else [f"--tls={tls}"]
        self._flags += [] if only is None else [f"--only={only}"]
        self._start_now = start
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        skip_without_rtsp()
        self.start()  # port 0: the system chooses a port, which is used from now on
        if not self._start_now:
            self.kill()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def url(self, mount: str, user: str = "") -> str:
        """The address of a mount point. It contains ``user`` (``name:password``) if given."""
        return f"{self._scheme}://{user + '@' if user else ''}127.0.0.1:{self.port}{mount}"

    def start(self) -> None:
        """Start the server and wait until it listens."""
        assert self._process is None, "the server runs already"
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, SERVER, str(self.port), *self._flags, *(f"{p}={what}" for p, what in self.mounts.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.port = int(self._line().removeprefix("ready "))
        except BaseException:
            self.kill()
            raise

    def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(START_DEADLINE_S):
                raise TimeoutError(f"the RTSP server was not ready within {START_DEADLINE_S:g} s")
        line = self._process.stdout.readline().strip()
        if not line.startswith("ready "):
            raise RuntimeError(f"the RTSP server did not start: it said '{line}'")
        return line

    def kill(self) -> None:
        """End the server at once, like a camera that loses power. Does nothing if the server does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # ends a frozen process, too
        process.wait(timeout=60)  # on a machine with thirty busy processes it has taken more than 10 s
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def restart(self) -> None:
        """Kill the server and start it again on the same port."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop the process: connections stay open, but nothing is sent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue a frozen process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
