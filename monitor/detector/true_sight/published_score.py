"""The published score of seven terms, and the published method that resizes a picture to five sizes.

All terms are differences between a picture x and its reconstruction o. A high score is abnormal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from monitor.detector.true_sight.autoencoder import INPUT_SIZE
from monitor.types import Image

PUBLISHED_SIZES = (80, 88, 96, 104, 112)
"""Edge lengths, px, that a picture is reduced to before it is resized to the network's 96 px."""


class Term(IntEnum):
    """The terms, in the order of every array of terms."""

    L1 = 0
    L2 = 1
    MAX = 2
    ATTENTION = 3
    STD = 4
    FREQ = 5
    PEAK = 6


PUBLISHED_WEIGHTS = (0.26, 0.22, 0.21, 0.15, 0.08, 0.06, 0.02)
"""Weight of each term in the published score; they add up to 1."""


def five_sizes(image: Image, sizes: Sequence[int] = PUBLISHED_SIZES) -> Tensor:
    """Resize a picture to each size s x s (the aspect ratio is not kept), then back to 96 x 96.

    image: (H, W, 3) uint8 BGR of any size. Returns (len(sizes), 3, 96, 96) float32 RGB in [0, 1], on the CPU, with the
    channels last in memory.

    The first resize is antialiased and rounds to integer grey levels, like Pillow's bilinear resize in the published
    code. torch's uint8 path uses the same algorithm (width first, equal to one grey level) and reads the frame directly
    from its memory. The second resize is plain bilinear, align_corners=False. OpenCV's version equals torch's except
    for rounding, and it is several times as fast for three channels.
    """
    # torch warns about read-only memory and rejects negative strides; only then the frame is copied.
    writable = np.require(image, requirements=["C", "W"])
    frame = torch.from_numpy(writable).permute(2, 0, 1)[None]  # (1, 3, H, W) uint8, channels last
    views = np.empty((len(sizes), INPUT_SIZE, INPUT_SIZE, 3), np.float32)
    for size, view in zip(sizes, views, strict=True):
        small = functional.interpolate(frame, size=(size, size), mode="bilinear", antialias=True)
        rgb = cv2.cvtColor(small[0].permute(1, 2, 0).numpy(), cv2.COLOR_BGR2RGB)
        if size == INPUT_SIZE:
            np.divide(rgb, np.float32(255.0), out=view)
        else:
            levels = np.divide(rgb, np.float32(255.0))
            cv2.resize(levels, (INPUT_SIZE, INPUT_SIZE), dst=view, interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(views).permute(0, 3, 1, 2)


def spread(attention: Tensor, height: int, width: int) -> Tensor:
    """The attention map (B, 1, h, w), resized bilinearly to the picture's size: up(A), (B, 1, H, W)."""
    return functional.interpolate(attention, size=(height, width), mode="bilinear", align_corners=False)


@lru_cache(maxsize=16)
def _spreading(inputs: int, outputs: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The weights that ``spread`` applies to a line: (outputs, inputs)."""
    with torch.inference_mode(mode=False):
        lines = torch.eye(inputs, dtype=dtype)[None]
        longer = functional.interpolate(lines, size=outputs, mode="linear", align_corners=False)
        return longer[0].T.contiguous().to(device)


def _std(x: Tensor) -> Tensor:
    """Unbiased standard deviation over H, W: (B, C, H, W) -> (B, C). Ten times as fast as torch's one-pass std."""
    deviation = x - x.mean(dim=(2, 3), keepdim=True)
    length: Tensor = torch.linalg.vector_norm(deviation, dim=(2, 3))
    return length / math.sqrt(x.shape[2] * x.shape[3] - 1)


class Comparison(NamedTuple):
    """The comparison of B pictures x with their reconstructions o.

    terms  (B, 7) in the order of Term, all >= 0
    error  (B, H, W) mean absolute error over the channels
    """

    terms: Tensor
    error: Tensor


def compare(x: Tensor, o: Tensor, attention: Tensor) -> Comparison:
    """The seven terms of each picture, and its error at each place.

    x, o: (B, C, H, W) float in [0, 1], picture and reconstruction; attention: (B, 1, h, w). The results have x's dtype.
    """
    x = x.contiguous()  # everything here is slower with channels last
    difference = x - o
    distance = difference.abs()  # D, (B, C, H, W)
    error = distance.mean(dim=1)
    picture = (1, 2, 3)
    place = (2, 3)
    rows, columns = (_spreading(attention.shape[i], x.shape[i], x.dtype, x.device) for i in (2, 3))
    pooled = rows.mT @ error @ columns  # (B, h, w): the sum of error * up(A) equals the sum of pooled * A
    texture = _std(x).mean(dim=1) - _std(o).mean(dim=1)
    peak = x.amax(dim=place).mean(dim=1) - o.amax(dim=place).mean(dim=1)
    terms = (
        error.mean(dim=(1, 2)),
        difference.square().mean(dim=picture),
        distance.amax(dim=picture),
        (pooled * attention[:, 0]).sum(dim=(1, 2)) / error[0].numel(),  # up(A) is the same for all channels
        texture.abs(),
        _magnitude(torch.fft.rfft2(difference)).mean(dim=picture),  # rfft2(x) - rfft2(o), unnormalised
        peak.abs(),
    )
    return Comparison(torch.stack(terms, dim=1), error)


def _magnitude(spectrum: Tensor) -> Tensor:
    """The complex magnitude. It is faster than torch's abs, which avoids overflow of squares; none occurs here."""
    squares = torch.view_as_real(spectrum).square()
    return (squares[..., 0] + squares[..., 1]).sqrt_()


def published_terms(x: Tensor, o: Tensor, attention: Tensor) -> Tensor:
    """The seven terms of each picture, (B, 7) in the order of Term; see ``compare``."""
    return compare(x, o, attention).terms


def published_score(terms: Tensor) -> Tensor:
    """The weighted sum of the terms: (..., 7) -> (...), same dtype."""
    return (terms * terms.new_tensor(PUBLISHED_WEIGHTS)).sum(dim=-1)
