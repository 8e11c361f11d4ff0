"""A webhook: each notice is one signed HTTP request with a JSON body.

The signature is that of the Standard Webhooks specification (https://www.standardwebhooks.com): HMAC-SHA256 over
``<webhook-id>.<webhook-timestamp>.<body>``. The id is the idempotency key.

A request is bounded in time and in the bytes that are read. Redirects are not followed: a signed message and its
headers go only to the address that the user has written.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http
import http.client
import json
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote

from monitor import __version__
from monitor.alerts.messages import AlertMessage, BudgetMessage, HealthMessage, MomentMessage, Stored
from monitor.delivery.notice import BACKOFF_MAX_S, DeliveryError, EventSteps, NewStates, Notice, armed_of
from monitor.delivery.refusals import beginning_tls, speaks_tls, why_no_connection
from monitor.delivery.webhook_settings import WebhookSettings
from monitor.errors import ConfigError
from monitor.text.addresses import shown_address
from monitor.text.outside import safe

SCHEMA = 1
"""Version of the body. It increases when a field changes its meaning or is removed."""
MOST_READ = 65_536
"""Bytes of an answer's body that are read; the rest is not waited for."""
_TOPICS = {"alerts": "alert/", "updates": "alert/", "health": "health/", "budget": "budget/"}
_REFUSED = (400, 405, 406, 409, 410, 411, 413, 414, 415, 422)
"""Answers that refuse this very message. 401, 403 and 404 do not: they come from a wrong setting, which can be put
right, and then the message is wanted."""


_WITHOUT_TLS = "write http:// in url, or the port for https"
_WITH_TLS = "answers with TLS, and not with plain HTTP: write https:// in url"
_ADVICE = {
    401: "it asks for a login, or the login is wrong: check url, headers and secret",
    403: "the login may not do this: check url, headers and secret",
    404: "there is nothing at this path: check url",
    407: "a proxy asks for a login: let the monitor reach the receiver without it",
    408: "it waited too long: look at the receiver and the network",
    413: "the message is too large for it: raise its limit, or set picture = false",
    429: "it is asked too often: raise its limit, or send less",
}


def _advice(status: int) -> str:
    """What an answer means, and what to do, with a comma before it; "" if that is not known."""
    said = _ADVICE.get(status) or ("it has failed itself: look at its log" if status >= 500 else "")
    if status in _REFUSED and not said:
        said = "it does not take this message: check that url is that of a webhook"
    return said and f", {said}"


def signature(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature``."""
    content = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


class Webhook:
    """A receiver (``monitor.delivery.notice.Receiver``). armed: whether a camera is armed now.

    Raises ConfigError if the file of certificates cannot be used.
    """

    backoff_max_s = BACKOFF_MAX_S

    def __init__(self, name: str, settings: WebhookSettings, armed: Callable[[str], bool] = lambda _: True) -> None:
        self._armed = armed
        self.name = f"webhook.{name}"
        self.topics = tuple(sorted({_TOPICS[kind] for kind in settings.send}))
        self.keep_s = settings.keep_hours * 3600.0
        self._settings = settings
        self._key = settings.key()
        self._address = settings.address()
        self._updates = "updates" in settings.send
        self._steps, self._states = EventSteps(updates=self._updates), NewStates()
        self._interrupted = self._was_cut = False
        self._socket: socket.socket | None = None
        self._tls = self._context() if self._address.scheme.lower() == "https" else None

    @property
    def label(self) -> str:
        """Scheme, host and port, for people; without what may be secret."""
        return str(shown_address(f"{self._address.scheme}://", self._address.netloc))

    def load(self, state: str) -> None:
        """Continue with the open events that have notified nobody yet, and the last states of cameras."""
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            content = json.loads(state)
            quiet = [str(one) for one in content["quiet"]]
            states = {str(camera): str(one) for camera, one in content["states"].items()}
            self._steps, self._states = EventSteps(updates=self._updates, state=quiet), NewStates(states)

    def dump(self) -> str:
        """The open events that have notified nobody yet, and the last states of cameras."""
        return json.dumps({"quiet": self._steps.quiet, "states": self._states.states})

    def take(self, message: Stored, jpeg: bytes | None, now: float) -> Notice | None:  # noqa: ARG002 - the interface
        """Choose what is sent: of the wanted kinds, what ``EventSteps`` and ``NewStates`` choose."""
        if isinstance(message, MomentMessage) or (
            isinstance(message, HealthMessage) and not self._states.is_new(message)
        ):
            return None
        if isinstance(message, AlertMessage):
            key = self._steps.key(message)
        else:
            kind = "health" if isinstance(message, HealthMessage) else "budget"
            key = f"{message.epoch}-{message.camera}-{kind}-{message.seq}"
        return None if key is None else Notice(key, message, jpeg if self._settings.picture else None)

    def due(self, now: float) -> Notice | None:  # noqa: ARG002 - the interface
        """Nothing is sent without a message."""
        return None

    def due_in(self, now: float) -> float:  # noqa: ARG002 - the interface
        """Never."""
        return math.inf

    def deliver(self, notice: Notice, *, late: bool) -> None:
        """Send one request. Raises DeliveryError unless the server answers with 200 to 299."""
        assert isinstance(notice.message, Stored)
        body = {
            "schema": SCHEMA,
            "id": notice.key,
            "kind": _kind(notice.message),
            "late": late,
            "armed": armed_of(notice.message, self._armed),
            "message": notice.message.model_dump(mode="json", by_alias=True),
        }
        if self._settings.picture:
            body["picture"] = None if notice.jpeg is None else base64.b64encode(notice.jpeg).decode()
        self._send(notice.key, body)

    def probe(self) -> None:
        """Connect, and send nothing. Raises DeliveryError."""
        with self._limited():
            try:
                self._connected().close()
            finally:
                self._socket = None

    def test(self) -> None:
        """Send a request with the kind ``test``. Raises DeliveryError."""
        body = {
            "schema": SCHEMA,
            "id": f"test-{time.time_ns()}",
            "kind": "test",
            "late": False,
            "armed": True,
            "message": None,
        }
        self._send(str(body["id"]), body)

    def interrupt(self) -> None:
        """End the request in progress, and refuse all further ones."""
        self._interrupted = True
        self._cut()

    def close(self) -> None:
        """Each request closes its connection."""

    def _send(self, key: str, body: dict[str, Any]) -> None:
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        with self._limited():
            status, wait_s, place = self._exchange(key, content)
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            to = f" to {shown_address(*_split(place))}" if "://" in place else ""
            raise DeliveryError(
                f"{self.label} answers with a redirect{safe(to)} ({status}), which is not followed: write the final "
                "address into the setting url"
            )
        if status == http.HTTPStatus.BAD_REQUEST and self._is_taken_for_plain():
            raise DeliveryError(f"{self.label} {_WITH_TLS}")  # not final: the message is wanted
        what = f"{self.label} answers {status}{_advice(status)}"
        raise DeliveryError(what, final=status in _REFUSED, wait_s=wait_s)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Limit the time of a request. Raises DeliveryError for what goes wrong in it."""
        timer = threading.Timer(self._settings.timeout_s, self._cut)
        timer.daemon = True
        began = time.monotonic()
        self._was_cut = False
        timer.start()
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self._interrupted:
                raise DeliveryError("the run ends") from error
            if time.monotonic() - began >= self._settings.timeout_s:
                raise DeliveryError(f"{self.label} does not answer within {self._settings.timeout_s:g} s") from error
            why = _WITH_TLS if self._is_taken_for_plain(error) else _why(error)
            raise DeliveryError(f"{self.label} {why}") from error
        finally:
            timer.cancel()

    def _is_taken_for_plain(self, error: Exception | None = None) -> bool:
        """Whether the port speaks TLS, although the address says http. error: what went wrong; None: an answer 400."""
        hung_up = error is None or isinstance(error, http.client.HTTPException | ConnectionResetError | BrokenPipeError)
        host = self._address.hostname or ""
        return self._tls is None and hung_up and speaks_tls(host, self._port, self._settings.timeout_s)

    def _exchange(self, key: str, content: bytes) -> tuple[int, float, str]:
        """Send a request. Returns the status, the wait that the server asks for in seconds, and its ``Location``."""
        if self._interrupted:
            raise ConnectionError
        connection = http.client.HTTPConnection(self._address.hostname or "", self._port)
        try:
            connection.sock = self._connected()
            target = self._address.path or "/"
            if self._address.query:
                target += f"?{self._address.query}"
            connection.request("POST", target, content, self._headers(key, content))
            with connection.getresponse() as answer:
                if self._was_cut:  # to http.client, a cut connection ends the headers like an empty line
                    raise TimeoutError
                status, wait = answer.status, answer.getheader("Retry-After", "")
                place = answer.getheader("Location", "")
                with suppress(OSError, http.client.HTTPException):  # the status counts; the body is only emptied
                    answer.read(MOST_READ)
            return status, float(wait) if wait.isdecimal() and len(wait) < 10 else 0.0, place
        finally:
            self._socket = None
            connection.close()

    @property
    def _port(self) -> int:
        return self._address.port or (80 if self._tls is None else 443)

    def _connected(self) -> socket.socket:
        """A connection, with TLS if the address asks for it. ``_cut`` can end it from the first byte on."""
        host = self._address.hostname or ""
        plain = socket.create_connection((host, self._port), self._settings.timeout_s)
        self._socket = plain
        if self._tls is None:
            return plain
        try:
            wrapped = self._tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        except BaseException:
            plain.close()
            raise
        self._socket = wrapped
        try:
            with beginning_tls():
                wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def _headers(self, key: str, content: bytes) -> dict[str, str]:
        now = int(time.time())
        headers = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        if self._address.username is not None:
            who = f"{unquote(self._address.username)}:{unquote(self._address.password or '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(who.encode()).decode()}"
        return headers | {
            "Content-Type": "application/json",
            "User-Agent": f"true-sight/{__version__}",
            "Connection": "close",
            "Idempotency-Key": key,
            "webhook-id": key,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(self._key, key, now, content),
        }

    def _cut(self) -> None:
        """Cut the connection, if there is one: a server that sends byte after byte never runs into a timeout."""
        self._was_cut = True
        connected = self._socket
        if connected is not None:
            with suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)  # of an SSLSocket, too: it must not wait for TLS

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._settings.ca)
        except OSError as error:
            reason = error.strerror or "it holds no certificate"
            raise ConfigError(
                f"[{self.name}] cannot use the certificates in {self._settings.ca} ({reason}): name a PEM file in ca"
            ) from error


def _kind(message: Stored) -> str:
    return {AlertMessage: "alert", HealthMessage: "health", BudgetMessage: "budget", MomentMessage: "moment"}[
        type(message)
    ]


def _split(place: str) -> tuple[str, str]:
    scheme, _, rest = place.partition("://")
    return f"{scheme}://", rest


def _why(error: Exception) -> str:
    """What went wrong, as the end of a sentence that begins with the address."""
    if isinstance(error, http.client.RemoteDisconnected):
        return "closes the connection without an answer"
    if isinstance(error, http.client.HTTPException):
        return "sends an answer that is not HTTP"
    if isinstance(error, OSError):
        return why_no_connection(error, _WITHOUT_TLS)
    return "sends an answer that makes no sense"
