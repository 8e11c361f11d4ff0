"""The process that decodes for an IsolatedSource: it may crash or hang inside FFmpeg, and dies alone.

    python -m monitor.sources.isolated.decoder LINK_FD MEMORY_FD BELL_FD

The source comes pickled through stdin, which then stays open: its end is the parent's, and this process's. A command
on the link asks for the next frames wanted and says where to put their pictures; each frame has a reply of its own, and
while the parent looks at the last one the decoder is one frame ahead. Replies are plain numbers and text: nothing that
a broken decoder says is ever unpickled. The bell rings when the last of several frames has been said, so that nobody
need wake up for each. No torch here: a decoder is small and starts quickly.
"""

from __future__ import annotations

import math
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

import cv2

from monitor.errors import CaptureError, MonitorError, SourceError, StallError
from monitor.sources.isolated.shared_pictures import PictureWriter
from monitor.sources.source import Position, Reader, Source
from monitor.text.redaction import redact

QUIT = b"q"
BELL = b"."
LONGEST = 65536  # bytes of a message
NICE = 7  # many decoders at once must not keep the one thread waiting that scores what they give


class Kind(Enum):
    """What a reply says."""

    READY = b"r"  # the process runs and begins to open the source
    OPENED = b"o"
    ENDED = b"e"
    IMAGE = b"i"
    UNREADABLE = b"u"
    STALLED = b"s"
    LOST = b"l"
    UNUSABLE = b"x"


@dataclass(frozen=True, slots=True)
class Command:
    """Asks for the next frames.

    time_s  frames before this are passed over, seconds; after the first that is not, none is
    slots   where the pictures go, one a frame
    """

    time_s: float
    slots: bytes

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<d")

    def pack(self) -> bytes:
        """The command as bytes."""
        return self._LAYOUT.pack(self.time_s) + self.slots

    @classmethod
    def unpack(cls, message: bytes) -> Command:
        """The command in a message."""
        (time_s,) = cls._LAYOUT.unpack_from(message)
        return cls(time_s, message[cls._LAYOUT.size :])


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of the decoder; each kind uses the fields it needs.

    index, time_s, passed  the frame's Position; fps  the reader's rate
    offset                 of the picture in shared memory, bytes
    width, height          of the picture, px
    text                   what went wrong, for people
    """

    kind: Kind
    index: int = 0
    time_s: float = 0.0
    passed: int = 0
    fps: float = 0.0
    offset: int = 0
    width: int = 0
    height: int = 0
    text: str = ""

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<cqdqdQII")

    def pack(self) -> bytes:
        """The reply as bytes."""
        numbers = (self.index, self.time_s, self.passed, self.fps, self.offset, self.width, self.height)
        return self._LAYOUT.pack(self.kind.value, *numbers) + self.text.encode()

    @classmethod
    def unpack(cls, message: bytes) -> Reply:
        """The reply in a message. Raises ValueError for anything else."""
        if len(message) < cls._LAYOUT.size:
            raise ValueError(f"a reply has at least {cls._LAYOUT.size} bytes, got {len(message)}")
        kind, index, time_s, passed, fps, offset, width, height = cls._LAYOUT.unpack_from(message)
        text = message[cls._LAYOUT.size :].decode(errors="replace")
        return cls(Kind(kind), index, time_s, passed, fps, offset, width, height, text)


class _Ahead:
    """Steps through a reader, one frame ahead of what is asked for."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._next: Position | MonitorError | None = None
        self._is_ahead = False

    def hurry(self) -> None:
        """Grab the next frame already. What fails then is raised when that frame is asked for."""
        try:
            self._next = self._reader.grab()
        except MonitorError as error:
            self._next = error
        self._is_ahead = True

    def skip_to(self, time_s: float) -> Position | None:
        """See Reader.skip_to."""
        passed, last = 0, None
        while True:
            if not self._is_ahead:
                self.hurry()
            found = self._next
            if isinstance(found, MonitorError):
                raise found
            if found is None:  # the last frame is given out, wanted or not
                return None if last is None else Position(last.index, last.time_s, passed - 1)
            self._is_ahead = False
            if found.time_s >= time_s:
                return Position(found.index, found.time_s, passed)
            passed, last = passed + 1, found


def serve(source: Source, link: socket.socket, pictures: PictureWriter, bell_fd: int) -> None:
    """Open the source and obey commands until it ends, fails or is not wanted any more."""
    try:
        _say(link, Reply(Kind.READY))
        with source.open() as reader:
            _say(link, Reply(Kind.OPENED, fps=reader.fps))
            ahead = _Ahead(reader)
            position: Position | None = None
            while (message := link.recv(LONGEST)) not in (QUIT, b""):
                command = Command.unpack(message)
                time_s = command.time_s
                for slot in command.slots:
                    position = ahead.skip_to(time_s)
                    if position is None:
                        _say(link, Reply(Kind.ENDED))
                        break
                    _say(link, _retrieve(reader, position, pictures, slot))
                    time_s = -math.inf
                if len(command.slots) > 1:
                    os.write(bell_fd, BELL)
                if position is not None:
                    ahead.hurry()
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


def _retrieve(reader: Reader, at: Position, pictures: PictureWriter, slot: int) -> Reply:
    memory = pictures.likely(slot)
    image = reader.retrieve() if memory is None else reader.retrieve_into(memory)
    if image is None:
        return Reply(Kind.UNREADABLE, at.index, at.time_s, at.passed)
    offset = pictures.write(slot, image)
    height, width = image.shape[:2]
    return Reply(Kind.IMAGE, at.index, at.time_s, at.passed, offset=offset, width=width, height=height)


def _end_with_the_parent() -> None:
    """Wait for the end of stdin, which the parent holds open as long as it lives."""
    while os.read(0, 1):
        pass
    os._exit(1)


def main() -> None:
    """A decoder's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash that is expected need not fill the disk
    os.nice(NICE)
    cv2.setNumThreads(1)
    link, pictures = socket.socket(fileno=int(sys.argv[1])), PictureWriter(int(sys.argv[2]))
    source = pickle.load(sys.stdin.buffer)  # noqa: S301 - the parent wrote it
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    serve(source, link, pictures, int(sys.argv[3]))
    os._exit(0)  # the interpreter need not be taken down under a thread that waits for the parent


if __name__ == "__main__":
    main()
