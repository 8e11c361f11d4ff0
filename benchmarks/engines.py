"""Throughput with one process and with several engines, and what sharing the work costs.

    python -m benchmarks.engines [--engines 2 4] [--cameras 8] [--frames 300] [--rounds 3]

Each case is ``run_monitor.py`` as a process of its own, with the same videos of the synthetic street at full speed, in
turns. Frames per second and CPU time are measured from the first score of the last camera to the end: without the time
that imports and models take. The cost of sharing is the CPU time per frame, over all processes, beside that of one
process. On a busy machine, compare CPU times: they hardly depend on other programs.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2

from benchmarks.lib.machine import busy_s, this_machine
from monitor.processes import ending_with_this_process
from monitor.sources.synthetic.synthetic_scene import SyntheticScene

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
FPS = 10.0


@dataclass(frozen=True)
class Figures:
    """One run. fps: frames per second; cpu_ms: CPU of all processes per frame; run_ms: of the run's own process."""

    fps: float
    cpu_ms: float
    run_ms: float


def write_videos(folder: Path, cameras: int, frames: int) -> list[str]:
    """One video of the street per camera, each from another moment. Returns the sources as arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(cameras):
        path = folder / f"street-{number}-{frames}.avi"
        if not path.exists():
            scene = SyntheticScene(seed=7 + number, duration_s=frames / FPS)
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 360))
            for frame in range(frames):
                writer.write(scene.render(round(2.5 * frame)))
            writer.release()
        found.append(f"cam{number}={path}")
    return found


def measure(sources: list[str], engines: int, frames: int, folder: Path) -> Figures:
    """One run over all frames."""
    command = [sys.executable, "-u", str(ROOT / "run_monitor.py"), *sources, "--engines", str(engines)]
    command += ["--model", str(ROOT / "monitor/assets/demo"), "--speed", "max", "--headless"]
    command += ["--state", str(folder / f"state-{engines}")]
    command += [f"--{name}=ipc://{folder.absolute()}/{name}" for name in ("alerts", "scores", "history", "control")]
    before = _children_s()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=ending_with_this_process(),
    )
    assert process.stderr is not None
    first = 0
    for line in process.stderr:
        first += "first score" in line
        if first == len(sources):
            break
    began, used_s = time.monotonic(), sum(_cpu_s(pid) for pid in _tree(process.pid))
    own_s = own_then_s = _cpu_s(process.pid)
    os.set_blocking(process.stderr.fileno(), False)
    while process.poll() is None:
        process.stderr.read()
        own_then_s = _cpu_s(process.pid) or own_then_s
        time.sleep(0.05)
    took_s = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"the monitor failed (exit code {process.returncode}): run it by hand to see why")
    total = len(sources) * frames
    cpu_s = _children_s() - before - used_s
    return Figures(total / took_s, 1e3 * cpu_s / total, 1e3 * (own_then_s - own_s) / total)


def _children_s() -> float:
    """CPU seconds of all processes that this one has waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process without its children; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += _tree(int(child))
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--frames", type=int, default=300, help="per camera")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folder = Path("runs/engines")
    print(this_machine(), flush=True)
    sources = write_videos(folder, arguments.cameras, arguments.frames)
    cases = [1, *arguments.engines]
    figures: dict[int, list[Figures]] = {engines: [] for engines in cases}
    began, busy, own = time.monotonic(), busy_s(), _children_s()
    for _ in range(arguments.rounds):
        for engines in cases:
            figures[engines].append(measure(sources, engines, arguments.frames, folder))
    others = (busy_s() - busy - (_children_s() - own)) / (time.monotonic() - began)
    row = "| {:<11} | {:>8} | {:>9} | {:>12} | {:>12} | {:>15} |"
    print(row.format("", "frames/s", "ratio", "CPU per frame", "of the run", "cost of sharing"))
    one = {name: median(getattr(each, name) for each in figures[1]) for name in ("fps", "cpu_ms")}
    for engines in cases:
        fps, cpu, run = (
            median(getattr(each, name) for each in figures[engines]) for name in ("fps", "cpu_ms", "run_ms")
        )
        name = "one process" if engines == 1 else f"{engines} engines"
        cost = 100 * (
            median(each.cpu_ms / base.cpu_ms for each, base in zip(figures[engines], figures[1], strict=True)) - 1
        )
        texts = f"{fps:.0f}", f"{fps / one['fps']:.2f}", f"{cpu:.2f} ms", f"{run:.2f} ms", f"{cost:+.1f} %"
        print(row.format(name, *texts))
    print(f"{len(sources)} cameras, {arguments.frames} frames each; other programs used {others:.1f} cores meanwhile")


if __name__ == "__main__":
    main()
