"""Receive the messages of a monitor: every alert exactly once and in order, even if messages were lost on the way.

    for alert in AlertSubscriber("tcp://127.0.0.1:5560").alerts():
        print(alert.camera, alert.phase, alert.peak_score)

Only one thread may use a subscriber.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import zmq

from monitor.alerts.endpoints import DEFAULT_ALERTS_ENDPOINT, check_endpoint
from monitor.alerts.history import Answer
from monitor.alerts.journal_rows import STORED_TOPICS
from monitor.alerts.keys import ClientKeys
from monitor.alerts.messages import (
    AlertMessage,
    Decoded,
    Heartbeat,
    MalformedError,
    ScoreMessage,
    decode,
)
from monitor.client.connection import RefusalWatch, connect, new_socket
from monitor.client.follower import Follower
from monitor.client.inquiry import Inquiry
from monitor.client.items import (
    Contact,
    Ended,
    Item,
    Malformed,
    Received,
    Silence,
    UnknownCamera,
    Unreadable,
)
from monitor.client.notes import note
from monitor.client.since import Since, start_of, token_of
from monitor.client.tracker import SequenceTracker
from monitor.errors import ConfigError

log = logging.getLogger(__name__)

SILENCE_S = 3.0
"""A publisher sends a heartbeat every second. After this many seconds without one it counts as silent."""
_LONGEST_POLL_S = 60.0
"""ZeroMQ counts milliseconds in 32 bits. A longer wait takes several polls."""
MAX_CAMERAS = 128
MAX_CAMERA_BYTES = 255


class AlertSubscriber:
    """A context manager, and an iterator of all items (see Item). ``alerts()`` gives only the alerts.

    endpoint         the monitor's alerts address
    since            where to begin: a token, an age or a time (see Since); None: with the events that are open at the
                     first contact, and all messages sent since this subscriber started
    scores_endpoint  the monitor's scores address; None: no scores. Lost scores are not recovered
    history_endpoint the monitor's history address; None: the address that the monitor reports
    cameras          only these cameras; None: all
    health           also deliver camera health
    budget           also deliver alarms beside the budget
    moments          also deliver the most unusual moments of each day
    alerts           False: deliver no alerts, only the other kinds that are chosen
    keys             folder of this client's keys (see monitor.alerts.keys); None: the monitor uses no keys
    repair           False: losses are reported, but not recovered
    follow           False: iteration ends when everything sent so far has been delivered
    timeout_s        iteration ends after this many seconds without a message; None: never
    silence_s        a Silence is reported after this many seconds without a heartbeat

    Broken connections are restored automatically. Raises ConfigError if an argument is invalid. Iteration raises
    RefusedError if the monitor does not accept the keys.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ALERTS_ENDPOINT,
        *,
        since: Since = None,
        scores_endpoint: str | None = None,
        history_endpoint: str | None = None,
        cameras: Sequence[str] | None = None,
        health: bool = False,
        budget: bool = False,
        moments: bool = False,
        alerts: bool = True,
        keys: Path | str | None = None,
        repair: bool = True,
        follow: bool = True,
        timeout_s: float | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        for address in (endpoint, scores_endpoint, history_endpoint):
            if address is not None:
                check_endpoint(address)
        for camera in cameras or ():
            if not camera or "/" in camera:
                raise ConfigError(f"{camera!r} is not a camera name: a name must not be empty and must not contain /")
            if len(camera.encode(errors="replace")) > MAX_CAMERA_BYTES:
                raise ConfigError(f"{camera[:20]!r}... is not a camera name: it has more than {MAX_CAMERA_BYTES} bytes")
        if len(cameras or ()) > MAX_CAMERAS:
            raise ConfigError(f"at most {MAX_CAMERAS} cameras can be chosen: leave the cameras out to receive all")
        if timeout_s is not None and not timeout_s >= 0:
            raise ConfigError(f"the timeout must be 0 or more seconds, got {timeout_s}")
        suffixes = [""] if cameras is None else [f"{camera}/" for camera in cameras]
        wanted = {"alert": alerts, "health": health, "budget": budget, "moment": moments}
        kinds = [kind for kind, chosen in wanted.items() if chosen]
        if not kinds:
            raise ConfigError("nothing is chosen: choose alerts, health, budget or moments")
        self.endpoint = endpoint
        self.scores_endpoint = scores_endpoint
        self.malformed = 0
        """Number of malformed messages; they were skipped."""
        self.token: str | None = None
        """Pass it as ``since`` to continue after the last item from the iteration; None before the first."""
        self.heard_before = False
        """True once any message of the monitor has come."""
        self._start = start_of(since)
        self._repair = repair
        self._follow = follow
        self._cameras = frozenset(cameras or ())
        self._keys = None if keys is None else ClientKeys.load(Path(keys))
        self._chosen_history = history_endpoint
        self._topics = tuple(f"{kind}/{suffix}" for kind in kinds for suffix in suffixes)
        self._score_topics = tuple(f"score/{suffix}" for suffix in suffixes)
        self._timeout_s = math.inf if timeout_s is None else timeout_s
        self._silence_s = silence_s
        self._entered = False

    def __enter__(self) -> Self:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self._follower = Follower(self._topics, self._start, repair=self._repair)
        self._score_tracker = SequenceTracker()
        self._queue: deque[tuple[Item | None, int | None]] = self._follower.items
        self._inquiry = Inquiry(self._context, self._poller, self._keys, self.endpoint, self._chosen_history)
        self._epoch: str | None = None
        self._cameras_checked_in: str | None = None  # the run with cameras already checked
        self._in_contact = False
        try:
            # Heartbeats last: then the first one comes after the other subscriptions are active.
            topics = STORED_TOPICS if self._repair else self._topics
            self._alerts = new_socket(self._context, zmq.SUB, self._keys, (*topics, "heartbeat/"))
            self._watch = RefusalWatch(self._alerts, self.endpoint, has_keys=self._keys is not None)
            self._poller.register(self._watch.events, zmq.POLLIN)
            self._connect(self._alerts, self.endpoint)
            if self.scores_endpoint is not None:
                scores = new_socket(self._context, zmq.SUB, self._keys, self._score_topics)
                self._connect(scores, self.scores_endpoint)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        now = time.monotonic()
        self._ends_at, self._silent_at = now + self._timeout_s, now + self._silence_s
        self._entered_at = now
        self._entered = True
        return self

    def __exit__(self, *_: object) -> None:
        self._entered = False
        self._alerts.disable_monitor()
        self._context.destroy(linger=0)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        while (item := self.next_now()) is None:
            self._poller.poll(math.ceil(self.wait_s() * 1000))
        return item

    def alerts(self, *, strict: bool = False) -> Iterator[AlertMessage]:
        """Yield only the alerts, each exactly once and in order. Other items are logged.

        Opens and closes the subscriber if the caller has not opened it. With ``strict``, a loss that could not be
        recovered raises LostError.
        """
        if not self._entered:
            with self:
                yield from self.alerts(strict=strict)
            return
        for item in self:
            if isinstance(item, Received):
                if isinstance(item.message, AlertMessage):
                    yield item.message
            else:
                note(item, strict=strict)

    def next_now(self) -> Item | None:
        """Return the next item if it has already come, else None. Raises StopIteration at the end of the iteration."""
        while True:
            while self._queue:
                item, position = self._queue.popleft()
                if position is not None:
                    self.token = token_of(position)
                if item is not None:
                    return item
            if not self._follow and self.heard_before and self._follower.caught_up:
                raise StopIteration
            self._ask()
            ready = self._poller.poll(0)
            for waiting, _ in ready:
                self._receive(waiting)
            if not ready and not self._queue:
                # Only after reading all waiting data: a slow caller must not count as silence.
                self._look_at_the_clock()
                if not self._queue:
                    return None

    def wait_s(self) -> float:
        """Return after how many seconds ``next_now`` must be called again, if no socket has data before."""
        soonest = min(self._ends_at, self._silent_at, self._inquiry.ask_again_at) - time.monotonic()
        return min(max(0.0, soonest), _LONGEST_POLL_S)

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Return the sockets to wait for. The list changes when the monitor restarts."""
        return [waiting for waiting, _ in self._poller.sockets]

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if now >= self._silent_at:
            self._in_contact, self._silent_at = False, math.inf
            self._queue.append((Silence(self.endpoint, self._silence_s, self.heard_before), None))
            self._follower.no_heartbeat()
        elif now >= self._ends_at:
            raise StopIteration
        reason = self._inquiry.overdue(now, in_contact=self._in_contact)
        if reason is not None:
            self._follower.give_up(reason)

    def _ask(self) -> None:
        """Send the follower's request, unless it is already sent."""
        request = self._follower.request
        if request is not None and (reason := self._inquiry.ask(request, time.monotonic())) is not None:
            self._follower.give_up(reason)

    def _receive(self, waiting: zmq.Socket[bytes]) -> None:
        if waiting is self._watch.events:
            self._watch.read()
            return
        parts = waiting.recv_multipart()
        try:
            if waiting is self._inquiry.socket:
                if (answer := self._inquiry.received(parts)) is not None:
                    if answer.messages:
                        self._ends_at = time.monotonic() + self._timeout_s
                    self._say_malformed(answer)
                    self._follower.answer(answer)
                return
            decoded = decode(parts)
        except MalformedError as error:
            self.malformed += 1
            self._queue.append((Malformed(parts[0][:300].decode(errors="replace"), str(error)), None))
            return
        if waiting is self._alerts:
            self._take(decoded)
        elif isinstance(decoded.message, ScoreMessage):
            self._take_score(decoded)

    def _say_malformed(self, answer: Answer) -> None:
        """Report the messages of a reply that cannot be read, here or by the monitor."""
        self.malformed += len(answer.malformed) + answer.head.unreadable
        self._queue.extend((Malformed(topic, reason), None) for topic, reason in answer.malformed)
        if answer.head.unreadable:
            self._queue.append((Unreadable(answer.head.node, answer.head.unreadable), None))

    def _take(self, decoded: Decoded) -> None:
        message, now = decoded.message, time.monotonic()
        self._silent_at = now + self._silence_s
        restarted = self._epoch not in (None, message.epoch)
        if restarted or not self._in_contact:
            self._queue.append((Contact(message.node, message.epoch, restarted), None))
        self._epoch, self._in_contact, self.heard_before = message.epoch, True, True
        if isinstance(message, Heartbeat):
            if message.history is not None and self._repair:
                self._inquiry.announced(message.history)
            self._follower.heartbeat(message, now - self._entered_at)
            self._check_cameras(message)
            if message.ended is not None:
                self._queue.append((Ended(message.node, message.ended), None))
                self._in_contact, self._silent_at = False, math.inf  # silence is expected now
        elif not isinstance(message, ScoreMessage):
            self._ends_at = now + self._timeout_s
            self._follower.live(decoded)

    def _check_cameras(self, heartbeat: Heartbeat) -> None:
        """Check the requested cameras once per run: a mistyped name must not look like a quiet camera."""
        known = {topic.split("/")[1] for topic in heartbeat.last_seq if topic.count("/") == 2}
        # A monitor reports every camera's health before its first heartbeat. Without any, this is not a monitor.
        if not known or heartbeat.epoch == self._cameras_checked_in:
            return
        self._cameras_checked_in = heartbeat.epoch
        if unknown := self._cameras - known:
            item = UnknownCamera(heartbeat.node, tuple(sorted(unknown)), tuple(sorted(known)))
            self._queue.append((item, None))

    def _take_score(self, decoded: Decoded) -> None:
        message = decoded.message
        self._score_tracker.enter(message.epoch)
        new, gap = self._score_tracker.received(message.topic, message.seq)
        if gap is not None:
            self._queue.append((gap, None))
        if new and isinstance(message, ScoreMessage):
            self._ends_at = time.monotonic() + self._timeout_s
            self._queue.append((Received(message, decoded.jpeg, gap.last - gap.first + 1 if gap else 0), None))

    def _connect(self, made: zmq.Socket[bytes], endpoint: str) -> None:
        connect(made, endpoint)
        self._poller.register(made, zmq.POLLIN)
