"""How long it takes to learn a camera: each detector alone, and the time until each version of its model is complete.

    python -m benchmarks.learning_time SOURCE... [--to-s 600]

SOURCE is normal footage of one camera, a file or a folder. First, each fast detector is fitted once to all footage that
is kept. Then the camera is learned as with ``python -m training learn``: every fast detector is fitted five times, four
of them to three quarters of the footage so that the last quarter can be scored, and the network learns last.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from benchmarks.lib.machine import busy_s, cores, this_machine
from monitor.errors import MonitorError
from monitor.model.model_versions import version_number
from monitor.text.durations import in_words
from training.learn.learn_model import WORKERS, LearnSettings, learn
from training.learn.learners import LEARNERS
from training.learn.normal_footage import Normal, read_normal
from training.progress import Report
from training.recordings import recorded_sources

QUIET = Report(quiet=True)


def timed(what: str, task: Callable[[], Any]) -> Any:
    """Run a task. Print its duration and how many cores all programs together used in this time."""
    started, busy = time.perf_counter(), busy_s()
    result = task()
    took = time.perf_counter() - started
    print(f"{what:32s} {took:6.1f} s   {(busy_s() - busy) / took:.1f} of {cores()} cores busy", flush=True)
    return result


def measure(sources: list[str], to_s: float) -> None:
    """Measure and print everything. Raises MonitorError if the footage is not suitable for learning."""
    opened = recorded_sources(sources, "training_videos")
    normal: Normal = timed("reading", lambda: read_normal(opened, QUIET, to_s=to_s))
    width, height = normal.size
    print(f"{normal.frames} frames of {width}x{height} kept of {in_words(normal.footage_s)}")
    for name, learner in LEARNERS.items():
        if learner.refit:
            timed(f"{name}, fitted once", partial(learner.fit, normal.stretches, 0, "cpu", QUIET))
    with tempfile.TemporaryDirectory() as folder:
        settings = LearnSettings("camera", Path(folder), to_s=to_s, workers=WORKERS)
        started = time.perf_counter()

        def written(version: Path) -> None:
            print(f"version {version_number(version):<24d} {time.perf_counter() - started:6.1f} s", flush=True)

        timed("learned", lambda: learn(opened, sources, settings, QUIET, written))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How long it takes to learn a camera.")
    parser.add_argument("sources", nargs="+", help="normal footage of one camera")
    parser.add_argument("--to-s", type=float, default=600.0, help="use each source up to this media time, seconds")
    given = parser.parse_args()
    cv2.setNumThreads(1)  # like training learn
    print(this_machine())
    try:
        measure(given.sources, given.to_s)
    except MonitorError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
