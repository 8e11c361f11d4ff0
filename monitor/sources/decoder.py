"""The process that decodes for an IsolatedSource: it may crash or hang inside FFmpeg, and dies alone.

    python -m monitor.sources.decoder LINK_FD MEMORY_FD

The source comes pickled through stdin, which then stays open: its end is the parent's, and this process's. Commands
and replies alternate on the link, so that one picture in shared memory is enough. Replies are plain numbers and text:
nothing that a broken decoder says is ever unpickled. No torch here: a decoder is small and starts quickly.
"""

from __future__ import annotations

import mmap
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import threading
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np

from monitor.errors import CaptureError, SourceError, StallError
from monitor.redact import redact
from monitor.sources.base import Reader, Source
from monitor.types import Image

GRAB, RETRIEVE, QUIT = b"g", b"r", b"q"
LONGEST = 65536  # bytes of a message


class Kind(Enum):
    """What a reply says."""

    READY = b"r"  # the process runs and begins to open the source
    OPENED = b"o"
    GRABBED = b"g"
    ENDED = b"e"
    IMAGE = b"i"
    UNREADABLE = b"u"
    STALLED = b"s"
    LOST = b"l"
    UNUSABLE = b"x"


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of the decoder; each kind uses the fields it needs.

    index, time_s  the frame's Position; fps  the reader's rate
    width, height  pixels of the picture in shared memory
    text           what went wrong, for people
    """

    kind: Kind
    index: int = 0
    time_s: float = 0.0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    text: str = ""

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<cqddII")

    def pack(self) -> bytes:
        """The reply as bytes."""
        numbers = (self.index, self.time_s, self.fps, self.width, self.height)
        return self._LAYOUT.pack(self.kind.value, *numbers) + self.text.encode()

    @classmethod
    def unpack(cls, message: bytes) -> Reply:
        """The reply in a message. Raises ValueError for anything else."""
        if len(message) < cls._LAYOUT.size:
            raise ValueError(f"a reply has at least {cls._LAYOUT.size} bytes, got {len(message)}")
        kind, index, time_s, fps, width, height = cls._LAYOUT.unpack_from(message)
        text = message[cls._LAYOUT.size :].decode(errors="replace")
        return cls(Kind(kind), index, time_s, fps, width, height, text)


class SharedImage:
    """Memory behind a file descriptor that two processes see: one picture, written by one, copied out by the other.

    It has no name and goes with the last process that holds it, so nothing is left behind however either ends.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map: mmap.mmap | None = None

    def write(self, image: Image) -> None:
        """Put a picture there, (H, W, 3) uint8; the memory grows where it has to."""
        if self._map is None or len(self._map) < image.nbytes:
            os.ftruncate(self.fd, image.nbytes)
        np.copyto(np.ndarray(image.shape, np.uint8, self._mapped(image.nbytes)), image)

    def read(self, width: int, height: int) -> Image:
        """A copy of the picture, (height, width, 3) uint8. Raises ValueError if the memory is smaller."""
        return np.ndarray((height, width, 3), np.uint8, self._mapped(3 * width * height)).copy()

    def _mapped(self, size: int) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self.fd, size)
        return self._map

    def close(self) -> None:
        """Let go of the memory. Safe to call twice."""
        self._map = None
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def serve(source: Source, link: socket.socket, memory: SharedImage) -> None:
    """Open the source and obey commands until it ends, fails or is not wanted any more."""
    try:
        _say(link, Reply(Kind.READY))
        with source.open() as reader:
            _say(link, Reply(Kind.OPENED, fps=reader.fps))
            while (command := link.recv(LONGEST)) not in (QUIT, b""):
                _say(link, _grab(reader) if command == GRAB else _retrieve(reader, memory))
    except ConnectionError:
        return  # the parent is gone
    except StallError as error:
        _say(link, Reply(Kind.STALLED, text=str(error)))
    except CaptureError as error:
        _say(link, Reply(Kind.LOST, text=str(error)))
    except SourceError as error:
        _say(link, Reply(Kind.UNUSABLE, text=str(error)))
    except Exception as error:  # noqa: BLE001 - the process's edge: said to the parent, which retries or gives up
        _say(link, Reply(Kind.LOST, text=redact(f"the decoder of {source.label} failed: {error!r}")))


def _say(link: socket.socket, reply: Reply) -> None:
    link.send(reply.pack()[:LONGEST])


def _grab(reader: Reader) -> Reply:
    position = reader.grab()
    return Reply(Kind.ENDED) if position is None else Reply(Kind.GRABBED, position.index, position.time_s)


def _retrieve(reader: Reader, memory: SharedImage) -> Reply:
    image = reader.retrieve()
    if image is None:
        return Reply(Kind.UNREADABLE)
    memory.write(image)
    return Reply(Kind.IMAGE, width=image.shape[1], height=image.shape[0])


def _end_with_the_parent() -> None:
    """Wait for the end of stdin, which the parent holds open as long as it lives."""
    while os.read(0, 1):
        pass
    os._exit(1)


def main() -> None:
    """A decoder's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash that is expected need not fill the disk
    link, memory = socket.socket(fileno=int(sys.argv[1])), SharedImage(int(sys.argv[2]))
    source = pickle.load(sys.stdin.buffer)  # noqa: S301 - the parent wrote it
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    serve(source, link, memory)
    os._exit(0)  # the interpreter need not be taken down under a thread that waits for the parent


if __name__ == "__main__":
    main()
