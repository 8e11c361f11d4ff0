"""The connection to an MQTT broker. It connects again by itself, for ever.

paho-mqtt has a thread for the network. Its callbacks only set flags and fill a bounded queue: the threads that use the
link do the work.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from monitor.delivery.mqtt_settings import MqttSettings
from monitor.delivery.mqtt_topics import OFFLINE, ONLINE, Topics
from monitor.delivery.notice import DeliveryError
from monitor.delivery.refusals import beginning_tls, speaks_tls, why_no_connection
from monitor.errors import ConfigError
from monitor.text.commands import python_command
from monitor.text.outside import safe
from monitor.threads.stage import Stage, join_all

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

log = logging.getLogger(__name__)

KEEPALIVE_S = 30
CONNECT_S = 5.0
ACCEPT_S = 10.0
"""Seconds in which the broker must confirm a message."""
RECONNECT_MAX_S = 10
CLOSE_S = 1.0
_PROBED_S = 60.0  # so long, what an own connection has found out is believed
_WITHOUT_TLS = "set tls = false in [mqtt], or port to the one for TLS"
_SLICE_S = 0.2  # waiting can be interrupted this often
_MOST_QUEUED = 2000
_MOST_RECEIVED = 1000
_LARGEST_RECEIVED = 65_536


class MqttLink:
    """A context manager around the connection. Entering does not wait for the broker.

    announce   publish ``online`` and, by the broker, ``offline``; False: leave no trace
    client_id  must differ from that of every other client of the broker

    Raises ConfigError if paho-mqtt is missing, or if a file of certificates cannot be used.
    """

    def __init__(self, settings: MqttSettings, topics: Topics, client_id: str, *, announce: bool = True) -> None:
        assert settings.host is not None
        self._settings = settings
        self._topics = topics
        self._changed = threading.Condition()
        self._connected = self._refused = self._unanswered = self._interrupted = False
        self._probed: tuple[float, str | None] | None = None  # when, and what has been found
        self._reason = "no connection yet"
        self._births = 0
        self._received: deque[tuple[str, bytes, bool]] = deque(maxlen=_MOST_RECEIVED)
        self._tls = _context(settings) if settings.tls else None
        self._client = _client(settings, client_id, self._tls)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_message = self._on_message
        self._announce = announce
        if announce:
            self._client.will_set(topics.status, OFFLINE, qos=1, retain=True)

    @property
    def label(self) -> str:
        """The broker's address, for people."""
        host = self._settings.host or ""
        return f"{'mqtts' if self._settings.tls else 'mqtt'}://{f'[{host}]' if ':' in host else host}:{self._port}"

    def __enter__(self) -> Self:
        self._client.connect_async(self._settings.host or "", self._port, KEEPALIVE_S)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._announce:
            self._say_goodbye()
        self._client.disconnect()
        # It waits for the end of the thread, which may be in the middle of a connection.
        ending = Stage("mqtt-end", self._end_thread, lambda _: None)
        ending.start()
        join_all([ending], CONNECT_S + CLOSE_S)

    def _end_thread(self) -> None:
        self._client.loop_stop()

    def _say_goodbye(self) -> None:
        self._interrupted = False
        with suppress(DeliveryError):
            self.publish(self._topics.status, OFFLINE.encode(), retain=True, wait_s=CLOSE_S)

    @property
    def births(self) -> int:
        """How often a connection has been made. After each one, everything retained is published again."""
        with self._changed:
            return self._births

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted this client."""
        with self._changed:
            return self._connected

    def await_connection(self, timeout_s: float) -> None:
        """Wait until the broker has accepted this client. Raises DeliveryError with the reason if it does not."""
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self._refused or self._interrupted, timeout_s)
            if self._connected:
                return
            reason, known = self._reason, self._refused or self._interrupted
        raise DeliveryError(f"{self.label} {reason if known else self._found_out() or reason}")

    def _found_out(self) -> str | None:
        """As ``why_unreachable``, but not asked each time: the broker may log each connection."""
        now = time.monotonic()
        if self._probed is None or now - self._probed[0] > _PROBED_S:
            self._probed = now, self.why_unreachable()
        return self._probed[1]

    def why_unreachable(self) -> str | None:
        """Try to connect a socket. Returns what prevents it, as the end of a sentence; None if nothing does.

        paho-mqtt does not say why a connection fails. If the broker has hung up instead of answering, it is also asked
        whether it speaks TLS.
        """
        host = self._settings.host or ""
        try:
            with socket.create_connection((host, self._port), CONNECT_S) as plain, beginning_tls():
                if self._tls is not None:
                    self._tls.wrap_socket(plain, server_hostname=host).close()
        except OSError as error:
            return why_no_connection(error, _WITHOUT_TLS)
        if self._tls is None and self._unanswered and speaks_tls(host, self._port, CONNECT_S):
            return "answers with TLS, and not with plain MQTT: set tls = true in [mqtt]"
        return None

    def wait(self, seconds: float) -> None:
        """Wait until something has changed: a connection, a message, or ``wake``."""
        with self._changed:
            if not self._received:
                self._changed.wait(seconds)

    def interrupt(self) -> None:
        """Let nobody wait for the broker any more."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def wake(self) -> None:
        """End ``wait`` in another thread."""
        with self._changed:
            self._changed.notify_all()

    def received(self) -> list[tuple[str, bytes, bool]]:
        """The messages that have come since the last call: topic, payload, and whether the broker had kept it."""
        with self._changed:
            messages = list(self._received)
            self._received.clear()
            return messages

    def subscribe(self, *filters: str) -> None:
        """Subscribe, after each connection. Retained messages come at once.

        With MQTT 5, messages that are retained keep that mark also if they are sent later; before, brokers take it off.
        """
        if self._settings.protocol == "5":
            from paho.mqtt.subscribeoptions import SubscribeOptions

            self._client.subscribe([(each, SubscribeOptions(qos=1, retainAsPublished=True)) for each in filters])
        else:
            self._client.subscribe([(each, 1) for each in filters])

    def send(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> MQTTMessageInfo | None:
        """Publish without waiting; None if there is no connection, or no room for more messages."""
        if not self.connected:
            return None
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        return info if info.rc == 0 else None

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, wait_s: float = ACCEPT_S) -> None:
        """Publish, and wait until the broker has confirmed it. Raises DeliveryError."""
        self.confirm(self.send(topic, payload, retain=retain), wait_s)

    def confirm(self, info: MQTTMessageInfo | None, wait_s: float = ACCEPT_S) -> None:
        """Wait until the broker has confirmed a message. Raises DeliveryError."""
        if info is None:
            raise DeliveryError(f"{self.label} {self.reason}")
        ends_at = time.monotonic() + wait_s
        try:
            while not info.is_published() and time.monotonic() < ends_at and not self._interrupted:
                info.wait_for_publish(min(_SLICE_S, wait_s))
        except (ValueError, RuntimeError) as error:
            raise DeliveryError(f"{self.label} takes no message ({safe(error)})") from error
        if not info.is_published():
            raise DeliveryError(f"{self.label} has not confirmed a message within {wait_s:g} s")

    @property
    def reason(self) -> str:
        """Why there is no connection, as the end of a sentence that begins with the address."""
        with self._changed:
            return self._reason

    @property
    def _port(self) -> int:
        return self._settings.used_port

    # Callbacks of paho-mqtt, in its thread

    def _on_connect(self, client: Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            with self._changed:
                self._connected, self._refused, self._reason = False, True, _refusal(str(code))
                self._changed.notify_all()
            return
        if self._announce:
            client.publish(self._topics.status, ONLINE, qos=1, retain=True)
        with self._changed:
            self._connected, self._refused, self._unanswered, self._probed = True, False, False, None
            self._births += 1
            self._received.clear()
            self._changed.notify_all()
        log.info("MQTT: connected to %s", self.label)

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        with self._changed:
            was, self._connected = self._connected, False
            if was:
                self._reason = f"has closed the connection ({safe(code)})"
            elif not self._refused:
                self._unanswered, self._reason = True, "closes the connection without an answer"
            self._changed.notify_all()
        if was and code.is_failure:
            log.warning("MQTT: %s has closed the connection (%s): it is tried again", self.label, safe(code))

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        with self._changed:
            self._connected, self._refused, self._reason = False, False, "cannot be reached"

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        if len(message.payload) > _LARGEST_RECEIVED:
            return
        with self._changed:
            self._received.append((message.topic, bytes(message.payload), bool(message.retain)))
            self._changed.notify_all()


def _refusal(reason: str) -> str:
    if reason.lower() in ("not authorized", "bad user name or password"):
        return "refuses user and password: correct user and password in [mqtt]"
    return f"refuses the connection ({safe(reason)})"


def _client(settings: MqttSettings, client_id: str, tls: ssl.SSLContext | None) -> Client:
    try:
        from paho.mqtt.client import Client, MQTTv5, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as error:
        command = python_command("-m pip install 'paho-mqtt>=2'")
        raise ConfigError(f"[mqtt] needs paho-mqtt: run `{command}`") from error
    protocol = MQTTv5 if settings.protocol == "5" else MQTTv311
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
    if settings.user is not None:
        client.username_pw_set(
            settings.user, None if settings.password is None else settings.password.get_secret_value()
        )
    if tls is not None:
        client.tls_set_context(tls)
    client.connect_timeout = CONNECT_S
    client.reconnect_delay_set(1, RECONNECT_MAX_S)
    client.max_queued_messages_set(_MOST_QUEUED)
    return client


def _context(settings: MqttSettings) -> ssl.SSLContext:
    file = settings.ca
    try:
        context = ssl.create_default_context(cafile=file)
        if settings.cert is not None:
            file = settings.cert
            context.load_cert_chain(settings.cert, settings.key, password="")  # never ask on the terminal
    except OSError as error:
        reason = error.strerror or "it is not what it should be"
        raise ConfigError(
            f"[mqtt] cannot use the certificates in {file} ({reason}): name PEM files in ca, cert and key, "
            "and a key without a password"
        ) from error
    return context
