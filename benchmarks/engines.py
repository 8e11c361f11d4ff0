"""Throughput with one process and with several engines, and what sharing the work costs.

    python -m benchmarks.engines [--engines 2 4] [--cameras 8] [--seconds 8] [--rounds 3] [--size 640x360]

Each case is ``run_monitor.py`` as a process of its own, with the same videos of the synthetic street, again and again
at full speed: one process, several engines, and as many separate runs, each with a part of the cameras, which share
nothing. Measured are the frames that were judged, and the CPU time of all processes, over ``--seconds`` from 1 s after
the first score of the last camera on: without the time that imports and models take. The cases take turns.

The cost of sharing is the CPU time per frame of N engines beside that of N separate runs in the same round, without
what decoders use: engines do not change it. The share of the run is what its own process uses: bus, journal, log,
metrics, and all messages of engines. On a busy machine, compare CPU times: other programs change them less.

Before that, one process and the highest number of engines play each video once. Their scores and alerts must be the
same, byte for byte.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NoReturn, Self

import cv2

from benchmarks.lib.machine import busy_s, this_machine
from monitor.processes import ending_with_this_process
from monitor.sources.synthetic.synthetic_scene import SyntheticScene

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
FPS = 10.0
FRAMES, TIMES = 200, 8
"""Frames of the street in each video, and how often they come: a video must not end while it is measured."""
COMPARED = 150
"""Frames per camera that are compared."""
SETTLED_S = 1.0
_JUDGED = re.compile(r"^truesight_frames_analysed_total\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Figures:
    """One case in one round. fps: frames per second; the others are CPU time per frame, milliseconds.

    run: of the run's own process; engines: of its engines; decoders: of decoders
    """

    fps: float
    run: float
    engines: float
    decoders: float

    @property
    def all(self) -> float:
        """Of all processes."""
        return self.run + self.engines + self.decoders

    @property
    def watching(self) -> float:
        """Of all processes except decoders."""
        return self.run + self.engines


def write_videos(folder: Path, cameras: int, frames: int, size: tuple[int, int]) -> list[str]:
    """One video of the street per camera, each another one. size: (width, height), pixels. Returns the sources."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(cameras):
        path = folder / f"street-{number}-{size[0]}x{size[1]}.mp4"
        if not path.exists():
            scene = SyntheticScene(seed=7 + number, duration_s=frames / FPS)
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), FPS, size)
            images = [cv2.resize(scene.render(round(2.5 * frame)), size) for frame in range(frames)]
            for image in images * TIMES:
                writer.write(image)
            writer.release()
        found.append(f"cam{number}={path}")
    return found


@dataclass
class Monitor:
    """A monitor at full speed. Context manager; killed at the end if it still runs."""

    sources: list[str]
    engines: int
    folder: Path
    flags: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        folder = self.folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.metrics = f"127.0.0.1:{free.getsockname()[1]}"
        command = [sys.executable, "-u", str(ROOT / "run_monitor.py"), *self.sources, "--engines", str(self.engines)]
        command += ["--model", str(ROOT / "monitor/assets/demo"), "--speed", "max", "--headless", *self.flags]
        command += ["--state", str(folder), "--metrics", self.metrics]
        command += [f"--{name}=ipc://{folder.absolute()}/{name}" for name in ("alerts", "scores", "history", "control")]
        self._log = folder / "log"
        with self._log.open("w") as file:
            self.process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=file, preexec_fn=ending_with_this_process()
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()  # so that it waits for its children, whose time counts here
        try:
            self.process.wait(30.0)
        finally:
            self.process.kill()
            self.process.wait()

    def wait_for_scores(self) -> None:
        """Wait until every camera has a score."""
        while self._log.read_text().count("first score") < len(self.sources):
            if self.process.poll() is not None:
                self.fail()
            time.sleep(0.05)

    def fail(self) -> NoReturn:
        """End this program, and say how the monitor ended."""
        raise SystemExit(f"the monitor ended (exit code {self.process.returncode}): {self._log.read_text()[-500:]}")

    def judged(self) -> float:
        """Frames that all cameras have judged so far."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10.0) as answer:
            return sum(float(value) for value in _JUDGED.findall(answer.read().decode()))

    def used_s(self) -> dict[str, float]:
        """CPU seconds so far of its own process, of engines, and of decoders."""
        found = {"run": 0.0, "engines": 0.0, "decoders": 0.0}
        for pid in tree(self.process.pid):
            command = _content(f"/proc/{pid}/cmdline")
            role = "run" if pid == self.process.pid else "engines" if "engine_process" in command else "decoders"
            found[role] += cpu_s(pid)
        return found


def measure(parts: list[list[str]], engines: int, seconds: float, folder: Path) -> Figures:
    """One run per part of the sources, for so many seconds."""
    with ExitStack() as stack:
        runs = [
            stack.enter_context(Monitor(part, engines, folder / f"run{number}")) for number, part in enumerate(parts)
        ]
        for run in runs:
            run.wait_for_scores()
        time.sleep(SETTLED_S)
        began, before = time.monotonic(), [(run.judged(), run.used_s()) for run in runs]
        time.sleep(seconds)
        after, took_s = [(run.judged(), run.used_s()) for run in runs], time.monotonic() - began
    frames = sum(judged for judged, _ in after) - sum(judged for judged, _ in before)
    used = {
        role: 1e3 * (sum(each[role] for _, each in after) - sum(each[role] for _, each in before)) / frames
        for role in ("run", "engines", "decoders")
    }
    return Figures(frames / took_s, **used)


def recorded(sources: list[str], engines: int, folder: Path) -> list[list[bytes]]:
    """The lines of scores and of alerts of one run over all videos, sorted: cameras interleave in any order."""
    names = "scores", "alerts"
    flags = ["--max-frames", str(COMPARED)]
    flags += [flag for name in names for flag in (f"--record-{name}", str(folder / f"{name}.jsonl"))]
    with Monitor(sources, engines, folder, tuple(flags)) as run:
        if run.process.wait():
            run.fail()
    return [sorted((folder / f"{name}.jsonl").read_bytes().splitlines()) for name in names]


def _content(path: str) -> str:
    """The content of a file of a process; "" if it has ended."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def cpu_s(pid: int) -> float:
    """CPU seconds of a process without its children; 0 if it has ended."""
    fields = _content(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:13]) / TICKS


def _own_s() -> float:
    """CPU seconds of this process and of all below it that have ended."""
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for child in _content(f"{task}/children").split():
            found += tree(int(child))
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8.0, help="per case and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="640x360", help="of the pictures, pixels")
    arguments = parser.parse_args()
    folder = Path("runs/engines")
    print(this_machine(), flush=True)
    width, height = map(int, arguments.size.split("x"))
    sources = write_videos(folder, arguments.cameras, FRAMES, (width, height))
    most = max(arguments.engines)
    one, several = (recorded(sources, engines, folder / "recorded") for engines in (1, most))
    same = "the same bytes" if one == several else "NOT THE SAME"
    print(f"{len(one[0])} scores and {len(one[1])} alerts of one process and of {most} engines: {same}", flush=True)
    cases = {"one process": (1, 1)}
    for engines in arguments.engines:
        cases |= {f"{engines} separate runs": (engines, 1), f"{engines} engines": (1, engines)}
    figures: dict[str, list[Figures]] = {name: [] for name in cases}
    began, busy, own = time.monotonic(), busy_s(), _own_s()
    for _ in range(arguments.rounds):
        for name, (runs, engines) in cases.items():
            parts = [sources[number::runs] for number in range(runs)]
            figures[name].append(measure(parts, engines, arguments.seconds, folder))
    others = (busy_s() - busy - (_own_s() - own)) / (time.monotonic() - began)
    row = "| {:<15} | {:>8} | {:>5} | {:>13} | {:>8} | {:>7} | {:>8} | {:>15} |"
    print(row.format("", "frames/s", "ratio", "CPU per frame", "decoders", "engines", "the run", "cost of sharing"))
    alone = median(each.fps for each in figures["one process"])
    for name, (_, engines) in cases.items():
        middle = {
            key: median(getattr(each, key) for each in figures[name])
            for key in ("fps", "all", "decoders", "engines", "run")
        }
        cost = "-"
        if engines > 1:
            pairs = zip(figures[name], figures[f"{engines} separate runs"], strict=True)
            cost = f"{100 * (median(each.watching / apart.watching for each, apart in pairs) - 1):+.1f} %"
        cpu = (f"{middle[key]:.2f} ms" for key in ("all", "decoders", "engines", "run"))
        print(row.format(name, f"{middle['fps']:.0f}", f"{middle['fps'] / alone:.2f}", *cpu, cost))
    print(f"{len(sources)} cameras of {arguments.size}; other programs used {others:.1f} cores meanwhile")


if __name__ == "__main__":
    main()
