"""What a long command says of itself: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Report:
    """Lines for people, and a bar while something is under way. quiet: say nothing at all."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, markup=False)

    @contextmanager
    def steps(self, title: str, total: int | None, *, terminal_only: bool = False) -> Iterator[Callable[[], None]]:
        """Give a function to be called after each step; without a terminal the title is said once.

        total: number of steps, None if unknown; terminal_only: say nothing without a terminal.
        """
        if not self.console.is_terminal or self.console.quiet:
            if not terminal_only:
                self.say(title)
            yield lambda: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(title, total=total)
            yield lambda: progress.advance(task)
