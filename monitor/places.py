"""Polygons in a picture: which pixels and which cells of a map they cover. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, compress
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # of all processes that see pictures, only those that judge places ask a timetable
    from monitor.timetable import Timetable

Bools = NDArray[np.bool_]
Point = tuple[float, float]

MOST_CORNERS = 100
_FINE = 8  # parts of a cell, in each direction, in which its covered share is counted
_HALF = 0.5  # a cell is in a zone that covers this share of it
_REACHES = 0.2  # a zone reaches into a cell of which it covers this share
_LEAST_AREA = 1e-5  # share of the picture: a polygon without an area covers nothing
_SHIFT = 8  # bits of a pixel's fraction in OpenCV's corners


@dataclass(frozen=True, slots=True)
class Polygon:
    """A polygon that does not cross itself.

    points  its corners (x, y), shares of the picture's width and height, 0..1

    Raises ValueError with a clause that says what is wrong with the corners.
    """

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        points = self.points
        if not 3 <= len(points) <= MOST_CORNERS:
            raise ValueError(f"a polygon has 3 to {MOST_CORNERS} corners, not {len(points)}")
        for x, y in points:
            if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):  # also true for NaN
                raise ValueError(f"the corner ({x:g}, {y:g}) lies outside the picture: give shares from 0 to 1")
        sides = list(zip(points, (*points[1:], points[0]), strict=True))
        for (i, first), (j, second) in combinations(enumerate(sides), 2):
            neighbours = j - i in (1, len(sides) - 1)
            if first[0] == first[1] or second[0] == second[1] or _cross(first, second, neighbours=neighbours):
                raise ValueError("its sides cross or touch each other: give the corners in order around the place")
        if abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in sides)) / 2 < _LEAST_AREA:
            raise ValueError("it has no area: give corners that enclose a place")

    def pixels(self, width: int, height: int) -> Bools:
        """The pixels that it touches, also only in part: (height, width) bool."""
        return _touched(self._drawn(width, height))

    def shares(self, rows: int, columns: int) -> NDArray[np.float32]:
        """The covered share of each cell, (rows, columns) float32, 0..1."""
        fine = self._drawn(columns * _FINE, rows * _FINE)
        return np.asarray(fine.reshape(rows, _FINE, columns, _FINE).mean(axis=(1, 3)), np.float32)

    def _drawn(self, width: int, height: int) -> NDArray[np.uint8]:
        # OpenCV counts from the middle of a pixel, shares from its edge.
        corners = np.array(self.points) * (width, height) - 0.5
        drawn = np.zeros((height, width), np.uint8)
        cv2.fillPoly(drawn, [np.round(corners * (1 << _SHIFT)).astype(np.int32)], 1, shift=_SHIFT)
        return drawn


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """What holds in the places of a camera's picture.

    masks       what is masked: no cell that it touches is scored, and no neighbour of such a cell, because there the
                edge of the mask shows
    ignored     zones that are not scored: a cell is not scored if they cover half of it
    weighed     zones with a sensitivity of their own: the part of a cell's value above typical is multiplied by it if
                the zone covers half of the cell. Where zones overlap, their sensitivities multiply
    must_touch  if there are any, only what touches one of them is scored
    """

    masks: tuple[Polygon, ...] = ()
    ignored: tuple[Polygon, ...] = ()
    weighed: tuple[tuple[Polygon, float], ...] = ()
    must_touch: tuple[Polygon, ...] = ()

    def left_out(self, rows: int, columns: int) -> Bools:
        """The cells of a map that are not scored, (rows, columns) bool. Read-only."""
        return _left_out(self, rows, columns)

    def applied(self, cells: NDArray[np.float32], typical: float, least: float | None = None) -> NDArray[np.float32]:
        """A map of how abnormal each cell is, (rows, columns) float32, by these rules.

        typical  the value that is usual for the highest cells of a normal picture, in the map's units. What is above it
                 is weighed; cells above it that touch each other are one thing, which touches a zone or does not
        least    the value of cells that are not scored; None: the lowest value of those that are
        """
        left_out = self.left_out(*cells.shape)
        if least is None:
            least = float(cells.min() if left_out.all() else cells[~left_out].min())
        if left_out.any():
            cells = np.where(left_out, np.float32(least), cells)
        if self.weighed:
            weights = _weights(self, *cells.shape)
            cells = np.where(cells > typical, np.float32(typical) + weights * (cells - np.float32(typical)), cells)
        if self.must_touch:
            _, things = cv2.connectedComponents((cells > typical).astype(np.uint8), connectivity=8)
            touching = np.unique(things[_required(self, *cells.shape)])
            beside = (things > 0) & ~np.isin(things, touching)
            cells = np.where(beside, np.float32(min(least, typical)), cells)
        return cells


@dataclass(frozen=True, slots=True)
class CameraPlaces:
    """What holds in the places of a camera's picture, and when.

    always  the rules that hold at any time
    timed   further rules, each with the times in which they hold
    """

    always: PlaceRules
    timed: tuple[tuple[PlaceRules, Timetable], ...] = ()

    def at(self, unix_s: float | None) -> PlaceRules:
        """What holds at a time, unix seconds; if it is not known, all of it."""
        return _joined(self, tuple(unix_s is None or times.covers(unix_s) for _, times in self.timed))


@lru_cache(maxsize=256)
def _joined(places: CameraPlaces, hold: tuple[bool, ...]) -> PlaceRules:
    rules = (places.always, *(each for each, _ in compress(places.timed, hold)))
    return PlaceRules(
        tuple(mask for each in rules for mask in each.masks),
        tuple(zone for each in rules for zone in each.ignored),
        tuple(zone for each in rules for zone in each.weighed),
        tuple(zone for each in rules for zone in each.must_touch),
    )


@lru_cache(maxsize=256)
def _left_out(rules: PlaceRules, rows: int, columns: int) -> Bools:
    found = np.zeros((rows, columns), np.bool_)
    for mask in rules.masks:
        found |= _touched((mask.shares(rows, columns) > 0).astype(np.uint8))
    covered = np.zeros((rows, columns), np.float32)
    for zone in rules.ignored:
        covered += zone.shares(rows, columns)
    found |= covered >= _HALF
    found.flags.writeable = False
    return found


@lru_cache(maxsize=256)
def _weights(rules: PlaceRules, rows: int, columns: int) -> NDArray[np.float32]:
    found = np.ones((rows, columns), np.float32)
    for zone, sensitivity in rules.weighed:
        found[zone.shares(rows, columns) >= _HALF] *= np.float32(sensitivity)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=256)
def _required(rules: PlaceRules, rows: int, columns: int) -> Bools:
    """The cells that a zone with ``must_touch`` reaches into; for a tiny zone, the cells of which it covers most."""
    found = np.zeros((rows, columns), np.bool_)
    for zone in rules.must_touch:
        shares = zone.shares(rows, columns)
        found |= shares >= min(_REACHES, float(shares.max()))
    found.flags.writeable = False
    return found


def _touched(drawn: NDArray[np.uint8]) -> Bools:
    """What is drawn, and its neighbours."""
    return np.asarray(cv2.dilate(drawn, np.ones((3, 3), np.uint8)), np.bool_)


def _cross(first: tuple[Point, Point], second: tuple[Point, Point], *, neighbours: bool) -> bool:
    """Whether two sides have a common point; for neighbours, another one than their common corner."""
    (a, b), (c, d) = first, second
    if neighbours:
        end, corner, other = (a, b, d) if b == c else (b, a, c)
        return _turn(end, corner, other) == 0 and _dot(corner, end, other) > 0  # it goes back on itself
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(turn == 0 and _dot(p, s, e) <= 0 for turn, (s, e, p) in zip(turns, ends, strict=True))


def _turn(a: Point, b: Point, c: Point) -> float:
    """Above 0 for a turn in one direction at b on the way from a to c, below 0 for the other, 0 for none."""
    value = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return 0.0 if abs(value) < 1e-12 else value


def _dot(corner: Point, a: Point, b: Point) -> float:
    return (a[0] - corner[0]) * (b[0] - corner[0]) + (a[1] - corner[1]) * (b[1] - corner[1])
