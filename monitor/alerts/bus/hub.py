"""The thread of the bus: accepts peers, reads from them within limits, and sends what waits for them.

No peer can take more than its share. Per peer: received bytes per second, subscriptions, waiting messages, one request.
Per address: connections. For all together: the processor time for reading, and the memory of waiting messages. A peer
that breaks the protocol or a limit is disconnected. It may connect again.

The main thread publishes and replies through the ``exchange``. Only this thread touches the sockets. So sending never
waits for reading, and the main thread never waits for a peer.
"""

from __future__ import annotations

import errno
import logging
import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from monitor.alerts.bus.doors import MAX_PEERS, Connection, Door, address_of
from monitor.alerts.bus.exchange import Exchange
from monitor.alerts.bus.zmtp import ProtocolError, RefusedKeyError
from monitor.alerts.complaints import Complaints
from monitor.errors import RunError
from monitor.threads.stage import Stage, join_all

log = logging.getLogger(__name__)

WINDOW_S, READING_S = 0.1, 0.02
"""Processor time for reading from all peers together: at most READING_S per WINDOW_S."""
HANDSHAKE_S = 10.0
STALLED_S = 15.0
"""A peer that does not read what waits for it is disconnected after this many seconds. It may connect again."""
_READ_BYTES = 4096
_TURN_BYTES = 1_000_000
"""Bytes sent to one peer before the next one has its turn."""
_EVENTS = 16
_SWEEP_S = 0.5
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_TOO_SLOW = "it does not read its messages"


class Hub:
    """Serves the connections of all doors. Start it once, and close it once.

    exchange  what the main thread uses meanwhile
    """

    def __init__(self, doors: Sequence[Door]) -> None:
        self._doors = {door.listener.socket.fileno(): door for door in doors}
        self._complaints = Complaints()
        self.exchange = Exchange(self._wake)
        self._connections = self.exchange.connections  # only this thread changes it
        self._closing = False
        self._linger_s = 0.0
        self._wake_here, self._wake_there = socket.socketpair()
        self._readers, self._writers = select.epoll(), select.epoll()
        self._all, self._only_sending = select.poll(), select.poll()
        for waiting in (self._wake_here, self._writers):
            self._all.register(waiting, select.POLLIN)
            self._only_sending.register(waiting, select.POLLIN)
        self._all.register(self._readers, select.POLLIN)
        for own in (self._wake_here, self._wake_there):
            own.setblocking(False)
        for descriptor in self._doors:
            self._readers.register(descriptor, select.EPOLLIN)
        self._accept_again_at = 0.0
        self._window_ends = self._spent_s = self._sweep_at = 0.0
        self._stage = Stage("bus", self._run, lambda _: None)

    def start(self) -> None:
        """Start the thread."""
        self._stage.start()

    def close(self, linger_s: float) -> None:
        """Send what waits for at most ``linger_s`` seconds, then close all sockets, the listening ones included."""
        self._linger_s, self._closing = linger_s, True
        self._wake()
        join_all([self._stage], linger_s + 5.0)
        for own in (*(each.socket for each in self._connections.values()), self._wake_here, self._wake_there):
            own.close()
        for door in self._doors.values():
            door.listener.close()
        self._readers.close()
        self._writers.close()

    def check(self) -> None:
        """Raise RunError if the thread has failed."""
        if self._stage.error is not None:
            raise RunError(
                f"the thread that sends alerts has failed ({self._stage.error}): start the monitor again"
            ) from self._stage.error

    def _wake(self) -> None:
        with suppress(OSError):  # full: the thread is about to wake up anyway
            self._wake_there.send(b"\0")

    # What follows runs in the thread.

    def _run(self) -> None:
        while not self._closing:
            self._turn(time.monotonic())
        self._finish(time.monotonic() + self._linger_s)

    def _turn(self, now: float) -> None:
        if now >= self._window_ends:
            self._window_ends, self._spent_s = now + WINDOW_S, 0.0
        reading = self._spent_s < READING_S
        wait_s = WINDOW_S / 2 if reading else self._window_ends - now
        ready = {number for number, _ in (self._all if reading else self._only_sending).poll(1 + int(wait_s * 1000))}
        if self._wake_here.fileno() in ready:
            with suppress(BlockingIOError):
                self._wake_here.recv(_READ_BYTES)
        for each in self.exchange.take_fresh():
            self._guard(each, self._send)
        for number, _ in self._writers.poll(0):
            self._guard(self._connections[number], self._send)
        if self._readers.fileno() in ready:
            began = time.thread_time()
            for number, _ in self._readers.poll(0, _EVENTS):
                if number in self._doors:
                    self._accept(self._doors[number])
                elif number in self._connections:
                    self._guard(self._connections[number], self._read)
            self._spent_s += time.thread_time() - began
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_S
            self._sweep(now)

    def _guard(self, each: Connection, action: Callable[[Connection], None]) -> None:
        """Serve a connection. Whatever goes wrong ends this connection only."""
        if each.closed:
            return
        try:
            action(each)
            self._watch(each)
        except ProtocolError as error:
            self._refuse(each, error)
        except OSError:
            self._drop(each)
        except Exception:  # a fault of this program that one peer meets must not silence all others
            log.exception("a client at %s is disconnected, because serving it failed", each.peer.address)
            self._drop(each)

    def _accept(self, door: Door) -> None:
        try:
            connected, name = door.listener.socket.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _NO_ROOM:  # without a pause, this would be tried all the time
                self._complaints.say(
                    "any address",
                    f"this process can open no more files ({error.strerror}): raise its limit (ulimit -n)",
                )
                self._pause_accepting()
            return
        address = address_of(name)
        if len(door.connections) >= MAX_PEERS:
            leaving = door.crowded_by(address)
            if leaving is None:
                connected.close()
                self._complaints.say(address, f"{MAX_PEERS} clients are connected to {door.listener.endpoint} already")
                return
            self._drop(leaving)
        try:
            made = Connection(connected, door, door.make(address), time.monotonic())
        except OSError:  # it has already left
            connected.close()
            return
        self.exchange.enter(connected.fileno(), made, door)
        self._guard(made, self._send)

    def _pause_accepting(self) -> None:
        self._accept_again_at = time.monotonic() + 1.0
        for descriptor in self._doors:
            with suppress(OSError):
                self._readers.unregister(descriptor)

    def _read(self, each: Connection) -> None:
        try:
            data = each.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            each.peer.left()
            self._drop(each)
            return
        each.spend(len(data), time.monotonic())
        self.exchange.digest(each, data)
        self._send(each)

    def _send(self, each: Connection) -> None:
        """Send what waits, as far as the peer takes it."""
        if each.doomed:
            raise ProtocolError(_TOO_SLOW)
        count = 0
        while count < _TURN_BYTES:
            chunk = self.exchange.next_chunk(each)
            if not chunk:
                return
            try:
                sent = each.socket.send(chunk)
            except BlockingIOError:
                return
            count += sent
            if self.exchange.sent(each, sent):
                self.exchange.digest(each, b"")

    def _watch(self, each: Connection) -> None:
        """Wait for what the connection can do next."""
        if each.closed:
            return
        writing = bool(self.exchange.next_chunk(each))
        with self.exchange.news:
            reading = not each.peer.waits and each.read_again_at <= time.monotonic()
        for wanted, now, waiting, event in (
            (reading, each.reading, self._readers, select.EPOLLIN),
            (writing, each.writing, self._writers, select.EPOLLOUT),
        ):
            if wanted and not now:
                waiting.register(each.socket, event)
            elif now and not wanted:
                waiting.unregister(each.socket)
        each.reading, each.writing = reading, writing

    def _sweep(self, now: float) -> None:
        if self._accept_again_at and now >= self._accept_again_at:
            self._accept_again_at = 0.0
            for descriptor in self._doors:
                self._readers.register(descriptor, select.EPOLLIN)
        for each in list(self._connections.values()):
            if not each.peer.ready and now - each.accepted_at > HANDSHAKE_S:
                self._refuse(each, ProtocolError("it did not complete the handshake"))
            elif each.peer.queued_bytes and now - each.moved_at > STALLED_S:
                self._refuse(each, ProtocolError(_TOO_SLOW))
            else:
                self._guard(each, lambda _: None)  # reads again what had to wait

    def _refuse(self, each: Connection, error: ProtocolError) -> None:
        self._complaints.say(each.peer.address, str(error))
        if isinstance(error, RefusedKeyError):
            with self.exchange.news:
                each.peer.refuse(error.reply)
        with suppress(OSError):
            each.socket.send(self.exchange.next_chunk(each))
        self._drop(each)

    def _drop(self, each: Connection) -> None:
        if each.closed:
            return
        self.exchange.leave(each.socket.fileno(), each, each.door)
        each.socket.close()  # which also ends the waiting for it

    def _finish(self, ends_at: float) -> None:
        """Send the rest. Then wait until the peers have read it: closing at once could take it from them."""
        for descriptor in self._doors:
            with suppress(OSError):
                self._readers.unregister(descriptor)
        for each in list(self._connections.values()):
            self._guard(each, self._send)
        while (left_s := ends_at - time.monotonic()) > 0 and any(
            each.peer.queued_bytes for each in self._connections.values()
        ):
            for number, _ in self._writers.poll(left_s):
                self._guard(self._connections[number], self._send)
        for each in self._connections.values():
            with suppress(OSError):
                each.socket.shutdown(socket.SHUT_WR)
        while (left_s := ends_at - time.monotonic()) > 0 and self._connections:
            for each in list(self._connections.values()):
                with suppress(OSError):
                    if not each.reading:
                        self._readers.register(each.socket, select.EPOLLIN)
                        each.reading = True
            for number, _ in self._readers.poll(left_s):
                each = self._connections[number]
                try:
                    gone = not each.socket.recv(_READ_BYTES)
                except OSError:
                    gone = True
                if gone:
                    self._drop(each)
