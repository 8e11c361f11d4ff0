"""Measures how regularly the frames of a stream arrive. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from monitor.sources.stream_clock import StreamClock

_BURST = 4.0  # frames come in bursts if the longest wait is this many times the median step
_SETTLED_S, _TURNS = 20.0, 3  # after this time, the clock has found what there is; then frames are looked at


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame that has arrived, decoded or not.

    arrived_s  seconds since the start of the check
    media_s    seconds on the stream's own clock; None if the stream gives no time
    key        True if it can be decoded without the frames before it
    """

    arrived_s: float
    media_s: float | None
    key: bool


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Rate and regularity of a stream. The fields have the same meaning as in StreamFacts."""

    fps: float | None
    longest_wait_s: float | None
    jitter_s: float | None
    key_frame_s: float | None
    without_key_s: float
    step_s: float | None = None
    longest_step_s: float | None = None


def rhythm(arrivals: Sequence[Arrival], claimed_fps: float) -> Rhythm:
    """Compute the rhythm from the arrivals.

    Frames that a server had buffered and sends at once at the start count for key frames only.

    claimed_fps: > 0; at the start, a wait shorter than half its period marks a buffered frame.
    """
    keys = [time_s for time_s, arrival in zip(_media_times(arrivals), arrivals, strict=True) if arrival.key]
    end_s = max(_media_times(arrivals), default=0.0)
    key_frame_s = max((b - a for a, b in pairwise(keys)), default=None)
    without_key_s = end_s - (keys[-1] if keys else min(_media_times(arrivals), default=0.0))

    waits = [b.arrived_s - a.arrived_s for a, b in pairwise(arrivals)]
    while waits and waits[0] < 0.5 / claimed_fps:
        waits.pop(0)
    waits = waits[1:]  # the first real wait began before the server's buffer was empty
    if len(waits) < 2 or sum(waits) <= 0:
        return Rhythm(None, None, None, key_frame_s, without_key_s)
    usual = median(waits)
    off = sorted(abs(wait - usual) for wait in waits)
    jitter_s = off[int(0.95 * (len(off) - 1))]
    steps = _stream_steps(arrivals)
    fps = len(waits) / sum(waits)
    if steps and max(waits) > _BURST * median(steps):  # the check may end within a burst
        fps = len(steps) / sum(steps)
    return Rhythm(
        fps,
        max(waits),
        jitter_s,
        key_frame_s,
        without_key_s,
        median(steps) if steps else None,
        max(steps, default=None),
    )


def _stream_steps(arrivals: Sequence[Arrival]) -> list[float]:
    """Steps of stream time, seconds, between frames that go on to arrive like these; empty if too few are known.

    A run takes the same clock. It needs some seconds to find bursts and timestamps, so the frames are repeated.
    """
    waits = [b.arrived_s - a.arrived_s for a, b in pairwise(arrivals)]
    waited = [number for number, wait in enumerate(waits, 1) if wait >= 0.5 * max(waits)]
    if len(waited) < 2:
        return []
    first, last = arrivals[waited[0]], arrivals[waited[-1]]
    whole_s = last.arrived_s - first.arrived_s
    media_s = None if first.media_s is None or last.media_s is None else last.media_s - first.media_s
    clock, times = StreamClock(), list[float]()
    part = arrivals[waited[0] : waited[-1]]
    for turn in range(_TURNS + math.ceil(_SETTLED_S / whole_s)):
        for arrival in part:
            shifted_s = None if media_s is None or arrival.media_s is None else arrival.media_s + turn * media_s
            times.append(clock.time_of(arrival.arrived_s + turn * whole_s, shifted_s))
    return [b - a for a, b in pairwise(times[-(_TURNS - 1) * len(part) :])]


def _media_times(arrivals: Sequence[Arrival]) -> list[float]:
    """Each frame's time on the stream's clock. The first frames often have none; they get the time of the next one."""
    if all(arrival.media_s is None for arrival in arrivals):
        return [arrival.arrived_s for arrival in arrivals]
    times: list[float] = []
    following = max(arrival.media_s for arrival in arrivals if arrival.media_s is not None)
    for arrival in reversed(arrivals):
        following = following if arrival.media_s is None else arrival.media_s
        times.append(following)
    return times[::-1]
