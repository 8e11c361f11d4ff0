"""Soak test: runs a monitor under faults for any length of time and records its resources and its latency.

    python -m benchmarks.soak --minutes 60 [--seed 1] [--json]

The whole monitor (``run_monitor.py`` as a separate process, with evidence on and the shipped model) watches eight
cameras: three that fail on command, two of GStreamer's RTSP server, and three looped files. During the run, cameras
fail, servers are killed or frozen, decoders are killed and the subscriber is stopped. The seed decides the order. All
files are kept in a folder under ``runs/``.

The program prints one line per minute with the events so far and the resources of the monitor. At the end it prints the
first and the last value of each figure and its slope per hour (least squares, without the first two minutes). The exit
code is 1 if the monitor's log contains a traceback, if the monitor ended by itself or with an exit code other than 0,
or if the subscriber missed an alert that was not reported as missing.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import zmq

from benchmarks.lib.soak_faults import Injector
from benchmarks.lib.soak_figures import Sample, Tally, read_files, sample, trends
from monitor.alerts.messages import ScoreMessage, decode
from monitor.processes import ending_with_this_process
from monitor.testing.faulty_camera import FaultyCamera
from monitor.testing.rtsp_server import RtspServer

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_S, LINE_S = 10.0, 60.0

CONFIG = """\
node = "soak"
model = "{root}/monitor/assets/demo"
device = "cpu"
analysis_fps = 5

[playback]
loop = true

[publish]
alerts = "tcp://127.0.0.1:{alerts}"
scores = "tcp://127.0.0.1:{scores}"
history = "tcp://127.0.0.1:{history}"

[journal]
path = "{work}/journal.sqlite3"

[evidence]
enabled = true
folder = "{work}/evidence"
keep_gb = 0.05
"""


# The sources of the monitor, and its subscriber


def write_video(path: Path, seed: int, seconds: float = 40.0, fps: int = 25) -> None:
    """Write a video: noisy background with a slow disc, and in the last quarter a large, fast disc across it."""
    rng = np.random.default_rng(seed)
    width, height, frames = 320, 240, round(seconds * fps)
    ground = [rng.normal(110, 6, (height, width, 3)).clip(0, 255).astype(np.uint8) for _ in range(5)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", fps, {"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            picture = ground[index % len(ground)].copy()
            cv2.circle(picture, (index * width // frames, 150), 12, (180, 180, 180), -1)
            if index > 0.75 * frames:
                cv2.circle(picture, (index * 17 % width, index * 5 % height), 45, (250, 250, 250), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        container.mux(stream.encode(None))


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def program(
    *command: str | Path, out: Path | None = None, err: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of this project in a separate process. At the end it is killed if it still runs."""
    with ExitStack() as stack:
        stdout = stack.enter_context(out.open("wb")) if out else subprocess.DEVNULL
        stderr = stack.enter_context(err.open("wb")) if err else subprocess.DEVNULL
        process = subprocess.Popen(
            [sys.executable, "-u", *command],
            cwd=ROOT,
            stdout=stdout,
            stderr=stderr,
            preexec_fn=ending_with_this_process(),
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


# The run


@dataclass(frozen=True)
class Soak:
    """The result of a soak test.

    survived   True if the monitor ran until it was stopped
    exit_code  exit code of the monitor; None if it had to be killed
    cut_short  the reason if the soak test itself, not the monitor, failed and ended the run early
    """

    samples: tuple[Sample, ...]
    tally: Tally
    survived: bool
    exit_code: int | None
    cut_short: str = ""

    @property
    def failures(self) -> list[str]:
        """Sentences about everything that must not happen; empty if nothing failed."""
        tally, found = self.tally, []
        if self.cut_short:
            found.append(f"the soak test itself failed early: {self.cut_short}")
        if not self.survived:
            found.append("the monitor ended by itself")
        if self.exit_code != 0:
            found.append(f"the monitor's exit code was {self.exit_code}")
        if tally.tracebacks:
            found.append(f"its log contains {tally.tracebacks} tracebacks")
        if tally.alerts_sent != tally.alerts_received + tally.alerts_lost:
            found.append("the subscriber missed alerts that were not reported as missing")
        return found


def run(minutes: float, seed: int, work: Path, say: Callable[[str], None]) -> Soak:
    """Run for this many minutes. Calls ``say`` with one line per minute."""
    alerts, scores, history = free_ports(3)
    work.mkdir(parents=True)
    lines = [CONFIG.format(root=ROOT, work=work, alerts=alerts, scores=scores, history=history)]
    tally, samples, ages_s = Tally(), list[Sample](), list[float]()
    cut_short = ""
    with ExitStack() as stack:
        cameras = [stack.enter_context(FaultyCamera()) for _ in range(3)]
        servers = [stack.enter_context(RtspServer({"/ball": "ball:320x240@25"})) for _ in range(2)]
        sources = {f"faulty{number}": camera.url for number, camera in enumerate(cameras)}
        sources |= {f"server{number}": server.url("/ball") for number, server in enumerate(servers)}
        for number in range(3):
            write_video(work / f"file{number}.mp4", seed + number)
            sources[f"file{number}"] = str(work / f"file{number}.mp4")
        lines += [f'[cameras.{name}]\nsource = "{source}"' for name, source in sources.items()]
        (work / "soak.toml").write_text("\n".join(lines) + "\n")
        client = ("-m", "monitor.client", "--endpoint", f"tcp://127.0.0.1:{alerts}", "--health", "--json")
        subscriber = stack.enter_context(program(*client, out=work / "received.jsonl"))
        command = (
            "run_monitor.py",
            "--config",
            work / "soak.toml",
            "--headless",
            "--record-alerts",
            work / "sent.jsonl",
        )
        monitor = stack.enter_context(program(*command, out=work / "summary.txt", err=work / "monitor.log"))
        follower = stack.enter_context(zmq.Context().socket(zmq.SUB))
        follower.subscribe("score/")
        follower.connect(f"tcp://127.0.0.1:{scores}")
        injector = Injector(random.Random(seed), cameras, servers, monitor, subscriber)
        started, next_sample_s, next_line_s = time.monotonic(), SAMPLE_S, LINE_S
        while monitor.poll() is None and (at_s := time.monotonic() - started) < minutes * 60:
            if follower.poll(200):
                message = decode(follower.recv_multipart()).message
                assert isinstance(message, ScoreMessage)
                ages_s.append(message.sent_at - message.captured_at)
                tally.scores += 1
            if tally.scores:  # inject faults only after the monitor has started to watch
                try:
                    injector.act(at_s)
                except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                    # On a busy machine a server may fail to start. Keep the figures, which may be of many hours.
                    cut_short = f"{type(error).__name__}: {error}"
                    break
            if at_s >= next_sample_s:
                samples.append(sample(monitor.pid, at_s, ages_s))
                next_sample_s += SAMPLE_S
                ages_s.clear()
            if at_s >= next_line_s:
                tally.faults = injector.faults
                read_files(work, tally)
                say(minute_line(samples[-1], tally))
                next_line_s += LINE_S
        if not cut_short:
            injector.mend_all()
        survived = monitor.poll() is None
        monitor.send_signal(signal.SIGINT)
        try:
            exit_code: int | None = monitor.wait(timeout=30)
        except subprocess.TimeoutExpired:
            exit_code = None
        time.sleep(2.0)  # so that the subscriber can read the rest
        tally.faults = injector.faults
        read_files(work, tally)
    return Soak(tuple(samples), tally, survived, exit_code, cut_short)


# Output


def milliseconds(value: float | None) -> str:
    """Whole milliseconds, or a dash."""
    return "-" if value is None else f"{value:.0f}"


def minute_line(now: Sample, tally: Tally) -> str:
    """One line with the present state."""
    return (
        f"{now.at_s / 60:5.0f} min  rss {now.rss_mb:6.1f} MB  {now.decoders} decoders {now.children_mb:6.1f} MB  "
        f"threads {now.threads:3d}  fds {now.fds:3d}  "
        f"age p50/p99 {milliseconds(now.p50_ms)}/{milliseconds(now.p99_ms)} ms  "
        f"faults {tally.faults.total()}  reconnects {tally.reconnects}  alerts {tally.alerts_received}  "
        f"gaps {tally.gaps}  tracebacks {tally.tracebacks}"
    )


def summary(soak: Soak) -> Iterator[str]:
    """The end of the run, line by line."""
    row = "| {:<12} | {:>9} | {:>9} | {:>15} |"
    yield row.format("figure", "first", "last", "slope per hour")
    yield row.format("---", "---:", "---:", "---:")
    for name, (first, last, slope) in trends(soak.samples).items():
        yield row.format(name, f"{first:.1f}", f"{last:.1f}", "-" if slope is None else f"{slope:+.2f}")
    tally = soak.tally
    yield f"faults: {tally.faults.total()}"
    yield from (f"  {number:4d} times {what}" for what, number in sorted(tally.faults.items()))
    yield f"reconnects {tally.reconnects}, scores {tally.scores}, changes of health {tally.health_received}"
    yield (
        f"alert messages sent {tally.alerts_sent}, received {tally.alerts_received}, "
        f"reported missing {tally.alerts_lost}, gaps {tally.gaps}, tracebacks {tally.tracebacks}"
    )
    yield "; ".join(soak.failures) or "no failures"


def as_json(soak: Soak) -> str:
    """The full result as JSON: samples, tally, trends and failures."""
    # asdict would convert a Counter as if it were a list of pairs.
    tally = asdict(replace(soak.tally, faults=Counter())) | {"faults": dict(soak.tally.faults)}
    samples = [asdict(each) for each in soak.samples]
    more = {"samples": samples, "tally": tally, "trends": trends(soak.samples), "failures": soak.failures}
    return json.dumps({"survived": soak.survived, "exit_code": soak.exit_code, "cut_short": soak.cut_short} | more)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1, help="decides which faults happen at what time")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end instead of lines")
    arguments = parser.parse_args()
    work = ROOT / "runs" / time.strftime("soak-%Y%m%d-%H%M%S")
    said: Callable[[str], None] = (lambda _: None) if arguments.json else (lambda line: print(line, flush=True))
    said(f"files in {work}")
    soak = run(arguments.minutes, arguments.seed, work, said)
    if arguments.json:
        print(as_json(soak))
    for line in summary(soak):
        said(line)
    sys.exit(1 if soak.failures else 0)


if __name__ == "__main__":
    main()
