"""What a long command says of itself: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from monitor.text.wording import counted

_LOOK_S = 0.1
"""How often what is shown may change: looking up a clock for each frame costs nothing, drawing does."""


class Steps:
    """What is under way; called after each step.

    show     what to do with what is said, given the steps done and the text
    every_s  how often that is, seconds
    """

    def __init__(self, title: str, show: Callable[[int, str], None], every_s: float) -> None:
        self._title = title
        self._show = show
        self._every_s = every_s
        self._started = self._shown = time.monotonic()
        self._done = self._frames = 0

    def __call__(self) -> None:
        """One more step is done."""
        self._done += 1
        self._maybe_show()

    def frame(self) -> None:
        """One more frame is done, of the many in a step; their number and rate are told beside the title."""
        self._frames += 1
        self._maybe_show()

    def _maybe_show(self) -> None:
        now = time.monotonic()
        if now - self._shown < self._every_s:
            return
        self._shown = now
        rate = self._frames / max(now - self._started, 1e-3)
        frames = f", {counted(self._frames, 'frame')}, {rate:.0f} a second" if self._frames else ""
        self._show(self._done, self._title + frames)


class Report:
    """Lines for people, and a bar while something is under way.

    quiet    say nothing at all
    every_s  how often a plain line says how far it is, seconds
    """

    def __init__(self, *, quiet: bool = False, every_s: float = 10.0) -> None:
        self.console = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)
        self.every_s = every_s

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, markup=False)

    def part(self, share: float) -> None:
        """The steps that come next are this share, 0..1, of the work that ends in a version."""

    def version(self, folder: Path) -> None:
        """A version of a model is complete in ``folder``."""

    def complete(self) -> None:
        """That was the last version."""

    @contextmanager
    def steps(self, title: str, total: int | None, *, announce: bool = True) -> Iterator[Steps]:
        """Give what is to be called after each step; without a terminal a line now and then says how far it is.

        total: number of steps, None if unknown; announce: without a terminal, say the title at the start.
        """
        if self.console.is_terminal and not self.console.quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            with Progress(*columns, console=self.console, transient=True) as progress:
                task = progress.add_task(title, total=total)
                yield Steps(title, lambda n, text: progress.update(task, completed=n, description=text), _LOOK_S)
            return
        if announce:
            self.say(title)
        of = "" if total is None else f" of {total}"
        yield Steps(title, lambda n, text: self.say(f"{text}: {n}{of} done"), self.every_s)


class JsonReport(Report):
    """The same as JSON lines on stdout, for the program that started this one.

    ``{"say": text}``, ``{"step": title, "done": n, "of": n or null, "overall": 0..1}``, ``{"version": folder}``,
    ``{"complete": true}``.
    ``overall``, of the work that ends in the next version, never falls before that.
    """

    def __init__(self) -> None:
        super().__init__(quiet=True, every_s=0.3)
        self._before = self._share = self._overall = 0.0

    def part(self, share: float) -> None:
        """What came before is done."""
        self._before, self._share = self._before + self._share, share

    def say(self, text: str) -> None:
        """One line."""
        self._tell({"say": text})

    def version(self, folder: Path) -> None:
        """A version of a model is complete in ``folder``; the work on the next one begins."""
        self._before = self._share = self._overall = 0.0
        self._tell({"version": str(folder)})

    def complete(self) -> None:
        """That was the last version."""
        self._tell({"complete": True})

    @contextmanager
    def steps(self, title: str, total: int | None, *, announce: bool = True) -> Iterator[Steps]:  # noqa: ARG002
        """Give what is to be called after each step."""

        def show(done: int, text: str) -> None:
            overall = self._before + self._share * (min(1.0, done / total) if total else 0.0)
            self._overall = min(1.0, max(self._overall, overall))
            self._tell({"step": text, "done": done, "of": total, "overall": round(self._overall, 4)})

        show(0, title)
        yield Steps(title, show, self.every_s)

    def _tell(self, line: dict[str, str | int | float | None]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
