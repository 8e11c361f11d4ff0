"""What a source of frames is: something that can be opened, and a reader that steps through it.

A reader separates ``grab`` (step on, cheap) from ``retrieve`` (decode the picture), so that frames
which will not be analysed are never converted or copied.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

from monitor.types import Image


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader stands after a grab.

    index   0-based number of the frame in the source, missing frames counted
    time_s  media time of the frame, seconds, strictly increasing; live sources give seconds since opening
    passed  frames passed over since the grab before, see ``Reader.skip_to``
    """

    index: int
    time_s: float
    passed: int = 0


class Reader(ABC):
    """An open source. A context manager; used by one thread only."""

    fps: float
    """Nominal frames a second of the source, > 0; a guess where the source does not say."""
    frame_name: str = ""
    """What the frame grabbed last is called where it has a name of its own (an image file), for people."""

    @abstractmethod
    def grab(self) -> Position | None:
        """Step to the next frame without decoding it.

        Returns None at the end of the source. Raises CaptureError (StallError on a deadline) when a
        live source is lost.
        """

    def skip_to(self, time_s: float) -> Position | None:  # noqa: ARG002 - nothing is gained where grabbing is cheap
        """Grab the first frame at ``time_s`` or after it; but any frame before it, and each, may be given out instead.

        The last frame of a source is given out in any case. Returns and raises what ``grab`` does.
        """
        return self.grab()

    @abstractmethod
    def retrieve(self) -> Image | None:
        """Decode the frame grabbed last: (H, W, 3) uint8 BGR, or None if this one frame is unreadable."""

    def retrieve_into(self, memory: Image) -> Image | None:  # noqa: ARG002 - not every reader can choose
        """As ``retrieve``; the picture is in ``memory``, (H, W, 3) uint8, if it is of that size and the reader can."""
        return self.retrieve()

    def close(self) -> None:  # noqa: B027 - many readers hold nothing that needs closing
        """Let go of the source. Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Source(ABC):
    """A place frames come from. Holds no open resources; ``open`` gives a Reader.

    name   the camera's name in scores, alerts and topics; no ``/``
    live   True for cameras: old frames may be dropped and lost connections are opened again
    label  where it comes from, for people; never holds a password
    """

    live: bool = False

    def __init__(self, name: str, label: str) -> None:
        self.name = name
        self.label = label

    @abstractmethod
    def open(self) -> Reader:
        """Open the source. Raises CaptureError (live) or SourceError (files)."""

    def interrupt(self) -> None:  # noqa: B027 - most sources never wait for long
        """Make what another thread waits for in this source or its reader end soon, for good, if it can."""

    def check(self) -> None:  # noqa: B027 - a live camera may be offline when the monitor starts
        """Raise SourceError if this source can never give a frame. Called once before a run starts."""
