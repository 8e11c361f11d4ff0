"""The alert rule: it takes smoothed scores and returns events, each with a start, updates and an end.

Pure: no threads, no clock; all times are seconds on the stream's own clock. A high score is abnormal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from pydantic import model_validator

from monitor.judging.cool_down import Cause, CoolDown
from monitor.scores.lasting import Lasting
from monitor.settings import Settings
from monitor.states import AlertEvent, Phase

_HIGHEST_SCORE = 1e6
_LONGEST_S = 30 * 86_400
_LEAST_SHARE = 1e-3


class AlertSettings(Settings):
    """Settings that decide when a score becomes an event. Scores are in units of the threshold (1 = the threshold).

    on              an event can start at this score or above
    off             an event continues while the score is at this value or above (hysteresis); <= on
    min_duration_s  an event starts only after the score has stayed high this long, seconds
    merge_gap_s     an event ends only after the score has stayed low longer than this, seconds; if the score rises
                    again before, the event continues
    update_every_s  interval between the updates of an open event, seconds
    cooldown_s      for this long after the end of a notified event, seconds, events that repeat it (see CoolDown) are
                    recorded but do not notify
    """

    on: float = 1.0
    off: float = 0.8
    min_duration_s: float = 0.5
    merge_gap_s: float = 2.0
    update_every_s: float = 5.0
    cooldown_s: float = 30.0

    @property
    def lasting(self) -> Lasting:
        """How long a score must last for an event."""
        share = self.off / self.on if self.on > 0 and self.off > 0 else _LEAST_SHARE
        return Lasting(self.min_duration_s, max(share, _LEAST_SHARE))

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("on", "off"):
            if not abs(getattr(self, name)) <= _HIGHEST_SCORE:  # also refuses NaN
                raise ValueError(f"{name} must be at most {_HIGHEST_SCORE:g}, got {getattr(self, name)}")
        if self.off > self.on:
            raise ValueError(f"off ({self.off}) must not be above on ({self.on})")
        for name in ("min_duration_s", "merge_gap_s", "update_every_s", "cooldown_s"):
            if not 0 <= getattr(self, name) <= _LONGEST_S:
                raise ValueError(f"{name} must be 0 to {_LONGEST_S} seconds, got {getattr(self, name)}")
        return self


@dataclass(slots=True)
class _Rise:
    """A period with a high score: only a candidate until it becomes an event and ``event`` holds its number."""

    started_s: float
    last_high_s: float
    peak_score: float
    peak_s: float
    cause: Cause
    event: int | None = None
    notify: bool = True
    armed: bool = True
    reported_s: float = 0.0
    told: list[Cause] = field(default_factory=list)  # what the messages of the event have told, one per kind
    other: tuple[float, Cause] | None = None  # what may be another cause, and since when


class AlertRule:
    """One camera's rule. ``update`` takes each smoothed score once, in order of time."""

    def __init__(self, settings: AlertSettings | None = None) -> None:
        self.settings = settings or AlertSettings()
        self._rise: _Rise | None = None
        self._high = False
        self._events = 0
        self._last_s = -math.inf
        self._cool_down = CoolDown(self.settings.cooldown_s)

    @property
    def open(self) -> bool:
        """True between the start and the end of an event."""
        return self._rise is not None and self._rise.event is not None

    def count_from(self, events: int) -> None:
        """Continue the numbering of events after ``events``, the number of events that the previous rule started."""
        self._events = events

    @property
    def events(self) -> int:
        """Events started so far."""
        return self._events

    @property
    def causes(self) -> int:
        """Number of causes of the open event that were told: 1, and one for each that is clearly another."""
        return 0 if self._rise is None else len(self._rise.told)

    @property
    def peak_s(self) -> float | None:
        """Time of the highest score of the current rise, even if it is not an event yet; None between rises."""
        return None if self._rise is None else self._rise.peak_s

    def update(
        self,
        time_s: float,
        score: float,
        cause: Callable[[], Cause] = Cause,
        now: Cause | None = None,
        *,
        armed: bool = True,
    ) -> AlertEvent | None:
        """Take the score at ``time_s``. Returns the step of an event to report now, or None. A NaN score counts as low.

        cause  what the score is about; called only if the score is the highest of a rise so far
        now    the same for every score; None if it is not known
        armed  False if alerts are not raised at this time: an event that is high at such times only notifies nobody

        An update is reported at once if it is the first step of a quiet event that notifies after all, or if the event
        has another cause, of a different kind in a different place, for ``min_duration_s``.
        Raises ValueError if the time does not increase.
        """
        if time_s <= self._last_s:
            raise ValueError(f"scores must come in order of time: {time_s} s after {self._last_s} s")
        self._last_s = time_s
        rule = self.settings
        self._high = score >= (rule.off if self._high else rule.on)
        if math.isnan(score):
            score = 0.0  # an event reports a low score, because messages and records cannot hold NaN
        rise = self._rise
        if rise is None:
            if not self._high:
                return None
            rise = self._rise = _Rise(time_s, time_s, score, time_s, cause(), armed=armed)
        elif self._high:
            rise.last_high_s = time_s
            rise.armed = rise.armed or armed
            if score > rise.peak_score:
                self._higher(rise, time_s, score, cause())
        if rise.event is None:
            return self._candidate(rise, time_s, score)
        if not self._high and time_s - rise.last_high_s > rule.merge_gap_s:
            return self._end(score)
        told = rise.notify
        another = self._high and now is not None and self._has_another(rise, time_s, score, now)
        rise.notify = rise.notify or self._notifies(rise)
        if time_s - rise.reported_s >= rule.update_every_s or rise.notify is not told or another:
            rise.reported_s = time_s
            return self._event(rise, Phase.UPDATE, score, None)
        return None

    @staticmethod
    def _higher(rise: _Rise, time_s: float, score: float, cause: Cause) -> None:
        """The rise has a new peak. While it is only a candidate, it is what its peak shows."""
        rise.peak_score, rise.peak_s = score, time_s
        rise.cause = cause if rise.event is None else rise.cause.joined(cause)

    def _has_another(self, rise: _Rise, time_s: float, score: float, now: Cause) -> bool:
        """Whether the event has another cause now, which no message has told."""
        alike = [number for number, known in enumerate(rise.told) if not now.is_another(known)]
        for number in alike:
            if rise.told[number].sense == now.sense:
                rise.told[number] = rise.told[number].joined(now)  # the same thing has moved on
        if alike:
            rise.other = None
            return False
        if rise.other is None or rise.other[1].sense != now.sense:
            rise.other = time_s, now
        if time_s - rise.other[0] < self.settings.min_duration_s - 1e-6:
            return False
        rise.other = None
        rise.told.append(now)
        rise.notify = rise.notify or (rise.armed and self._cool_down.notifies(time_s, now, score))
        return True

    def _notifies(self, rise: _Rise) -> bool:
        return rise.armed and self._cool_down.notifies(rise.started_s, rise.cause, rise.peak_score)

    def _candidate(self, rise: _Rise, time_s: float, score: float) -> AlertEvent | None:
        if not self._high:
            self._rise = None
            return None
        # Frame times are sums in floating point. The tolerance is the same as that of the smoothing window.
        if time_s - rise.started_s < self.settings.min_duration_s - 1e-6:
            return None
        self._events += 1
        rise.event = self._events
        rise.notify = self._notifies(rise)
        rise.reported_s = time_s
        rise.told.append(rise.cause)
        return self._event(rise, Phase.START, score, None)

    def _end(self, score: float) -> AlertEvent:
        rise = self._rise
        assert rise is not None
        self._rise, self._high = None, False
        if rise.notify:  # other events start no cool-down; otherwise a busy scene would stay silent forever
            self._cool_down.begin(rise.last_high_s, rise.cause, rise.peak_score)
        return self._event(rise, Phase.END, score, rise.last_high_s)

    def close(self) -> AlertEvent | None:
        """End an open event now (gap, reconnect, end of the run) and drop a candidate.

        Returns the end of the event, or None if no event was open.
        """
        if self.open:
            return self._end(0.0)
        self._rise, self._high = None, False
        return None

    @staticmethod
    def _event(rise: _Rise, phase: Phase, score: float, ended_s: float | None) -> AlertEvent:
        assert rise.event is not None
        peak = rise.peak_score, rise.peak_s
        return AlertEvent(rise.event, phase, rise.started_s, ended_s, score, *peak, rise.notify, rise.armed)
