"""The monitor that a benchmark measures, in a process of its own: live files through everything that a run has.

    python -m benchmarks.lib.watched TASK     # JSON of a Task; benchmarks.lib.load starts it

Each camera is decoded in a process of its own, as network cameras are; frames go through capture, health, the queue,
the detectors, smoothing, the alert rule, the journal and ZeroMQ. With ``decode_only`` there are the same cameras,
processes and threads, and every frame is thrown away once it has been grabbed.

It says on stdout, one JSON object a line, where it publishes, and how far all cameras are when the time that counts
begins and when it ends. It ends then, or when its stdin does.
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

    warm_up_s    from the first frame of the last camera to the beginning of what counts
    seconds      that count
    on           score at which alerts begin and end, chosen so that they do so often; None: the alert rule's defaults
    decode_only  no monitor, only the cameras
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
    """How far all cameras are at a moment, each a number a camera since the start.

    at          unix seconds
    cpu_s       CPU seconds of this process and its decoders
    frames_in   pictures received; analysed: scored; dropped: never scored, because inference was behind
    reconnects  cameras that were lost and opened again
    """

    at: float
    cpu_s: float
    frames_in: list[int]
    analysed: list[int]
    dropped: list[int]
    reconnects: list[int]


class Window:
    """Decides when what counts begins and ends."""

    def __init__(self, warm_up_s: float, seconds: float) -> None:
        self._warm_up_s, self._seconds = warm_up_s, seconds
        self._begins_s: float | None = None
        self._ends_s: float | None = None
        self.over = False

    def due(self, now_s: float, counts: Sequence[int]) -> bool:
        """Whether to look now; twice in all. ``counts``: frames of each camera so far."""
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
    """Says what the window asks for, and ends the run with it."""

    def __init__(self, window: Window, stop: threading.Event) -> None:
        self._window, self._stop = window, stop

    def tick(self, report: RunReport) -> None:
        """Look at all cameras."""
        cameras = report.cameras
        # Until there is a score its model may still be warming up.
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
    """The monitor's defaults; alerts as often as the task wants them."""
    settings: dict[str, object] = {"model": task.model, "device": task.device, "analysis_fps": ANALYSED_PER_S}
    if task.on is not None:
        settings |= {"alert.on": task.on, "alert.off": task.on, "alert.cooldown_s": 0.0}
        settings |= {"alert.min_duration_s": 0.3, "alert.merge_gap_s": 0.3, "alert.update_every_s": 5.0}
    return load_config(None, settings)


def cameras_of(task: Task, settings: MonitorConfig) -> list[IsolatedSource]:
    """Live files, decoded as ``isolation = "auto"`` has network cameras decoded."""
    capture = settings.capture
    return [
        IsolatedSource(camera, open_timeout_s=capture.open_timeout_s, read_timeout_s=capture.read_timeout_s)
        for camera in live_files(Path(task.video), task.cameras, fps=CAMERA_FPS, blind=task.decode_only)
    ]


def watch(task: Task, stop: threading.Event) -> None:
    """Run the monitor, wired as a session is."""
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
    """A thread a camera that counts frames and does nothing with them; told of them a few times a second."""
    sources = cameras_of(task, settings_of(task))
    counts = [0] * len(sources)

    def read(number: int) -> None:
        with suppress(CaptureError), sources[number].open() as reader:  # seen as frames that did not come
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
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def say(line: object) -> None:
    """One line to who started this."""
    print(json.dumps(line), flush=True)


def _stop_with_stdin(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()


def main() -> None:
    """Do the task."""
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
    os._exit(code)  # a thread waits for stdin, and perhaps one in a decoder that hangs


if __name__ == "__main__":
    main()
