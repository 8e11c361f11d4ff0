"""A camera that gives one picture per request, such as ``http://camera/snap.jpg``: it is asked again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

from monitor.errors import CaptureError, StallError
from monitor.sources.folder import decode_image
from monitor.sources.source import Position, Reader
from monitor.types import Image

SNAPSHOT_FPS = 2.0
"""Requests per second, unless the settings say otherwise. Many cameras need 0.3 s for a picture."""
_MOST_BYTES = 32 * 1024 * 1024
_REPEAT_S = 2.0


class WebReader(Reader):
    """Reads a stream; if it ends after its first picture, asks for pictures one by one, if the address gives these.

    So a stream is never asked twice: a camera may serve one client only.

    stream   the open stream
    polling  returns the reader of single pictures; None if the address gives something else
    """

    def __init__(self, stream: Reader, polling: Callable[[], Reader | None]) -> None:
        self.fps, self.sparing = stream.fps, stream.sparing
        self._reader = stream
        self._polling: Callable[[], Reader | None] | None = polling
        self._grabbed = False

    def grab(self) -> Position | None:
        """See Reader.grab. Raises the error of the stream if the address gives no single pictures."""
        try:
            position = self._reader.grab()
        except StallError:
            raise
        except CaptureError:
            other = None if self._grabbed or self._polling is None else self._polling()
            self._polling = None
            if other is None:
                raise
            self._reader.close()
            self._reader, self.fps, self.sparing = other, other.fps, other.sparing
            position = self._reader.grab()
        self._grabbed = True
        return position

    def spare(self, share: float) -> None:
        """See Reader.spare."""
        self._reader.spare(share)

    def retrieve(self) -> Image | None:
        """See Reader.retrieve."""
        return self._reader.retrieve()

    def retrieve_into(self, memory: Image) -> Image | None:
        """See Reader.retrieve_into."""
        return self._reader.retrieve_into(memory)

    def close(self) -> None:
        """Close the stream, if it is still open."""
        self._reader.close()


class SnapshotReader(Reader):
    """Polls an address. ``Position.time_s`` is the time since the connection was opened, seconds.

    A picture that equals the one before, byte for byte, is no new frame: the camera was asked before it had a new one.
    After two seconds without a new one it counts, so that a camera that shows the same picture for ever is seen as
    frozen. A request that fails is tried again until the read timeout.

    url             http:// or https://, may hold ``user:password@``
    label           the address for display
    fps             requests per second, > 0
    read_timeout_s  longest time without a picture, seconds
    """

    def __init__(self, url: str, label: str, *, fps: float, read_timeout_s: float) -> None:
        from monitor.sources.web import Web  # not above: each camera imports this module, few are asked by HTTP

        self.fps = fps
        self._label = label
        self._timeout_s = read_timeout_s
        self._web = Web(url, read_timeout_s)
        self._opened = self._asked = self._given = time.monotonic()
        self._asked -= 1.0 / fps
        self._last = b""
        self._index = -1

    def grab(self) -> Position:
        """Wait for the next picture. Raises CaptureError, and StallError after the read timeout."""
        from monitor.sources.web import RefusedError

        started = time.monotonic()
        while True:
            time.sleep(max(0.0, self._asked + 1.0 / self.fps - time.monotonic()))
            self._asked = time.monotonic()
            try:
                data = self._web.fetch(_MOST_BYTES)
                if data.lstrip()[:1] == b"<":
                    raise CaptureError(  # noqa: TRY301 - handled like every other answer without a picture
                        f"{self._label} answers a web page, not a picture: check the path, or log in"
                    )
            except RefusedError:
                raise
            except CaptureError:
                if time.monotonic() - started + 1.0 / self.fps >= self._timeout_s:
                    raise
                continue
            now = time.monotonic()
            if data and (data != self._last or now - self._given >= min(_REPEAT_S, 0.5 * self._timeout_s)):
                break
            if now - started >= self._timeout_s:
                raise StallError(f"{self._label} sent nothing for {self._timeout_s:g} s")
        self._last, self._given = data, now
        self._index += 1
        return Position(self._index, now - self._opened)

    def retrieve(self) -> Image | None:
        """Decode the last picture; None if it cannot be decoded."""
        return decode_image(self._last)
