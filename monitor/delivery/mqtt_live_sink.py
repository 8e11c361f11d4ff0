"""The sink that publishes the present state of cameras over MQTT, and announces them to Home Assistant.

States are retained, and only the last one counts. So they need no journal: after each connection, all of them are
published again. A thread of its own does that once per second. The main thread only leaves the last report.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from monitor.alerts.control import ControlReply
from monitor.delivery.mqtt_commands import CommandLimit, Controls, command_request
from monitor.delivery.mqtt_link import MqttLink
from monitor.delivery.mqtt_receiver import MqttReceiver, last_alert
from monitor.delivery.mqtt_settings import MqttSettings
from monitor.delivery.mqtt_topics import (
    ARMED,
    BUDGET,
    LEAST_SHOWN,
    MOST_SHOWN,
    OFF,
    OFFLINE,
    ON,
    ONLINE,
    SNAPSHOT,
    UNKNOWN,
    Topics,
    camera_config,
    monitor_config,
)
from monitor.errors import UsageError
from monitor.live.sink import Sink
from monitor.promise import DAY_S, AlarmRate
from monitor.reports import CameraReport, RunReport
from monitor.sources.naming import is_name
from monitor.states import LOST, CameraState
from monitor.text.outside import safe
from monitor.threads.stage import Stage, join_all

log = logging.getLogger(__name__)

EVERY_S = 1.0
GONE_AFTER_S = 5.0
"""A camera that is missing in the reports for this long is gone; a reload removes and adds it within less."""
MEASURED_EVERY_S = 60.0
"""The measured alarms per day of a camera are published at most this often, unless an alarm or the budget changes."""
CLOSE_S = 3.0
MOST_STATE = 255
"""Longest state of an entity in Home Assistant, characters."""
_UNCONNECTED = (*LOST, CameraState.CONNECTING)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What is told of a camera's alarms. at: time.monotonic(), seconds; because: what changes it at once."""

    at: float
    because: tuple[int, float, bool] | None
    text: str


class MqttLiveSink(Sink):
    """Use it as a context manager, within that of the link. A retained state is published only if it has changed."""

    def __init__(
        self,
        settings: MqttSettings,
        topics: Topics,
        link: MqttLink,
        receiver: MqttReceiver,
        controls: Controls,
        node: str,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._link = link
        self._receiver = receiver
        self._controls = controls
        self._limit = CommandLimit()
        self._flooded = False
        self._answers: dict[str, str] = {}  # camera -> the last sentence about a command
        self._node = node
        self._report: RunReport | None = None
        self._stop = threading.Event()
        self._births = 0
        self._published: dict[str, bytes] = {}
        self._measured: dict[str, _Measured] = {}  # camera -> what is told of its alarms
        self._seen: dict[str, float] = {}  # camera -> when a report last named it
        self._before: set[str] = set()  # cameras of earlier runs
        self._to_forget: set[str] = set()
        self._stage = Stage("mqtt-states", self._work, self._on_error)

    def __enter__(self) -> Self:
        self._stage.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._link.wake()
        join_all([self._stage], CLOSE_S)

    def tick(self, report: RunReport) -> None:
        """Leave the report for the thread."""
        self._report = report

    def forget(self, camera: str) -> Callable[[], bool]:
        """Let the thread delete the picture of a camera's last alert from the broker, and what commands were told.

        Returns a function that says whether it has; without a connection, it does so at the next one.
        """
        self._to_forget.add(camera)
        self._link.wake()
        return lambda: camera not in self._to_forget or not self._link.connected

    def _work(self) -> None:
        while not self._stop.is_set():
            self.step(time.monotonic())
            if not self._stop.is_set():
                self._link.wait(EVERY_S)
        self.step(time.monotonic())

    @staticmethod
    def _on_error(stage: Stage) -> None:
        log.error("the states of cameras are no longer published over MQTT (%s): restart the monitor", stage.error)

    def step(self, now: float) -> None:
        """Obey commands, and publish what has changed. now: time.monotonic(), seconds."""
        births = self._link.births
        if births != self._births:
            self._births = births
            self._published.clear()
            filters = [self._topics.cameras]
            filters += [self._topics.commands] if self._settings.takes_commands else []
            filters += [self._topics.home_assistant] if self._settings.discovery else []
            self._link.subscribe(*filters)
        for topic, payload, kept in self._link.received():
            if (command := self._topics.commanded(topic)) is None:
                self._hear(topic, payload)
            else:
                self._obey(*command, payload, now, kept=kept)
        report = self._report
        if report is None or not self._link.connected:
            return
        for name in tuple(self._to_forget):
            self._answers.pop(name, None)
            if self._link.send(self._topics.of(name, SNAPSHOT), b"", retain=True) is not None:
                self._to_forget.discard(name)
        present = [camera.name for camera in report.cameras]
        self._seen |= dict.fromkeys(present, now)
        self._remove_gone(now)
        if self._settings.discovery:
            self._publish(self._topics.config(None), _json(monitor_config(self._topics, self._node)))
            taken = {self._topics.config(name) for name in self._seen}
            for name in self._seen:
                former = self._topics.former_config(name)
                if former is not None and former not in taken:
                    self._publish(former, b"")
                commands, picture = self._settings.takes_commands, self._settings.picture
                config = camera_config(self._topics, name, picture=picture, commands=commands)
                self._publish(self._topics.config(name), _json(config))
        # The broker answers the subscription to this topic, made above, with the list of the run before.
        self._publish(self._topics.cameras, _json(sorted(self._seen)))
        for camera in report.cameras:
            for what, text in self._states(camera, now).items():
                self._publish(self._topics.of(camera.name, what), text.encode())

    def _hear(self, topic: str, payload: bytes) -> None:
        if topic == self._topics.home_assistant:
            if payload == ONLINE.encode():  # it has started, and forgotten what was not retained
                self._published.clear()
            return
        if topic == self._topics.cameras:
            self._before |= _names(payload)

    def _obey(self, camera: str, what: str, payload: bytes, now: float, *, kept: bool) -> None:
        """Ask for what a command says. One that the broker has kept would be obeyed again at each connection."""
        if camera not in self._seen or not self._settings.takes_commands:
            log.debug("MQTT: a command is ignored: %s of %s", what, safe(camera))
            return
        if kept:
            self._refuse(camera, f"{camera}: a retained command is ignored: publish it without retain")
            return
        try:
            request = command_request(camera, what, payload, self._receiver.figures(camera, time.time()).shown)
        except UsageError as error:
            self._refuse(camera, str(error))
            return
        if not (self._limit.admits(now) and self._controls.ask(request, partial(self._answered, camera))):
            self._answer(camera, "too many commands: wait a moment, then try again")
            if not self._flooded:
                self._flooded = True
                log.warning("MQTT: too many commands come, so some are ignored: see who publishes them")

    def _answered(self, camera: str, reply: ControlReply) -> None:
        """The desk has answered a command. Called in the main thread."""
        if reply.reply == "ok":
            self._answer(camera, reply.said)
        else:
            self._refuse(camera, reply.said)
        self._link.wake()

    def _refuse(self, camera: str, why: str) -> None:
        self._answer(camera, why)
        log.info("MQTT: a command is refused: %s", safe(why))

    def _answer(self, camera: str, said: str) -> None:
        """Answer with the time of day: a second answer in the same words is a new one."""
        self._answers[camera] = f"{time.strftime('%H:%M:%S')} {said}"
        self._published.pop(self._topics.of(camera, "answer"), None)

    def _remove_gone(self, now: float) -> None:
        gone = {name for name, seen in self._seen.items() if now - seen > GONE_AFTER_S}
        for name in (gone | self._before) - (self._seen.keys() - gone):
            self._seen.pop(name, None)
            self._answers.pop(name, None)
            self._measured.pop(name, None)
            # An empty payload deletes a retained message, and the device in Home Assistant.
            for topic in (self._topics.config(name), *self._topics.retained(name)):
                self._link.send(topic, b"", retain=True)
                self._published.pop(topic, None)
            log.info("MQTT: camera %s is removed", safe(name))
        self._before.clear()

    def _states(self, camera: CameraReport, now: float) -> dict[str, str]:
        connected = camera.state not in _UNCONNECTED
        counted = self._receiver.figures(camera.name, time.time())
        return {
            "available": ONLINE if connected else OFFLINE,
            "connected": ON if connected else OFF,
            "details": json.dumps({"state": str(camera.state), "detail": safe(camera.detail)}),
            "active": ON if camera.alarmed else OFF,
            "score": UNKNOWN if math.isnan(camera.score) else f"{camera.score:.2f}",
            "learning": f"{100 * camera.progress.fraction:.0f}" if camera.progress is not None else "100",
            "budget": self._measured_now(camera, now),
            "alerts_today": str(counted.today),
            "last_alert": last_alert(counted),
            ARMED: ON if self._controls.armed(camera.name) else OFF,
            BUDGET: _shown(self._controls.budget(camera.name)),
            "answer": safe(self._answers.get(camera.name, UNKNOWN))[:MOST_STATE],
        }

    def _measured_now(self, camera: CameraReport, now: float) -> str:
        """The alarms per day. Each second watched would change it, so it follows alarms, and each minute the time."""
        rate, told = camera.promise, self._measured.get(camera.name)
        because = None if rate is None else (rate.alarms, rate.promised_per_day, rate.broken)
        if told is None or told.because != because or now - told.at >= MEASURED_EVERY_S:
            told = self._measured[camera.name] = _Measured(now, because, _per_day(rate))
        return told.text

    def _publish(self, topic: str, payload: bytes) -> None:
        if self._published.get(topic) != payload and self._link.send(topic, payload, retain=True) is not None:
            self._published[topic] = payload


def _per_day(rate: AlarmRate | None) -> str:
    """Unknown before a whole day was watched: one alarm in an hour would be 24 per day."""
    if rate is None or rate.per_day is None or (rate.watched_s < DAY_S and not rate.broken):
        return UNKNOWN
    return f"{rate.per_day:.2f}"


def _shown(budget: float) -> str:
    return f"{budget:.10g}" if LEAST_SHOWN <= budget <= MOST_SHOWN else UNKNOWN


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _names(payload: bytes) -> set[str]:
    """The cameras in a list of an earlier run. Anything else is ignored: other clients may write there."""
    try:
        content = json.loads(payload)
    except ValueError:
        return set()
    return {name for name in content if isinstance(name, str) and is_name(name)} if isinstance(content, list) else set()
