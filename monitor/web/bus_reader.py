"""Threads that receive from the monitor: one what comes now, one what its journal holds from before.

Two, because a subscriber delivers in order: an alert of now would wait until all earlier ones have come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import zmq

from monitor.alerts.messages import AlertMessage, BudgetMessage, HealthMessage, MomentMessage, ScoreMessage
from monitor.client.items import Item, NoRepair, Received
from monitor.client.subscriber import AlertSubscriber
from monitor.errors import MonitorError
from monitor.threads.stage import Stage, join_all
from monitor.web.board import Board
from monitor.web.event_store import EventStore, StoredEvent
from monitor.web.moment_store import MomentStore
from monitor.web.monitor_names import MonitorNames
from monitor.web.timeline_store import TimelineStore

_LOOK_S = 0.25  # how long a wait for messages may keep a thread from seeing that it should end
_AGAIN_S = 5.0
_CAUGHT_UP_WITHIN_S = 20.0
_GOODBYE_S = 3.0


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where the monitor publishes. history: None: as the monitor says. keys: folder of this client's keys."""

    alerts: str
    scores: str | None
    history: str | None = None
    keys: Path | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What viewers are told: the name of the change, and its data; ``event`` is an event that has changed."""

    kind: str
    data: Any = None
    event: StoredEvent | None = None


class BusReader:
    """A context manager around the two threads. Raises ConfigError if an address or a key cannot be used.

    tell      called from the threads with each change
    moments   takes the ranked day; None: it is not wanted
    timeline  takes scores and states; None: the same
    names     how the page calls the cameras of several monitors, and the number of this ``monitor``, from 0
    """

    def __init__(
        self,
        address: BusAddress,
        store: EventStore,
        board: Board,
        tell: Callable[[News], None],
        moments: MomentStore | None = None,
        timeline: TimelineStore | None = None,
        names: MonitorNames | None = None,
        monitor: int = 0,
    ) -> None:
        self._names, self._monitor = names or MonitorNames(), monitor
        self._address, self._store, self._board, self._tell = address, store, board, tell
        self._moments, self._timeline = moments, timeline
        self._stop = threading.Event()
        self._live(), self._earlier()  # wrong addresses and keys are found here
        self._stages = [
            Stage("bus, now", lambda: self._again_and_again(self._follow), lambda _: None),
            Stage("bus, earlier", lambda: self._again_and_again(self._fill), lambda _: None),
        ]

    def __enter__(self) -> Self:
        for stage in self._stages:
            stage.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        join_all(self._stages, _GOODBYE_S)

    def _live(self) -> AlertSubscriber:
        at = self._address
        return AlertSubscriber(
            at.alerts,
            scores_endpoint=at.scores,
            history_endpoint=at.history,
            health=True,
            budget=True,
            moments=self._moments is not None,
            keys=at.keys,
        )

    def _earlier(self) -> AlertSubscriber:
        at = self._address
        return AlertSubscriber(
            at.alerts,
            since="p0",
            history_endpoint=at.history,
            health=True,
            budget=True,
            moments=self._moments is not None,
            keys=at.keys,
            follow=False,
            timeout_s=_CAUGHT_UP_WITHIN_S,
        )

    def _again_and_again(self, once: Callable[[], bool]) -> None:
        """Call until it returns True or the reader ends. A refusal is reported; keys may be added to a monitor."""
        while not self._stop.is_set():
            try:
                if once():
                    return
            except MonitorError as error:
                self._board.refused(str(error))
                self._tell(News("monitor", self._board.link()))
            self._stop.wait(_AGAIN_S)

    def _follow(self) -> bool:
        with self._live() as subscriber:
            for item in self._items(subscriber):
                self._take(item)
        return self._stop.is_set()

    def _fill(self) -> bool:
        state = "complete"
        with self._earlier() as subscriber:
            for item in self._items(subscriber):
                if isinstance(item, Received):
                    self._take_message(item, live=False)
                elif isinstance(item, NoRepair):
                    state = "unavailable"
            heard = subscriber.heard_before
        if heard and not self._stop.is_set():
            self._board.history(state)
            self._tell(News("monitor", self._board.link()))
            self._tell(News("refresh"))
        return heard

    def _items(self, subscriber: AlertSubscriber) -> Iterator[Item]:
        """The items of a subscriber, until it or this reader ends."""
        while not self._stop.is_set():
            try:
                item = subscriber.next_now()
            except StopIteration:
                return
            if item is not None:
                yield item
                continue
            zmq.select(subscriber.sockets(), [], [], min(_LOOK_S, subscriber.wait_s()))

    def _take(self, item: Item) -> None:
        if isinstance(item, Received):
            for news in self._take_message(item, live=True):
                self._tell(news)
        elif self._board.take_link(item):
            if self._timeline is not None:
                self._timeline.link(heard=self._board.link()["state"] == "connected", monitor=self._monitor)
            self._tell(News("monitor", self._board.link()))
            self._tell(News("cameras"))

    def _take_message(self, item: Received, *, live: bool) -> list[News]:
        message = self._names.renamed(self._monitor, item.message)
        if isinstance(message, ScoreMessage):
            self._board.take_score(message)
            if self._timeline is not None:
                self._timeline.take_score(message, self._monitor)
        elif isinstance(message, AlertMessage):
            event = self._store.take_alert(message, item.jpeg)
            return [] if event is None else [News("alert", event=event)]
        elif isinstance(message, HealthMessage):
            if self._timeline is not None:
                self._timeline.take_health(message, live=live, monitor=self._monitor)
            if not self._board.take_health(message):
                return []
            known = self._board.camera(message.camera) is not None
            return [News("camera", message.camera) if known else News("cameras")]
        elif isinstance(message, BudgetMessage):
            self._store.take_budget(message)
            return [News("budget", message.camera)]
        elif isinstance(message, MomentMessage) and self._moments is not None:
            self._moments.take(message, item.jpeg)
            return [News("moment", message.camera)]
        return []
