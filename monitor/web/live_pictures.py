"""Live pictures in the page's process: asked for while browsers look, received once, kept only as the newest of each.

One thread talks to the monitor. While nobody looks, it waits and has no connection.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

import zmq

from monitor.alerts.control import MOST_LOOKED_AT, Look
from monitor.alerts.keys import ClientKeys
from monitor.alerts.messages import MalformedError
from monitor.alerts.previews import LEASE_S, Kind, Preview, decode_preview, preview_topic
from monitor.client.connection import connect, new_socket
from monitor.errors import MonitorError
from monitor.threads.stage import Stage, join_all
from monitor.web.bus_reader import BusAddress
from monitor.web.monitor_link import MonitorLink

log = logging.getLogger(__name__)

Place = tuple[str, Kind]
"""A camera, and the kind of picture."""
MOST_LOOKING = 32
"""Streams of live pictures at the same time."""
RENEW_S = LEASE_S / 4
_AGAIN_S = 2.0  # after a monitor that did not answer
_ANSWER_S = 3.0
_LOOK_S = 0.1  # how long a wait for pictures may keep the thread from a new wish
_GOODBYE_S = 5.0
_MOST_WAITING = 8


class LivePictures:
    """A context manager around the thread. ``looking`` and ``latest`` are for the event loop's thread."""

    def __init__(self, address: BusAddress, link: MonitorLink) -> None:
        self._address, self._link = address, link
        self._keys = None if address.keys is None else ClientKeys.load(address.keys)
        self._wishes: Counter[Place] = Counter()
        self._changed = threading.Condition()
        self._stop = False
        self._latest: dict[Place, Preview] = {}
        self._problem = ""
        self._waiting: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stage = Stage("live pictures", self._work, lambda _: None)

    def __enter__(self) -> Self:
        self._stage.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stop = True
            self._changed.notify()
        join_all([self._stage], _GOODBYE_S)

    def start(self) -> None:
        """Call it in the event loop before ``looking``."""
        self._loop = asyncio.get_running_loop()

    @property
    def problem(self) -> str:
        """Why no pictures come, in a sentence; "" if they should."""
        return self._problem

    @property
    def viewers(self) -> int:
        """How many look now."""
        return len(self._waiting)

    @contextmanager
    def looking(self, places: Iterable[Place], news: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
        """Somebody looks at these. Gives an event that is set whenever there may be something new.

        news: set this event; None: a new one
        """
        news, wished = news or asyncio.Event(), Counter(set(places))
        self._waiting.add(news)
        with self._changed:
            self._wishes += wished
            self._changed.notify()
        try:
            yield news
        finally:
            self._waiting.discard(news)
            with self._changed:
                self._wishes -= wished
                for place in wished:
                    if place not in self._wishes:
                        self._latest.pop(place, None)  # an old picture must not be taken for one of now

    def latest(self, place: Place) -> Preview | None:
        """The newest picture; None if there is none yet."""
        return self._latest.get(place)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stop or self._wishes)
                if self._stop:
                    return
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            try:
                self._receive(context)
            except (MonitorError, zmq.ZMQError) as error:
                self._say(str(error))
                with self._changed:
                    self._changed.wait_for(lambda: self._stop, _AGAIN_S)
            finally:
                context.destroy(linger=0)

    def _receive(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Receive until nobody looks any more."""
        scores = self._address.scores
        if scores is None:
            return
        with new_socket(context, zmq.SUB, self._keys) as socket:
            socket.rcvhwm = _MOST_WAITING
            connect(socket, scores)
            subscribed: frozenset[Place] = frozenset()
            ask_at = 0.0
            while (wished := self._wished()) and not self._stop:
                for place in wished - subscribed:
                    socket.subscribe(preview_topic(*place))
                    ask_at = 0.0
                for place in subscribed - wished:
                    socket.unsubscribe(preview_topic(*place))
                subscribed = wished
                now = time.monotonic()
                if now >= ask_at:
                    ask_at = now + (RENEW_S if self._renew(wished) else _AGAIN_S)
                if socket.poll(round(_LOOK_S * 1000)):
                    self._take(socket, wished)

    def _wished(self) -> frozenset[Place]:
        with self._changed:
            return frozenset(self._wishes)

    def _renew(self, wished: frozenset[Place]) -> bool:
        """Ask the monitor for the pictures. Returns False if it does not give them."""
        kinds: tuple[Kind, ...] = ("picture", "heat")
        for kind in kinds:
            cameras = sorted(camera for camera, wanted in wished if wanted == kind)
            for at in range(0, len(cameras), MOST_LOOKED_AT):
                request = Look(cameras=tuple(cameras[at : at + MOST_LOOKED_AT]), heat=kind == "heat")
                try:
                    reply = self._link.ask(request, timeout_s=_ANSWER_S)
                except MonitorError as error:
                    self._link.forget()
                    self._say(str(error))
                    return False
                if reply.reply != "ok":
                    self._say(reply.said)
                    return False
        self._say("")
        return True

    def _take(self, socket: zmq.Socket[bytes], wished: frozenset[Place]) -> None:
        with suppress(zmq.Again):
            while True:
                try:
                    preview = decode_preview(socket.recv_multipart(zmq.NOBLOCK))
                except MalformedError as error:
                    log.debug("no picture: %s", error)
                    continue
                place: Place = (preview.message.camera, preview.message.kind)
                if place in wished:
                    self._latest[place] = preview
                    self._tell()

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._tell()

    def _tell(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for each in self._waiting:
            each.set()
