"""The cool-down: an event that repeats what people were just notified of is recorded, but notifies nobody.

It holds per cause and place. An event of another kind, or in another place, notifies. So does an event with a clearly
higher score. Pure: no clock; all times are seconds on the stream's own clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from monitor.types import Place

_MARGIN = 0.05  # a place grows by this share of the picture on each side: the same object is never found twice alike
_CLEARLY = 0.5  # a score is clearly higher if it exceeds an earlier one by this share of it, and at least by 0.5
_MOST = 64  # notified events that are remembered; they never last that long with a sensible cool-down


@dataclass(frozen=True, slots=True)
class Cause:
    """What an event is about.

    sense  the kind of thing that is abnormal, see ``monitor.judging.fusion.Sense``; "" if there is only one kind
    place  where in the picture; None if unknown: then it may be anywhere
    """

    sense: str = ""
    place: Place | None = None

    def repeats(self, other: Cause) -> bool:
        """Whether both are of one kind, and in one place as far as is known."""
        if self.sense != other.sense:
            return False
        return self.place is None or other.place is None or not _are_apart(self.place, other.place)

    def is_another(self, other: Cause) -> bool:
        """Whether both are surely two things: of different kinds, and in different places."""
        if self.sense == other.sense or self.place is None or other.place is None:
            return False
        return _are_apart(self.place, other.place)

    def joined(self, other: Cause) -> Cause:
        """The cause of an event that has moved on to ``other``: of the same kind, it has been in both places."""
        if self.sense != other.sense or self.place is None or other.place is None:
            return other
        (left, top, right, bottom), (x0, y0, x1, y1) = self.place, other.place
        return Cause(self.sense, (min(left, x0), min(top, y0), max(right, x1), max(bottom, y1)))


def _are_apart(one: Place, other: Place) -> bool:
    (left, top, right, bottom), (x0, y0, x1, y1) = one, other
    return max(left - x1, x0 - right, top - y1, y0 - bottom) > 2 * _MARGIN


@dataclass(frozen=True, slots=True)
class _Notified:
    cause: Cause
    peak_score: float
    until_s: float


class CoolDown:
    """Remembers the events that people were notified of, each for ``seconds`` after its end."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._notified: deque[_Notified] = deque(maxlen=_MOST)

    def notifies(self, started_s: float, cause: Cause, peak_score: float) -> bool:
        """Whether people must be notified of an event that began at ``started_s``. peak_score: 1 = the threshold."""
        return not any(
            started_s < known.until_s and cause.repeats(known.cause) and not _is_clearly_higher(peak_score, known)
            for known in self._notified
        )

    def begin(self, ended_s: float, cause: Cause, peak_score: float) -> None:
        """An event that people were notified of was last high at ``ended_s``."""
        while self._notified and self._notified[0].until_s <= ended_s:
            self._notified.popleft()
        self._notified.append(_Notified(cause, peak_score, ended_s + self._seconds))


def _is_clearly_higher(peak_score: float, known: _Notified) -> bool:
    return peak_score >= known.peak_score + _CLEARLY * max(1.0, known.peak_score)
