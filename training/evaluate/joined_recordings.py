"""Joins several recordings of one camera into one stream, for example the hours of a day."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitor.errors import CaptureError, SourceError
from monitor.sources.source import Position, Reader, Source
from monitor.types import Image

_LOST_S = 10.0  # gap after a file that breaks off, so that nothing is compared across it


@dataclass(frozen=True, slots=True)
class Part:
    """One recording in the stream. start_s, index: time and number of its first frame in the stream."""

    label: str
    start_s: float
    index: int


class Joined(Source):
    """Recordings one after another, without a gap. Frame numbers and times continue from one to the next.

    skipped  called with the reason for each recording that cannot be read, or not to its end. The stream then continues
             with the next recording
    """

    def __init__(self, sources: Sequence[Source], skipped: Callable[[str], None]) -> None:
        super().__init__(sources[0].name, sources[0].label)
        self._sources = sources
        self._skipped = skipped
        self.parts: list[Part] = []
        """The recordings that have begun."""

    def place(self, time_s: float) -> tuple[str, float]:
        """The label of the recording that contains a time of the stream, and the time in it, seconds."""
        at = max(0, bisect_right(self.parts, time_s, key=lambda part: part.start_s) - 1)
        return self.parts[at].label, time_s - self.parts[at].start_s

    def open(self) -> Reader:
        """Start with the first recording."""
        self.parts.clear()
        return _JoinedReader(self._sources, self.parts, self._skipped)

    def interrupt(self) -> None:
        """Interrupt all recordings."""
        for source in self._sources:
            source.interrupt()

    def check(self) -> None:
        """Raise SourceError if no recording can be read."""
        refused: SourceError | None = None
        for source in self._sources:
            try:
                source.check()
            except SourceError as error:
                refused = refused or error
            else:
                return
        if refused is not None:
            raise refused


class _JoinedReader(Reader):
    fps = 25.0

    def __init__(self, sources: Sequence[Source], parts: list[Part], skipped: Callable[[str], None]) -> None:
        self._left = iter(sources)
        self._parts = parts
        self._skipped = skipped
        self._reader: Reader | None = None
        self._next = Position(0, 0.0)  # of the first frame of the next recording
        self._begin()

    def grab(self) -> Position | None:
        while self._reader is not None:
            try:
                position = self._reader.grab()
            except CaptureError as error:
                self._broken(error)
                continue
            if position is None:
                self._begin()
                continue
            part = self._parts[-1]
            self._next = Position(
                part.index + position.index + 1, part.start_s + position.time_s + 1.0 / self._reader.fps
            )
            self.frame_name = self._reader.frame_name
            return Position(part.index + position.index, part.start_s + position.time_s)
        return None

    def retrieve(self) -> Image | None:
        if self._reader is None:
            return None
        try:
            return self._reader.retrieve()
        except CaptureError as error:
            self._broken(error)
            return None

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _broken(self, error: Exception) -> None:
        self._skipped(str(error))
        self._next = Position(self._next.index, self._next.time_s + _LOST_S)
        self._begin()

    def _begin(self) -> None:
        """Continue with the next recording that can be opened."""
        self.close()
        self._reader = None
        for source in self._left:
            try:
                self._reader = source.open()
            except (CaptureError, SourceError) as error:
                self._skipped(str(error))
                continue
            self.fps = self._reader.fps
            self._parts.append(Part(source.label, self._next.time_s, self._next.index))
            return
