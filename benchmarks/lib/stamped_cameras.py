"""Starts and ends the server of stamped cameras (``stamped_server``), which is a separate process."""

from __future__ import annotations

import selectors
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.lib.blinking import FPS, HEIGHT, WIDTH
from monitor.errors import RunError

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"  # GStreamer's bindings belong to the system's Python
START_DEADLINE_S = 20.0


@contextmanager
def stamped_cameras(frames: Path, count: int) -> Iterator[list[str]]:
    """RTSP URLs of ``count`` cameras on loopback that play the frames (see ``blinking.write_frames``) in a loop.

    Raises RunError if GStreamer's RTSP server is missing.
    """
    shape = f"{WIDTH}x{HEIGHT}@{FPS}"
    command = [SYSTEM_PYTHON, "-m", "benchmarks.lib.stamped_server", str(frames), shape, str(count)]
    try:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except OSError as error:
        raise RunError(f"the cameras need {SYSTEM_PYTHON}, but it cannot start: {error.strerror}") from error
    try:
        port = _port(process)
        yield [f"rtsp://127.0.0.1:{port}/{number}" for number in range(count)]
    finally:
        process.kill()
        process.communicate()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(START_DEADLINE_S):
            raise RunError(f"the server of the cameras was not ready within {START_DEADLINE_S:g} s")
    line = process.stdout.readline()
    if not line.startswith("ready "):
        reason = process.stderr.read().strip().rpartition("\n")[2]
        raise RunError(f"GStreamer's RTSP server does not start (install its packages, see .ci/run): {reason}")
    return int(line.removeprefix("ready "))
