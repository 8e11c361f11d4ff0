"""A source that decodes in a separate process. That process may crash, hang or be killed without harm to others."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import select
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from monitor.errors import CaptureError, ShortageError, SourceError, StallError
from monitor.processes import ChildWork, Shares, child_command, child_environment, how_it_died
from monitor.sources.camera import CameraSource
from monitor.sources.folder import FolderSource
from monitor.sources.isolated.decoder import LONGEST, QUIT, Command, Kind, Reply
from monitor.sources.isolated.shared_pictures import PictureReader
from monitor.sources.masked import Mask, MaskedSource, masked
from monitor.sources.source import Position, Reader, Source
from monitor.sources.video import NO_VIDEO, VideoSource
from monitor.text.escaping import cleaned
from monitor.types import Image

Isolation = Literal["auto", "process", "thread"]

_START_TIMEOUT_S = 20.0  # start of a process; it takes 0.3 s on an idle machine
_BUSY_START_S = 120.0  # ...and so long at most while it works or waits for a core: to kill it would lose that work
_BUSY_TIMES = 3.0  # a decoder that waits for a core gets its timeouts so many times
_MEASURE_S = 0.5  # a decoder that is late is measured for this long...
_LOOK_AGAIN_S = 2.0  # ...and then this often
_FILE_TIMEOUT_S = 30.0  # enough for a file on a slow disk, or to skip a long damaged part
# The decoder applies the timeouts itself and reports more detail; if it does not answer in time, it is killed.
_GRACE_S = 2.0
_LOOK_S = 0.1  # seconds after which an interrupt is noticed
_TOGETHER = 4  # frames of a file that are requested together...
_SURE = 2  # ...after this many frames in a row without a skipped frame
_CONVERT = (
    "the file may be damaged, or this OpenCV cannot decode its format: convert it, for example with "
    "`ffmpeg -i IN OUT.mp4`"
)
_GOODBYE_S = 0.5  # time to close the connection properly: some cameras keep a lost session open for a minute


def isolate(source: Source, mode: Isolation, masks: Sequence[Mask] = ()) -> Source:
    """The source, wrapped in an IsolatedSource if the mode requires it.

    ``auto`` wraps network cameras, video files and folders of images, ``process`` also wraps USB cameras, ``thread``
    wraps nothing. The synthetic scene is never wrapped: it uses no decoder that could crash.

    masks  burned into the pictures where they are decoded, so that no other process holds them without
    """
    inner = masked(source, masks)
    if isinstance(source, CameraSource) and (mode == "process" or (mode == "auto" and source.networked)):
        return IsolatedSource(inner, open_timeout_s=source.open_timeout_s, read_timeout_s=source.read_timeout_s)
    if isinstance(source, (VideoSource, FolderSource)) and mode != "thread":
        return IsolatedSource(inner, open_timeout_s=_FILE_TIMEOUT_S, read_timeout_s=_FILE_TIMEOUT_S)
    return inner


class IsolatedSource(Source):
    """Opens and decodes another source in a child process. Each ``open`` starts a new child.

    inner                           the source; it must support pickling
    open_timeout_s, read_timeout_s  timeouts, seconds; a child that takes 2 s longer is killed (StallError)

    If a child dies, CaptureError gives the name of the signal. ``interrupt`` cannot be undone: a read in another thread
    ends with CaptureError, and every later ``open`` raises CaptureError.
    """

    def __init__(self, inner: Source, *, open_timeout_s: float, read_timeout_s: float) -> None:
        super().__init__(inner.name, inner.label)
        self.live = inner.live
        self.inner = inner
        self.open_timeout_s = open_timeout_s
        self.read_timeout_s = read_timeout_s
        self._interrupted = threading.Event()

    def open(self) -> IsolatedReader:
        """Start a child that opens the source. Raises the same errors as the source's ``open``, and CaptureError."""
        if self._interrupted.is_set():  # a fast child could answer before the flag is checked
            raise CaptureError(f"{self.label} was interrupted")
        decoder = _Decoder(self.inner, self._interrupted)
        try:
            decoder.await_start()
            opened = decoder.wait(self.open_timeout_s, "did not answer")
        except BaseException:
            decoder.close()
            raise
        return IsolatedReader(decoder, opened, self.read_timeout_s)

    def number(self, index: int) -> int:
        """See Source.number."""
        return self.inner.number(index)

    def check(self) -> None:
        """Raise SourceError if this source can never give a frame. If the decoder dies, the run reports it later."""
        if self.live:
            return
        inner = self.inner.inner if isinstance(self.inner, MaskedSource) else self.inner
        folder = isinstance(inner, FolderSource)  # its pictures are independent: one that is damaged says nothing
        with contextlib.suppress(CaptureError), self.open() as reader:
            while reader.grab() is not None:
                if reader.retrieve() is not None:
                    return
                if not folder:
                    break
            if folder:
                raise SourceError(f"no image in {self.label} can be read")
            raise SourceError(f"{self.label} {NO_VIDEO}")

    def interrupt(self) -> None:
        """End a wait of another thread in this source or its reader within 0.1 s."""
        self._interrupted.set()


class IsolatedReader(Reader):
    """Steps through a source that a child process has opened. It returns pictures in shared memory, without a copy."""

    def __init__(self, decoder: _Decoder, opened: Reply, read_timeout_s: float) -> None:
        self.fps, self.sparing = opened.fps, opened.index == 1
        self._decoder = decoder
        self._read_timeout_s = read_timeout_s
        self._image: Image | None = None
        self._share = 1.0

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._decoder.process.pid

    def grab(self) -> Position | None:
        """Step to the next frame; None at the end. Raises CaptureError, or StallError after the read timeout."""
        return self.skip_to(-math.inf)

    def skip_to(self, time_s: float) -> Position | None:
        """See Reader.skip_to. Frames before ``time_s`` are decoded but not returned: later frames depend on them."""
        self._image = None  # frees its slot for the next picture, unless the caller still holds the picture
        reply, self._image = self._decoder.next(time_s, self._read_timeout_s, self._share)
        self.frame_name = reply.text and cleaned(reply.text)
        if reply.kind is Kind.ENDED:
            return None
        return Position(reply.index, reply.time_s, reply.passed, reply.earlier_s, reply.kind is Kind.SPARED)

    def spare(self, share: float) -> None:
        """See Reader.spare. The child follows from the next frame on."""
        self._share = share

    def retrieve(self) -> Image | None:
        """The last grabbed frame; the caller may keep it. None if it cannot be decoded."""
        return self._image

    def close(self) -> None:
        """Close the source and end the child."""
        self._image = None
        self._decoder.close()


class _Decoder:
    """The parent's side of a child process."""

    def __init__(self, source: Source, interrupted: threading.Event) -> None:
        self._label = source.label
        self._interrupted = interrupted
        self._closed = False
        self._live = source.live
        self._asked: deque[int] = deque()  # slots of the frames that are requested but not received yet
        self._in_a_row = 0  # frames in a row without a skipped frame
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:  # the child keeps what is theirs
            try:
                self.process = self._start(ours, theirs)
            except OSError as error:
                what = error.strerror or error
                raise ShortageError(f"the process that decodes {self._label} cannot be started: {what}") from error
            ours.pop_all()
        self._work = ChildWork(self.process.pid)
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the child is already dead; the first wait reports it
            self.process.stdin.write(pickle.dumps(source))
            self.process.stdin.flush()

    def _start(self, ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> subprocess.Popen[bytes]:
        """Start the child. What must be closed if this fails, or when the child has started, is put on the stacks."""
        # SOCK_SEQPACKET keeps message boundaries; an empty message means that the other end has closed.
        self._link, their_link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.callback(self._link.close)
        theirs.callback(their_link.close)
        self._link.setblocking(False)
        self._pictures = PictureReader()
        ours.callback(self._pictures.close)
        self._bell, their_bell = os.pipe()
        ours.callback(os.close, self._bell)
        theirs.callback(os.close, their_bell)
        os.set_blocking(self._bell, False)
        # If one frame was requested, its reply wakes this thread; if several were, the bell after the last one does.
        self._polls = (_poll(self._link.fileno()), _poll(self._bell))
        # The address may contain a password. It goes through the pipe, because every user can read a command line.
        fds = (their_link.fileno(), self._pictures.fd, their_bell)
        return subprocess.Popen(  # noqa: S603 - the running Python and this package
            child_command("monitor.sources.isolated.decoder", *map(str, fds)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=fds,
            # So Ctrl-C in a terminal does not reach the child. A new session would do the same, but Linux's
            # scheduler (autogroup) would then give the child as much CPU time as all threads of this process.
            process_group=0,
            env=child_environment(),
        )

    def next(self, time_s: float, timeout_s: float, share: float = 1.0) -> tuple[Reply, Image | None]:
        """The reply for the next frame, and its picture if there is one. See Reader.skip_to for ``time_s``.

        share: of the frames that are decoded, see ``Reader.spare``

        While every frame of a file is needed, several are requested together, and before they are needed. So neither
        process wakes up for each frame, and neither waits for the other.
        """
        every = not self._live and self._in_a_row >= _SURE
        if every and len(self._asked) <= _TOGETHER and self._pictures.free >= _TOGETHER:
            self._ask(-math.inf, _TOGETHER, share)
        if not self._asked:
            self._ask(time_s, 1, share)
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
            raise CaptureError(f"{self._label}: its decoder sent an invalid reply ({error})") from error
        except OSError as error:  # no memory to map, for example
            raise CaptureError(f"{self._label}: its pictures cannot be read ({error.strerror or error})") from error

    def _ask(self, time_s: float, count: int, share: float) -> None:
        slots = [self._pictures.take_slot() for _ in range(count)]
        self._asked.extend(slots)
        with contextlib.suppress(ConnectionError):  # the decoder's last replies may still be waiting in the socket
            self._link.send(Command(time_s, bytes(slots), share).pack())

    def await_start(self) -> None:
        """Wait until the process runs. While it works, or waits for a core, it does not hang."""
        self._wait(_START_TIMEOUT_S, _BUSY_START_S, "did not start its decoder process", lambda shares: shares.busy)

    def wait(self, timeout_s: float, failing: str) -> Reply:
        """The next reply. ``failing`` describes the failure if none arrives. Raises the error reported by the reply."""
        return self._wait(timeout_s, _BUSY_TIMES * timeout_s, failing, lambda shares: shares.starved)

    def _wait(self, timeout_s: float, longest_s: float, failing: str, excused: Callable[[Shares], bool]) -> Reply:
        """longest_s: in place of ``timeout_s`` while the child is excused by what it does with its time."""
        began = time.monotonic()
        deadline, work, late = began + timeout_s + _GRACE_S, self._work, False
        while (message := self._receive()) is None:
            if self._interrupted.is_set():
                raise CaptureError(f"{self._label} was interrupted")
            if (now := time.monotonic()) > deadline:
                shares = work.shares()
                if not late:  # what it did before this wait is no excuse: measure from now on
                    late, deadline = True, now + _MEASURE_S
                    continue
                excuse = excused(shares)
                if excuse and now < began + longest_s + _GRACE_S:
                    deadline = now + _LOOK_AGAIN_S
                    continue
                self.process.kill()
                if excuse:
                    raise StallError(
                        f"{self._label} {failing} for {longest_s:g} s: this machine is too busy; watch fewer cameras, "
                        "or end other programs"
                    )
                raise StallError(f"{self._label} {failing} for {timeout_s:g} s; its decoder hung and was killed")
        if not message:
            raise CaptureError(f"{self._label}: {self._how_it_ended()}")
        try:
            reply = Reply.unpack(message)
        except ValueError as error:
            raise CaptureError(f"{self._label}: its decoder sent an invalid reply ({error})") from error
        if reply.kind is Kind.STALLED:
            raise StallError(reply.text)
        if reply.kind is Kind.LOST:
            raise CaptureError(reply.text)
        if reply.kind is Kind.UNUSABLE:
            raise SourceError(reply.text)
        return reply

    def _receive(self) -> bytes | None:
        """The next message; empty if the child has ended, None if no message arrives within 0.1 s."""
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
        """A message that has already arrived; None if there is none."""
        for _ in range(2):
            try:
                return self._link.recv(LONGEST)
            except BlockingIOError:
                return None
            except ConnectionError:  # raised once if the child died before it read all commands
                continue
        return b""

    def _how_it_ended(self) -> str:
        try:
            code = self.process.wait(_GOODBYE_S)
        except subprocess.TimeoutExpired:
            return "the decoder closed the connection"
        died = f"the decoder died ({how_it_died(code)})"
        # No advice for a camera, which is retried. No advice after SIGKILL either: the cause may be a lack of memory.
        return died if self._live or code == -signal.SIGKILL else f"{died}; {_CONVERT}"

    def close(self) -> None:
        """Let the child close the source; kill the child if it does not exit. Safe to call twice."""
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
            # Even a killed process does not end while it is inside a driver; its exit status is then collected later.
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
