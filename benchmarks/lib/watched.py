"""The monitor that a benchmark measures, in a separate process: live files pass through all parts of a real run.

    python -m benchmarks.lib.watched TASK     # TASK: a Task as JSON; benchmarks.lib.load starts it

Each camera is decoded in its own process, like a network camera. Frames pass through capture, health check, queue,
detectors, smoothing, alert rule, journal and ZeroMQ. With ``decode_only`` there are the same cameras, processes and
threads, but every frame is discarded after it was grabbed.

It prints one JSON object per line on stdout: first its addresses, then the counts of all cameras at the start and at
the end of the measured time. Then it ends. It also ends when its stdin is closed.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.lib.live_file import live_files
from benchmarks.lib.soak_figures import decoders_of
from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.app.config import MonitorConfig
from monitor.app.config_file import load_config
from monitor.app.planning import plan_cameras
from monitor.errors import CaptureError, MonitorError
from monitor.live.fleet import Fleet
from monitor.live.pipeline import Pipeline
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.reports import RunReport
from monitor.sinks.log_sink import LogSink
from monitor.sinks.publish_sink import PublishSink
from monitor.sources.isolated.isolated_source import IsolatedSource
from monitor.text.logs import log_to_stderr

CAMERA_FPS, ANALYSED_PER_S = 25.0, 10.0
LOOK_S = 0.1
TOLD_S = 0.08
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Task:
    """What to run.

    seconds      length of the measured time
    warm_up_s    seconds from the first frame of the last camera to the start of the measured time
    on           score at which alerts begin and end, chosen so that this happens often; None: the defaults of the
                 alert rule
    decode_only  True: no monitor, only the cameras
    """

    video: str
    model: str
    cameras: int
    seconds: float
    warm_up_s: float
    on: float | None = None
    decode_only: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class Snapshot:
    """The counts of all cameras at one moment: one number per camera since the start.

    at          unix seconds
    cpu_s       CPU seconds of this process and its decoders
    frames_in   frames received
    analysed    frames scored
    dropped     frames never scored, because inference was too slow
    reconnects  how often the camera was lost and opened again
    """

    at: float
    cpu_s: float
    frames_in: list[int]
    analysed: list[int]
    dropped: list[int]
    reconnects: list[int]


class Window:
    """Decides when the measured time begins and ends."""

    def __init__(self, warm_up_s: float, seconds: float) -> None:
        self._warm_up_s, self._seconds = warm_up_s, seconds
        self._begins_s: float | None = None
        self._ends_s: float | None = None
        self.over = False

    def due(self, now_s: float, counts: Sequence[int]) -> bool:
        """True if a snapshot is due now; this happens twice. ``counts``: frames of each camera so far."""
        if self._ends_s is not None:
            self.over = self.over or now_s >= self._ends_s
            return self.over
        if self._begins_s is None:
            if not all(counts):
                return False
            self._begins_s = now_s + self._warm_up_s
        if now_s < self._begins_s:
            return False
        self._ends_s = now_s + self._seconds
        return True


class Counts(Sink):
    """Prints a snapshot when the window asks for one, and stops the run after the second."""

    def __init__(self, window: Window, stop: threading.Event) -> None:
        self._window, self._stop = window, stop

    def tick(self, report: RunReport) -> None:
        """Take a snapshot of all cameras if one is due."""
        cameras = report.cameras
        # Counts analysed frames, because a camera without a score may still be warming up its model.
        if not self._stop.is_set() and self._window.due(time.monotonic(), [c.analysed for c in cameras]):
            snapshot = Snapshot(
                time.time(),
                cpu_s(),
                [c.frames_in for c in cameras],
                [c.analysed for c in cameras],
                [c.dropped for c in cameras],
                [c.reconnects for c in cameras],
            )
            say(asdict(snapshot))
            if self._window.over:
                self._stop.set()


def settings_of(task: Task) -> MonitorConfig:
    """The monitor's defaults, with settings for frequent alerts if the task asks for them."""
    settings: dict[str, object] = {"model": task.model, "device": task.device, "analysis_fps": ANALYSED_PER_S}
    if task.on is not None:
        settings |= {"alert.on": task.on, "alert.off": task.on, "alert.cooldown_s": 0.0}
        settings |= {"alert.min_duration_s": 0.3, "alert.merge_gap_s": 0.3, "alert.update_every_s": 5.0}
    return load_config(None, settings)


def cameras_of(task: Task, settings: MonitorConfig) -> list[IsolatedSource]:
    """Live files, decoded like network cameras with ``isolation = "auto"``."""
    capture = settings.capture
    return [
        IsolatedSource(camera, open_timeout_s=capture.open_timeout_s, read_timeout_s=capture.read_timeout_s)
        for camera in live_files(Path(task.video), task.cameras, fps=CAMERA_FPS, blind=task.decode_only)
    ]


def watch(task: Task, stop: threading.Event) -> None:
    """Run the monitor with the same parts as a session."""
    settings = settings_of(task)
    planned = plan_cameras(cameras_of(task, settings), settings, None)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="true-sight-benchmark-")))
        kept = settings.journal
        journal = stack.enter_context(
            Journal(folder / "journal.sqlite3", days=kept.days, max_mb=kept.max_mb, fsync=kept.fsync)
        )
        anywhere = "tcp://127.0.0.1:*"
        publisher = stack.enter_context(Publisher(anywhere, anywhere, anywhere, node=settings.node, journal=journal))
        say({"alerts": publisher.alerts_endpoint, "scores": publisher.scores_endpoint})
        sinks: list[Sink] = [PublishSink(publisher), LogSink()]
        sinks.append(Counts(Window(task.warm_up_s, task.seconds), stop))
        fleet = Fleet(Pipeline(settings.queue, cpu_fallback=settings.cpu_fallback), planned)
        Watch(fleet, sinks).run(stop)


def decode(task: Task, stop: threading.Event) -> None:
    """Run one thread per camera that counts frames and discards them. It gets the count a few times per second."""
    sources = cameras_of(task, settings_of(task))
    counts = [0] * len(sources)

    def read(number: int) -> None:
        with suppress(CaptureError), sources[number].open() as reader:  # shows in the result as missing frames
            seen_s = -math.inf
            while not stop.is_set() and (position := reader.skip_to(seen_s + TOLD_S)) is not None:
                counts[number] += 1 + position.passed
                seen_s = position.time_s

    threads = [threading.Thread(target=read, args=(number,)) for number in range(len(sources))]
    for thread in threads:
        thread.start()
    window, none = Window(task.warm_up_s, task.seconds), [0] * len(sources)
    while not stop.wait(LOOK_S):
        if window.due(time.monotonic(), counts):
            say(asdict(Snapshot(time.time(), cpu_s(), list(counts), none, none, none)))
            if window.over:
                stop.set()
    for source in sources:
        source.interrupt()
    for thread in threads:
        thread.join()


def cpu_s() -> float:
    """CPU seconds of this process and its decoders so far."""
    return time.process_time() + sum(map(_cpu_s_of, decoders_of(os.getpid())))


def _cpu_s_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # the process has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def say(line: object) -> None:
    """Print one line for the program that started this one."""
    print(json.dumps(line), flush=True)


def _stop_with_stdin(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()


def main() -> None:
    """Run the task."""
    log_to_stderr(verbose=False)
    task, stop = Task(**json.loads(sys.argv[1])), threading.Event()
    threading.Thread(target=_stop_with_stdin, args=(stop,), daemon=True).start()
    run: Callable[[Task, threading.Event], None] = decode if task.decode_only else watch
    try:
        run(task, stop)
    except MonitorError as error:
        sys.stderr.write(f"error: {error}\n")
        code = error.exit_code
    else:
        code = 0
    sys.stdout.flush()
    os._exit(code)  # one thread still waits for stdin, and another may hang in a decoder


if __name__ == "__main__":
    main()
