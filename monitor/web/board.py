"""What the cameras and the monitor are doing now: the last state and score of each, and the curve of a minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from monitor.alerts.messages import HealthMessage, ScoreMessage
from monitor.client.items import Contact, Ended, Expired, Gap, Item, Malformed, NoRepair, Silence, Unreadable
from monitor.client.lines import text_line
from monitor.states import REMOVED, CameraState

CURVE_S = 60.0
POINT_S = 0.5
"""A curve has one point per this many seconds: the highest score in them."""
MOST_CAMERAS = 1000
_FINE = (CameraState.ONLINE,)
_WAITING = (CameraState.CONNECTING, CameraState.LEARNING, CameraState.PAUSED, CameraState.ENDED)


@dataclass
class _Now:
    epoch: str
    state: str | None = None
    since: float | None = None
    detail: str = ""
    told_at: float = 0.0
    score: float | None = None
    scored_at: float | None = None
    curve: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=round(CURVE_S / POINT_S)))
    removed: bool = False  # it is no longer watched
    sent: float = 0.0  # time of the last point that viewers have; it may still rise
    sent_scored_at: float = 0.0  # time of the last score that viewers have


@dataclass
class _Link:
    state: str = "connecting"
    sentence: str = "waiting for the monitor"
    since: float = 0.0
    node: str = ""
    lost: int = 0
    malformed: int = 0
    history: str = "loading"


class Board:
    """Any thread may use it. clock: the wall clock, unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cameras: dict[str, _Now] = {}
        self._link = _Link(since=clock())

    def take_health(self, message: HealthMessage) -> bool:
        """Take the state of a camera. Returns False if a newer one is known."""
        with self._lock:
            now = self._camera(message.camera, message.epoch)
            if now is None or now.told_at > message.sent_at:
                return False
            now.state, now.since, now.detail = str(message.state), message.since, message.detail
            now.told_at = message.sent_at
            now.removed = message.state == CameraState.ENDED and message.detail == REMOVED
            return True

    def take_score(self, message: ScoreMessage) -> None:
        """Take a score of a camera."""
        with self._lock:
            now = self._camera(message.camera, message.epoch)
            if now is None:
                return
            now.score, now.scored_at = message.score, message.sent_at
            if message.score is None:
                return
            if now.curve and 0 <= message.sent_at - now.curve[-1][0] < POINT_S:
                at, highest = now.curve[-1]
                now.curve[-1] = (at, max(highest, message.score))
            else:
                now.curve.append((message.sent_at, message.score))

    def take_link(self, item: Item) -> bool:
        """Take news about the connection. Returns True if the monitor's state has changed."""
        with self._lock:
            match item:
                case Contact():
                    self._tell("connected", text_line(item), item.node)
                case Silence():
                    self._tell("silent" if item.heard_before else "connecting", text_line(item))
                case Ended():
                    self._tell("ended", text_line(item), item.node)
                case Gap():
                    self._link.lost += item.last - item.first + 1
                case Malformed():
                    self._link.malformed += 1
                case Unreadable():
                    self._link.malformed += item.count
                case Expired() | NoRepair():
                    self._link.sentence = text_line(item)
                case _:
                    return False
            return True

    def refused(self, reason: str) -> None:
        """The monitor does not accept this client, or its address cannot be used."""
        with self._lock:
            self._tell("refused", reason)

    def history(self, state: str) -> None:
        """State of the events from before: ``loading``, ``complete``, or ``unavailable`` if the monitor keeps none."""
        with self._lock:
            self._link.history = state

    def link(self) -> dict[str, Any]:
        """The connection to the monitor, as the API gives it."""
        with self._lock:
            link = self._link
            return {
                "state": link.state,
                "sentence": link.sentence,
                "since": link.since,
                "node": link.node,
                "lost_messages": link.lost,
                "malformed_messages": link.malformed,
                "history": link.history,
            }

    def cameras(self) -> list[dict[str, Any]]:
        """All cameras of the monitor's present run, by name, as the API gives them."""
        with self._lock:
            newest = max((now.epoch for now in self._cameras.values()), default="")
            present = {name: now for name, now in self._cameras.items() if now.epoch == newest and not now.removed}
            return [self._shown(name, present[name]) for name in sorted(present)]

    def camera(self, name: str) -> dict[str, Any] | None:
        """One camera, as the API gives it; None if it is not known."""
        return next((camera for camera in self.cameras() if camera["name"] == name), None)

    def fresh_scores(self) -> dict[str, Any]:
        """Camera -> score now and the points of its curve that are new or have changed since the last call."""
        found: dict[str, Any] = {}
        with self._lock:
            for name, now in self._cameras.items():
                points = [point for point in now.curve if point[0] >= now.sent]
                if points and now.scored_at is not None and now.scored_at > now.sent_scored_at:
                    found[name] = {"score": now.score, "at": now.scored_at, "points": points}
                    now.sent, now.sent_scored_at = now.curve[-1][0], now.scored_at
        return found

    def _camera(self, name: str, epoch: str) -> _Now | None:
        """The camera in this run of the monitor; None if the message is of an earlier run."""
        now = self._cameras.get(name)
        if now is None:
            if len(self._cameras) >= MOST_CAMERAS:
                return None
            now = self._cameras[name] = _Now(epoch)
        if epoch < now.epoch:  # names of runs sort by their start
            return None
        if epoch > now.epoch:
            now = self._cameras[name] = _Now(epoch)
        return now

    def _shown(self, name: str, now: _Now) -> dict[str, Any]:
        gone = self._link.state not in ("connected", "connecting")
        mood = "fine" if now.state in _FINE else "waiting" if now.state in _WAITING or now.state is None else "bad"
        # A score of before must not look like one of now.
        stale = gone or now.scored_at is None or self._clock() - now.scored_at > CURVE_S
        return {
            "name": name,
            "state": now.state,
            "mood": "gone" if gone else mood,
            "since": now.since,
            "detail": now.detail,
            "score": None if stale else now.score,
            "threshold": 1.0,
            "scored_at": now.scored_at,
            "curve": list(now.curve),
        }

    def _tell(self, state: str, sentence: str, node: str | None = None) -> None:
        if state != self._link.state:
            self._link.since = self._clock()
        self._link.state, self._link.sentence = state, sentence
        if node is not None:
            self._link.node = node
