"""Publishes alerts, camera health, heartbeats and scores over ZeroMQ. It never waits for a subscriber.

One thread, the main thread, makes, uses and closes a Publisher. The sockets belong to the thread of the bus
(monitor.alerts.bus).

A subscriber with a full queue loses messages. It detects the loss from the message numbers and can request the missed
messages on the history socket (see docs/alerts.md).
"""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from monitor.alerts.binding import check_exposure, is_exposed
from monitor.alerts.bus.doors import Door
from monitor.alerts.bus.hub import Hub
from monitor.alerts.bus.opening import open_door
from monitor.alerts.bus.roles import Requester, Subscriber
from monitor.alerts.control_desk import Desk
from monitor.alerts.control_socket import ControlSocket, check_control
from monitor.alerts.endpoints import DEFAULT_ALERTS_ENDPOINT, DEFAULT_SCORES_ENDPOINT, check_endpoint
from monitor.alerts.history import NAMED_EVENTS, History
from monitor.alerts.journal import Journal
from monitor.alerts.keys import ServerKeys
from monitor.alerts.message_parts import LeaseBody, ModelRef, ReasonBody, RegionBody
from monitor.alerts.messages import (
    SCHEMA,
    AlertMessage,
    BudgetMessage,
    HealthMessage,
    Heartbeat,
    MomentMessage,
    ScoreMessage,
    Stored,
    encode,
    new_epoch,
)
from monitor.alerts.previews import MOST_WAITING_BYTES, Kind, PreviewMessage, preview_topic
from monitor.promise import AlarmRate
from monitor.states import AlertEvent, AlertKind, CameraState, Phase, Reason, Region
from monitor.text.wording import counted

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL_S = 1.0
ALERTS_HIGH_WATER_MARK = 1000
SCORES_HIGH_WATER_MARK = 100
"""Queued messages per slow subscriber before it loses some."""
LINGER_S = 0.5
"""Closing waits at most this long for the last messages to reach subscribers, seconds."""
HISTORY_S = 0.02
"""Time limit for answering requests per tick, seconds. The remaining requests wait for the next tick."""


class Publisher:
    """Binds its sockets on entry and closes them on exit. Only one thread may use it.

    alerts, scores   addresses, ``tcp://host:port`` or ``ipc://path``; port ``*`` takes any free port
    history          address where clients request missed messages; None: no history socket
    control          address where clients ask for changes; None: no control socket. Call ``control.tick`` often
    node             name of this monitor in all messages; by default the name of the machine
    insecure         allow unencrypted addresses that other machines can reach
    keys             folder of the monitor's keys (see monitor.alerts.keys): encrypts, and admits only allowed clients
    journal          stores every alert and health message before it is sent; the caller enters and leaves it
    carries          messages come from other monitors: what an earlier run left open stays open, see ``left_open``

    Raises ConfigError if an address is malformed, if other machines can reach it without ``keys`` or ``insecure``, or
    if the keys cannot be used. Raises BindError on entry if an address cannot be bound; then no socket stays bound.

    On entry, it ends the events that an earlier, killed run left open in the journal.
    """

    def __init__(
        self,
        alerts: str = DEFAULT_ALERTS_ENDPOINT,
        scores: str = DEFAULT_SCORES_ENDPOINT,
        history: str | None = None,
        control: str | None = None,
        *,
        node: str | None = None,
        insecure: bool = False,
        keys: Path | None = None,
        journal: Journal | None = None,
        carries: bool = False,
        alerts_high_water_mark: int = ALERTS_HIGH_WATER_MARK,
        scores_high_water_mark: int = SCORES_HIGH_WATER_MARK,
    ) -> None:
        if control is not None:
            check_endpoint(control)
            check_control(control, keys=keys is not None)
        for endpoint in (alerts, scores, history):
            if endpoint is not None:
                check_endpoint(endpoint)
                check_exposure(endpoint, closed=keys is not None or insecure)
        if history is not None and is_exposed(alerts) and not is_exposed(history):
            log.warning(
                "other machines can reach the alerts on %s, but not the history on %s: clients there cannot recover "
                "missed alerts; set [publish] history to an address that they can reach, like that of alerts",
                alerts,
                history,
            )
        self._keys = None if keys is None else ServerKeys(keys)
        self.node = node or socket.gethostname()
        self.epoch = new_epoch()
        self.alerts_endpoint = alerts
        """Address of the alerts socket; on entry a port ``*`` becomes the actual one."""
        self.scores_endpoint = scores
        """Address of the scores socket; on entry a port ``*`` becomes the actual one."""
        self.history_endpoint = history
        """Address of the history socket, or None; on entry a port ``*`` becomes the actual one."""
        self.control: ControlSocket | None = None
        """The control socket, from entry on; None without one."""
        self.desk = Desk(self.node, self.epoch)
        """Answers requests for changes, of the control socket and of this process."""
        self._control_endpoint = control
        self.left_open: Sequence[AlertMessage] = ()
        """With ``carries``, from entry on: the last messages of events that an earlier run left open."""
        self._journal, self._carries = journal, carries
        self._history = History(self.node, self.epoch, journal)
        self._high_water_marks = (alerts_high_water_mark, scores_high_water_mark)
        self._heartbeat_seq = 0
        self._preview_seq: dict[str, int] = {}
        self._last_heartbeat: float | None = None
        self._answer_again_at = 0.0

    def __enter__(self) -> Self:
        doors: list[Door] = []
        asking: Door | None = None
        changing: Door | None = None
        alerts_room, scores_room = self._high_water_marks
        try:
            doors.append(alerts := open_door(self.alerts_endpoint, Subscriber, alerts_room, self._keys))
            doors.append(scores := open_door(self.scores_endpoint, Subscriber, scores_room, self._keys))
            if self.history_endpoint is not None:
                doors.append(open_door(self.history_endpoint, Requester, 1, self._keys))
                self.history_endpoint = doors[-1].listener.endpoint
                asking = doors[-1]
            if self._control_endpoint is not None:
                doors.append(changing := open_door(self._control_endpoint, Requester, 1, self._keys))
        except BaseException:
            for door in doors:
                door.listener.close()
            raise
        self._alerts, self._scores, self._asking = alerts, scores, asking
        self.alerts_endpoint, self.scores_endpoint = alerts.listener.endpoint, scores.listener.endpoint
        self._hub = Hub(doors)
        self._bus = self._hub.exchange
        if changing is not None:
            self.control = ControlSocket(changing, self._bus, self._keys, self.desk)
        try:
            self._hub.start()
            if self._carries:
                self.left_open = self._history.interrupted(one_per_camera=False)
            else:
                self._end_interrupted_events()
        except BaseException:
            self._hub.close(linger_s=0.0)
            raise
        encrypted = "" if self._keys is None else ", encrypted"
        log.info("publishing alerts on %s, scores on %s%s", self.alerts_endpoint, self.scores_endpoint, encrypted)
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.close(LINGER_S)

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
        also: Sequence[Reason] = (),
        expected_false_alarms_per_day: float | None = None,
        evidence: Sequence[str] = (),
        media_s: float | None = None,
        jpeg: bytes | None = None,
        about: AlertKind = AlertKind.ANOMALY,
        early: bool = False,
        name: str = "",
        alike: float | None = None,
        normal_at: float | None = None,
    ) -> AlertMessage:
        """Send the start, an update or the end of an event; returns the message as sent.

        started_at, ended_at  the event's started_s and ended_s as unix seconds
        frame_age_s           seconds from reading the frame to now
        media_s               where the event began in its file or folder, seconds; None for a live camera
        jpeg                  picture for the start or the end; not sent with updates
        about                 what the alert is about; events of each kind are numbered on their own
        early, name, alike, normal_at  see AlertMessage
        """
        topic = f"alert/{camera}/"
        message = AlertMessage(
            **self._envelope(topic),
            position=self._history.position + 1,
            event_id=f"{self.epoch}-{camera}-{'' if about is AlertKind.ANOMALY else f'{about}-'}{event.number}",
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
            armed=event.armed,
            regions=tuple(RegionBody.of(region) for region in regions),
            reasons=tuple(ReasonBody.of(reason) for reason in reasons),
            also=tuple(ReasonBody.of(reason) for reason in also),
            model=model,
            frame_age_s=frame_age_s,
            dropped_frames=dropped_frames,
            evidence=tuple(evidence),
            media_s=media_s,
            about=about,
            early=early,
            name=name,
            alike=alike,
            normal_at=normal_at,
        )
        self._send(message, None if event.phase is Phase.UPDATE else jpeg)
        return message

    def publish_health(
        self, camera: str, state: CameraState, *, since: float, detail: str = "", rate: AlarmRate | None = None
    ) -> HealthMessage:
        """Send a camera's new state, which began at ``since`` (unix seconds); returns the message as sent.

        rate: its alarms and the time watched; None while it has no model
        """
        envelope = self._envelope(f"health/{camera}/")
        message = HealthMessage(
            **envelope,
            position=self._history.position + 1,
            camera=camera,
            state=state,
            since=since,
            detail=detail,
            watched_s=0.0 if rate is None else rate.watched_s,
            blind_s=0.0 if rate is None else rate.blind_s,
        )
        self._send(message)
        return message

    def publish_budget(
        self, camera: str, rate: AlarmRate, *, added_alarms: int, added_s: float, added_blind_s: float = 0.0
    ) -> BudgetMessage:
        """Send a camera's alarms beside its budget; returns the message as sent.

        added_...: what has been added since the camera's last message, in this run or an earlier one
        """
        message = BudgetMessage(
            **self._envelope(f"budget/{camera}/"),
            position=self._history.position + 1,
            camera=camera,
            promised_per_day=rate.promised_per_day,
            alarms=rate.alarms,
            watched_s=rate.watched_s,
            per_day=rate.per_day,
            low=rate.low,
            high=rate.high if math.isfinite(rate.high) else None,
            broken=rate.broken,
            added_alarms=added_alarms,
            added_s=added_s,
            blind_s=rate.blind_s,
            added_blind_s=added_blind_s,
            supported_per_day=rate.supported_per_day,
        )
        self._send(message)
        return message

    def publish_moment(self, camera: str, body: Mapping[str, Any], jpeg: bytes | None) -> MomentMessage:
        """Send one of the most unusual moments of a day; returns the message as sent.

        body  fields of MomentMessage, without those of every message
        """
        envelope = self._envelope(f"moment/{camera}/")
        message = MomentMessage(**envelope, **body, position=self._history.position + 1, camera=camera)
        self._send(message, jpeg)
        return message

    def publish_carried(self, message: Stored, jpeg: bytes | None, lease: LeaseBody) -> None:
        """Send a message that another monitor has sent, with numbers of this one. The id of its event stays."""
        own = self._envelope(message.topic)
        own["schema_"] = own.pop("schema")
        self._send(message.model_copy(update=own | {"position": self._history.position + 1, "lease": lease}), jpeg)

    def end_interrupted(self, last: AlertMessage) -> None:
        """Send the end of an event from which nothing more will come. last: its last message."""
        ended = {
            "phase": Phase.END,
            "ended_at": last.sent_at,
            "ended_s": None,
            "interrupted": True,
            "position": self._history.position + 1,
        }
        self._send(AlertMessage(**(last.model_dump(by_alias=True) | self._envelope(last.topic) | ended)))

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
        """Send the score of a frame, if anyone subscribes to it. Slow subscribers lose some scores.

        score        0 = typical normal, 1 = the threshold; NaN (sent as null) if the frame cannot be judged
        captured_at  when the frame was read, unix seconds
        raw          detector name -> score in its own units; NaN is sent as null
        """
        topic = f"score/{camera}/"
        envelope = self._envelope(topic)
        self._history.last_seq[topic] = envelope["seq"]
        if not self._bus.wanted(self._scores, topic.encode()):
            return
        message = ScoreMessage(
            **envelope,
            camera=camera,
            time_s=time_s,
            frame_index=frame_index,
            score=float(score),
            captured_at=captured_at,
            raw={name: float(value) for name, value in raw.items()},
        )
        self._bus.publish(self._scores, [topic.encode(), encode(message)])

    def preview_wanted(self, camera: str, kind: Kind) -> bool:
        """Whether a client has subscribed to live pictures of this kind."""
        return self._bus.wanted(self._scores, preview_topic(camera, kind).encode())

    def publish_preview(
        self, camera: str, kind: Kind, jpeg: bytes, size: tuple[int, int], *, captured_at: float, score: float
    ) -> None:
        """Send a live picture. Slow subscribers lose some.

        size         (width, height) of the JPEG, pixels
        captured_at  when the frame was read, unix seconds
        score        NaN (sent as null) if the frame was not judged
        """
        topic = preview_topic(camera, kind)
        seq = self._preview_seq[topic] = self._preview_seq.get(topic, 0) + 1
        message = PreviewMessage(
            **self._envelope(topic) | {"seq": seq},
            camera=camera,
            kind=kind,
            captured_at=captured_at,
            width=size[0],
            height=size[1],
            score=float(score),
        )
        self._bus.publish(self._scores, [topic.encode(), encode(message), jpeg], MOST_WAITING_BYTES)

    def tick(self, now: float) -> None:
        """Send heartbeats, answer requests and maintain the journal when due. Call it about ten times per second.

        now is time.monotonic(), in seconds. Raises RunError if nothing can be sent any more.
        """
        self._hub.check()
        self.heartbeat_if_due(now)
        self._answer_requests()
        if self._journal is not None:
            self._journal.upkeep(now, time.time())

    def heartbeat_if_due(self, now: float) -> bool:
        """Send a heartbeat if the last one is a second old, or if a client has just subscribed to heartbeats.

        Returns True if it sent one.
        """
        new = self._bus.heartbeat_wanted()
        if not new and self._last_heartbeat is not None and now - self._last_heartbeat < HEARTBEAT_INTERVAL_S:
            return False
        self._last_heartbeat = now
        self._send_heartbeat()
        return True

    def end(self, how: str) -> None:
        """Send the last heartbeat. It tells subscribers that the run is over, and that the connection did not fail.

        how: ``done``, ``stopped`` or ``failed`` and the reason, for people
        """
        self._send_heartbeat(ended=how)

    def _send_heartbeat(self, ended: str | None = None) -> None:
        heartbeat = Heartbeat(
            **self._envelope("heartbeat/"),
            last_seq=dict(self._history.last_seq),
            position=self._history.position,
            history=self.history_endpoint,
            control=None if self.control is None else self.control.endpoint,
            unjournalled=0 if self._journal is None else self._journal.unjournalled,
            ended=ended,
        )
        self._send(heartbeat)

    def update_subscriptions(self, timeout_s: float = 0.0) -> frozenset[str]:
        """Return the topic prefixes with a subscriber now; waits up to ``timeout_s`` seconds for a change."""
        return self._bus.subscriptions(timeout_s)

    def _answer_requests(self) -> None:
        """Answer requests for a bounded time. One that took much longer is followed by a rest four times as long."""
        began = time.monotonic()
        if began < self._answer_again_at or self._asking is None:
            return
        while time.monotonic() < began + HISTORY_S and (asked := self._bus.next_request(self._asking)) is not None:
            client, request = asked
            self._bus.reply(client, self._history.answer(request, time.time()))
        took_s = time.monotonic() - began
        if took_s > 2 * HISTORY_S:
            self._answer_again_at = began + 5 * took_s

    def _end_interrupted_events(self) -> None:
        """Send the end of every event that an earlier run left open: subscribers must not wait for it forever."""
        interrupted = self._history.interrupted()
        for last in interrupted[:NAMED_EVENTS]:
            log.warning("%s: event %s was open when the monitor was killed; it ends now", last.camera, last.event_id)
        if more := len(interrupted[NAMED_EVENTS:]):
            log.warning("%s more were open when the monitor was killed; they end now", counted(more, "event"))
        for last in interrupted:
            self.end_interrupted(last)

    def _envelope(self, topic: str) -> dict[str, Any]:
        last = self._heartbeat_seq if topic == "heartbeat/" else self._history.last_seq.get(topic, 0)
        return {"schema": SCHEMA, "node": self.node, "epoch": self.epoch, "seq": last + 1, "sent_at": time.time()}

    def _send(self, message: Stored | Heartbeat, jpeg: bytes | None = None) -> None:
        """Store, number and send a message that the journal keeps, or a heartbeat. All of them take this path."""
        body = encode(message)
        if isinstance(message, Heartbeat):
            self._heartbeat_seq = message.seq
        else:
            self._history.keep(message, body, jpeg)
        parts = [message.topic.encode(), body] + ([jpeg] if jpeg else [])
        self._bus.publish(self._alerts, parts)
