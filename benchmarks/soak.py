"""A monitor under faults for as long as you like: what it holds and how late it is, as time goes on.

    python -m benchmarks.soak --minutes 60 [--seed 1] [--json]

The whole monitor (``run_monitor.py``, a process of its own, evidence on, the model that ships along) watches eight
cameras: three that misbehave on command, two of GStreamer's RTSP server, three looped files. Meanwhile cameras fail,
servers are killed or frozen, decoders are killed and the subscriber is stopped, in an order that the seed decides. All
files are kept in a folder under ``runs/``.

A line a minute: what has happened so far and what the monitor holds. The end: each figure's first and last value and
its slope an hour (least squares, without the first two minutes). Exit code 1 if the monitor's log holds a traceback,
if it ended by itself or not with 0, or if its subscriber missed an alert without a word.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import zmq

from monitor.messages import ScoreMessage, decode
from tests.faulty_camera import ONCE, Fault, FaultyCamera
from tests.rtsp_server import RtspServer

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_S, LINE_S, WARM_UP_S = 10.0, 60.0, 120.0
BETWEEN_FAULTS_S, FAULT_LASTS_S = (3.0, 9.0), (1.0, 12.0)

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


@dataclass(frozen=True)
class Sample:
    """What the monitor holds at a moment, and how late the scores of the last 10 s were.

    at_s             seconds since the start
    rss_mb           resident memory of the monitor; children_mb: of its decoders, all together
    threads, fds     of the monitor; decoders: how many there are
    p50_ms, p99_ms   from reading a frame to sending its score; None where none came
    """

    at_s: float
    rss_mb: float
    children_mb: float
    threads: int
    fds: int
    decoders: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass
class Tally:
    """What has happened: faults by kind; what the subscriber received; what the monitor says itself."""

    faults: Counter[str] = field(default_factory=Counter)
    scores: int = 0
    alerts_sent: int = 0
    alerts_received: int = 0
    health_received: int = 0
    gaps: int = 0
    alerts_lost: int = 0
    reconnects: int = 0
    tracebacks: int = 0


# What the monitor holds and says


def status_of(pid: int) -> dict[str, str]:
    """Fields of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def memory_mb(pid: int) -> float:
    """Resident memory; 0 for a process that has just ended."""
    try:
        return int(status_of(pid).get("VmRSS", "0 kB").split()[0]) / 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def decoders_of(pid: int) -> list[int]:
    """Process ids of a monitor's decoders."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):  # that thread has just ended
            continue
    return found


def is_on_the_network(decoder: int) -> bool:
    """Whether a decoder has a connection beside the one to its monitor; a file whose decoder dies ends for good."""
    try:
        links = [str(link.readlink()) for link in Path(f"/proc/{decoder}/fd").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return sum(link.startswith("socket:") for link in links) > 1


def sample(pid: int, at_s: float, ages_s: Sequence[float]) -> Sample:
    """Look at the monitor now."""
    decoders = decoders_of(pid)
    p50, p99 = (float(q) * 1e3 for q in np.quantile(ages_s, (0.5, 0.99))) if ages_s else (None, None)
    return Sample(
        at_s=at_s,
        rss_mb=memory_mb(pid),
        children_mb=sum(memory_mb(decoder) for decoder in decoders),
        threads=int(status_of(pid)["Threads"]),
        fds=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        decoders=len(decoders),
        p50_ms=p50,
        p99_ms=p99,
    )


def read_files(work: Path, tally: Tally) -> None:
    """Bring up to date what the run's files tell."""
    log = (work / "monitor.log").read_text(errors="replace")
    tally.tracebacks = log.count("Traceback")
    latest = dict(re.findall(r"INFO +(\S+): .* reconnects (\d+), alerts", log))
    tally.reconnects = sum(int(number) for number in latest.values())
    tally.alerts_sent = (work / "sent.jsonl").read_text().count("\n") if (work / "sent.jsonl").exists() else 0
    whole_lines = (work / "received.jsonl").read_text().split("\n")[:-1]
    received = [json.loads(line) for line in whole_lines]
    tally.alerts_received = sum(message["kind"] == "alert" for message in received)
    tally.health_received = sum(message["kind"] == "health" for message in received)
    gaps = [message for message in received if message["kind"] == "gap"]
    tally.gaps = len(gaps)
    tally.alerts_lost = sum(gap["last"] - gap["first"] + 1 for gap in gaps if gap["topic"].startswith("alert/"))


# What the monitor watches, and who follows it


def write_video(path: Path, seed: int, seconds: float = 40.0, fps: int = 25) -> None:
    """A noisy ground with a slow disc, and for a quarter of the time something large and quick across it."""
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
    """Ports that nobody uses now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def program(
    *command: str | Path, out: Path | None = None, err: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program of this project in a process of its own; killed at the end, stopped or not."""
    with ExitStack() as stack:
        stdout = stack.enter_context(out.open("wb")) if out else subprocess.DEVNULL
        stderr = stack.enter_context(err.open("wb")) if err else subprocess.DEVNULL
        process = subprocess.Popen([sys.executable, "-u", *command], cwd=ROOT, stdout=stdout, stderr=stderr)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


# Faults


class Injector:
    """Strikes at random times what is not struck yet, and mends it later."""

    def __init__(
        self,
        rng: random.Random,
        cameras: Sequence[FaultyCamera],
        servers: Sequence[RtspServer],
        monitor: subprocess.Popen[bytes],
        subscriber: subprocess.Popen[bytes],
    ) -> None:
        self.faults: Counter[str] = Counter()
        self._rng = rng
        self._cameras, self._servers = cameras, servers
        self._monitor, self._subscriber = monitor, subscriber
        self._mends: dict[object, tuple[float, Callable[[], None]]] = {}
        self._next_s = 0.0

    def act(self, now_s: float) -> None:
        """Do what is due."""
        for target, (due_s, mend) in list(self._mends.items()):
            if now_s >= due_s:
                mend()
                del self._mends[target]
        if now_s >= self._next_s:
            self._next_s = now_s + self._rng.uniform(*BETWEEN_FAULTS_S)
            strikes = (self._camera, self._server, self._decoder, self._stop_subscriber)
            self._rng.choices(strikes, (5, 3, 2, 1))[0](now_s + self._rng.uniform(*FAULT_LASTS_S))

    def mend_all(self) -> None:
        """Let everything work again."""
        for _, mend in self._mends.values():
            mend()
        self._mends.clear()

    def _camera(self, until_s: float) -> None:
        idle = [camera for camera in self._cameras if camera not in self._mends]
        fault = self._rng.choice([fault for fault in Fault if fault is not Fault.DECODER])
        if idle:
            camera = self._rng.choice(idle)
            camera.strike(fault)
            self._struck(f"a camera {fault}", camera, 0.0 if fault in ONCE else until_s, camera.mend)

    def _server(self, until_s: float) -> None:
        idle = [server for server in self._servers if server not in self._mends]
        if not idle:
            return
        server = self._rng.choice(idle)
        if self._rng.random() < 0.5:
            server.kill()
            self._struck("a server is killed", server, until_s, server.start)
        else:
            server.freeze()
            self._struck("a server is frozen", server, until_s, server.thaw)

    def _decoder(self, _: float) -> None:
        if decoders := [pid for pid in decoders_of(self._monitor.pid) if is_on_the_network(pid)]:
            os.kill(self._rng.choice(decoders), signal.SIGKILL)  # a zombie at worst: its number is not yet free
            self.faults["a decoder is killed"] += 1

    def _stop_subscriber(self, until_s: float) -> None:
        if self._subscriber not in self._mends:
            self._subscriber.send_signal(signal.SIGSTOP)
            thaw = functools.partial(self._subscriber.send_signal, signal.SIGCONT)
            self._struck("the subscriber is stopped", self._subscriber, until_s, thaw)

    def _struck(self, what: str, target: object, until_s: float, mend: Callable[[], None]) -> None:
        self.faults[what] += 1
        self._mends[target] = (until_s, mend)


# The run


@dataclass(frozen=True)
class Soak:
    """How it went. exit_code: of the monitor, None if it had to be killed; survived: it ran until it was stopped."""

    samples: tuple[Sample, ...]
    tally: Tally
    survived: bool
    exit_code: int | None

    @property
    def failures(self) -> list[str]:
        """What must not be, in sentences."""
        tally, found = self.tally, []
        if not self.survived:
            found.append("the monitor ended by itself")
        if self.exit_code != 0:
            found.append(f"the monitor's exit code was {self.exit_code}")
        if tally.tracebacks:
            found.append(f"its log holds {tally.tracebacks} tracebacks")
        if tally.alerts_sent != tally.alerts_received + tally.alerts_lost:
            found.append("the subscriber missed alerts without a word")
        return found


def run(minutes: float, seed: int, work: Path, say: Callable[[str], None]) -> Soak:
    """Watch for so long; ``say`` takes a line a minute."""
    alerts, scores, history = free_ports(3)
    work.mkdir(parents=True)
    lines = [CONFIG.format(root=ROOT, work=work, alerts=alerts, scores=scores, history=history)]
    tally, samples, ages_s = Tally(), list[Sample](), list[float]()
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
            if tally.scores:  # once it watches
                injector.act(at_s)
            if at_s >= next_sample_s:
                samples.append(sample(monitor.pid, at_s, ages_s))
                next_sample_s += SAMPLE_S
                ages_s.clear()
            if at_s >= next_line_s:
                tally.faults = injector.faults
                read_files(work, tally)
                say(minute_line(samples[-1], tally))
                next_line_s += LINE_S
        injector.mend_all()
        survived = monitor.poll() is None
        monitor.send_signal(signal.SIGINT)
        try:
            exit_code: int | None = monitor.wait(timeout=30)
        except subprocess.TimeoutExpired:
            exit_code = None
        time.sleep(2.0)  # for what the subscriber has not read yet
        tally.faults = injector.faults
        read_files(work, tally)
    return Soak(tuple(samples), tally, survived, exit_code)


# What is printed


def milliseconds(value: float | None) -> str:
    """Whole milliseconds, or a dash."""
    return "-" if value is None else f"{value:.0f}"


def minute_line(now: Sample, tally: Tally) -> str:
    """The state of things."""
    return (
        f"{now.at_s / 60:5.0f} min  rss {now.rss_mb:6.1f} MB  {now.decoders} decoders {now.children_mb:6.1f} MB  "
        f"threads {now.threads:3d}  fds {now.fds:3d}  "
        f"age p50/p99 {milliseconds(now.p50_ms)}/{milliseconds(now.p99_ms)} ms  "
        f"faults {tally.faults.total()}  reconnects {tally.reconnects}  alerts {tally.alerts_received}  "
        f"gaps {tally.gaps}  tracebacks {tally.tracebacks}"
    )


def slope_an_hour(points: Sequence[tuple[float, float]]) -> float | None:
    """Least squares over (seconds, value); None for fewer than 3 points."""
    if len(points) < 3:
        return None
    at_s, values = zip(*points, strict=True)
    return float(np.polyfit(at_s, values, 1)[0]) * 3600


def trends(samples: Sequence[Sample]) -> dict[str, tuple[float, float, float | None]]:
    """Figure -> its first and last value after the warm-up, and its slope an hour."""
    found = {}
    for name in ("rss_mb", "children_mb", "threads", "fds", "p50_ms", "p99_ms"):
        points = [(s.at_s, float(getattr(s, name))) for s in samples if getattr(s, name) is not None]
        warm = [point for point in points if point[0] > WARM_UP_S] or points
        if warm:
            found[name] = (warm[0][1], warm[-1][1], slope_an_hour(warm))
    return found


def summary(soak: Soak) -> Iterator[str]:
    """The end of the run, line by line."""
    row = "| {:<12} | {:>9} | {:>9} | {:>15} |"
    yield row.format("figure", "first", "last", "slope an hour")
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
    yield "; ".join(soak.failures) or "sound"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1, help="decides which faults strike when")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end, in place of lines")
    arguments = parser.parse_args()
    work = ROOT / "runs" / time.strftime("soak-%Y%m%d-%H%M%S")
    said: Callable[[str], None] = (lambda _: None) if arguments.json else (lambda line: print(line, flush=True))
    said(f"files in {work}")
    soak = run(arguments.minutes, arguments.seed, work, said)
    if arguments.json:
        print(json.dumps(asdict(soak) | {"trends": trends(soak.samples), "failures": soak.failures}))
    for line in summary(soak):
        said(line)
    sys.exit(1 if soak.failures else 0)


if __name__ == "__main__":
    main()
