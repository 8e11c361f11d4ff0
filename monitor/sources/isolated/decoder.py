"""The process that decodes for an IsolatedSource. If it crashes or hangs inside FFmpeg, only this process is lost.

    python -m monitor.sources.isolated.decoder LINK_FD MEMORY_FD BELL_FD

The process reads the pickled source from stdin. Stdin then stays open; when it closes, the parent has ended, and this
process ends too. A command on the link asks for the next frames and says where to store their pictures. Each frame gets
its own reply. While the parent processes the last frame, the decoder already grabs the next one. Replies are plain
numbers and text: the parent never unpickles data from a decoder, which may be broken. The decoder writes to the bell
when it has sent the reply for the last of several frames, so that the parent does not wake up for each frame. This
module does not import torch: a decoder is small and starts quickly.
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
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import cv2

from monitor.errors import CaptureError, MonitorError, SourceError, StallError
from monitor.processes import die_first, limit_memory
from monitor.sources.isolated.shared_pictures import PictureWriter
from monitor.sources.source import Position, Reader, Source
from monitor.text.redaction import redact

QUIT = b"q"
BELL = b"."
LONGEST = 65536  # maximum bytes of a message
_EARLIER = 3  # see Position.earlier_s
NICE = 7  # many decoders at once must not delay the only thread that scores their frames


class Kind(Enum):
    """The kind of a reply."""

    READY = b"r"  # the process runs and starts to open the source
    OPENED = b"o"
    ENDED = b"e"
    IMAGE = b"i"
    UNREADABLE = b"u"
    SPARED = b"p"
    STALLED = b"s"
    LOST = b"l"
    UNUSABLE = b"x"


@dataclass(frozen=True, slots=True)
class Command:
    """Asks for the next frames.

    time_s  skip the frames before this time, seconds; after the first frame that is not skipped, no frame is skipped
    slots   where to store the pictures, one slot per frame
    share   of the frames that are decoded, see ``Reader.spare``
    """

    time_s: float
    slots: bytes
    share: float = 1.0

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<dd")

    def pack(self) -> bytes:
        """The command as bytes."""
        return self._LAYOUT.pack(self.time_s, self.share) + self.slots

    @classmethod
    def unpack(cls, message: bytes) -> Command:
        """Parse a command from a message."""
        time_s, share = cls._LAYOUT.unpack_from(message)
        return cls(time_s, message[cls._LAYOUT.size :], share)


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of the decoder. Each kind uses only the fields that it needs.

    index, time_s, passed, earlier_s  the frame's Position; index of OPENED: 1 if the reader is sparing, otherwise 0
    fps                    the reader's rate, frames per second
    offset                 offset of the picture in shared memory, bytes
    width, height          size of the picture, px
    text                   what went wrong, or the name of the frame, for display
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
    earlier_s: tuple[float, ...] = ()

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<cqdq3ddQII")

    def pack(self) -> bytes:
        """The reply as bytes."""
        padding = (math.nan,) * (_EARLIER - len(self.earlier_s))
        position = (self.index, self.time_s, self.passed, *self.earlier_s, *padding)
        numbers = (*position, self.fps, self.offset, self.width, self.height)
        return self._LAYOUT.pack(self.kind.value, *numbers) + self.text.encode(errors="backslashreplace")

    @classmethod
    def unpack(cls, message: bytes) -> Reply:
        """Parse a reply from a message. Raises ValueError if the message is not a reply."""
        if len(message) < cls._LAYOUT.size:
            raise ValueError(f"a reply has at least {cls._LAYOUT.size} bytes, got {len(message)}")
        kind, index, time_s, passed, *earlier, fps, offset, width, height = cls._LAYOUT.unpack_from(message)
        earlier_s = tuple(each for each in earlier if not math.isnan(each))
        text = message[cls._LAYOUT.size :].decode(errors="replace")
        return cls(Kind(kind), index, time_s, passed, fps, offset, width, height, text, earlier_s)


class _Ahead:
    """Steps through a reader, one frame ahead of the requested frame."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._fps = reader.fps
        self._next: Position | MonitorError | None = None
        self._is_ahead = False
        self._reached_s: float | None = None  # time of the last frame that was stepped to, also if it was skipped
        self._steps = (0.0, 0.0)  # the last two, between all frames

    def hurry(self) -> None:
        """Grab the next frame in advance. If this fails, the error is raised when that frame is requested."""
        try:
            self._next = self._reader.grab()
        except MonitorError as error:
            self._next = error
        self._is_ahead = True

    def skip_to(self, time_s: float) -> Position | None:
        """See Reader.skip_to."""
        passed = 0
        last: Position | None = None
        earlier: deque[float] = deque(maxlen=_EARLIER + 1)
        while True:
            if not self._is_ahead:
                self.hurry()
            found = self._next
            if isinstance(found, MonitorError):
                raise found
            if found is None:  # the last frame is always returned, even if it is before time_s
                if last is None:
                    return None
                return Position(last.index, last.time_s, passed - 1, tuple(earlier)[-_EARLIER - 1 : -1])
            self._is_ahead = False
            passed += found.passed
            for each in found.earlier_s:  # the reader itself has passed over frames
                self._may_follow_a_gap(each)
                earlier.append(each)
            after_gap = self._may_follow_a_gap(found.time_s)
            if found.time_s >= time_s or after_gap or found.spared:
                return Position(found.index, found.time_s, passed, tuple(earlier)[-_EARLIER:], found.spared)
            passed, last = passed + 1, found
            earlier.append(found.time_s)

    def _may_follow_a_gap(self, time_s: float) -> bool:
        """Step to a frame of this time. True if it may be one after a gap: see ``Reader.skip_to``."""
        step_s = 0.0 if self._reached_s is None else time_s - self._reached_s
        found = step_s > max(3.0 / self._fps, 3.0 * min(self._steps))
        self._reached_s, self._steps = time_s, (self._steps[1], step_s)
        return found


def serve(source: Source, link: socket.socket, pictures: PictureWriter, bell_fd: int) -> None:
    """Open the source and execute commands until the source fails or the parent quits."""
    try:
        _say(link, Reply(Kind.READY))
        with source.open() as reader:
            _say(link, Reply(Kind.OPENED, index=int(reader.sparing), fps=reader.fps))
            ahead = _Ahead(reader)
            position: Position | None = None
            share = 1.0
            while (message := link.recv(LONGEST)) not in (QUIT, b""):
                command = Command.unpack(message)
                time_s = command.time_s
                if command.share != share:
                    share = command.share
                    reader.spare(share)
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
    except Exception as error:  # noqa: BLE001 - reported to the parent, which retries or gives up
        _say(link, Reply(Kind.LOST, text=redact(f"the decoder of {source.label} failed: {error!r}")))


def _say(link: socket.socket, reply: Reply) -> None:
    link.send(reply.pack()[:LONGEST])


def _retrieve(reader: Reader, at: Position, pictures: PictureWriter, slot: int) -> Reply:
    if at.spared:
        return Reply(Kind.SPARED, at.index, at.time_s, at.passed, earlier_s=at.earlier_s)
    memory = pictures.likely(slot)
    image = reader.retrieve() if memory is None else reader.retrieve_into(memory)
    name = reader.frame_name
    if image is None:
        return Reply(Kind.UNREADABLE, at.index, at.time_s, at.passed, text=name, earlier_s=at.earlier_s)
    offset = pictures.write(slot, image)
    height, width = image.shape[:2]
    return Reply(
        Kind.IMAGE,
        at.index,
        at.time_s,
        at.passed,
        offset=offset,
        width=width,
        height=height,
        text=name,
        earlier_s=at.earlier_s,
    )


def _end_with_the_parent() -> None:
    """Wait until stdin closes, then exit. The parent keeps stdin open as long as it runs."""
    while os.read(0, 1):
        pass
    os._exit(1)


def main() -> None:
    """Run a decoder process from start to end."""
    # The parent ends this process. A signal to all processes of a service or of a terminal must not end it earlier: its
    # camera would then be reported as offline.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    die_first()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # crashes are expected: core dumps must not fill the disk
    limit_memory()
    os.nice(NICE)
    cv2.setNumThreads(1)
    link, pictures = socket.socket(fileno=int(sys.argv[1])), PictureWriter(int(sys.argv[2]))
    source = pickle.load(sys.stdin.buffer)  # noqa: S301 - the parent wrote it
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    serve(source, link, pictures, int(sys.argv[3]))
    os._exit(0)  # skip the shutdown of the interpreter, because a thread still waits for the parent


if __name__ == "__main__":
    main()
