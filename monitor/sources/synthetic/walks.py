"""Straight walks along the street, and the timetable of the people who walk past in normal footage."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from monitor.sources.synthetic.figures import Actor, Look, draw_person, random_look
from monitor.sources.synthetic.perspective import WIDTH, scale
from monitor.sources.synthetic.seeds import Part, random_numbers

EDGE = 60.0
"""Walks start and end this many px outside the picture."""

_LANES = ((1, 286.0, 342.0, 2.7), (-1, 156.0, 181.0, 3.4))  # facing, first and last row, mean seconds between people


@dataclass(frozen=True)
class Walk:
    """A straight walk along ground row ``y`` from one edge of the picture, with a pause if ``pause_s`` > 0.

    started_s  when the figure is at ``x0``, seconds
    facing     1: to the right, -1: to the left
    speed      metres per second
    pause_x    column of the pause, px
    pause_s    length of the pause, seconds
    cycle_m    length of two steps, metres
    swing      amplitude of the legs, radians
    """

    started_s: float
    x0: float
    y: float
    facing: int
    speed: float
    pause_x: float = 0.0
    pause_s: float = 0.0
    cycle_m: float = 1.35
    swing: float = 0.42

    @property
    def px_per_s(self) -> float:
        """Speed in the picture, px per second."""
        return self.speed * scale(self.y)

    @property
    def pause_at_s(self) -> float:
        """When the pause begins, seconds."""
        return self.started_s + abs(self.pause_x - self.x0) / self.px_per_s

    def end_s(self, half_width: float) -> float:
        """When a figure of this half width, px, has left the picture, seconds."""
        far_edge = WIDTH + half_width if self.facing > 0 else -half_width
        return self.started_s + abs(far_edge - self.x0) / self.px_per_s + self.pause_s

    def at(self, t: float) -> tuple[float, float, float]:
        """At time t: the column, px, the phase of the step, radians, and the amplitude of the legs, radians."""
        walked_s, swing = t - self.started_s, self.swing
        if self.pause_s > 0:
            since = t - self.pause_at_s
            walked_s -= min(max(since, 0.0), self.pause_s)
            swing *= min(max(-since, since - self.pause_s, 0.0) / 0.35 + 0.12, 1.0)
        distance_m = walked_s * self.speed
        return self.x0 + self.facing * walked_s * self.px_per_s, distance_m / self.cycle_m * math.tau, swing


def walker(walk: Walk, look: Look, t: float, stoop: float = 0.0, lean: float = 0.05) -> Iterator[Actor]:
    """The figure of a walk at time t, if it is in the picture then."""
    x, phase, swing = walk.at(t)
    size = look.height_m * scale(walk.y)
    if t >= walk.started_s and -EDGE <= x <= WIDTH + EDGE:
        draw = partial(draw_person, look=look, at=(x, walk.y), size=size, facing=walk.facing, phase=phase)
        yield Actor(x, walk.y, 0.26 * size, size, partial(draw, swing=swing, lean=lean + stoop))


def passers_by(seed: int, t: float) -> Iterator[Actor]:
    """Everyone on the two pavements at time t."""
    for lane, (_, _, _, every_s) in enumerate(_LANES):
        now = math.floor(t / every_s) + 1000
        for slot in range(now - math.ceil(35.0 / every_s), now + 1):
            person = _passer_by(seed, lane, slot)
            if person is not None and person[0].started_s <= t:
                yield from walker(*person, t)


@lru_cache(maxsize=512)
def _passer_by(seed: int, lane: int, slot: int) -> tuple[Walk, Look] | None:
    """The person in one slot of a lane's timetable; None if the slot is empty."""
    rng = random_numbers(seed, Part.PASSERS_BY, lane, slot)
    facing, top, bottom, every_s = _LANES[lane]
    if rng.random() < 0.22:
        return None
    walk = Walk(
        started_s=(slot - 1000 + rng.uniform(0, 0.9)) * every_s,
        x0=-EDGE if facing > 0 else WIDTH + EDGE,
        y=float(rng.uniform(top, bottom)),
        facing=facing,
        speed=float(np.clip(rng.normal(1.35, 0.16), 1.0, 1.75)),
        pause_x=float(rng.uniform(80, WIDTH - 80)),
        pause_s=float(rng.uniform(1.0, 3.0)) if rng.random() < 0.1 else 0.0,
    )
    return walk, random_look(rng)
