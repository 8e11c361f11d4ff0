"""A source whose decoding runs in a process of its own, which may crash, hang or be killed without harm to others."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Literal

from monitor.errors import CaptureError, SourceError, StallError
from monitor.sources.camera import CameraSource
from monitor.sources.isolated.decoder import LONGEST, QUIT, Command, Kind, Reply
from monitor.sources.isolated.shared_pictures import PictureReader
from monitor.sources.source import Position, Reader, Source
from monitor.sources.video import VideoSource
from monitor.types import Image

Isolation = Literal["auto", "process", "thread"]

_ROOT = Path(__file__).resolve().parents[3]
_START_TIMEOUT_S = 20.0  # a process that starts: 0.3 s on an idle machine
_FILE_TIMEOUT_S = 30.0  # a file on a slow disk, or a long damaged part that is skipped
# The decoder keeps the deadlines itself and says more of what it saw; it is killed when it does not.
_GRACE_S = 2.0
_LOOK_S = 0.1  # how soon an interrupt is noticed
_TOGETHER = 4  # frames of a file that are asked for at once...
_SURE = 2  # ...after so many of which none was passed over
_CONVERT = (
    "the file may be damaged, or of a kind that this OpenCV cannot decode: convert it, for example with "
    "`ffmpeg -i IN OUT.mp4`"
)
_GOODBYE_S = 0.5  # time to hang up properly: some cameras keep a lost session's place for a minute


def isolate(source: Source, mode: Isolation) -> Source:
    """The source, wrapped in an IsolatedSource where the mode asks for it.

    ``auto`` does so for network cameras and video files, ``process`` for USB cameras too, ``thread`` never. Folders of
    images and the synthetic scene hold no decoder that could crash.
    """
    if isinstance(source, CameraSource) and (mode == "process" or (mode == "auto" and source.networked)):
        return IsolatedSource(source, open_timeout_s=source.open_timeout_s, read_timeout_s=source.read_timeout_s)
    if isinstance(source, VideoSource) and mode != "thread":
        return IsolatedSource(source, open_timeout_s=_FILE_TIMEOUT_S, read_timeout_s=_FILE_TIMEOUT_S)
    return source


class IsolatedSource(Source):
    """Opens and decodes another source in a child process, one for each ``open``.

    inner           the source; it is pickled
    open_timeout_s, read_timeout_s  a child that takes 2 s longer than this is killed (StallError)

    A child that dies raises CaptureError with the signal's name. ``interrupt`` is for good: a read in another thread
    ends with CaptureError, and so does every ``open`` from then on.
    """

    def __init__(self, inner: Source, *, open_timeout_s: float, read_timeout_s: float) -> None:
        super().__init__(inner.name, inner.label)
        self.live = inner.live
        self.inner = inner
        self.open_timeout_s = open_timeout_s
        self.read_timeout_s = read_timeout_s
        self._interrupted = threading.Event()

    def open(self) -> IsolatedReader:
        """Start a child that opens the source. Raises what the source's own ``open`` does, and CaptureError."""
        if self._interrupted.is_set():  # a child that is quick has answered before anyone looks
            raise CaptureError(f"{self.label} was interrupted")
        decoder = _Decoder(self.inner, self._interrupted)
        try:
            decoder.wait(_START_TIMEOUT_S, "its decoder's process did not start")
            opened = decoder.wait(self.open_timeout_s, "did not answer")
        except BaseException:
            decoder.close()
            raise
        return IsolatedReader(decoder, opened.fps, self.read_timeout_s)

    def check(self) -> None:
        """Raise SourceError if this source can never give a frame; a decoder that dies of it is left to the run."""
        if self.live:
            return
        with contextlib.suppress(CaptureError), self.open() as reader:
            if reader.grab() is None or reader.retrieve() is None:
                raise SourceError(f"{self.label} is no video that OpenCV can read")

    def interrupt(self) -> None:
        """End what another thread waits for in this source or its reader, within a tenth of a second."""
        self._interrupted.set()


class IsolatedReader(Reader):
    """Steps through a source that a child process holds, and gives out its pictures where they lie."""

    def __init__(self, decoder: _Decoder, fps: float, read_timeout_s: float) -> None:
        self.fps = fps
        self._decoder = decoder
        self._read_timeout_s = read_timeout_s
        self._image: Image | None = None

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._decoder.process.pid

    def grab(self) -> Position | None:
        """Step to the next frame; None at the end. Raises CaptureError, StallError after the read deadline."""
        return self.skip_to(-math.inf)

    def skip_to(self, time_s: float) -> Position | None:
        """See Reader.skip_to; frames before ``time_s`` are only decoded, as later ones need them."""
        self._image = None  # its place is free for the next one, if nobody else has it
        reply, self._image = self._decoder.next(time_s, self._read_timeout_s)
        return None if reply.kind is Kind.ENDED else Position(reply.index, reply.time_s, reply.passed)

    def retrieve(self) -> Image | None:
        """The frame grabbed last, the caller's own; None if it cannot be decoded."""
        return self._image

    def close(self) -> None:
        """Hang up and end the child."""
        self._image = None
        self._decoder.close()


class _Decoder:
    """The parent's end of a child process."""

    def __init__(self, source: Source, interrupted: threading.Event) -> None:
        self._label = source.label
        self._interrupted = interrupted
        self._closed = False
        # Packets keep messages apart, and an empty one is the end.
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link.setblocking(False)
        self._pictures = PictureReader()
        self._asked: deque[int] = deque()  # slots of the frames asked for and not said yet
        self._live = source.live
        self._in_a_row = 0  # frames before which none was passed over
        self._bell, theirs_bell = os.pipe()
        os.set_blocking(self._bell, False)
        # Where one frame was asked for its reply wakes this thread; where several were, the bell after the last one.
        self._polls = (_poll(self._link.fileno()), _poll(self._bell))
        # The address with its password goes through the pipe: everyone can read a command line.
        fds = (theirs.fileno(), self._pictures.fd, theirs_bell)
        words = ["-m", "monitor.sources.isolated.decoder", *map(str, fds)]
        try:
            self.process = subprocess.Popen(  # noqa: S603 - this very Python and package
                [sys.executable, "-P", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=fds,
                # Ctrl-C in a terminal does not reach it. In a session of its own it would count as much to Linux's
                # scheduler (autogroups) as all threads of this process together.
                process_group=0,
                env=_environment(),
            )
        except OSError as error:
            self._link.close()
            os.close(self._bell)
            self._pictures.close()
            raise CaptureError(f"no process can be started to decode {self._label}: {error.strerror}") from error
        finally:
            theirs.close()
            os.close(theirs_bell)
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead already, and found so by the first wait
            self.process.stdin.write(pickle.dumps(source))
            self.process.stdin.flush()

    def next(self, time_s: float, timeout_s: float) -> tuple[Reply, Image | None]:
        """The first frame at ``time_s`` or after it, or one before it; the reply, and the picture where it brings one.

        While each frame of a file is wanted, several are asked for at once, and before they are needed: neither end
        wakes up for each, nor waits for the other.
        """
        every = not self._live and self._in_a_row >= _SURE
        if every and len(self._asked) <= _TOGETHER and self._pictures.free >= _TOGETHER:
            self._ask(-math.inf, _TOGETHER)
        if not self._asked:
            self._ask(time_s, 1)
        reply = self.wait(timeout_s, "sent nothing")
        slot = self._asked.popleft()
        if reply.kind is not Kind.IMAGE:
            self._pictures.give_back(slot)
            if reply.kind is Kind.ENDED:
                while self._asked:
                    self._pictures.give_back(self._asked.pop())
            return reply, None
        self._in_a_row = self._in_a_row + 1 if reply.passed == 0 and reply.time_s >= time_s else 0
        try:
            at, size = reply.offset, (reply.width, reply.height)
            return reply, self._pictures.picture(slot, at, *size, more=bool(self._asked))
        except (ValueError, OverflowError) as error:
            raise CaptureError(f"{self._label}: its decoder answered nonsense ({error})") from error

    def _ask(self, time_s: float, count: int) -> None:
        slots = [self._pictures.take_slot() for _ in range(count)]
        self._asked.extend(slots)
        with contextlib.suppress(ConnectionError):  # what the decoder said last may still be there to be read
            self._link.send(Command(time_s, bytes(slots)).pack())

    def wait(self, timeout_s: float, failing: str) -> Reply:
        """The next reply; ``failing`` says what it means when none comes. Raises what the reply says went wrong."""
        deadline = time.monotonic() + timeout_s + _GRACE_S
        while (message := self._receive()) is None:
            if self._interrupted.is_set():
                raise CaptureError(f"{self._label} was interrupted")
            if time.monotonic() > deadline:
                self.process.kill()
                raise StallError(f"{self._label} {failing} for {timeout_s:g} s and its decoder hung: it was killed")
        if not message:
            raise CaptureError(f"{self._label}: {self._how_it_ended()}")
        try:
            reply = Reply.unpack(message)
        except ValueError as error:
            raise CaptureError(f"{self._label}: its decoder answered nonsense ({error})") from error
        if reply.kind is Kind.STALLED:
            raise StallError(reply.text)
        if reply.kind is Kind.LOST:
            raise CaptureError(reply.text)
        if reply.kind is Kind.UNUSABLE:
            raise SourceError(reply.text)
        return reply

    def _receive(self) -> bytes | None:
        """The next message; empty once the child is gone, None if there is none for a tenth of a second."""
        together = len(self._asked) > 1
        if together and (message := self._said()) is not None:
            return message
        if not self._polls[together].poll(1000 * _LOOK_S) and not together:
            return None
        if together:
            with contextlib.suppress(BlockingIOError):
                os.read(self._bell, LONGEST)
        return self._said()

    def _said(self) -> bytes | None:
        """A message that is there already, None if there is none."""
        for _ in range(2):
            try:
                return self._link.recv(LONGEST)
            except BlockingIOError:
                return None
            except ConnectionError:  # told once, where it died before it had read all commands
                continue
        return b""

    def _how_it_ended(self) -> str:
        try:
            code = self.process.wait(_GOODBYE_S)
        except subprocess.TimeoutExpired:
            return "the decoder hung up"
        died = f"the decoder died ({signal.Signals(-code).name if code < 0 else f'exit code {code}'})"
        # A camera is tried again; and a decoder that was killed, for memory perhaps, says nothing against the file.
        return died if self._live or code == -signal.SIGKILL else f"{died}; {_CONVERT}"

    def close(self) -> None:
        """Let the child hang up, and kill it if it will not. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(ConnectionError):
            self._link.send(QUIT)
        self._link.close()
        os.close(self._bell)
        try:
            self.process.wait(_GOODBYE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            # Not even a killed process ends while it is in a driver's hands: its end is then collected later.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_GOODBYE_S)
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self._pictures.close()


def _poll(fd: int) -> select.poll:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return poll


def _environment() -> dict[str, str]:
    """This process's environment, for a child that finds this very package and starts no needless threads."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
