"""The empty street: paving, houses, a tree and posts, under a sunny and an overcast sky. It is painted only once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from monitor.sources.synthetic.drawing import shade
from monitor.sources.synthetic.houses import WALL, paint_houses
from monitor.sources.synthetic.perspective import CAMERA_M, FOCAL, HEIGHT, HORIZON, WIDTH
from monitor.types import FloatArray, Image

_KERB_FAR, _KERB_NEAR = 188.0, 263.0  # ground rows where the lane and the near pavement begin
_TREE_Y, _LAMP_Y, _BOLLARD_Y = 186.0, 190.0, 266.0  # ground rows
_BOLLARDS = (60, 190, 320, 450, 580)  # columns


@dataclass(frozen=True)
class Cover:
    """A part of the street that hides everything behind ground row ``y``.

    mask: (h, w) uint8; left, top: its top left corner in the picture, px.
    """

    y: float
    left: int
    top: int
    mask: Image

    def restore(self, empty: Image, canvas: Image) -> None:
        """Copy this part from the empty street back onto the canvas, over everything drawn there."""
        h, w = self.mask.shape
        box = np.s_[self.top : self.top + h, self.left : self.left + w]
        cv2.copyTo(empty[box], self.mask, canvas[box])


@dataclass(frozen=True)
class Street:
    """The empty street under two skies, (360, 640, 3) uint8 BGR, and the parts that may hide people."""

    sunny: Image
    overcast: Image
    covers: tuple[Cover, ...]


@lru_cache(maxsize=1)
def empty_street() -> Street:
    """Paint the street. It is the same for every scene, so it is painted only once; this takes less than a second."""
    rng = np.random.default_rng([2024])
    paint = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.float32)  # twice the size, for smooth edges
    _paint_ground(paint, rng)
    paint_houses(paint, rng)
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
    return Street(sunny, overcast, tuple(covers))


def _cover(mask: Image, y: float, left: int, right: int, top: int) -> Cover:
    return Cover(y, left, top, np.ascontiguousarray(mask[top : int(y) + 4, left:right]))


def _paint_ground(paint: FloatArray, rng: np.random.Generator) -> None:
    y, x = np.mgrid[0 : 2 * HEIGHT, 0 : 2 * WIDTH].astype(np.float32) / 2
    px = np.maximum(y - HORIZON, 1.0) / CAMERA_M
    across, away = (x - WIDTH / 2) / px, FOCAL / px  # metres

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
    paint *= (0.94 + 0.12 * (y - WALL) / (HEIGHT - WALL))[:, :, None]
    cv2.ellipse(paint, (780, 452), (52, 14), 0, 0, 360, (84, 88, 92), -1, cv2.LINE_AA)  # a manhole
    cv2.ellipse(paint, (780, 452), (44, 11), 0, 0, 360, (98, 102, 106), 2, cv2.LINE_AA)


def _sun_map(rng: np.random.Generator) -> FloatArray:
    """The factor by which the sun changes the brightness, (360, 640) float32; lower in the shadow of tree and posts."""
    shadow = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(90):
        x, y = rng.normal(185, 42), rng.normal(168, 7)
        cv2.ellipse(shadow, (round(x), round(y)), (12, 4), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    cv2.line(shadow, (95, 186), (150, 172), 1.0, 6, cv2.LINE_AA)
    cv2.line(shadow, (520, 190), (600, 166), 1.0, 3, cv2.LINE_AA)
    for x in _BOLLARDS:
        cv2.line(shadow, (x, 266), (x + 22, 260), 1.0, 6, cv2.LINE_AA)
    shadow[92:104, 222:350] += 0.8  # below the awning
    soft = cv2.GaussianBlur(np.minimum(shadow, 1.0), (0, 0), 2.2)
    return np.asarray(1.1 - 0.36 * soft, dtype=np.float32)


def _paint_tree(picture: Image, rng: np.random.Generator) -> None:
    """Paint the crown of the tree; the trunk is painted with the posts."""
    for depth in np.linspace(0, 1, 260):
        angle, radius = rng.uniform(0, math.tau), math.sqrt(rng.uniform(0, 1))
        x, y = 96 + 84 * radius * math.cos(angle), 32 + 52 * radius * math.sin(angle)
        light = 0.45 + 0.4 * depth + 0.25 * (32 - y) / 52 + rng.normal(0, 0.06)
        colour = shade((50, 112, 86) if rng.random() < 0.7 else (44, 124, 108), max(0.3, light))
        cv2.circle(picture, (round(2 * x), round(2 * y)), round(rng.uniform(7, 20)), colour, -1, cv2.LINE_AA)


def _paint_posts(picture: Image) -> None:
    """Paint trunk, lamp and bollards: people pass behind them."""
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
