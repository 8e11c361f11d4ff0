"""A synthetic street seen by a fixed camera, with its ground truth: footage without a camera or a download.

A pedestrian street. People walk from left to right on the near pavement and from right to left on the far one; nothing
drives. The picture of frame i is a pure function of (seed, i), so training, tests and the demo see the same bytes
however a frame was reached. The street is the same for every seed; people, light and noise are the seed's.

Geometry: a pinhole camera 4.05 m above the ground with a level axis, so a ground row y has (y - 40) / 4.05 px a metre.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import cv2
import numpy as np

from monitor.errors import SourceError
from monitor.sources.base import Position, Reader, Source
from monitor.types import FloatArray, Image

WIDTH, HEIGHT, FPS = 640, 360, 25.0
KINDS = ("runner", "bicycle", "against the stream", "vehicle", "bag left behind")

_HORIZON, _CAMERA_M, _FOCAL = 40.0, 4.05, 520.0  # px, metres, px
_WALL, _KERB_FAR, _KERB_NEAR = 148.0, 188.0, 263.0  # ground rows where far pavement, lane and near pavement begin
_CYCLE_S = 90.0  # the script of episodes starts again after this long
_SHIFT = 4  # fractional bits of the coordinates given to OpenCV
_Colour = tuple[int, int, int]
_Point = tuple[float, float]

_COATS: tuple[_Colour, ...] = (
    (52, 46, 44), (104, 66, 38), (60, 60, 150), (52, 92, 58), (150, 150, 156), (74, 116, 178), (140, 100, 60),
    (96, 60, 104), (188, 190, 186), (48, 132, 196), (70, 70, 76),
)  # fmt: skip
_TROUSERS: tuple[_Colour, ...] = ((92, 66, 46), (50, 46, 46), (70, 84, 96), (120, 128, 136), (64, 50, 40), (96, 84, 60))
_SKINS: tuple[_Colour, ...] = ((150, 176, 218), (128, 156, 202), (84, 112, 160), (56, 76, 112), (166, 190, 228))
_HAIRS: tuple[_Colour, ...] = ((28, 30, 36), (40, 58, 82), (70, 108, 150), (120, 124, 128), (30, 40, 58))
_SHIRTS: tuple[_Colour, ...] = ((64, 206, 226), (232, 234, 236), (214, 204, 240))
_BAGS: tuple[_Colour, ...] = ((38, 44, 120), (44, 40, 38), (110, 64, 30), (40, 96, 60))


@dataclass(frozen=True)
class Episode:
    """Something abnormal: its kind (one of KINDS) and the seconds on the stream's clock during which it is visible."""

    kind: str
    started_s: float
    ended_s: float


class SyntheticScene(Source):
    """The street as a source of ``duration_s`` seconds at 640x360 and 25 frames a second.

    abnormal  with the script of five episodes in each 90 s; without, normal footage only
    """

    live = False

    def __init__(self, name: str = "demo", seed: int = 7, duration_s: float = 90.0, abnormal: bool = True) -> None:
        if not 0 < duration_s < math.inf:
            raise SourceError(f"a synthetic scene lasts more than 0 s, not {duration_s}; give a longer duration")
        if seed < 0:
            raise SourceError(f"a synthetic scene's seed is 0 or more, not {seed}; give another")
        super().__init__(name, f"synthetic street, seed {seed}")
        self.seed, self.duration_s, self.abnormal = seed, duration_s, abnormal
        self.frames = max(1, round(duration_s * FPS))
        cycles = math.ceil(duration_s / _CYCLE_S) if abnormal else 0
        scripted = [act for cycle in range(cycles) for act in _script(seed, cycle)]
        self._acts = [act for act in scripted if act.episode.ended_s <= duration_s]

    @property
    def truth(self) -> tuple[Episode, ...]:
        """The abnormal episodes that end within the duration, in order of time; none in normal footage."""
        return tuple(act.episode for act in self._acts)

    def open(self) -> Reader:
        """Open at the first frame; ``retrieve`` draws, in about 3 ms."""
        return _SceneReader(self)

    def render(self, index: int) -> Image:
        """Draw frame ``index`` (0-based): (360, 640, 3) uint8 BGR, the same bytes whatever was drawn before."""
        t = index / FPS
        street, light = _street(), _light(self.seed, t)
        actors = [*_passers_by(self.seed, t), *(actor for act in self._acts for actor in act.actors(t))]
        sky = cv2.addWeighted(street.sunny, light.sun, street.overcast, 1.0 - light.sun, 0.0)
        canvas = np.asarray(sky, dtype=np.uint8)
        _cast_shadows(canvas, actors, light.sun)
        empty = canvas.copy()
        things = [(actor.y, actor.draw) for actor in actors]
        things += [(cover.y, partial(cover.restore, empty)) for cover in street.covers]
        for _, draw in sorted(things, key=lambda thing: thing[0]):
            draw(canvas)
        return _expose(canvas, self.seed, index, light)


class _SceneReader(Reader):
    fps = FPS

    def __init__(self, scene: SyntheticScene) -> None:
        self._scene, self._index = scene, -1

    def grab(self) -> Position | None:
        if self._index + 1 >= self._scene.frames:
            return None
        self._index += 1
        return Position(self._index, self._index / FPS)

    def retrieve(self) -> Image | None:
        return self._scene.render(self._index)


# --- who is in the picture ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Actor:
    """Something standing on ground row ``y`` at column ``x``, ``width`` and ``height`` px large."""

    x: float
    y: float
    width: float
    height: float
    draw: Callable[[Image], None]


@dataclass(frozen=True)
class _Walk:
    """A straight walk along ground row ``y`` from one edge of the picture; with a pause, if ``pause_s`` > 0.

    started_s  when the figure is at ``x0``; facing 1 is to the right, -1 to the left
    speed      metres a second; a cycle is two steps, ``cycle_m`` long; swing is the legs' amplitude in radians
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
        return self.speed * _scale(self.y)

    @property
    def pause_at_s(self) -> float:
        """When the pause begins."""
        return self.started_s + abs(self.pause_x - self.x0) / self.px_per_s

    def end_s(self, half_width: float) -> float:
        """When the figure has left the picture."""
        far_edge = WIDTH + half_width if self.facing > 0 else -half_width
        return self.started_s + abs(far_edge - self.x0) / self.px_per_s + self.pause_s

    def at(self, t: float) -> tuple[float, float, float]:
        """Column, phase of the step in radians and amplitude of the legs at time t."""
        walked_s, swing = t - self.started_s, self.swing
        if self.pause_s > 0:
            since = t - self.pause_at_s
            walked_s -= min(max(since, 0.0), self.pause_s)
            swing *= min(max(-since, since - self.pause_s, 0.0) / 0.35 + 0.12, 1.0)
        distance_m = walked_s * self.speed
        return self.x0 + self.facing * walked_s * self.px_per_s, distance_m / self.cycle_m * math.tau, swing


@dataclass(frozen=True)
class _Look:
    """What a person looks like; ``carry`` is the colour of a bag in the hand, None without one."""

    height_m: float
    coat: _Colour
    coat_length: float
    trousers: _Colour
    skin: _Colour
    hair: _Colour
    carry: _Colour | None


@dataclass(frozen=True)
class _Act:
    """An episode and what it puts into the picture at a time."""

    episode: Episode
    actors: Callable[[float], list[_Actor]]


def _scale(y: float) -> float:
    """Pixels a metre of something standing on ground row y."""
    return (y - _HORIZON) / _CAMERA_M


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng([seed, *key])


def _look(rng: np.random.Generator) -> _Look:
    return _Look(
        height_m=float(np.clip(rng.normal(1.71, 0.08), 1.5, 1.9)),
        coat=_COATS[rng.integers(len(_COATS))],
        coat_length=float(rng.choice([0.02, 0.05, 0.2], p=[0.5, 0.3, 0.2])),
        trousers=_TROUSERS[rng.integers(len(_TROUSERS))],
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        carry=_BAGS[rng.integers(len(_BAGS))] if rng.random() < 0.25 else None,
    )


_EDGE = 60.0  # px outside the picture where walks begin
_LANES = ((1, 286.0, 342.0, 2.7), (-1, 156.0, 181.0, 3.4))  # facing, rows from and to, mean seconds between people


@lru_cache(maxsize=512)
def _walker(seed: int, lane: int, slot: int) -> tuple[_Walk, _Look] | None:
    """The person of one slot of a lane's timetable; None where nobody comes."""
    rng = _rng(seed, 1, lane, slot)
    facing, top, bottom, every_s = _LANES[lane]
    if rng.random() < 0.22:
        return None
    walk = _Walk(
        started_s=(slot - 1000 + rng.uniform(0, 0.9)) * every_s,
        x0=-_EDGE if facing > 0 else WIDTH + _EDGE,
        y=float(rng.uniform(top, bottom)),
        facing=facing,
        speed=float(np.clip(rng.normal(1.35, 0.16), 1.0, 1.75)),
        pause_x=float(rng.uniform(80, WIDTH - 80)),
        pause_s=float(rng.uniform(1.0, 3.0)) if rng.random() < 0.1 else 0.0,
    )
    return walk, _look(rng)


def _passers_by(seed: int, t: float) -> Iterator[_Actor]:
    for lane, (_, _, _, every_s) in enumerate(_LANES):
        now = math.floor(t / every_s) + 1000
        for slot in range(now - math.ceil(35.0 / every_s), now + 1):
            person = _walker(seed, lane, slot)
            if person is not None and person[0].started_s <= t:
                yield from _person(*person, t)


def _person(walk: _Walk, look: _Look, t: float, stoop: float = 0.0, lean: float = 0.05) -> Iterator[_Actor]:
    """The figure of a walk at time t, where it is in the picture."""
    x, phase, swing = walk.at(t)
    size = look.height_m * _scale(walk.y)
    if t >= walk.started_s and -_EDGE <= x <= WIDTH + _EDGE:
        draw = partial(_draw_person, look=look, at=(x, walk.y), size=size, facing=walk.facing, phase=phase)
        yield _Actor(x, walk.y, 0.26 * size, size, partial(draw, swing=swing, lean=lean + stoop))


# --- the script of the demo --------------------------------------------------------------------------------------


def _script(seed: int, cycle: int) -> Iterator[_Act]:
    """The five acts of one cycle, in order of time."""
    rng = _rng(seed, 2, cycle)
    starts = cycle * _CYCLE_S + np.array([12.0, 23.0, 34.0, 50.0, 61.0]) + rng.uniform(0, 1.0, 5)
    run = _Walk(float(starts[0]), -30.0, float(rng.uniform(300, 325)), 1, float(rng.uniform(3.4, 4.0)), cycle_m=2.4)
    jogger = replace(_look(rng), carry=None, coat=_SHIRTS[(seed + cycle) % len(_SHIRTS)], coat_length=0.02)
    yield _person_act("runner", replace(run, swing=0.8), jogger, lean=0.16)
    yield _ride(float(starts[1]), rng)
    against = _Walk(float(starts[2]), WIDTH + 30.0, float(rng.uniform(296, 335)), -1, float(rng.uniform(1.2, 1.5)))
    yield _person_act("against the stream", against, _look(rng), lean=0.05)
    yield _drive(float(starts[3]), rng)
    yield _leave_bag(float(starts[4]), rng)


def _person_act(kind: str, walk: _Walk, look: _Look, lean: float) -> _Act:
    episode = Episode(kind, walk.started_s, walk.end_s(30.0))
    return _Act(episode, lambda t: list(_person(walk, look, t, lean=lean)))


def _ride(started_s: float, rng: np.random.Generator) -> _Act:
    """A bicycle to the right, in the lane."""
    ride = _Walk(started_s, -60.0, float(rng.uniform(222, 246)), 1, float(rng.uniform(3.8, 4.6)), cycle_m=4.5)
    look = replace(_look(rng), carry=None, coat_length=0.02)

    def actors(t: float) -> list[_Actor]:
        x, phase, _ = ride.at(t)
        px = _scale(ride.y)
        draw = partial(_draw_bicycle, look=look, at=(x, ride.y), px=px, facing=ride.facing, phase=phase)
        return [_Actor(x, ride.y, 1.5 * px, 1.75 * px, draw)] if -60.0 <= x <= WIDTH + 60.0 else []

    return _Act(Episode("bicycle", ride.started_s, ride.end_s(60.0)), actors)


def _drive(started_s: float, rng: np.random.Generator) -> _Act:
    """A car to the left, in the lane where nothing drives."""
    drive = _Walk(started_s, WIDTH + 115.0, float(rng.uniform(228, 248)), -1, float(rng.uniform(3.2, 4.2)))
    paint = ((48, 44, 150), (150, 96, 40), (186, 188, 190), (60, 60, 64))[rng.integers(4)]

    def actors(t: float) -> list[_Actor]:
        x, _, _ = drive.at(t)
        px = _scale(drive.y)
        draw = partial(_draw_car, at=(x, drive.y), px=px, facing=drive.facing, paint=paint)
        return [_Actor(x, drive.y, 4.2 * px, 1.5 * px, draw)] if -115.0 <= x <= WIDTH + 115.0 else []

    return _Act(Episode("vehicle", drive.started_s, drive.end_s(115.0)), actors)


def _leave_bag(started_s: float, rng: np.random.Generator) -> _Act:
    """A suitcase put down on the near pavement, left alone, and fetched by its owner 12 s later."""
    y, x, pause_s, alone_s = float(rng.uniform(298, 318)), float(rng.uniform(330, 450)), 1.6, 12.0
    colour = _BAGS[rng.integers(len(_BAGS))]
    look = replace(_look(rng), carry=None, coat_length=0.05)
    come = _Walk(started_s, -_EDGE, y, 1, 1.45, pause_x=x, pause_s=pause_s)
    put_s = come.pause_at_s + 0.5 * pause_s
    taken_s = put_s + alone_s
    back = _Walk(0.0, WIDTH + _EDGE, y, -1, 1.45)
    way_s = (WIDTH + _EDGE - x) / back.px_per_s
    back = replace(back, started_s=taken_s - 0.5 - way_s)
    leave = _Walk(taken_s, x, y, 1, 1.45, pause_x=x, pause_s=0.5)

    def actors(t: float) -> list[_Actor]:
        here = _Actor(x, y - 1, 0.5 * _scale(y), 0.62 * _scale(y), partial(_draw_bag, at=(x, y), colour=colour))
        if put_s <= t < taken_s:
            away = come if t < back.started_s else back
            near = min(abs(t - put_s), abs(t - taken_s))
            if away is back and t > taken_s - 0.5:
                away = replace(back, pause_x=x, pause_s=1e3)
            return [here, *_person(away, look, t, stoop=0.5 * max(0.0, 1 - near / 0.5))]
        walk = come if t < put_s else leave
        stoop = 0.5 * max(0.0, 1 - min(abs(t - put_s), abs(t - taken_s)) / 0.5)
        found = list(_person(walk, look, t, stoop=stoop))
        for owner in found[:1]:
            lift = 1.0 - stoop / 0.5
            spot = (owner.x + 0.06 * owner.height * lift, y - 0.14 * owner.height * lift)
            found.append(_Actor(spot[0], y + 0.1, 8.0, 8.0, partial(_draw_bag, at=spot, colour=colour, row=y)))
        return found

    return _Act(Episode("bag left behind", put_s, taken_s), actors)


# --- drawing -----------------------------------------------------------------------------------------------------


def _fixed(point: _Point) -> tuple[int, int]:
    return round(point[0] * (1 << _SHIFT)), round(point[1] * (1 << _SHIFT))


def _line(image: Image, a: _Point, b: _Point, colour: _Colour, width: float) -> None:
    cv2.line(image, _fixed(a), _fixed(b), colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def _disc(image: Image, centre: _Point, radius: float, colour: _Colour, width: int = -1) -> None:
    cv2.circle(image, _fixed(centre), round(radius * (1 << _SHIFT)), colour, width, cv2.LINE_AA, _SHIFT)


def _area(image: Image, points: list[_Point], colour: _Colour) -> None:
    corners = np.array([_fixed(point) for point in points], dtype=np.int32)
    cv2.fillPoly(image, [corners], colour, cv2.LINE_AA, _SHIFT)


def _shade(colour: _Colour, factor: float) -> _Colour:
    return (
        min(255, round(colour[0] * factor)),
        min(255, round(colour[1] * factor)),
        min(255, round(colour[2] * factor)),
    )


def _step(start: _Point, angle: float, length: float, facing: int) -> _Point:
    """From ``start``, ``length`` px along a limb at ``angle`` radians forward of straight down."""
    return start[0] + facing * math.sin(angle) * length, start[1] + math.cos(angle) * length


def _draw_person(
    image: Image, *, look: _Look, at: _Point, size: float, facing: int, phase: float, swing: float, lean: float
) -> None:
    legs = []
    for turn in (phase + math.pi, phase):  # the far one first
        hip_angle = swing * math.sin(turn)
        shin_angle = hip_angle - 1.25 * swing * max(0.0, math.cos(turn))
        knee = _step((0.0, 0.0), hip_angle, 0.245 * size, facing)
        legs.append((knee, _step(knee, shin_angle, 0.235 * size, facing)))
    hip = (at[0], at[1] - 0.02 * size - max(foot[1] for _, foot in legs))
    shoulder = (hip[0] + facing * math.sin(lean) * 0.33 * size, hip[1] - math.cos(lean) * 0.33 * size)

    def leg(side: int, tone: float) -> None:
        knee, foot = ((hip[0] + dx, hip[1] + dy) for dx, dy in legs[side])
        colour = _shade(look.trousers, tone)
        _line(image, hip, knee, colour, 0.085 * size)
        _line(image, knee, foot, colour, 0.06 * size)
        _line(image, foot, (foot[0] + facing * 0.055 * size, foot[1] + 0.004 * size), (36, 36, 40), 0.036 * size)

    def arm(turn: float, tone: float) -> _Point:
        angle = lean - 0.9 * swing * math.sin(turn)
        elbow = _step((shoulder[0], shoulder[1] + 0.03 * size), angle, 0.16 * size, facing)
        hand = _step(elbow, angle + 0.15 + 1.5 * max(0.0, swing - 0.42), 0.15 * size, facing)
        _line(image, (shoulder[0], shoulder[1] + 0.03 * size), elbow, _shade(look.coat, tone), 0.058 * size)
        _line(image, elbow, hand, _shade(look.coat, tone), 0.05 * size)
        _disc(image, hand, 0.02 * size, _shade(look.skin, tone))
        return hand

    arm(phase, 0.62)
    leg(0, 0.7)
    leg(1, 1.0)
    (sx, sy), (hx, hy) = shoulder, hip
    hem = hy + look.coat_length * size
    back, front = -facing * 0.078 * size, facing * 0.072 * size
    flare = 1.0 + 1.2 * look.coat_length
    _line(image, shoulder, (sx + facing * 0.01 * size, sy - 0.05 * size), _shade(look.skin, 0.8), 0.05 * size)
    outline = [
        (sx + 0.6 * back, sy - 0.012 * size),
        (sx + 0.5 * front, sy - 0.012 * size),
        (sx + front, sy + 0.05 * size),
    ]
    outline += [(hx + 0.85 * front, hy - 0.1 * size), (hx + flare * front, hem), (hx + flare * back, hem)]
    outline += [(hx + 0.85 * back, hy - 0.1 * size), (sx + back, sy + 0.05 * size)]
    _area(image, outline, look.coat)
    shaded = [(sx + 0.6 * back, sy), (sx + 0.2 * back, sy + 0.02 * size), (hx + 0.25 * back, hem)]
    _area(image, [*shaded, *outline[5:]], _shade(look.coat, 0.78))
    head = (sx + facing * 0.022 * size, sy - 0.095 * size)
    _disc(image, (head[0] - facing * 0.012 * size, head[1] - 0.012 * size), 0.064 * size, look.hair)
    _disc(image, (head[0] + facing * 0.014 * size, head[1] + 0.012 * size), 0.05 * size, look.skin)
    hand = arm(phase + math.pi, 0.9)
    if look.carry is not None:
        x, y, w, h = hand[0], hand[1] + 0.02 * size, 0.055 * size, 0.12 * size
        _area(image, [(x - 0.7 * w, y), (x + 0.7 * w, y), (x + w, y + h), (x - w, y + h)], look.carry)


def _draw_bag(image: Image, *, at: _Point, colour: _Colour, row: float | None = None) -> None:
    """A suitcase standing on (or held above) the ground; ``row`` is the ground row that gives its scale."""
    px = _scale(at[1] if row is None else row)
    (x, y), w, h = at, 0.2 * px, 0.52 * px
    _line(image, (x - 0.4 * w, y - h), (x - 0.4 * w, y - 1.2 * h), (40, 40, 44), 0.03 * px)
    _line(image, (x + 0.4 * w, y - h), (x + 0.4 * w, y - 1.2 * h), (40, 40, 44), 0.03 * px)
    _line(image, (x - 0.4 * w, y - 1.2 * h), (x + 0.4 * w, y - 1.2 * h), (40, 40, 44), 0.04 * px)
    _area(image, [(x - w, y - h), (x + w, y - h), (x + w, y), (x - w, y)], colour)
    _area(image, [(x - w, y - h), (x - 0.5 * w, y - h), (x - 0.5 * w, y), (x - w, y)], _shade(colour, 0.72))
    _line(image, (x + 0.2 * w, y - 0.9 * h), (x + 0.2 * w, y - 0.1 * h), _shade(colour, 1.35), 0.03 * px)


def _draw_bicycle(image: Image, *, look: _Look, at: _Point, px: float, facing: int, phase: float) -> None:
    def spot(dx: float, dy: float) -> _Point:
        """Metres forward of the bottom bracket and above the ground, as a point of the picture."""
        return at[0] + facing * dx * px, at[1] - dy * px

    crank = [(0.17 * math.cos(phase + k), 0.3 - 0.17 * math.sin(phase + k)) for k in (math.pi, 0.0)]
    hip, shoulder = (-0.22, 0.98), (0.12, 1.46)

    def leg(pedal: _Point, tone: float) -> None:
        dx, dy = pedal[0] - hip[0], pedal[1] - hip[1]
        reach = min(math.hypot(dx, dy), 0.85)
        bend = math.acos(reach / 0.86)  # two bones of 0.43 m
        angle = math.atan2(dx, -dy) + bend
        knee = (hip[0] + 0.43 * math.sin(angle), hip[1] - 0.43 * math.cos(angle))
        _line(image, spot(*hip), spot(*knee), _shade(look.trousers, tone), 0.15 * px)
        _line(image, spot(*knee), spot(*pedal), _shade(look.trousers, tone), 0.11 * px)

    leg(crank[0], 0.7)
    for wheel in (-0.5, 0.55):
        _disc(image, spot(wheel, 0.34), 0.34 * px, (34, 34, 36), max(1, round(0.05 * px)))
        for spoke in range(4):
            turn = phase * 2.1 + spoke * math.pi / 4
            dx, dy = 0.32 * math.cos(turn), 0.32 * math.sin(turn)
            _line(image, spot(wheel - dx, 0.34 - dy), spot(wheel + dx, 0.34 + dy), (132, 134, 136), 1)
    seat, bars, fork = (-0.2, 0.86), (0.42, 1.0), (0.55, 0.34)
    for a, b in ((seat, (0.0, 0.3)), ((0.0, 0.3), (0.4, 0.82)), (seat, (0.4, 0.82)), ((-0.5, 0.34), (0.0, 0.3))):
        _line(image, spot(*a), spot(*b), (40, 110, 40), 0.045 * px)
    _line(image, spot(*fork), spot(*bars), (60, 62, 64), 0.04 * px)
    _line(image, spot(-0.32, 0.88), spot(-0.1, 0.88), (30, 30, 30), 0.07 * px)
    leg(crank[1], 1.0)
    _line(image, spot(*hip), spot(*shoulder), look.coat, 0.26 * px)
    _line(image, spot(0.1, 1.4), spot(0.28, 1.14), _shade(look.coat, 0.85), 0.09 * px)
    _line(image, spot(0.28, 1.14), spot(*bars), _shade(look.coat, 0.85), 0.08 * px)
    _disc(image, spot(0.18, 1.68), 0.115 * px, look.hair)
    _disc(image, spot(0.215, 1.65), 0.09 * px, look.skin)


def _draw_car(image: Image, *, at: _Point, px: float, facing: int, paint: _Colour) -> None:
    def shape(*points: _Point) -> list[_Point]:
        return [(at[0] + facing * dx * px, at[1] - dy * px) for dx, dy in points]

    body = shape((-2.1, 0.3), (-2.12, 0.72), (-2.0, 0.92), (1.0, 0.95), (1.85, 0.82), (2.08, 0.62), (2.1, 0.3))
    cabin = shape((-1.75, 0.9), (-1.35, 1.38), (-0.9, 1.47), (0.1, 1.46), (0.5, 1.36), (1.15, 0.92))
    _area(image, cabin, _shade(paint, 0.92))
    _area(image, body, paint)
    _area(image, shape((-2.1, 0.3), (-2.12, 0.5), (2.1, 0.5), (2.1, 0.3)), _shade(paint, 0.66))
    _area(image, shape((-2.02, 0.86), (-2.0, 0.92), (1.0, 0.95), (1.5, 0.88)), _shade(paint, 1.22))
    _area(image, shape((-1.5, 0.93), (-1.24, 1.32), (-0.86, 1.39), (-0.42, 1.39), (-0.42, 0.93)), (92, 84, 74))
    _area(image, shape((-0.32, 0.93), (-0.32, 1.39), (0.08, 1.38), (0.42, 1.3), (0.92, 0.93)), (98, 90, 80))
    _area(image, shape((-0.2, 1.32), (0.05, 1.33), (0.5, 0.96), (0.25, 0.96)), (150, 142, 130))
    door = shape((-0.37, 0.9), (-0.37, 0.4))
    _line(image, door[0], door[1], _shade(paint, 0.6), 1)
    _area(image, shape((1.92, 0.72), (2.07, 0.62), (2.07, 0.54), (1.86, 0.6)), (214, 236, 244))
    _area(image, shape((-2.12, 0.76), (-1.98, 0.76), (-1.98, 0.58), (-2.12, 0.58)), (44, 40, 176))
    for wheel in (-1.32, 1.3):
        centre = shape((wheel, 0.31))[0]
        _disc(image, centre, 0.36 * px, (26, 26, 28))
        _disc(image, centre, 0.21 * px, (150, 150, 152))
        _disc(image, centre, 0.08 * px, (84, 84, 86))


def _cast_shadows(canvas: Image, actors: list[_Actor], sun: float) -> None:
    """Darken the ground: a contact shadow below each actor and, in the sun, one cast to the right and away."""
    mask = np.full((HEIGHT // 2, WIDTH // 2), 255, dtype=np.uint8)
    for actor in actors:
        x, y, h, w = actor.x / 2, actor.y / 2, actor.height / 2, actor.width / 2
        foot, tip = _fixed((x, y)), _fixed((x + 0.55 * h, y - 0.13 * h))
        cv2.line(mask, foot, tip, 255 - round(95 * sun), max(1, round(0.2 * min(w, h))), cv2.LINE_AA, _SHIFT)
    for actor in actors:
        axes = _fixed((actor.width / 3.6, min(max(1.0, actor.width / 16), 4.0)))
        cv2.ellipse(mask, _fixed((actor.x / 2, actor.y / 2)), axes, 0, 0, 360, 150, -1, cv2.LINE_AA, _SHIFT)
    soft = cv2.resize(cv2.GaussianBlur(mask, (5, 5), 0), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    cv2.multiply(canvas, cv2.merge([soft, soft, soft]), canvas, scale=1 / 255)


# --- light and camera --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Light:
    """sun 0..1 (overcast to sunny), gain of the exposure, noise as a standard deviation in grey levels."""

    sun: float
    gain: float
    noise: float


def _light(seed: int, t: float) -> _Light:
    a, b, c, d = _rng(seed, 3).uniform(0, math.tau, 4)
    return _Light(
        sun=0.5 + 0.3 * math.sin(t * math.tau / 71 + a) + 0.15 * math.sin(t * math.tau / 29 + b),
        gain=1.0 + 0.06 * math.sin(t * math.tau / 43 + c),
        noise=2.4 + 1.0 * math.sin(t * math.tau / 37 + d),
    )


_MARGIN = 64  # px by which the noise picture is larger than a frame, so that it can be shifted at random
_NOISE_UNIT = 24.0  # standard deviation of the noise picture


@lru_cache(maxsize=4)
def _noise(seed: int) -> Image:
    noise = _rng(seed, 4).normal(128, _NOISE_UNIT, (HEIGHT + _MARGIN, WIDTH + _MARGIN, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)


def _expose(canvas: Image, seed: int, index: int, light: _Light) -> Image:
    """What the camera makes of the scene: exposure and sensor noise."""
    row, column = _rng(seed, 5, index).integers(0, _MARGIN, 2)
    noise = _noise(seed)[row : row + HEIGHT, column : column + WIDTH]
    amount = light.noise / _NOISE_UNIT
    return np.asarray(cv2.addWeighted(canvas, light.gain, noise, amount, -128 * amount), dtype=np.uint8)


# --- the street itself -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cover:
    """A part of the street that hides what is behind ground row ``y``: a mask (h, w) uint8 with its top left corner."""

    y: float
    left: int
    top: int
    mask: Image

    def restore(self, empty: Image, canvas: Image) -> None:
        """Put the part back over what has been drawn, from the empty street."""
        h, w = self.mask.shape
        box = np.s_[self.top : self.top + h, self.left : self.left + w]
        cv2.copyTo(empty[box], self.mask, canvas[box])


@dataclass(frozen=True)
class _Street:
    """The empty street under two skies, (360, 640, 3) uint8 BGR, and what stands in front of people."""

    sunny: Image
    overcast: Image
    covers: tuple[_Cover, ...]


@lru_cache(maxsize=1)
def _street() -> _Street:
    rng = _rng(2024)
    paint = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.float32)  # twice the size, for smooth edges
    _paint_ground(paint, rng)
    _paint_houses(paint, rng)
    sun = _sun_map(rng)
    picture = np.clip(paint, 0, 255).astype(np.uint8)
    _paint_tree(picture, rng)
    before = picture.copy()
    _paint_posts(picture)
    posts = cv2.resize(np.abs(picture.astype(np.int16) - before).max(axis=2).astype(np.uint8), (WIDTH, HEIGHT))
    posts = np.where(posts > 8, 255, 0).astype(np.uint8)
    small = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
    columns, rows = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    small *= (1.0 - 0.09 * (columns**2 + rows**2)).astype(np.float32)[:, :, None]
    warm, cool = np.array([0.97, 1.03, 1.07], np.float32), np.array([0.93, 0.9, 0.88], np.float32)
    sunny = np.clip(small * sun[:, :, None] * warm, 0, 255).astype(np.uint8)
    overcast = np.clip(small * cool, 0, 255).astype(np.uint8)
    covers = [_cover(posts, _TREE_Y, 80, 112, 96), _cover(posts, _LAMP_Y, 500, 540, 30)]
    covers += [_cover(posts, _BOLLARD_Y, x - 8, x + 8, 220) for x in _BOLLARDS]
    return _Street(sunny, overcast, tuple(covers))


_TREE_Y, _LAMP_Y, _BOLLARD_Y = 186.0, 190.0, 266.0
_BOLLARDS = (60, 190, 320, 450, 580)


def _cover(mask: Image, y: float, left: int, right: int, top: int) -> _Cover:
    return _Cover(y, left, top, np.ascontiguousarray(mask[top : int(y) + 4, left:right]))


def _paint_ground(paint: FloatArray, rng: np.random.Generator) -> None:
    y, x = np.mgrid[0 : 2 * HEIGHT, 0 : 2 * WIDTH].astype(np.float32) / 2
    px = np.maximum(y - _HORIZON, 1.0) / _CAMERA_M
    across, away = (x - WIDTH / 2) / px, _FOCAL / px  # metres

    def tiles(size_x: float, size_z: float, gap: float, contrast: float) -> FloatArray:
        row = np.floor(away / size_z).astype(np.int64)
        along = across / size_x + 0.5 * (row % 2)
        tone = rng.normal(1.0, contrast, (64, 64))[row % 64, np.floor(along).astype(np.int64) % 64]
        inside = (along % 1.0 > gap / size_x) & ((away / size_z) % 1.0 > gap / size_z)
        return np.asarray(tone * np.where(inside, 1.0, 0.78), dtype=np.float32)

    slabs, setts = tiles(0.62, 0.62, 0.022, 0.035), tiles(0.24, 0.3, 0.035, 0.075)
    pavement, lane = np.array([152, 162, 168], np.float32), np.array([112, 118, 124], np.float32)
    paint[:] = slabs[:, :, None] * pavement
    in_lane = (y > _KERB_FAR) & (y < _KERB_NEAR)
    paint[in_lane] = setts[in_lane][:, None] * lane
    for top, bottom, tone in ((186, 188, 1.12), (188, 190.5, 0.6), (262, 265.5, 1.16), (259.5, 262, 0.72)):
        kerb = (y >= top) & (y < bottom)
        paint[kerb] = pavement * tone
    stains = cv2.resize(
        rng.normal(0, 1, (45, 80)).astype(np.float32), (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    grain = rng.normal(0, 2.2, y.shape).astype(np.float32)
    paint *= (1.0 + 0.035 * stains)[:, :, None]
    paint += grain[:, :, None]
    paint *= (0.94 + 0.12 * (y - _WALL) / (HEIGHT - _WALL))[:, :, None]
    cv2.ellipse(paint, (780, 452), (52, 14), 0, 0, 360, (84, 88, 92), -1, cv2.LINE_AA)  # a manhole
    cv2.ellipse(paint, (780, 452), (44, 11), 0, 0, 360, (98, 102, 106), 2, cv2.LINE_AA)


_HOUSES: tuple[tuple[int, int, _Colour, _Colour, bool], ...] = (  # left, right, wall, woodwork, of bricks
    (0, 208, (96, 112, 158), (226, 232, 232), True),
    (208, 428, (182, 206, 220), (96, 74, 48), False),
    (428, 640, (178, 168, 140), (236, 238, 236), False),
)


def _paint_houses(paint: FloatArray, rng: np.random.Generator) -> None:
    """House fronts above the far pavement; coordinates in px of the frame, doubled when drawn."""

    def box(left: float, top: float, right: float, bottom: float, colour: _Colour, tone: float = 1.0) -> None:
        a, b = (round(2 * left), round(2 * top)), (round(2 * right) - 1, round(2 * bottom) - 1)
        cv2.rectangle(paint, a, b, tuple(c * tone for c in colour), -1)

    def pane(left: float, top: float, right: float, bottom: float, wood: _Colour, frame: float = 2.5) -> None:
        box(left - frame, top - frame, right + frame, bottom + frame, wood)
        rows = np.linspace(1.0, 0.55, round(2 * bottom) - round(2 * top), dtype=np.float32)[:, None, None]
        glass = rows * np.array([128, 116, 100], np.float32)
        paint[round(2 * top) : round(2 * bottom), round(2 * left) : round(2 * right)] = glass
        width = right - left
        glint = np.array(
            [
                (left + 0.2 * width, bottom),
                (left + 0.4 * width, bottom),
                (left + 0.75 * width, top),
                (left + 0.55 * width, top),
            ]
        )
        layer = paint.copy()
        cv2.fillPoly(layer, [(2 * glint).astype(np.int32)], (168, 160, 146), cv2.LINE_AA)
        cv2.addWeighted(layer, 0.5, paint, 0.5, 0, paint)

    for left, right, wall, wood, bricks in _HOUSES:
        box(left, 0, right, _WALL, wall)
        part = paint[: int(2 * _WALL), 2 * left : 2 * right]
        if bricks:
            y, x = np.mgrid[0 : part.shape[0], 0 : part.shape[1]]
            row = y // 5
            along = x + 7 * (row % 2)
            tone = rng.normal(1.0, 0.07, (80, 80))[row % 80, (along // 14) % 80]
            part *= np.where((y % 5 == 0) | (along % 14 == 0), 1.14, tone).astype(np.float32)[:, :, None]
        part += rng.normal(0, 2.0, part.shape[:2]).astype(np.float32)[:, :, None]
        middle = (left + right) / 2
        for x in (left + 34, middle, right - 34):
            pane(x - 15, 2, x + 15, 42, wood)
            cv2.line(paint, (round(2 * x), 0), (round(2 * x), 84), tuple(float(c) for c in wood), 3, cv2.LINE_AA)
            box(x - 20, 45, x + 20, 48, (188, 194, 198))
        box(left, 57, right, 60, wall, 0.8)
        box(left, 142, right, _WALL, wall, 0.55)  # the plinth
    for left, right, colour in ((216, 420, (92, 66, 36)), (436, 560, (58, 88, 52))):  # two shops
        box(left, 62, right, 76, colour)
        for letter in range(9):
            x = (left + right) / 2 - 40 + letter * 9
            box(x, 66, x + (2.5 if letter % 3 else 5), 72, (206, 220, 226))
        box(left, 76, right, 146, colour, 0.8)
    for left, right in ((224, 284), (290, 344), (444, 516)):
        pane(left, 82, right, 136, (58, 50, 44), 2.0)
        for _ in range(9):  # goods on display
            x, y = rng.uniform(left + 4, right - 8), rng.uniform(112, 126)
            box(x, y, x + rng.uniform(3, 7), 135, _COATS[rng.integers(len(_COATS))], 0.8)
    for left, right, colour in (
        (356, 384, (60, 52, 44)),
        (524, 550, (50, 74, 46)),
        (86, 114, (52, 44, 92)),
        (590, 616, (110, 70, 46)),
    ):
        box(left - 3, 84, right + 3, _WALL, (196, 202, 204))
        box(left, 87, right, _WALL, colour)
        pane(left + 5, 92, right - 5, 112, _shade(colour, 0.7), 1.0)
        box(right - 6, 122, right - 4, 126, (120, 180, 200))
    for x in (34, 166):
        pane(x - 18, 82, x + 18, 126, (226, 232, 232))
        box(x - 23, 129, x + 23, 133, (176, 184, 190))
    for stripe in range(16):  # an awning
        x, colour = 218 + stripe * 8.0, ((222, 228, 230), (66, 60, 168))[stripe % 2]
        corners = np.array([(x + 3, 74), (x + 11, 74), (x + 8, 92), (x, 92)])
        cv2.fillPoly(paint, [(2 * corners).astype(np.int32)], tuple(float(c) for c in colour), cv2.LINE_AA)
    y = np.arange(2 * HEIGHT, dtype=np.float32) / 2
    contact = 1.0 - 0.35 * np.exp(-((y - _WALL) ** 2) / 30)
    paint *= contact[:, None, None]


def _sun_map(rng: np.random.Generator) -> FloatArray:
    """How the sun changes the street's brightness, (360, 640) float32: brighter, but in the shade of tree and posts."""
    shade = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(90):
        x, y = rng.normal(185, 42), rng.normal(168, 7)
        cv2.ellipse(shade, (round(x), round(y)), (12, 4), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    cv2.line(shade, (95, 186), (150, 172), 1.0, 6, cv2.LINE_AA)
    cv2.line(shade, (520, 190), (600, 166), 1.0, 3, cv2.LINE_AA)
    for x in _BOLLARDS:
        cv2.line(shade, (x, 266), (x + 22, 260), 1.0, 6, cv2.LINE_AA)
    shade[92:104, 222:350] += 0.8  # below the awning
    soft = cv2.GaussianBlur(np.minimum(shade, 1.0), (0, 0), 2.2)
    return np.asarray(1.1 - 0.36 * soft, dtype=np.float32)


def _paint_tree(picture: Image, rng: np.random.Generator) -> None:
    """The crown of the tree; its trunk is one of the posts."""
    for depth in np.linspace(0, 1, 260):
        angle, radius = rng.uniform(0, math.tau), math.sqrt(rng.uniform(0, 1))
        x, y = 96 + 84 * radius * math.cos(angle), 32 + 52 * radius * math.sin(angle)
        light = 0.45 + 0.4 * depth + 0.25 * (32 - y) / 52 + rng.normal(0, 0.06)
        colour = _shade((50, 112, 86) if rng.random() < 0.7 else (44, 124, 108), max(0.3, light))
        cv2.circle(picture, (round(2 * x), round(2 * y)), round(rng.uniform(7, 20)), colour, -1, cv2.LINE_AA)


def _paint_posts(picture: Image) -> None:
    """Trunk, lamp and bollards: what people pass behind."""
    trunk = 2 * np.array([(91, 70), (99, 70), (100, 150), (103, 187), (88, 187), (91, 150)])
    cv2.fillPoly(picture, [trunk.astype(np.int32)], (52, 66, 80), cv2.LINE_AA)
    cv2.line(picture, (194, 180), (198, 368), (70, 86, 102), 3, cv2.LINE_AA)
    cv2.line(picture, (1040, 76), (1040, 380), (56, 54, 50), 7, cv2.LINE_AA)
    cv2.line(picture, (1038, 76), (1038, 380), (92, 90, 84), 2, cv2.LINE_AA)
    cv2.line(picture, (1040, 340), (1040, 380), (50, 48, 44), 12, cv2.LINE_AA)
    lantern = np.array([(1026, 36), (1054, 36), (1048, 78), (1032, 78)])
    cv2.fillPoly(picture, [lantern], (196, 222, 232), cv2.LINE_AA)
    cv2.polylines(picture, [lantern], True, (52, 50, 46), 3, cv2.LINE_AA)
    cv2.line(picture, (1022, 34), (1058, 34), (52, 50, 46), 6, cv2.LINE_AA)
    for x in _BOLLARDS:
        cv2.line(picture, (2 * x, 476), (2 * x, 530), (48, 48, 46), 12, cv2.LINE_AA)
        cv2.line(picture, (2 * x - 2, 476), (2 * x - 2, 528), (84, 84, 80), 3, cv2.LINE_AA)
        cv2.line(picture, (2 * x, 484), (2 * x, 487), (150, 200, 214), 12, cv2.LINE_AA)
