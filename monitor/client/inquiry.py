"""The requests of a subscriber to the history: one at a time, sent again if no answer comes, given up after a while."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import suppress

import zmq

from monitor.alerts.history import Answer, HistoryRequest, decode_answer
from monitor.alerts.keys import ClientKeys
from monitor.alerts.messages import encode
from monitor.client.connection import connect, history_endpoint, new_socket
from monitor.errors import ConfigError
from monitor.text.outside import safe

log = logging.getLogger(__name__)

ASK_AGAIN_S = 2.0
"""A request to the history is sent again after this many seconds without an answer."""
GIVE_UP_S = 10.0
"""The request is given up after this many seconds without an answer, if heartbeats still come."""


class Inquiry:
    """Owns the socket to the history, and keeps it in the poller. ``now`` is time.monotonic(), in seconds.

    alerts  the monitor's alerts address
    chosen  the monitor's history address; None: the one that the monitor reports
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        poller: zmq.Poller,
        keys: ClientKeys | None,
        alerts: str,
        chosen: str | None,
    ) -> None:
        self.socket: zmq.Socket[bytes] | None = None
        """None as long as no address is known."""
        self._context, self._poller, self._keys = context, poller, keys
        self._alerts, self._chosen = alerts, chosen
        self._announced: str | None = None
        self._at: str | None = None
        self._unreachable = "this monitor has no history socket"
        self._asked: HistoryRequest | None = None  # sent, but not answered yet
        self._last: HistoryRequest | None = None
        self._tag = 0
        self._asked_at = self._first_asked_at = 0.0

    def announced(self, endpoint: str) -> None:
        """Connect to the history that the monitor reports, unless this is done already."""
        if endpoint == self._announced:
            return
        self._announced = endpoint
        try:
            at = self._chosen or history_endpoint(self._alerts, endpoint)
        except ConfigError as error:
            self._disconnect()
            self._unreachable = str(error)
            return
        if at == self._at:
            return
        self._disconnect()
        self._at = at
        self.socket = new_socket(self._context, zmq.DEALER, self._keys)
        try:
            connect(self.socket, at)
            self._poller.register(self.socket, zmq.POLLIN)
        except ConfigError as error:
            log.warning("the monitor's history cannot be used: %s", safe(error))

    def ask(self, request: HistoryRequest, now: float) -> str | None:
        """Send the request, unless it is sent already. Returns why it cannot be sent at all."""
        if request is self._asked:
            return None
        if self.socket is None:
            return self._unreachable
        if request is not self._last:
            self._last, self._first_asked_at = request, now
            self._tag += 1
        self._asked, self._asked_at = request, now
        tagged = request.model_copy(update={"tag": str(self._tag)})
        with suppress(zmq.Again):  # not connected now: the request is sent again later
            self.socket.send(encode(tagged), flags=zmq.DONTWAIT)
        return None

    def overdue(self, now: float, *, in_contact: bool) -> str | None:
        """Let the request be sent again if it is time. Returns why it is given up, if it is.

        in_contact  heartbeats come. While the monitor is down, the time limit does not run
        """
        if self._asked is None or now - self._asked_at < ASK_AGAIN_S:
            return None
        self._asked = None
        if not in_contact:
            self._first_asked_at = now
        return f"the history at {self._at} does not answer" if now - self._first_asked_at >= GIVE_UP_S else None

    @property
    def ask_again_at(self) -> float:
        """When ``overdue`` has to be called; infinity if nothing is asked."""
        return self._asked_at + ASK_AGAIN_S if self._asked is not None else math.inf

    def received(self, parts: Sequence[bytes]) -> Answer | None:
        """Decode a reply; None if it does not belong to the present request. Raises MalformedError."""
        answer = decode_answer(parts)
        if self._asked is None or answer.head.tag != str(self._tag):
            return None
        self._asked = None
        return answer

    def _disconnect(self) -> None:
        if self.socket is not None:
            if self.socket in self._poller:
                self._poller.unregister(self.socket)
            self.socket.close(linger=0)
        self.socket = self._at = self._asked = None
