"""The cost of decoding in a separate process: frames per second, CPU time per frame, start-up and memory.

    python -m benchmarks.isolation_cost VIDEO... [--every 3]

Each video is decoded as fast as possible, in turns in a thread of this process and in a child process, three times. One
of ``--every`` frames is fetched, like in a monitor that analyses some frames. The figures are medians. The CPU time is
that of both processes without the start-up of the child, which has its own column.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2

from monitor.sources.isolated.isolated_source import IsolatedReader, isolate
from monitor.sources.source import Reader, Source
from monitor.sources.video import VideoSource

TICKS_S = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Run:
    """One run of one video.

    open_s      seconds to open it
    open_cpu_s  CPU seconds to open it
    fps         frames per second
    cpu_s       CPU seconds per frame
    private_mb  private memory of the child in units of 2^20 bytes
    """

    open_s: float
    open_cpu_s: float
    fps: float
    cpu_s: float
    private_mb: float


def cpu_s(reader: Reader | None = None) -> float:
    """CPU seconds of this process and of the reader's child process."""
    used = time.process_time()
    if isinstance(reader, IsolatedReader):
        fields = Path(f"/proc/{reader.pid}/stat").read_text().rpartition(")")[2].split()
        used += (int(fields[11]) + int(fields[12])) * TICKS_S
    return used


def private_mb(reader: Reader) -> float:
    """Private memory of the reader's child process, in units of 2^20 bytes; 0 without a child."""
    if not isinstance(reader, IsolatedReader):
        return 0.0
    lines = Path(f"/proc/{reader.pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def run(source: Source, every: int) -> Run:
    """Decode a video once."""
    cpu, started = cpu_s(), time.monotonic()
    with source.open() as reader:
        opened, opened_cpu = time.monotonic(), cpu_s(reader)
        frames, next_s = 0, 0.0
        while (position := reader.skip_to(next_s)) is not None:
            frames += 1 + position.passed
            if position.time_s >= next_s:
                reader.retrieve()
                next_s = position.time_s + (every - 0.5) / reader.fps
        took_s, used_s = time.monotonic() - opened, cpu_s(reader) - opened_cpu
        return Run(opened - started, opened_cpu - cpu, frames / took_s, used_s / frames, private_mb(reader))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=3, help="fetch one of this many frames")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    row = "| {:<28} | {:<7} | {:>8} | {:>12} | {:>10} | {:>12} | {:>14} |"
    print(row.format("video", "in a", "frames/s", "CPU/frame", "opened in", "CPU to open", "child's memory"))
    for video in arguments.videos:
        source = VideoSource(video)
        runs: dict[str, list[Run]] = {"thread": [], "process": []}
        for _ in range(3):
            runs["thread"].append(run(source, arguments.every))
            runs["process"].append(run(isolate(source, "process"), arguments.every))
        for kind, found in runs.items():
            fps, open_s = median(r.fps for r in found), median(r.open_s for r in found)
            cpu, open_cpu = median(r.cpu_s for r in found), median(r.open_cpu_s for r in found)
            memory = median(r.private_mb for r in found)
            texts = (f"{cpu * 1e3:.2f} ms", f"{open_s * 1e3:.0f} ms", f"{open_cpu * 1e3:.0f} ms", f"{memory:.0f} MB")
            print(row.format(video.name, kind, f"{fps:.0f}", *texts), flush=True)


if __name__ == "__main__":
    main()
