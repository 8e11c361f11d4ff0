"""How regularly a stream's pictures come, from when each arrived. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median


@dataclass(frozen=True, slots=True)
class Arrival:
    """A picture that has come, decoded or not.

    arrived_s  seconds since the beginning
    media_s    seconds on the stream's own clock; None where the stream did not say
    key        it can be decoded without those before it
    """

    arrived_s: float
    media_s: float | None
    key: bool


@dataclass(frozen=True, slots=True)
class Rhythm:
    """See StreamFacts."""

    fps: float | None
    longest_wait_s: float | None
    jitter_s: float | None
    key_frame_s: float | None
    without_key_s: float


def rhythm(arrivals: Sequence[Arrival], claimed_fps: float) -> Rhythm:
    """What the arrivals say. Those that a server had in store, and sent at once, count for key frames only.

    claimed_fps: > 0; a wait of less than half its period was none.
    """
    keys = [time_s for time_s, arrival in zip(_media_times(arrivals), arrivals, strict=True) if arrival.key]
    end_s = max(_media_times(arrivals), default=0.0)
    key_frame_s = max((b - a for a, b in pairwise(keys)), default=None)
    without_key_s = end_s - (keys[-1] if keys else min(_media_times(arrivals), default=0.0))

    waits = [b.arrived_s - a.arrived_s for a, b in pairwise(arrivals)]
    while waits and waits[0] < 0.5 / claimed_fps:
        waits.pop(0)
    waits = waits[1:]  # the first real wait began before the store was empty
    if len(waits) < 2 or sum(waits) <= 0:
        return Rhythm(None, None, None, key_frame_s, without_key_s)
    usual = median(waits)
    off = sorted(abs(wait - usual) for wait in waits)
    jitter_s = off[int(0.95 * (len(off) - 1))]
    return Rhythm(len(waits) / sum(waits), max(waits), jitter_s, key_frame_s, without_key_s)


def _media_times(arrivals: Sequence[Arrival]) -> list[float]:
    """Each picture's time on the stream's clock; the first often have none and get the next one's."""
    if all(arrival.media_s is None for arrival in arrivals):
        return [arrival.arrived_s for arrival in arrivals]
    times: list[float] = []
    following = max(arrival.media_s for arrival in arrivals if arrival.media_s is not None)
    for arrival in reversed(arrivals):
        following = following if arrival.media_s is None else arrival.media_s
        times.append(following)
    return times[::-1]
