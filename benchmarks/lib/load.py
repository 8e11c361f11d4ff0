"""Starts a monitor on live files (benchmarks.lib.watched), receives its messages, and reports whether it keeps up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from benchmarks.lib.machine import busy_s
from benchmarks.lib.watched import ANALYSED_PER_S, CAMERA_FPS, Snapshot, Task
from monitor.alerts.messages import AlertMessage, ScoreMessage
from monitor.client import AlertSubscriber, Received
from monitor.errors import RunError

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
"""Time in which all cameras must give a frame. Many cameras at once may need this long on a busy machine."""
GRACE_S = 15.0
"""A monitor that is silent for this much longer than expected is killed."""
LOOK_S = 0.2
SHARE = 0.99
"""Share of the due frames that must arrive, and of those to analyse that must be analysed."""
LATENCY_S = 0.2
"""Limit of the 99th percentile of the time from reading a frame to receiving its score or alert."""


class Child:
    """The process of the monitor.

    stdout  file descriptor; call ``read`` when it has data
    lines   lines of its output that nobody has taken yet
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.stdout = process.stdout.fileno()
        self.lines: deque[dict[str, Any]] = deque()
        self._log = log
        self._rest = b""

    @property
    def ended(self) -> bool:
        """True if it has ended. Its last output may still be unread."""
        return self.process.poll() is not None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def read(self) -> None:
        """Read the available output."""
        *lines, self._rest = (self._rest + os.read(self.stdout, 65536)).split(b"\n")
        self.lines += map(json.loads, lines)

    def why(self) -> str:
        """The last line of its log."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("error: ") if lines else "its log is empty"


@contextmanager
def started(task: Task, log: Path) -> Iterator[Child]:
    """Run the task in a separate process. At the end the process is stopped, or killed if it does not stop."""
    command = [sys.executable, "-m", "benchmarks.lib.watched", json.dumps(asdict(task))]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        with process:
            try:
                yield Child(process, log)
            finally:
                assert process.stdin is not None
                process.stdin.close()
                try:
                    process.wait(GRACE_S)
                except subprocess.TimeoutExpired:
                    process.kill()


@dataclass
class Seen:
    """What a subscriber received. Ages are (unix seconds of sending, age in seconds at receipt) of each message.

    score_ages  ages of the score messages
    alert_ages  ages of the alert messages
    scores      smoothed scores in order of arrival
    unscored    number of score messages without a score
    first_at    camera -> unix seconds of its first score
    behind      seconds that each score message came later than the stream, also if the decoder was late: beside the
                soonest one of its camera
    """

    score_ages: list[tuple[float, float]] = field(default_factory=list)
    alert_ages: list[tuple[float, float]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    unscored: int = 0
    first_at: dict[str, float] = field(default_factory=dict)
    behind: list[tuple[float, float]] = field(default_factory=list)
    soonest: dict[str, float] = field(default_factory=dict)

    def take(self, message: object, now: float) -> None:
        """Add a message that was received at ``now``, unix seconds."""
        if isinstance(message, AlertMessage):
            self.alert_ages.append((message.sent_at, message.frame_age_s + now - message.sent_at))
        elif isinstance(message, ScoreMessage):
            self.score_ages.append((message.sent_at, now - message.captured_at))
            after_s = now - message.time_s
            soonest = self.soonest[message.camera] = min(after_s, self.soonest.get(message.camera, after_s))
            self.behind.append((message.sent_at, after_s - soonest))
            if message.score is None:
                self.unscored += 1
            else:
                self.scores.append(message.score)
                self.first_at.setdefault(message.camera, now)


@dataclass(frozen=True)
class Measured:
    """The result of a step. Numbers per camera refer to the measured time, which is ``seconds`` long.

    failure      why the step could not be measured; empty if it was measured
    frames_in, analysed, dropped, reconnects  counts per camera
    cpu, other   CPU cores used by the monitor and its decoders, and by all other programs
    score_ages_s, alert_ages_s  seconds from reading a frame to receiving its score, or the alert that it triggered
    behind_s     seconds that each score came later than the stream, see Seen
    """

    cameras: int
    decode_only: bool
    failure: str = ""
    seconds: float = 0.0
    frames_in: tuple[int, ...] = ()
    analysed: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    reconnects: tuple[int, ...] = ()
    cpu: float = 0.0
    other: float = 0.0
    score_ages_s: tuple[float, ...] = ()
    alert_ages_s: tuple[float, ...] = ()
    behind_s: tuple[float, ...] = ()

    def faults(self) -> list[str]:
        """Sentences that say which limits were not met; empty if it kept up."""
        if self.failure:
            return [self.failure]
        found = []
        # The edges of the measured time may cut off one frame, and as many analysed frames as the latency allows.
        if _too_few(self.frames_in, self.seconds * CAMERA_FPS, 1):
            found.append(f"a camera gave {min(self.frames_in)} of {self.seconds * CAMERA_FPS:.0f} frames due")
        if self.decode_only:
            return found
        if any(self.dropped):
            found.append(f"{sum(self.dropped)} frames dropped")
        if any(self.reconnects):
            found.append(f"{sum(self.reconnects)} cameras lost")
        if _too_few(self.analysed, self.seconds * ANALYSED_PER_S, LATENCY_S * ANALYSED_PER_S):
            due = self.seconds * ANALYSED_PER_S
            found.append(f"only {min(self.analysed)} of {due:.0f} frames due of a camera were analysed")
        for what, ages in (("score", self.score_ages_s), ("alert", self.alert_ages_s)):
            if not ages:
                found.append(f"no {what} came")
            elif (p99 := quantile(ages, 0.99)) > LATENCY_S:
                found.append(f"frame to {what} p99 {p99 * 1e3:.0f} ms")
        return found


def _too_few(counts: Sequence[int], due: float, edge: float) -> bool:
    return min(counts) + edge < SHARE * due


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile of the values for this share; NaN without values."""
    return float(np.quantile(values, share)) if len(values) else float("nan")


def between(ages: Sequence[tuple[float, float]], begin: float, end: float) -> tuple[float, ...]:
    """Ages of the messages that were sent from ``begin`` to ``end``, unix seconds."""
    return tuple(age for sent_at, age in ages if begin <= sent_at <= end)


def measure(task: Task, log: Path) -> tuple[Measured, Seen]:
    """Run a task and measure it. Raises RunError if the monitor ended by itself."""
    seen, snapshots, busy = Seen(), list[Snapshot](), list[float]()

    def keep(snapshot: Snapshot) -> None:
        snapshots.append(snapshot)
        busy.append(busy_s())

    with started(task, log) as child:
        failure = follow(child, task, seen, keep)
    if failure:
        return Measured(task.cameras, task.decode_only, failure), seen
    first, last = snapshots
    seconds, used_s = last.at - first.at, last.cpu_s - first.cpu_s

    def gained(name: str) -> tuple[int, ...]:
        return tuple(b - a for a, b in zip(getattr(first, name), getattr(last, name), strict=True))

    measured = Measured(
        task.cameras,
        task.decode_only,
        seconds=seconds,
        frames_in=gained("frames_in"),
        analysed=gained("analysed"),
        dropped=gained("dropped"),
        reconnects=gained("reconnects"),
        cpu=used_s / seconds,
        other=max(0.0, busy[1] - busy[0] - used_s) / seconds,
        score_ages_s=between(seen.score_ages, first.at, last.at),
        alert_ages_s=between(seen.alert_ages, first.at, last.at),
        behind_s=between(seen.behind, first.at, last.at),
    )
    return measured, seen


def follow(
    child: Child,
    task: Task,
    seen: Seen,
    keep: Callable[[Snapshot], None],
    on_look: Callable[[], None] = lambda: None,
) -> str:
    """Receive messages until the measured time is over. Returns the reason if this fails, otherwise an empty string.

    keep     called with each of the two snapshots when it arrives
    on_look  called a few times per second

    Raises RunError if the monitor ended by itself.
    """
    endpoints = {} if task.decode_only else _first_line(child)
    left, deadline = 2, time.monotonic() + START_S
    subscriber = AlertSubscriber(endpoints["alerts"], scores_endpoint=endpoints["scores"]) if endpoints else None
    with subscriber or nullcontext():
        while left:
            if time.monotonic() > deadline:
                return "not all cameras started" if left == 2 else "the monitor hung"
            ended = child.ended
            ready = zmq.select([child.stdout, *(subscriber.sockets() if subscriber else ())], [], [], LOOK_S)[0]
            while subscriber is not None and (item := subscriber.next_now()) is not None:
                if isinstance(item, Received):
                    seen.take(item.message, time.time())
            if child.stdout in ready:
                child.read()
            elif ended:
                raise RunError(f"the measured monitor ended by itself: {child.why()}")
            while child.lines:
                keep(Snapshot(**child.lines.popleft()))
                left -= 1
                deadline = time.monotonic() + task.warm_up_s + task.seconds + GRACE_S
            on_look()
    return ""


def _first_line(child: Child) -> dict[str, Any]:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        ended = child.ended
        if zmq.select([child.stdout], [], [], LOOK_S)[0]:
            child.read()
            if child.lines:
                return child.lines.popleft()
        elif ended:
            raise RunError(f"the measured monitor did not start: {child.why()}")
    raise RunError(f"the measured monitor did not start within {START_S:g} s")
