"""Progress reports of long commands: bars on a terminal, otherwise plain lines."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from monitor.text.outside import plain, safe
from monitor.text.terminals import can_redraw
from monitor.text.time_left import TimeLeft
from monitor.text.wording import counted

_LOOK_S = 0.1
"""Seconds between two updates of the display. Reading the clock for each frame is cheap, but drawing is not."""

BEAT_S = 5.0
"""Seconds between two signs of life of a process that learns for the monitor."""


class Steps:
    """Counts the steps of a task. Call the object after each step.

    show     called with the number of finished steps and the text to show
    every_s  seconds between two calls of ``show``
    """

    def __init__(self, title: str, show: Callable[[int, str], None], every_s: float) -> None:
        self._title = title
        self._show = show
        self._every_s = every_s
        self._started = self._shown = time.monotonic()
        self._done = self._frames = 0

    def __call__(self) -> None:
        """Count one finished step."""
        self._done += 1
        self._maybe_show()

    def frame(self) -> None:
        """Count one finished frame. A step has many frames; their number and rate are shown next to the title."""
        self._frames += 1
        self._maybe_show()

    def _maybe_show(self) -> None:
        now = time.monotonic()
        if now - self._shown < self._every_s:
            return
        self._shown = now
        rate = self._frames / max(now - self._started, 1e-3)
        frames = f", {counted(self._frames, 'frame')}, {rate:.0f} per second" if self._frames else ""
        self._show(self._done, self._title + frames)


class Report:
    """Prints lines for people, and a progress bar while a task runs.

    quiet    print nothing
    every_s  seconds between two plain progress lines
    """

    def __init__(self, *, quiet: bool = False, every_s: float = 10.0) -> None:
        self.console = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)
        self.every_s = every_s
        self._before = self._share = self._overall = 0.0
        self._time_left = TimeLeft()

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(plain(text))

    def beating(self) -> AbstractContextManager[None]:
        """Report now and then that the process still runs, also while one step takes long."""
        return nullcontext()

    def part(self, share: float) -> None:
        """Declare that the next steps are this share, 0..1, of the work on the next version.

        The steps before them count as finished.
        """
        self._before, self._share = self._before + self._share, share

    def version(self, folder: Path) -> None:  # noqa: ARG002 - for programs
        """Report that a version of a model is complete in ``folder``. The work on the next version begins."""
        self._before = self._share = self._overall = 0.0

    def complete(self) -> None:
        """Report that the previous version was the last one."""

    @contextmanager
    def steps(self, title: str, total: int | None, *, announce: bool = True) -> Iterator[Steps]:
        """Yield the object to call after each step. Without a terminal, print a line every ``every_s`` seconds.

        title     name of the task
        total     number of steps; None if unknown
        announce  without a terminal, print the title at the start
        """
        if can_redraw(self.console) and not self.console.quiet:
            title = safe(title)
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}", markup=False),
            )
            with Progress(*columns, console=self.console, transient=True) as progress:
                task = progress.add_task(title, total=total, left=self._left(0, total))

                def draw(done: int, text: str) -> None:
                    progress.update(task, completed=done, description=text, left=self._left(done, total))

                yield Steps(title, draw, _LOOK_S)
            return
        if announce:
            self.say(title)
        of = "" if total is None else f" of {total}"
        self._left(0, total)

        def tell(done: int, text: str) -> None:
            left = self._left(done, total)
            self.say(f"{text}: {done}{of} done{left and f', {left}'}")

        yield Steps(title, tell, self.every_s)

    def _reach(self, done: int, total: int | None) -> float:
        """The finished share, 0..1, of the work on the next version, or of these steps if no parts are declared."""
        share = min(1.0, done / total) if total else 0.0
        if self._share:
            share = self._overall = min(1.0, max(self._overall, self._before + self._share * share))
        self._time_left.reached(time.monotonic(), share)
        return share

    def _left(self, done: int, total: int | None) -> str:
        """The time left for the same, in words; "" if it is not known."""
        self._reach(done, total)
        return self._time_left.in_words(time.monotonic())


class JsonReport(Report):
    """Prints the same reports as JSON lines on stdout, for the program that started this one.

    ``{"say": text}``, ``{"step": title, "done": n, "of": n or null, "overall": 0..1}``, ``{"version": folder}``,
    ``{"complete": true}``, ``{"alive": true}``.
    ``overall`` is the finished share of the work on the next version. It never falls until that version is complete.
    """

    def __init__(self) -> None:
        super().__init__(quiet=True, every_s=0.3)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Print ``{"alive": true}`` every few seconds, so that the reader distinguishes a long step from a hang."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_S):
                with suppress(OSError, ValueError):
                    # Not through ``sys.stdout``: a process that is forked meanwhile would inherit its lock.
                    os.write(sys.stdout.fileno(), b'{"alive": true}\n')

        threading.Thread(target=beat, name="heartbeat", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def say(self, text: str) -> None:
        """Print one line."""
        self._tell({"say": text})

    def version(self, folder: Path) -> None:
        """Report that a version of a model is complete in ``folder``. The work on the next version begins."""
        super().version(folder)
        self._tell({"version": str(folder)})

    def complete(self) -> None:
        """Report that the previous version was the last one."""
        self._tell({"complete": True})

    @contextmanager
    def steps(self, title: str, total: int | None, *, announce: bool = True) -> Iterator[Steps]:  # noqa: ARG002
        """Yield the object to call after each step."""

        def show(done: int, text: str) -> None:
            overall = self._reach(done, total) if self._share else 0.0
            self._tell({"step": text, "done": done, "of": total, "overall": round(overall, 4)})

        show(0, title)
        yield Steps(title, show, self.every_s)

    def _tell(self, line: dict[str, str | int | float | None]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
