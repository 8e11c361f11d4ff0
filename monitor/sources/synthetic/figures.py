"""Everything that moves in the street: people, a bicycle, a car and a suitcase, and how to draw each of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monitor.sources.synthetic.drawing import Colour, Point, area, disc, line, shade
from monitor.sources.synthetic.perspective import scale
from monitor.types import Image

COATS: tuple[Colour, ...] = (
    (52, 46, 44), (104, 66, 38), (60, 60, 150), (52, 92, 58), (150, 150, 156), (74, 116, 178), (140, 100, 60),
    (96, 60, 104), (188, 190, 186), (48, 132, 196), (70, 70, 76),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = ((92, 66, 46), (50, 46, 46), (70, 84, 96), (120, 128, 136), (64, 50, 40), (96, 84, 60))
_SKINS: tuple[Colour, ...] = ((150, 176, 218), (128, 156, 202), (84, 112, 160), (56, 76, 112), (166, 190, 228))
_HAIRS: tuple[Colour, ...] = ((28, 30, 36), (40, 58, 82), (70, 108, 150), (120, 124, 128), (30, 40, 58))
SHIRTS: tuple[Colour, ...] = ((64, 206, 226), (232, 234, 236), (214, 204, 240))  # of runners
BAGS: tuple[Colour, ...] = ((38, 44, 120), (44, 40, 38), (110, 64, 30), (40, 96, 60))


@dataclass(frozen=True)
class Actor:
    """A figure that stands on ground row ``y`` at column ``x``; its size is ``width`` x ``height`` px."""

    x: float
    y: float
    width: float
    height: float
    draw: Callable[[Image], None]


@dataclass(frozen=True)
class Look:
    """The appearance of a person. ``carry``: the colour of the bag in the hand, None without a bag."""

    height_m: float
    coat: Colour
    coat_length: float
    trousers: Colour
    skin: Colour
    hair: Colour
    carry: Colour | None


def random_look(rng: np.random.Generator) -> Look:
    """The appearance of a random person."""
    return Look(
        height_m=float(np.clip(rng.normal(1.71, 0.08), 1.5, 1.9)),
        coat=COATS[rng.integers(len(COATS))],
        coat_length=float(rng.choice([0.02, 0.05, 0.2], p=[0.5, 0.3, 0.2])),
        trousers=_TROUSERS[rng.integers(len(_TROUSERS))],
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        carry=BAGS[rng.integers(len(BAGS))] if rng.random() < 0.25 else None,
    )


def draw_person(
    image: Image, *, look: Look, at: Point, size: float, facing: int, phase: float, swing: float, lean: float
) -> None:
    """Draw a walking or running person, ``size`` px tall, feet at ``at``. Angles are in radians, see ``Walk.at``."""
    legs = []
    for turn in (phase + math.pi, phase):  # the far leg first
        hip_angle = swing * math.sin(turn)
        shin_angle = hip_angle - 1.25 * swing * max(0.0, math.cos(turn))
        knee = _step((0.0, 0.0), hip_angle, 0.245 * size, facing)
        legs.append((knee, _step(knee, shin_angle, 0.235 * size, facing)))
    hip = (at[0], at[1] - 0.02 * size - max(foot[1] for _, foot in legs))
    shoulder = (hip[0] + facing * math.sin(lean) * 0.33 * size, hip[1] - math.cos(lean) * 0.33 * size)

    def leg(side: int, tone: float) -> None:
        knee, foot = ((hip[0] + dx, hip[1] + dy) for dx, dy in legs[side])
        colour = shade(look.trousers, tone)
        line(image, hip, knee, colour, 0.085 * size)
        line(image, knee, foot, colour, 0.06 * size)
        line(image, foot, (foot[0] + facing * 0.055 * size, foot[1] + 0.004 * size), (36, 36, 40), 0.036 * size)

    def arm(turn: float, tone: float) -> Point:
        angle = lean - 0.9 * swing * math.sin(turn)
        elbow = _step((shoulder[0], shoulder[1] + 0.03 * size), angle, 0.16 * size, facing)
        hand = _step(elbow, angle + 0.15 + 1.5 * max(0.0, swing - 0.42), 0.15 * size, facing)
        line(image, (shoulder[0], shoulder[1] + 0.03 * size), elbow, shade(look.coat, tone), 0.058 * size)
        line(image, elbow, hand, shade(look.coat, tone), 0.05 * size)
        disc(image, hand, 0.02 * size, shade(look.skin, tone))
        return hand

    arm(phase, 0.62)
    leg(0, 0.7)
    leg(1, 1.0)
    (sx, sy), (hx, hy) = shoulder, hip
    hem = hy + look.coat_length * size
    back, front = -facing * 0.078 * size, facing * 0.072 * size
    flare = 1.0 + 1.2 * look.coat_length
    line(image, shoulder, (sx + facing * 0.01 * size, sy - 0.05 * size), shade(look.skin, 0.8), 0.05 * size)
    outline = [
        (sx + 0.6 * back, sy - 0.012 * size),
        (sx + 0.5 * front, sy - 0.012 * size),
        (sx + front, sy + 0.05 * size),
    ]
    outline += [(hx + 0.85 * front, hy - 0.1 * size), (hx + flare * front, hem), (hx + flare * back, hem)]
    outline += [(hx + 0.85 * back, hy - 0.1 * size), (sx + back, sy + 0.05 * size)]
    area(image, outline, look.coat)
    shaded = [(sx + 0.6 * back, sy), (sx + 0.2 * back, sy + 0.02 * size), (hx + 0.25 * back, hem)]
    area(image, [*shaded, *outline[5:]], shade(look.coat, 0.78))
    head = (sx + facing * 0.022 * size, sy - 0.095 * size)
    disc(image, (head[0] - facing * 0.012 * size, head[1] - 0.012 * size), 0.064 * size, look.hair)
    disc(image, (head[0] + facing * 0.014 * size, head[1] + 0.012 * size), 0.05 * size, look.skin)
    hand = arm(phase + math.pi, 0.9)
    if look.carry is not None:
        x, y, w, h = hand[0], hand[1] + 0.02 * size, 0.055 * size, 0.12 * size
        area(image, [(x - 0.7 * w, y), (x + 0.7 * w, y), (x + w, y + h), (x - w, y + h)], look.carry)


def draw_bag(image: Image, *, at: Point, colour: Colour, row: float | None = None) -> None:
    """Draw a suitcase that stands on the ground or is held above it. ``row``: the ground row that sets its scale."""
    px = scale(at[1] if row is None else row)
    (x, y), w, h = at, 0.2 * px, 0.52 * px
    line(image, (x - 0.4 * w, y - h), (x - 0.4 * w, y - 1.2 * h), (40, 40, 44), 0.03 * px)
    line(image, (x + 0.4 * w, y - h), (x + 0.4 * w, y - 1.2 * h), (40, 40, 44), 0.03 * px)
    line(image, (x - 0.4 * w, y - 1.2 * h), (x + 0.4 * w, y - 1.2 * h), (40, 40, 44), 0.04 * px)
    area(image, [(x - w, y - h), (x + w, y - h), (x + w, y), (x - w, y)], colour)
    area(image, [(x - w, y - h), (x - 0.5 * w, y - h), (x - 0.5 * w, y), (x - w, y)], shade(colour, 0.72))
    line(image, (x + 0.2 * w, y - 0.9 * h), (x + 0.2 * w, y - 0.1 * h), shade(colour, 1.35), 0.03 * px)


def draw_bicycle(image: Image, *, look: Look, at: Point, px: float, facing: int, phase: float) -> None:
    """Draw a bicycle with its rider. ``px``: pixels per metre at that ground row; ``phase``: crank angle, radians."""

    def spot(dx: float, dy: float) -> Point:
        """Convert metres (forward of the bottom bracket, above the ground) to a point in the picture."""
        return at[0] + facing * dx * px, at[1] - dy * px

    crank = [(0.17 * math.cos(phase + k), 0.3 - 0.17 * math.sin(phase + k)) for k in (math.pi, 0.0)]
    hip, shoulder = (-0.22, 0.98), (0.12, 1.46)

    def leg(pedal: Point, tone: float) -> None:
        dx, dy = pedal[0] - hip[0], pedal[1] - hip[1]
        reach = min(math.hypot(dx, dy), 0.85)
        bend = math.acos(reach / 0.86)  # two bones of 0.43 m
        angle = math.atan2(dx, -dy) + bend
        knee = (hip[0] + 0.43 * math.sin(angle), hip[1] - 0.43 * math.cos(angle))
        line(image, spot(*hip), spot(*knee), shade(look.trousers, tone), 0.15 * px)
        line(image, spot(*knee), spot(*pedal), shade(look.trousers, tone), 0.11 * px)

    leg(crank[0], 0.7)
    for wheel in (-0.5, 0.55):
        disc(image, spot(wheel, 0.34), 0.34 * px, (34, 34, 36), max(1, round(0.05 * px)))
        for spoke in range(4):
            turn = phase * 2.1 + spoke * math.pi / 4
            dx, dy = 0.32 * math.cos(turn), 0.32 * math.sin(turn)
            line(image, spot(wheel - dx, 0.34 - dy), spot(wheel + dx, 0.34 + dy), (132, 134, 136), 1)
    seat, bars, fork = (-0.2, 0.86), (0.42, 1.0), (0.55, 0.34)
    for a, b in ((seat, (0.0, 0.3)), ((0.0, 0.3), (0.4, 0.82)), (seat, (0.4, 0.82)), ((-0.5, 0.34), (0.0, 0.3))):
        line(image, spot(*a), spot(*b), (40, 110, 40), 0.045 * px)
    line(image, spot(*fork), spot(*bars), (60, 62, 64), 0.04 * px)
    line(image, spot(-0.32, 0.88), spot(-0.1, 0.88), (30, 30, 30), 0.07 * px)
    leg(crank[1], 1.0)
    line(image, spot(*hip), spot(*shoulder), look.coat, 0.26 * px)
    line(image, spot(0.1, 1.4), spot(0.28, 1.14), shade(look.coat, 0.85), 0.09 * px)
    line(image, spot(0.28, 1.14), spot(*bars), shade(look.coat, 0.85), 0.08 * px)
    disc(image, spot(0.18, 1.68), 0.115 * px, look.hair)
    disc(image, spot(0.215, 1.65), 0.09 * px, look.skin)


def draw_car(image: Image, *, at: Point, px: float, facing: int, paint: Colour) -> None:
    """Draw a car, seen from the side. ``px``: pixels per metre at that ground row."""

    def shape(*points: Point) -> list[Point]:
        return [(at[0] + facing * dx * px, at[1] - dy * px) for dx, dy in points]

    body = shape((-2.1, 0.3), (-2.12, 0.72), (-2.0, 0.92), (1.0, 0.95), (1.85, 0.82), (2.08, 0.62), (2.1, 0.3))
    cabin = shape((-1.75, 0.9), (-1.35, 1.38), (-0.9, 1.47), (0.1, 1.46), (0.5, 1.36), (1.15, 0.92))
    area(image, cabin, shade(paint, 0.92))
    area(image, body, paint)
    area(image, shape((-2.1, 0.3), (-2.12, 0.5), (2.1, 0.5), (2.1, 0.3)), shade(paint, 0.66))
    area(image, shape((-2.02, 0.86), (-2.0, 0.92), (1.0, 0.95), (1.5, 0.88)), shade(paint, 1.22))
    area(image, shape((-1.5, 0.93), (-1.24, 1.32), (-0.86, 1.39), (-0.42, 1.39), (-0.42, 0.93)), (92, 84, 74))
    area(image, shape((-0.32, 0.93), (-0.32, 1.39), (0.08, 1.38), (0.42, 1.3), (0.92, 0.93)), (98, 90, 80))
    area(image, shape((-0.2, 1.32), (0.05, 1.33), (0.5, 0.96), (0.25, 0.96)), (150, 142, 130))
    door = shape((-0.37, 0.9), (-0.37, 0.4))
    line(image, door[0], door[1], shade(paint, 0.6), 1)
    area(image, shape((1.92, 0.72), (2.07, 0.62), (2.07, 0.54), (1.86, 0.6)), (214, 236, 244))
    area(image, shape((-2.12, 0.76), (-1.98, 0.76), (-1.98, 0.58), (-2.12, 0.58)), (44, 40, 176))
    for wheel in (-1.32, 1.3):
        centre = shape((wheel, 0.31))[0]
        disc(image, centre, 0.36 * px, (26, 26, 28))
        disc(image, centre, 0.21 * px, (150, 150, 152))
        disc(image, centre, 0.08 * px, (84, 84, 86))


def _step(start: Point, angle: float, length: float, facing: int) -> Point:
    """The end of a limb of ``length`` px from ``start``, at ``angle`` radians forward of straight down."""
    return start[0] + facing * math.sin(angle) * length, start[1] + math.cos(angle) * length
