"""When a camera's alarms beside its budget are worth a message: once per hour, more often at first, and on change."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.promise import AlarmRate

FIRST_S, EVERY_S = 60.0, 3600.0
"""Seconds of the run between two messages about a camera if nothing changes: they double from the first to the last."""


@dataclass(frozen=True, slots=True)
class BudgetNewsItem:
    """What to send. added_alarms, added_s, added_blind_s: what has been added since the camera's last message."""

    rate: AlarmRate
    added_alarms: int
    added_s: float
    added_blind_s: float = 0.0


@dataclass(slots=True)
class _Told:
    rate: AlarmRate  # the present one, sent or not
    sent: AlarmRate | None = None
    at_s: float = 0.0  # of the run, when it was sent


class BudgetNews:
    """Remembers what was sent about each camera. Pure: the caller sends."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}

    def take(self, camera: str, rate: AlarmRate, elapsed_s: float) -> BudgetNewsItem | None:
        """Take a camera's present rate. Returns what to send now, or None. elapsed_s: seconds since the run began."""
        told = self._told.setdefault(camera, _Told(rate))
        told.rate = rate
        due = told.sent is None or elapsed_s - told.at_s >= min(EVERY_S, max(FIRST_S, told.at_s))
        if not due and told.sent is not None:
            due = (rate.counted_alarms, rate.promised_per_day, rate.broken) != (
                told.sent.counted_alarms,
                told.sent.promised_per_day,
                told.sent.broken,
            )
        if not due:
            return None
        told.at_s = elapsed_s
        return self._item(told)

    def take_rest(self, camera: str | None = None) -> list[tuple[str, BudgetNewsItem]]:
        """What has not been sent yet of a camera that is watched no more; None for all cameras, at the end of a run."""
        names = list(self._told) if camera is None else [camera] * (camera in self._told)
        told = [(name, self._told.pop(name)) for name in names]
        return [(n, self._item(t)) for n, t in told if t.sent is None or _counted_s(t.rate) > _counted_s(t.sent)]

    @staticmethod
    def _item(told: _Told) -> BudgetNewsItem:
        rate, before = told.rate, told.sent
        told.sent = rate
        if before is None:
            return BudgetNewsItem(rate, rate.counted_alarms, rate.counted_s, rate.counted_blind_s)
        return BudgetNewsItem(
            rate,
            rate.counted_alarms - before.counted_alarms,
            rate.counted_s - before.counted_s,
            rate.counted_blind_s - before.counted_blind_s,
        )


def _counted_s(rate: AlarmRate) -> float:
    return rate.counted_s + rate.counted_blind_s
