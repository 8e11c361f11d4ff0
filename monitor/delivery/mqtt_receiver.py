"""The receiver that publishes events over MQTT: each one once the broker has confirmed it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from monitor.alerts.messages import AlertMessage, HealthMessage, Stored
from monitor.delivery.mqtt_link import CONNECT_S, MqttLink
from monitor.delivery.mqtt_topics import SNAPSHOT, UNKNOWN, Topics
from monitor.delivery.notice import EventSteps, NewStates, Notice, Summary, armed_of
from monitor.states import AlertKind, Phase

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessageInfo


@dataclass
class Counted:
    """What Home Assistant shows of a camera's alerts.

    day    local date of the count
    today  alerts of that day that notified
    last   when the last of them began, ISO 8601; empty if there is none
    shown  id of the event whose picture is shown: verdicts are about it; empty if there is none
    """

    day: str = ""
    today: int = 0
    last: str = ""
    shown: str = ""


class MqttReceiver:
    """A receiver (``monitor.delivery.notice.Receiver``).

    armed    whether a camera is armed now; any thread may call it
    changed  called when figures of a camera have changed, so that they are published
    """

    name = "mqtt"
    topics = ("alert/", "health/")
    backoff_max_s = 5.0  # paho-mqtt decides when to connect again; an attempt costs nothing

    def __init__(
        self,
        link: MqttLink,
        topics: Topics,
        armed: Callable[[str], bool],
        *,
        picture: bool,
        keep_s: float,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.keep_s = keep_s
        self._link = link
        self._places = topics
        self._armed = armed
        self._picture = picture
        self._changed = changed
        self._steps = EventSteps()
        self._states = NewStates()
        self._counted: dict[str, Counted] = {}
        self._sent: tuple[str, MQTTMessageInfo | None] = ("", None)

    def load(self, state: str) -> None:
        """Continue with the figures of earlier runs."""
        try:
            content = json.loads(state)
            quiet = [str(one) for one in content["quiet"]]
            counted = {
                str(camera): Counted(
                    str(each["day"]), int(each["today"]), str(each["last"]), str(each.get("shown", ""))
                )
                for camera, each in content["cameras"].items()
            }
            states = {str(camera): str(one) for camera, one in content["states"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        self._steps, self._states, self._counted = EventSteps(state=quiet), NewStates(states), counted

    def dump(self) -> str:
        """The figures, the open events that have notified nobody yet, and the last states of cameras."""
        cameras = {name: vars(each) for name, each in self._counted.items()}
        return json.dumps({"quiet": self._steps.quiet, "states": self._states.states, "cameras": cameras})

    def figures(self, camera: str, now: float) -> Counted:
        """The alerts of a camera, of today. now: unix seconds. Another thread may call this."""
        counted = self._counted.get(camera, Counted())
        day = _day(now)
        return counted if counted.day == day else Counted(day, 0, counted.last, counted.shown)

    def take(self, message: Stored, jpeg: bytes | None, now: float) -> Notice | None:
        """Choose the steps of events, and count alerts that notify."""
        if isinstance(message, HealthMessage):
            if not self._states.is_new(message):
                return None
            return Notice(f"{message.epoch}-{message.camera}-health-{message.seq}", message)
        if not isinstance(message, AlertMessage):
            return None
        key = self._steps.key(message)
        if key is None:
            return None
        if key.endswith(":notify") or (message.phase is Phase.START and message.notify):
            self._count(message, now)
        return Notice(key, message, jpeg)

    def due(self, now: float) -> Notice | None:  # noqa: ARG002 - the interface
        """Nothing is published without a message."""
        return None

    def due_in(self, now: float) -> float:  # noqa: ARG002 - the interface
        """Never."""
        return math.inf

    def deliver(self, notice: Notice, *, late: bool) -> None:
        """Publish the picture, then the event, and wait for the broker. Raises DeliveryError.

        If the broker did not confirm in time, paho-mqtt sends the same message again by itself. So the next attempt
        waits for that one, and publishes no second one.
        """
        assert not isinstance(notice.message, Summary)
        key, sent = self._sent
        if key != notice.key or sent is None:
            self._link.await_connection(CONNECT_S)
            camera = notice.message.camera
            if isinstance(notice.message, AlertMessage) and _is_shown(notice.message):
                if self._picture and notice.jpeg is not None:
                    self._link.publish(self._places.of(camera, SNAPSHOT), notice.jpeg, retain=True)
                counted = self._counted.get(camera, Counted())
                self._counted[camera] = replace(counted, shown=notice.message.event_id)
            body = json.dumps(event_body(notice, late=late, armed=armed_of(notice.message, self._armed)))
            sent = self._link.send(self._places.of(camera, "event"), body.encode())
            self._sent = (notice.key, sent)
        self._link.confirm(sent)
        self._sent = ("", None)

    def interrupt(self) -> None:
        """Wait no longer."""
        self._link.interrupt()

    def close(self) -> None:
        """The link is closed by its owner."""

    def _count(self, message: AlertMessage, now: float) -> None:
        counted = self.figures(message.camera, now)
        began = datetime.fromtimestamp(message.started_at, UTC).isoformat(timespec="seconds")
        today = counted.today + (_day(message.sent_at) == counted.day)
        self._counted[message.camera] = Counted(counted.day, today, max(counted.last, began), counted.shown)
        self._changed()


def _is_shown(message: AlertMessage) -> bool:
    """Whether its picture is shown. Verdicts are about the same event, so one that notifies nobody is not shown."""
    return message.notify and message.about == AlertKind.ANOMALY


def event_body(notice: Notice, *, late: bool, armed: bool) -> dict[str, Any]:
    """The payload of an event: ``event_type`` for Home Assistant, and the most useful fields of the message."""
    message = notice.message
    assert not isinstance(message, Summary)
    common = {"id": notice.key, "camera": message.camera, "late": late, "armed": armed, "sent_at": message.sent_at}
    if isinstance(message, HealthMessage):
        return {
            "event_type": "health",
            **common,
            "state": str(message.state),
            "since": message.since,
            "detail": message.detail,
        }
    assert isinstance(message, AlertMessage)
    kind = "camera_lost" if message.about == AlertKind.CAMERA_LOST else "anomaly"
    if message.phase is Phase.END:
        kind = "ended"
    elif not message.notify:
        kind = "repeated" if message.armed else "recorded"
    return {
        "event_type": kind,
        **common,
        "event_id": message.event_id,
        "phase": str(message.phase),
        "about": str(message.about),
        "notify": message.notify,
        "started_at": message.started_at,
        "ended_at": message.ended_at,
        "score": message.score,
        "peak_score": message.peak_score,
        "reasons": [reason.text for reason in message.reasons],
        "evidence": list(message.evidence),
    }


def last_alert(counted: Counted) -> str:
    """The payload of the sensor."""
    return counted.last or UNKNOWN


def _day(unix_s: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(unix_s))
