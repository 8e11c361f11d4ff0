"""Describes the texture of each place by its edges: histograms of oriented gradients.

Dalal and Triggs, Histograms of oriented gradients for human detection, 2005. A place is a window of 3x3 blocks of 8 px;
windows are one block apart. OpenCV 5 has no such descriptor any more.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.types import FloatArray, Image

BLOCK = 8
"""Side of a block, px of the grey picture."""
BLOCKS = 3
"""Side of a window, in blocks."""
DIRECTIONS = 9
"""Directions of an edge, over half a turn: from dark to bright and from bright to dark count as the same."""
LENGTH = BLOCKS * BLOCKS * DIRECTIONS
"""Numbers of a descriptor."""

_FAINT = 400.0  # sum of the gradients in a window, grey levels: below it, edges are mostly noise and count less
_STRONGEST = 0.2  # one edge must not hide all others (Dalal and Triggs, section 6.4)
_LEAST_NORM = 0.1
_MIN_CHANGE = 10  # a pixel has changed if its neighbourhood has, by at least this many grey levels


def grid(width: int, height: int) -> tuple[int, int]:
    """(rows, columns) of windows in a grey picture of this size, px."""
    rows, columns = (side // BLOCK - BLOCKS + 1 for side in (height, width))
    return rows, columns


def changed_share(grey: Image, earlier: Image) -> FloatArray:
    """The share of changed pixels in each window, (rows, columns) float32, 0..1, between two pictures (h, w) uint8."""
    change = cv2.blur(cv2.absdiff(grey, earlier), (3, 3)) >= _MIN_CHANGE
    size = (grey.shape[1] // BLOCK, grey.shape[0] // BLOCK)
    by_block = cv2.resize(change.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    shares = cv2.boxFilter(by_block, -1, (BLOCKS, BLOCKS))[1:-1, 1:-1]
    return np.asarray(np.clip(shares, 0, 1), np.float32)


def describe(grey: Image, windows: NDArray[np.intp]) -> FloatArray:
    """The descriptors of some windows of a picture (h, w) uint8: (k, 81) float32.

    windows: (k,) their numbers, row by row
    """
    columns = grid(grey.shape[1], grey.shape[0])[1]
    by_block = _histograms(grey)
    row, column = windows // columns, windows % columns
    parts = [by_block[row + down, column + right] for down in range(BLOCKS) for right in range(BLOCKS)]
    found = np.concatenate(parts, axis=1)
    found /= np.sqrt(np.square(found).sum(axis=1, keepdims=True) + np.float32(_FAINT**2))
    np.minimum(found, np.float32(_STRONGEST), out=found)
    found /= np.sqrt(np.square(found).sum(axis=1, keepdims=True) + np.float32(_LEAST_NORM**2))
    return np.asarray(found, np.float32)


def _histograms(grey: Image) -> FloatArray:
    """The sums of the gradients in each block, by direction: (h / 8, w / 8, 9) float32."""
    right = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=1)
    strength, angle = cv2.cartToPolar(right, down)
    place = np.asarray(angle * np.float32(DIRECTIONS / np.pi), np.float32)
    low = place.astype(np.int32)  # each gradient is shared by the two nearest directions
    upper = strength * (place - low)
    height, width = grey.shape
    rows, columns = height // BLOCK, width // BLOCK
    block = (np.arange(height) // BLOCK)[:, None] * columns + np.arange(width) // BLOCK
    number = block * DIRECTIONS
    count = rows * columns * DIRECTIONS
    sums = np.bincount((number + low % DIRECTIONS).ravel(), np.asarray(strength - upper).ravel(), count)
    sums += np.bincount((number + (low + 1) % DIRECTIONS).ravel(), np.asarray(upper).ravel(), count)
    return sums.reshape(rows, columns, DIRECTIONS).astype(np.float32)
