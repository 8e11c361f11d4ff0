"""The interface of all sources of frames: a source can be opened, and a reader steps through its frames.

A reader separates ``grab`` (step to the next frame, cheap) from ``retrieve`` (decode the picture). So frames that are
not analysed are never converted or copied.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

from monitor.text.escaping import cleaned
from monitor.types import Image


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a reader after a grab.

    index      0-based number of the frame in the source; missing frames are counted
    time_s     media time of the frame, seconds, strictly increasing; for live sources, seconds since opening by the
               stream's own clock
    passed     frames skipped since the previous grab, see ``Reader.skip_to``
    earlier_s  times of the last skipped frames, at most 3, seconds, in order: they tell the last steps of the stream
    spared     True: this frame is not decoded, see ``Reader.spare``; it shows only that frames arrive
    """

    index: int
    time_s: float
    passed: int = 0
    earlier_s: tuple[float, ...] = ()
    spared: bool = False


class Reader(ABC):
    """An open source. It is a context manager. Only one thread may use it."""

    fps: float
    """Nominal frames per second of the source, > 0; an estimate if the source does not report it."""
    sparing: bool = False
    """Whether ``spare`` has an effect."""
    frame_name: str = ""
    """The name of the last grabbed frame, for display, if it has one (the name of an image file)."""

    @property
    def pid(self) -> int | None:
        """The process that decodes; None if it is this one."""
        return None

    @abstractmethod
    def grab(self) -> Position | None:
        """Step to the next frame without decoding it.

        Returns None at the end of the source. Raises CaptureError if a live source is lost (StallError after a
        timeout).
        """

    def skip_to(self, time_s: float) -> Position | None:  # noqa: ARG002 - no benefit if grabbing is cheap
        """Grab the first frame at ``time_s`` or later. A reader may also return any or all of the frames before it.

        A frame that may follow a gap is always returned: one that comes after more than the time of three frames, and
        more than three times the shorter of the last two steps (``GapRule``). So which frames are skipped changes
        nothing.

        The last frame of a source is always returned, so that all frames are counted. If it is before ``time_s``, its
        picture may be missing. Returns and raises the same as ``grab``.
        """
        return self.grab()

    def spare(self, share: float) -> None:  # noqa: B027 - most readers decode only what is retrieved
        """From now on, decode about this share of the frames of a live stream, if it allows that; above 0, at most 1.

        Frames that are not decoded are passed over, as by ``skip_to``. If nothing else comes for a second, one of them
        is returned (``Position.spared``), so that a reader is never silent for long.
        """

    @abstractmethod
    def retrieve(self) -> Image | None:
        """Decode the last grabbed frame: (H, W, 3) uint8 BGR, or None if only this frame is unreadable."""

    def retrieve_into(self, memory: Image) -> Image | None:  # noqa: ARG002 - not every reader can choose the memory
        """Like ``retrieve``, but decode into ``memory``, (H, W, 3) uint8, if the reader can and the size matches."""
        return self.retrieve()

    def close(self) -> None:  # noqa: B027 - many readers hold nothing that needs closing
        """Release the source. Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Source(ABC):
    """A place that frames come from. It holds no open resources; ``open`` returns a Reader.

    name   the camera's name in scores, alerts and topics; contains no ``/``
    live   True for cameras: old frames may be dropped, and lost connections are opened again
    label  where the frames come from, for display; never contains a password
    """

    live: bool = False

    def __init__(self, name: str, label: str) -> None:
        self.name = name
        self.label = cleaned(label)  # a file name may hold bytes that are no text, which no message can hold

    @abstractmethod
    def open(self) -> Reader:
        """Open the source. Raises CaptureError (live) or SourceError (files)."""

    def number(self, index: int) -> int:
        """The number that the user knows a frame by: that in its file's name, otherwise its 0-based index."""
        return index

    def interrupt(self) -> None:  # noqa: B027 - most sources never wait for long
        """If supported, end a wait of another thread in this source or its reader soon. This cannot be undone."""

    def check(self) -> None:  # noqa: B027 - a live camera may be offline when the monitor starts
        """Raise SourceError if this source can never give a frame. Called once before a run starts."""
