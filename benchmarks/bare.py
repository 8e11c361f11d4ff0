"""The least that reading a video can cost: OpenCV's read loop and nothing else.

python -m benchmarks.bare VIDEO   # prints time.monotonic() of every frame as a JSON list
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.lib.rates import Times
from monitor.sources.opencv import open_capture

ROOT = Path(__file__).resolve().parent.parent


def read(video: Path) -> list[float]:
    """time.monotonic() after each frame; opened as the monitor opens it, with as many threads."""
    capture = open_capture(str(video))
    times = []
    while capture.read()[0]:
        times.append(time.monotonic())
    capture.release()
    return times


def in_threads(video: Path, count: int) -> Times:
    """So many loops in threads of this process."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(read, [video] * count))


def in_processes(video: Path, count: int) -> Times:
    """So many loops in processes of their own."""
    command = [sys.executable, "-m", "benchmarks.bare", str(video)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(count)]
    with ThreadPoolExecutor(count) as pool:
        return [json.loads(output) for output, _ in pool.map(subprocess.Popen.communicate, processes)]


if __name__ == "__main__":
    print(json.dumps(read(Path(sys.argv[1]))))
