"""The script of abnormal episodes: a runner, a cyclist, a person against the stream, a car, a bag left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from monitor.sources.synthetic.figures import BAGS, SHIRTS, Actor, Look, draw_bag, draw_bicycle, draw_car, random_look
from monitor.sources.synthetic.perspective import WIDTH, scale
from monitor.sources.synthetic.seeds import Part, random_numbers
from monitor.sources.synthetic.walks import EDGE, Walk, walker

KINDS = ("runner", "bicycle", "against the stream", "vehicle", "bag left behind")
"""The kinds of episodes, in the order of the script."""
CYCLE_S = 90.0
"""The script repeats after this time, seconds."""


@dataclass(frozen=True)
class Episode:
    """An abnormal episode: its kind (one of KINDS), and when it is visible, seconds on the stream's clock."""

    kind: str
    started_s: float
    ended_s: float


@dataclass(frozen=True)
class Act:
    """An episode, and a function that gives its actors in the picture at a time."""

    episode: Episode
    actors: Callable[[float], list[Actor]]


def script(seed: int, cycle: int) -> Iterator[Act]:
    """The five acts of one cycle, in order of time."""
    rng = random_numbers(seed, Part.SCRIPT, cycle)
    starts = cycle * CYCLE_S + np.array([12.0, 23.0, 34.0, 50.0, 61.0]) + rng.uniform(0, 1.0, 5)
    run = Walk(float(starts[0]), -30.0, float(rng.uniform(300, 325)), 1, float(rng.uniform(3.4, 4.0)), cycle_m=2.4)
    jogger = replace(random_look(rng), carry=None, coat=SHIRTS[(seed + cycle) % len(SHIRTS)], coat_length=0.02)
    yield _person_act("runner", replace(run, swing=0.8), jogger, lean=0.16)
    yield _ride(float(starts[1]), rng)
    against = Walk(float(starts[2]), WIDTH + 30.0, float(rng.uniform(296, 335)), -1, float(rng.uniform(1.2, 1.5)))
    yield _person_act("against the stream", against, random_look(rng), lean=0.05)
    yield _drive(float(starts[3]), rng)
    yield _leave_bag(float(starts[4]), rng)


def _person_act(kind: str, walk: Walk, look: Look, lean: float) -> Act:
    episode = Episode(kind, walk.started_s, walk.end_s(30.0))
    return Act(episode, lambda t: list(walker(walk, look, t, lean=lean)))


def _ride(started_s: float, rng: np.random.Generator) -> Act:
    """A bicycle that rides to the right, in the lane."""
    ride = Walk(started_s, -60.0, float(rng.uniform(222, 246)), 1, float(rng.uniform(3.8, 4.6)), cycle_m=4.5)
    look = replace(random_look(rng), carry=None, coat_length=0.02)

    def actors(t: float) -> list[Actor]:
        x, phase, _ = ride.at(t)
        px = scale(ride.y)
        draw = partial(draw_bicycle, look=look, at=(x, ride.y), px=px, facing=ride.facing, phase=phase)
        return [Actor(x, ride.y, 1.5 * px, 1.75 * px, draw)] if -60.0 <= x <= WIDTH + 60.0 else []

    return Act(Episode("bicycle", ride.started_s, ride.end_s(60.0)), actors)


def _drive(started_s: float, rng: np.random.Generator) -> Act:
    """A car that drives to the left, in the lane where normally no vehicle drives."""
    drive = Walk(started_s, WIDTH + 115.0, float(rng.uniform(228, 248)), -1, float(rng.uniform(3.2, 4.2)))
    paint = ((48, 44, 150), (150, 96, 40), (186, 188, 190), (60, 60, 64))[rng.integers(4)]

    def actors(t: float) -> list[Actor]:
        x, _, _ = drive.at(t)
        px = scale(drive.y)
        draw = partial(draw_car, at=(x, drive.y), px=px, facing=drive.facing, paint=paint)
        return [Actor(x, drive.y, 4.2 * px, 1.5 * px, draw)] if -115.0 <= x <= WIDTH + 115.0 else []

    return Act(Episode("vehicle", drive.started_s, drive.end_s(115.0)), actors)


def _leave_bag(started_s: float, rng: np.random.Generator) -> Act:
    """A person puts a suitcase down on the near pavement, leaves it, and fetches it 12 s later."""
    y, x, pause_s, alone_s = float(rng.uniform(298, 318)), float(rng.uniform(330, 450)), 1.6, 12.0
    colour = BAGS[rng.integers(len(BAGS))]
    look = replace(random_look(rng), carry=None, coat_length=0.05)
    come = Walk(started_s, -EDGE, y, 1, 1.45, pause_x=x, pause_s=pause_s)
    put_s = come.pause_at_s + 0.5 * pause_s
    taken_s = put_s + alone_s
    back = Walk(0.0, WIDTH + EDGE, y, -1, 1.45)
    way_s = (WIDTH + EDGE - x) / back.px_per_s
    back = replace(back, started_s=taken_s - 0.5 - way_s)
    leave = Walk(taken_s, x, y, 1, 1.45, pause_x=x, pause_s=0.5)

    def actors(t: float) -> list[Actor]:
        here = Actor(x, y - 1, 0.5 * scale(y), 0.62 * scale(y), partial(draw_bag, at=(x, y), colour=colour))
        stoop = 0.5 * max(0.0, 1 - min(abs(t - put_s), abs(t - taken_s)) / 0.5)
        if put_s <= t < taken_s:
            away = come if t < back.started_s else back
            if away is back and t > taken_s - 0.5:
                away = replace(back, pause_x=x, pause_s=1e3)
            return [here, *walker(away, look, t, stoop=stoop)]
        found = list(walker(come if t < put_s else leave, look, t, stoop=stoop))
        for owner in found[:1]:
            lift = 1.0 - stoop / 0.5
            spot = (owner.x + 0.06 * owner.height * lift, y - 0.14 * owner.height * lift)
            found.append(Actor(spot[0], y + 0.1, 8.0, 8.0, partial(draw_bag, at=spot, colour=colour, row=y)))
        return found

    return Act(Episode("bag left behind", put_s, taken_s), actors)
