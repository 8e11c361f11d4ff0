"""The minimum cost of reading a video: the read loop of OpenCV and nothing else.

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
from monitor.processes import ending_with_this_process
from monitor.sources.opencv import open_capture

ROOT = Path(__file__).resolve().parent.parent


def read(video: Path) -> list[float]:
    """time.monotonic() after each frame. Opens the video like the monitor, with the same number of threads."""
    capture = open_capture(str(video))
    times = []
    while capture.read()[0]:
        times.append(time.monotonic())
    capture.release()
    return times


def in_threads(video: Path, count: int) -> Times:
    """Run ``count`` read loops in threads of this process."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(read, [video] * count))


def in_processes(video: Path, count: int) -> Times:
    """Run ``count`` read loops, each in its own process."""
    command = [sys.executable, "-m", "benchmarks.bare", str(video)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=ending_with_this_process())
        for _ in range(count)
    ]
    with ThreadPoolExecutor(count) as pool:
        return [json.loads(output) for output, _ in pool.map(subprocess.Popen.communicate, processes)]


if __name__ == "__main__":
    print(json.dumps(read(Path(sys.argv[1]))))
