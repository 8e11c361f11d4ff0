"""Alerts, camera health, heartbeats and scores out over ZeroMQ; never waits for a subscriber.

Sockets are not thread-safe: one thread, the main thread, makes, uses and closes a Publisher.
A subscriber with no room left loses messages, and sees so from their numbers (see docs/alerts.md).
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import zmq

from monitor.errors import BindError, ConfigError
from monitor.messages import (
    DEFAULT_ALERTS_ENDPOINT,
    DEFAULT_SCORES_ENDPOINT,
    SCHEMA,
    AlertMessage,
    HealthMessage,
    Heartbeat,
    ModelRef,
    ReasonBody,
    RegionBody,
    ScoreMessage,
    check_endpoint,
    encode,
    new_epoch,
)
from monitor.types import AlertEvent, CameraState, Phase, Reason, Region

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL_S = 1.0
LINGER_MS = 500
"""How long closing may take to get the last messages to subscribers."""
ALERTS_HIGH_WATER_MARK = 1000
SCORES_HIGH_WATER_MARK = 100
"""Messages held for one slow subscriber before it loses some."""
_DEAD_PEER_MS = 15_000
_MAX_INCOMING_BYTES = 65_536
"""Subscribers send nothing but short subscriptions."""

_BIND_ADVICE = {
    errno.EADDRINUSE: "is in use: stop the program that holds it, perhaps another monitor, or choose another port",
    errno.EADDRNOTAVAIL: "is no address of this machine: use one that it has, such as 127.0.0.1",
    errno.ENODEV: "is no address of this machine: use one that it has, such as 127.0.0.1",
    errno.EACCES: "may not be used by this user: choose a port above 1023, or a path that can be written to",
    errno.ENOENT: "lies in a folder that does not exist: make the folder or choose another path",
    errno.ENAMETOOLONG: "is too long a path: choose one of at most 107 characters",
}


Journal = Callable[[str, int, bytes], None]
"""Keeps a message, given its topic, its number in the topic and its body as sent. What it raises stops the sending."""


class Publisher:
    """Binds the alerts and the scores socket on entry and lets go of them on exit. Used by one thread only.

    alerts, scores   addresses, ``tcp://host:port`` or ``ipc://path``; port ``*`` takes any free one
    node             name of this monitor in all messages; default the machine's name
    insecure         allow addresses that other machines can reach
    journal          called with every alert and health message before it is sent

    Raises ConfigError for an address that is malformed, or open to other machines without ``insecure``;
    BindError on entry where an address cannot be bound (then neither is).
    """

    def __init__(
        self,
        alerts: str = DEFAULT_ALERTS_ENDPOINT,
        scores: str = DEFAULT_SCORES_ENDPOINT,
        *,
        node: str | None = None,
        insecure: bool = False,
        journal: Journal | None = None,
        alerts_high_water_mark: int = ALERTS_HIGH_WATER_MARK,
        scores_high_water_mark: int = SCORES_HIGH_WATER_MARK,
    ) -> None:
        for endpoint in (alerts, scores):
            check_endpoint(endpoint)
            _check_exposure(endpoint, insecure=insecure)
        self.node = node or socket.gethostname()
        self.epoch = new_epoch()
        self.alerts_endpoint = alerts
        """Address of the alerts socket; on entry a port ``*`` becomes the actual one."""
        self.scores_endpoint = scores
        """Address of the scores socket; on entry a port ``*`` becomes the actual one."""
        self._journal = journal
        self._high_water_marks = (alerts_high_water_mark, scores_high_water_mark)
        self._last_seq: dict[str, int] = {}
        self._heartbeat_seq = 0
        self._last_heartbeat: float | None = None
        self._subscriptions: set[str] = set()

    def __enter__(self) -> Self:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        try:
            self._alerts, self.alerts_endpoint = self._bind(self.alerts_endpoint, self._high_water_marks[0])
            self._scores, self.scores_endpoint = self._bind(self.scores_endpoint, self._high_water_marks[1])
        except BaseException:
            self._context.destroy(linger=0)
            raise
        log.info("publishing alerts on %s, scores on %s", self.alerts_endpoint, self.scores_endpoint)
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=LINGER_MS)

    def publish_alert(
        self,
        camera: str,
        event: AlertEvent,
        *,
        started_at: float,
        ended_at: float | None,
        model: ModelRef,
        frame_age_s: float,
        dropped_frames: int,
        regions: Sequence[Region] = (),
        reasons: Sequence[Reason] = (),
        expected_false_alarms_per_day: float | None = None,
        evidence: Sequence[str] = (),
        jpeg: bytes | None = None,
    ) -> AlertMessage:
        """Send a step of an event; returns the message as sent.

        started_at, ended_at  unix seconds that belong to the event's started_s and ended_s
        frame_age_s           seconds from reading the frame to now
        jpeg                  picture that goes along with start and end; not sent with updates
        """
        topic = f"alert/{camera}/"
        message = AlertMessage(
            **self._envelope(topic),
            event_id=f"{self.epoch}-{camera}-{event.number}",
            phase=event.phase,
            camera=camera,
            started_at=started_at,
            ended_at=ended_at,
            started_s=event.started_s,
            ended_s=event.ended_s,
            score=float(event.score),
            peak_score=float(event.peak_score),
            expected_false_alarms_per_day=expected_false_alarms_per_day,
            notify=event.notify,
            regions=tuple(RegionBody.of(region) for region in regions),
            reasons=tuple(ReasonBody.of(reason) for reason in reasons),
            model=model,
            frame_age_s=frame_age_s,
            dropped_frames=dropped_frames,
            evidence=tuple(evidence),
        )
        self._send(message, None if event.phase is Phase.UPDATE else jpeg)
        return message

    def publish_health(self, camera: str, state: CameraState, *, since: float, detail: str = "") -> HealthMessage:
        """Send a camera's new state, held since ``since`` (unix seconds); returns the message as sent."""
        envelope = self._envelope(f"health/{camera}/")
        message = HealthMessage(**envelope, camera=camera, state=state, since=since, detail=detail)
        self._send(message)
        return message

    def publish_score(
        self,
        camera: str,
        *,
        time_s: float,
        frame_index: int,
        score: float,
        captured_at: float,
        raw: Mapping[str, float],
    ) -> None:
        """Send what a frame scored: subscribers that cannot follow lose some.

        score        0 = typical normal, 1 = the threshold; NaN (sent as null) while it cannot be judged
        captured_at  unix seconds when the frame was read
        raw          detector name -> score in its own units; NaN is sent as null
        """
        topic = f"score/{camera}/"
        message = ScoreMessage(
            **self._envelope(topic),
            camera=camera,
            time_s=time_s,
            frame_index=frame_index,
            score=float(score),
            captured_at=captured_at,
            raw={name: float(value) for name, value in raw.items()},
        )
        self._last_seq[topic] = message.seq
        self._scores.send_multipart([topic.encode(), encode(message)], flags=zmq.DONTWAIT)

    def heartbeat_if_due(self, now: float) -> bool:
        """Send a heartbeat if the last one is a second old; call it often. ``now`` is time.monotonic(), in seconds."""
        self.update_subscriptions()
        if self._last_heartbeat is not None and now - self._last_heartbeat < HEARTBEAT_INTERVAL_S:
            return False
        self._last_heartbeat = now
        self._send(Heartbeat(**self._envelope("heartbeat/"), last_seq=dict(self._last_seq)))
        return True

    def update_subscriptions(self, timeout_s: float = 0.0) -> frozenset[str]:
        """The topic prefixes that anyone is subscribed to now; waits up to ``timeout_s`` for a change, seconds."""
        wait_ms = int(timeout_s * 1000)
        while ready := self._poller.poll(wait_ms):
            wait_ms = 0
            for xpub, _ in ready:
                # The first byte is 1 for a new subscription, 0 for the last one that went away.
                note = xpub.recv()
                topic = note[1:].decode(errors="replace")
                if note[:1] == b"\x01":
                    self._subscriptions.add(topic)
                elif note[:1] == b"\x00":
                    self._subscriptions.discard(topic)
        return frozenset(self._subscriptions)

    def _envelope(self, topic: str) -> dict[str, Any]:
        last = self._heartbeat_seq if topic == "heartbeat/" else self._last_seq.get(topic, 0)
        return {"schema": SCHEMA, "node": self.node, "epoch": self.epoch, "seq": last + 1, "sent_at": time.time()}

    def _send(self, message: AlertMessage | HealthMessage | Heartbeat, jpeg: bytes | None = None) -> None:
        """The one way out of every alert, health message and heartbeat: keep it, count it, send it."""
        body = encode(message)
        if isinstance(message, Heartbeat):
            self._heartbeat_seq = message.seq
        else:
            if self._journal is not None:
                self._journal(message.topic, message.seq, body)
            self._last_seq[message.topic] = message.seq
        parts = [message.topic.encode(), body] + ([jpeg] if jpeg else [])
        self._alerts.send_multipart(parts, flags=zmq.DONTWAIT)

    def _bind(self, endpoint: str, high_water_mark: int) -> tuple[zmq.Socket[bytes], str]:
        """Bind an XPUB; returns it with its actual address."""
        xpub = self._context.socket(zmq.XPUB)
        xpub.sndhwm = high_water_mark
        xpub.linger = LINGER_MS
        xpub.ipv6 = "[" in endpoint
        xpub.maxmsgsize = _MAX_INCOMING_BYTES
        # A subscriber whose machine vanished must not keep its queue for hours, as TCP alone would.
        xpub.heartbeat_ivl = _DEAD_PEER_MS // 3
        xpub.heartbeat_timeout = _DEAD_PEER_MS
        if endpoint.startswith("ipc://"):
            _check_ipc_is_free(endpoint)
        try:
            xpub.bind(endpoint)
        except zmq.ZMQError as error:
            advice = _BIND_ADVICE.get(error.errno or 0, f"cannot be bound ({error.strerror}): choose another address")
            raise BindError(f"{endpoint} {advice}") from error
        self._poller.register(xpub, zmq.POLLIN)
        return xpub, xpub.get_string(zmq.LAST_ENDPOINT)


def _check_exposure(endpoint: str, *, insecure: bool) -> None:
    """Raise ConfigError for an address that other machines can reach, unless the user said that they may."""
    if insecure or endpoint.startswith("ipc://"):
        return
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(
            f"{endpoint} is open to other machines, and alerts go over it unencrypted to whoever connects: "
            "use 127.0.0.1, or set insecure = true if every machine on that network may read them"
        )


def _check_ipc_is_free(endpoint: str) -> None:
    """Raise BindError where a path is taken: ZeroMQ would delete whatever file it finds there."""
    path = Path(endpoint.removeprefix("ipc://"))
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(f"{endpoint} would overwrite a file: choose a path that does not exist")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise BindError(f"{endpoint} {_BIND_ADVICE[errno.EADDRINUSE]}".replace("port", "path"))
