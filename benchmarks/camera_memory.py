"""Memory of the monitor with 1, 8 and 24 cameras, its growth, and the time to the first score.

    python -m benchmarks.camera_memory [--minutes 10] [--cameras 1 8 24] [--video FILE] [--model DIR] [--json FILE]

The monitor and its cameras are the same as in ``benchmarks.cameras``: all four detectors, journal, publisher, and one
decoder process per camera. Each count of cameras runs for ``--minutes``. The memory is that of the monitor and its
decoders. PSS counts shared pages once; USS counts only pages that no other process shares. The slope is that of a line
through the second half of the USS (least squares), because the PSS of a process rises when others that share its pages
end. Start-up is the time from the start of the process to the receipt of the first score, and of the first score of
every camera.

If the machine is too slow for a count, the monitor drops frames; the column ``dropped`` shows this. Memory is still
bounded then.
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
"""Memory samples per run, at most one per second, because each costs the kernel some milliseconds per process."""

LEAST_S = 50.0
"""Minimum length of the second half in seconds for a slope."""


@dataclass(frozen=True)
class Sample:
    """The memory of the monitor and of all decoders together, ``at_s`` seconds after the last camera's first score."""

    at_s: float
    monitor: Memory
    decoders: Memory

    @property
    def total(self) -> Memory:
        """Memory of the monitor and its decoders together."""
        return self.monitor + self.decoders


@dataclass(frozen=True)
class Held:
    """The result for one count of cameras.

    first_score_s  seconds from the start of the process to the first score
    all_scores_s   seconds from the start of the process until every camera has a score
    dropped        frames never scored, because inference was too slow
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
        """The median of a figure in the second half, in units of 2^20 bytes."""
        return statistics.median(map(value, self.second_half))

    @property
    def slope_mb_an_hour(self) -> float | None:
        """Slope of the total USS in the second half; None if it is too short to separate growth from fluctuation."""
        half = self.second_half
        if half[-1].at_s - half[0].at_s < LEAST_S:
            return None
        return slope_an_hour([(sample.at_s, sample.total.uss) for sample in half])


def measure(task: Task, log: Path) -> Held:
    """Run one count of cameras. Raises RunError if the monitor cannot watch them."""
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
            if (now_s := time.monotonic()) >= next_s and len(snapshots) < 2:  # after the second snapshot the run ends
                alive = decoders_of(child.pid)
                if len(alive) == task.cameras:  # with fewer decoders, the run is already ending
                    decoders = sum(map(memory_of, alive), Memory())
                    samples.append(Sample(now_s - begins_s, memory_of(child.pid), decoders))
                next_s += every_s

        failure = follow(child, task, seen, keep, look)
    if failure or len(seen.first_at) < task.cameras:
        raise RunError(f"{task.cameras} cameras cannot be watched: {failure or 'some cameras were never scored'}")
    scored_s = sorted(at - begun_at for at in seen.first_at.values())
    return Held(task.cameras, tuple(samples), scored_s[0], scored_s[-1], sum(snapshots[-1].dropped))


HEADER = (
    "cameras", "total PSS", "per camera", "monitor", "per decoder", "total USS", "slope", "first score", "all cameras",
    "dropped",
)  # fmt: skip


def row_of(held: Held) -> tuple[str, ...]:
    """One row of the table, with medians of the second half."""
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
    """Print a row with columns that are as wide as their headings."""
    print("  ".join(f"{cell:>{max(len(name), 10)}}" for cell, name in zip(cells, HEADER, strict=True)), flush=True)


def run(arguments: argparse.Namespace) -> None:
    """Measure each count, print the rows, write the file."""
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    print(this_machine(), flush=True)
    video, model = scene_of(work, arguments.video, arguments.model, lambda line: print(line, flush=True))
    seconds = arguments.minutes * 60
    print(f"video {video}, model {model}; {arguments.minutes:g} min per count; medians of the second half")
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
    parser.add_argument("--minutes", type=float, default=10.0, help="minutes per count")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 8, 24], help="counts of cameras")
    parser.add_argument("--video", type=Path, help="1280x720 at 25 frames per second; default: a synthetic street")
    parser.add_argument("--model", type=Path, help="model folder; default: a model learned from the video, only once")
    parser.add_argument("--device", default="auto", help="device for networks: auto, cpu, cuda")
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    parser.add_argument("--work", type=Path, default=Path("runs/cameras"), help="folder for the video and the model")
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
