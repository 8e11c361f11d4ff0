"""A source that could not be read when the run began. Its camera has failed; the others are watched."""

from __future__ import annotations

from typing import NoReturn

from monitor.errors import SourceError
from monitor.sources.source import Source


class UnreadableSource(Source):
    """Takes the place of a file or folder. It can never be opened.

    reason: the sentence that says why, and what to do
    """

    def __init__(self, name: str, label: str, reason: str) -> None:
        super().__init__(name, label)
        self.reason = reason

    def open(self) -> NoReturn:
        """Raise SourceError with the reason."""
        raise SourceError(self.reason)

    def check(self) -> None:
        """Raise SourceError with the reason."""
        raise SourceError(self.reason)
