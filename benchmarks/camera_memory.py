"""Memory that the monitor holds with 1, 8 and 24 cameras, how it grows, and how soon it scores.

    python -m benchmarks.camera_memory [--minutes 10] [--cameras 1 8 24] [--video FILE] [--model DIR] [--json FILE]

The monitor and its cameras are those of ``benchmarks.cameras``: all four detectors, journal, publisher, a decoder's
process a camera. Each count runs for so many minutes. Memory is that of the monitor and its decoders, shared pages
counted once (PSS); beside it what only they hold (USS). The slope is that of a line through the second half of the
latter (least squares): a shared page counts more for those who stay when others end. Start-up counts from the start of
the process to the receipt of the first score, and of every camera's first.

A machine that is too slow for a count drops frames and says so; memory is bounded all the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.lib.load import Seen, follow, started
from benchmarks.lib.machine import this_machine
from benchmarks.lib.process_memory import Memory, memory_of
from benchmarks.lib.soak_figures import decoders_of, slope_an_hour
from benchmarks.lib.street_camera import scene_of
from benchmarks.lib.watched import Snapshot, Task
from monitor.errors import MonitorError, RunError, UsageError

SAMPLES = 60
"""Looks at the memory in a run, at most one a second: each takes the kernel some milliseconds a process."""

LEAST_S = 50.0
"""Of a second half, for a slope to be told."""


@dataclass(frozen=True)
class Sample:
    """What is held ``at_s`` seconds after the last camera's first score: by the monitor, by all decoders together."""

    at_s: float
    monitor: Memory
    decoders: Memory

    @property
    def total(self) -> Memory:
        """All of it."""
        return self.monitor + self.decoders


@dataclass(frozen=True)
class Held:
    """How a count of cameras went.

    first_score_s, all_scores_s  from the start of the process to the first score, and to that of the last camera
    dropped                      frames never scored, because inference was behind
    """

    cameras: int
    samples: tuple[Sample, ...]
    first_score_s: float
    all_scores_s: float
    dropped: int

    @property
    def second_half(self) -> tuple[Sample, ...]:
        """The samples of the second half of the time."""
        middle_s = self.samples[-1].at_s / 2
        return tuple(sample for sample in self.samples if sample.at_s >= middle_s)

    def median(self, value: Callable[[Sample], float]) -> float:
        """Of a figure in the second half, megabytes."""
        return statistics.median(map(value, self.second_half))

    @property
    def slope_mb_an_hour(self) -> float | None:
        """Of the total in the second half; None where that is too short to tell growth from coming and going."""
        half = self.second_half
        if half[-1].at_s - half[0].at_s < LEAST_S:
            return None
        return slope_an_hour([(sample.at_s, sample.total.uss) for sample in half])


def measure(task: Task, log: Path) -> Held:
    """Run a count of cameras. Raises RunError where it cannot be watched."""
    seen, samples, snapshots = Seen(), list[Sample](), list[Snapshot]()
    every_s = max(1.0, task.seconds / SAMPLES)
    begun_at = time.time()
    with started(task, log) as child:
        begins_s = next_s = float("inf")

        def keep(snapshot: Snapshot) -> None:
            nonlocal begins_s, next_s
            snapshots.append(snapshot)
            if len(snapshots) == 1:
                begins_s = next_s = time.monotonic()

        def look() -> None:
            nonlocal next_s
            if (now_s := time.monotonic()) >= next_s and len(snapshots) < 2:  # after the second it is being taken down
                alive = decoders_of(child.pid)
                if len(alive) == task.cameras:  # fewer: it is being taken down already
                    decoders = sum(map(memory_of, alive), Memory())
                    samples.append(Sample(now_s - begins_s, memory_of(child.pid), decoders))
                next_s += every_s

        failure = follow(child, task, seen, keep, look)
    if failure or len(seen.first_at) < task.cameras:
        raise RunError(f"{task.cameras} cameras cannot be watched: {failure or 'some were never scored'}")
    scored_s = sorted(at - begun_at for at in seen.first_at.values())
    return Held(task.cameras, tuple(samples), scored_s[0], scored_s[-1], sum(snapshots[-1].dropped))


HEADER = (
    "cameras", "total PSS", "a camera", "monitor", "a decoder", "total USS", "slope", "first score", "all cameras",
    "dropped",
)  # fmt: skip


def row_of(held: Held) -> tuple[str, ...]:
    """One line of the table; medians of the second half."""
    total, slope = held.median(lambda s: s.total.pss), held.slope_mb_an_hour
    return (
        str(held.cameras),
        f"{total:.0f} MB",
        f"{total / held.cameras:.0f} MB",
        f"{held.median(lambda s: s.monitor.pss):.0f} MB",
        f"{held.median(lambda s: s.decoders.pss) / held.cameras:.1f} MB",
        f"{held.median(lambda s: s.total.uss):.0f} MB",
        "-" if slope is None else f"{slope:+.1f} MB/h",
        f"{held.first_score_s:.1f} s",
        f"{held.all_scores_s:.1f} s",
        str(held.dropped),
    )


def print_row(cells: Sequence[str]) -> None:
    """Columns as wide as their headings."""
    print("  ".join(f"{cell:>{max(len(name), 10)}}" for cell, name in zip(cells, HEADER, strict=True)), flush=True)


def run(arguments: argparse.Namespace) -> None:
    """Measure each count, print, write."""
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    print(this_machine(), flush=True)
    video, model = scene_of(work, arguments.video, arguments.model, lambda line: print(line, flush=True))
    seconds = arguments.minutes * 60
    print(f"video {video}, model {model}; {arguments.minutes:g} min a count, the second half of which is told")
    print_row(HEADER)
    everything = []
    for count in arguments.cameras:
        task = Task(str(video), str(model), count, seconds, warm_up_s=0.0, device=arguments.device)
        held = measure(task, work / "monitor.log")
        print_row(row_of(held))
        everything.append({**asdict(held), "slope_mb_an_hour": held.slope_mb_an_hour})
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"machine": this_machine(), "counts": everything}, indent=1) + "\n")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of each count")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 8, 24], help="counts")
    parser.add_argument("--video", type=Path, help="1280x720 at 25 frames a second; default: a synthetic street")
    parser.add_argument("--model", type=Path, help="model folder; default: one that is learned from the video, once")
    parser.add_argument("--device", default="auto", help="where networks run: auto, cpu, cuda")
    parser.add_argument("--json", type=Path, help="write every sample here, too")
    parser.add_argument("--work", type=Path, default=Path("runs/cameras"), help="where video and model are kept")
    arguments = parser.parse_args()
    try:
        if not (arguments.minutes >= 0.1 and min(arguments.cameras) >= 1):
            raise UsageError("--minutes must be at least 0.1, and each of --cameras at least 1")
        run(arguments)
    except MonitorError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
