"""What each camera did in the last days, as far as the page has heard it: scores by the minute, gaps, and states.

Scores are not in the monitor's journal. So the page keeps the highest score of each minute itself, while it runs,
within a bound. States come from the journal too, from before the page was started.
"""

from __future__ import annotations

import bisect
import math
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.alerts.messages import HealthMessage, ScoreMessage
from monitor.states import CameraState

MINUTES = 1440
MOST_CAMERA_DAYS = 1500
"""Days of scores that are kept, of all cameras together: 6 KB each."""
MOST_SPANS = 5000
"""Stretches of watched time that are kept per camera, and changes of its state."""
MOST_CAMERAS = 1000
GAP_S = 5.0
"""A camera without a score that can be judged for this long is blind."""
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class State:
    """A state of a camera. since: unix seconds."""

    since: float
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which a camera was blind. Unix seconds; why: its state then, or that the monitor was not heard."""

    begin: float
    end: float
    why: str


@dataclass(frozen=True, slots=True)
class CameraTimeline:
    """What one camera did in a stretch of time.

    known_from   since when the page has heard this camera, unix seconds; None: it has not in this stretch
    scores       the highest score of each minute, None without one
    states       the states that began in the stretch, and before them the one that held at its beginning
    gaps         in which it was blind, from ``known_from`` on
    watched_s    seconds with scores, of ``known_s`` seconds that the page knows of
    """

    camera: str
    known_from: float | None
    scores: list[float | None]
    states: list[State]
    gaps: list[Gap]
    watched_s: float
    known_s: float


@dataclass
class _Camera:
    monitor: int = 0
    heard_at: float | None = None  # when the first message about it came while it was live
    spans: list[list[float]] = field(default_factory=list)  # begin and end of watched time, in order
    states: list[State] = field(default_factory=list)


class TimelineStore:
    """Any thread may use it. clock: the wall clock, unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cameras: dict[str, _Camera] = {}
        self._days: OrderedDict[tuple[str, int], array[float]] = OrderedDict()
        self._away: dict[int, list[list[float]]] = {}  # monitor -> begin and end of times in which it was not heard

    def take_score(self, message: ScoreMessage, monitor: int = 0) -> None:
        """Take a score that comes now. monitor: the number of the monitor that has the camera."""
        at, score = message.sent_at, message.score
        with self._lock:
            camera = self._camera(message.camera, monitor)
            if camera is None:
                return
            camera.heard_at = at if camera.heard_at is None else camera.heard_at
            if score is None:
                return
            if camera.spans and 0 <= at - camera.spans[-1][1] <= GAP_S:
                camera.spans[-1][1] = at
            elif not camera.spans or at > camera.spans[-1][1]:  # a clock that was set back starts no stretch
                camera.spans.append([at, at])
                del camera.spans[:-MOST_SPANS]
            minutes = self._minutes(message.camera, int(at // _DAY_S))
            minute = int(at % _DAY_S // 60)
            if not score <= minutes[minute]:
                minutes[minute] = score

    def take_health(self, message: HealthMessage, *, live: bool, monitor: int = 0) -> None:
        """Take the state of a camera. live: it comes now, not from the journal."""
        state = State(message.since, str(message.state), message.detail)
        with self._lock:
            camera = self._camera(message.camera, monitor)
            if camera is None:
                return
            if live and camera.heard_at is None:
                camera.heard_at = message.sent_at
            at = bisect.bisect_right(camera.states, state.since, key=lambda each: each.since)
            if at and (camera.states[at - 1].since, camera.states[at - 1].state) == (state.since, state.state):
                camera.states[at - 1] = state
            else:
                camera.states.insert(at, state)
                del camera.states[:-MOST_SPANS]

    def link(self, *, heard: bool, monitor: int = 0) -> None:
        """Say whether a monitor is heard from now on."""
        now = self._clock()
        with self._lock:
            away = self._away.setdefault(monitor, [])
            down = bool(away) and math.isinf(away[-1][1])
            if not heard and not down:
                away.append([now, math.inf])
                del away[:-MOST_SPANS]
            elif heard and down:
                away[-1][1] = now

    def timeline(self, name: str, begin: float, end: float) -> CameraTimeline:
        """What a camera did from ``begin`` to ``end``, unix seconds."""
        now = self._clock()
        with self._lock:
            camera = self._cameras.get(name) or _Camera()
            scores = [self._score(name, begin + 60 * number) for number in range(math.ceil((end - begin) / 60))]
            first = bisect.bisect_right(camera.states, begin, key=lambda each: each.since)
            last = bisect.bisect_left(camera.states, end, key=lambda each: each.since)
            states = camera.states[max(0, first - 1) : last]
            known_from = None if camera.heard_at is None else max(begin, camera.heard_at)
            known_to = min(end, now)
            if known_from is None or known_from >= known_to:
                return CameraTimeline(name, None, scores, states, [], 0.0, 0.0)
            gaps, known_s = [], known_to - known_from
            at = known_from
            for start, stop in [*_within(camera.spans, known_from, known_to), (known_to, known_to)]:
                if start - at > GAP_S:
                    why = self._why(camera, (at + start) / 2)
                    if why == CameraState.ENDED:
                        known_s -= start - at  # there was nothing to watch
                    else:
                        gaps.append(Gap(at, start, why))
                at = max(at, stop)
        blind_s = sum(gap.end - gap.begin for gap in gaps)
        return CameraTimeline(name, known_from, scores, states, gaps, known_s - blind_s, known_s)

    def cameras(self) -> list[str]:
        """The cameras of which anything is known, by name."""
        with self._lock:
            return sorted(self._cameras)

    def _camera(self, name: str, monitor: int) -> _Camera | None:
        if name not in self._cameras and len(self._cameras) < MOST_CAMERAS:
            self._cameras[name] = _Camera(monitor)
        return self._cameras.get(name)

    def _minutes(self, name: str, day: int) -> array[float]:
        key = name, day
        if key not in self._days:
            self._days[key] = array("f", [math.nan]) * MINUTES
            while len(self._days) > MOST_CAMERA_DAYS:
                self._days.popitem(last=False)
        return self._days[key]

    def _score(self, name: str, at: float) -> float | None:
        minutes = self._days.get((name, int(at // _DAY_S)))
        score = math.nan if minutes is None else minutes[int(at % _DAY_S // 60)]
        return None if math.isnan(score) else round(score, 3)

    def _why(self, camera: _Camera, at: float) -> str:
        if any(begin <= at < end for begin, end in self._away.get(camera.monitor, ())):
            return "the monitor was not heard"
        found = bisect.bisect_right(camera.states, at, key=lambda each: each.since)
        state = camera.states[found - 1].state if found else CameraState.ONLINE
        return "no score" if state == CameraState.ONLINE else state


def _within(spans: list[list[float]], begin: float, end: float) -> list[tuple[float, float]]:
    first = bisect.bisect_left(spans, begin, key=lambda span: span[1])
    found = []
    for start, stop in spans[first:]:
        if start >= end:
            break
        found.append((max(start, begin), min(stop, end)))
    return found
