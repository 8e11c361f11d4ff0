"""The published detector's work on batches that lie on a device: frames -> views -> network -> terms.

On a GPU the resizes are matrix products, so that only the camera's bytes travel. Every batch has the same shape: one
shape gives one kernel, and a frame the same bytes whatever else is in its batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monitor.detector.autoencoder import INPUT_SIZE
from monitor.detector.fast_net import FastNet
from monitor.detector.precision import exact
from monitor.detector.scorer import Comparison, Term, compare
from monitor.types import Image

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_STEPS = 2**22  # Pillow rounds its weights to parts of this
_SHORT_BITS = 13  # of a float32's fraction that TF32 does not have


class ViewScorer:
    """Views of frames on the network's device -> the mean over each frame's views of its terms and its error.

    sizes  how many views a frame has
    """

    def __init__(self, net: FastNet, sizes: int) -> None:
        self._net = net
        self._sizes = sizes

    def __call__(self, views: Tensor) -> Comparison:
        """views: (N * sizes, 3, 96, 96) float32 RGB in [0, 1]. Returns terms (N, 7) and error (N, 96, 96)."""
        found = compare(views, *self._net(views))
        terms = found.terms.view(-1, self._sizes, len(Term)).mean(dim=1)
        return Comparison(terms, found.error.view(-1, self._sizes, INPUT_SIZE, INPUT_SIZE).mean(dim=1))


class DeviceViews:
    """Frames of one shape, on a device -> their views, as ``five_sizes`` gives them, within one grey level."""

    def __init__(self, shape: tuple[int, int], sizes: Sequence[int], device: torch.device) -> None:
        """shape: height and width of the frames, pixels."""
        height, width = shape
        self._sizes = list(sizes)
        self._split = device.type == "cuda"
        across = np.concatenate([pillow_weights(width, size) for size in sizes])  # (all sizes, W)
        self._across = self._pieces(across, device)
        self._down = [self._pieces(pillow_weights(height, size), device) for size in sizes]
        self._up = [torch.from_numpy(bilinear_weights(size, INPUT_SIZE)).to(device) for size in sizes]

    def __call__(self, frames: Tensor) -> Tensor:
        """frames: (N, H, W, 3) uint8 BGR on the device. Returns (N * sizes, 3, 96, 96) float32 RGB in [0, 1]."""
        planes = frames.permute(0, 3, 1, 2).flip(1).float()  # (N, 3, H, W)
        # Width first and rounded between, as Pillow does. Whole grey levels and the weights' pieces are exact in TF32.
        with _short_products(self._split):
            narrow = self._summed(planes @ self._across)  # (N, 3, H, all sizes)
            small = [
                self._summed(part.mT @ weights).mT  # (N, 3, size, size)
                for part, weights in zip(torch.split(narrow, self._sizes, dim=3), self._down, strict=True)
            ]
        views = [
            (view / 255.0 if view.shape[-1] == INPUT_SIZE else up @ (view / 255.0) @ up.mT)
            for view, up in zip(small, self._up, strict=True)
        ]
        return torch.stack(views, dim=1).flatten(0, 1)

    def _pieces(self, weights: NDArray[np.float64], device: torch.device) -> Tensor:
        """(outputs, inputs) -> (inputs, outputs), or (inputs, 2 * outputs) in two pieces that TF32 holds exactly."""
        whole = weights.T.astype(np.float32)
        if not self._split:
            return torch.from_numpy(whole).to(device)
        high = (whole.view(np.uint32) >> _SHORT_BITS << _SHORT_BITS).view(np.float32)
        return torch.from_numpy(np.concatenate([high, whole - high], axis=1)).to(device)

    def _summed(self, products: Tensor) -> Tensor:
        """The pieces added up, rounded half up to whole grey levels."""
        if self._split:
            high, low = products.chunk(2, dim=-1)
            products = high + low
        return (products + 0.5).floor_().clamp_(0, 255)


class DeviceScorer:
    """Pictures in memory -> terms and errors, in batches of one shape on a device.

    frames  pictures in each batch, padded with black ones; halved, once for good, where memory does not suffice
    """

    def __init__(self, net: FastNet, sizes: Sequence[int], device: torch.device, frames: int) -> None:
        self._scorer = ViewScorer(net, len(sizes))
        self._sizes = tuple(sizes)
        self._device = device
        self._batches = Batches(frames, str(device))
        # The shapes of a few kinds of camera stay; others come and go.
        self._views = lru_cache(maxsize=8)(lambda shape: DeviceViews(shape, self._sizes, device))

    def __call__(self, images: Sequence[Image]) -> Comparison:
        """images: each (H, W, 3) uint8 BGR. Returns terms (N, 7) and error (N, 96, 96), float32 on the CPU."""
        found: list[tuple[Tensor, Tensor]] = []
        for shape, part in groupby(images, key=lambda image: image.shape[:2]):
            found += self._batches.run(list(part), partial(self._look, shape=shape))
        terms, errors = zip(*found, strict=True)
        return Comparison(torch.stack(terms), torch.stack(errors))

    def _look(self, images: Sequence[Image], frames: int, *, shape: tuple[int, int]) -> list[tuple[Tensor, Tensor]]:
        batch = torch.zeros(frames, *shape, 3, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        for place, image in zip(batch.numpy(), images, strict=False):
            place[:] = image
        with torch.inference_mode(), exact(self._device):
            found = self._scorer(self._views(shape)(batch.to(self._device, non_blocking=True)))
            return list(zip(found.terms.cpu(), found.error.cpu(), strict=True))[: len(images)]


class Batches:
    """Runs work on batches of at most so many items; takes half as many for good where the memory does not suffice."""

    def __init__(self, frames: int, device: str) -> None:
        self.frames = frames
        self._device = device
        self._said = False

    def run(
        self, items: Sequence[Image], work: Callable[[Sequence[Image], int], Sequence[_Result]]
    ) -> Iterator[_Result]:
        """What ``work(some items, batch size)`` gives for all items, in order.

        Raises torch.OutOfMemoryError where a single item is too much.
        """
        start = 0
        while start < len(items):
            part = items[start : start + self.frames]
            try:
                found = work(part, self.frames)
            except torch.OutOfMemoryError:
                if self.frames == 1:
                    raise
                self._halve()
            else:
                yield from found
                start += len(part)

    def _halve(self) -> None:
        self.frames //= 2
        if not self._said:
            self._said = True
            words = "%s has too little memory for %d frames at once: smaller batches from now on"
            log.warning(words, self._device, 2 * self.frames)


def pillow_weights(inputs: int, outputs: int) -> NDArray[np.float64]:
    """(outputs, inputs): Pillow's antialiased bilinear resize of a line, with its rounding of the weights."""
    scale = inputs / outputs
    support = max(scale, 1.0)
    weights = np.zeros((outputs, inputs))
    for row, centre in zip(weights, (np.arange(outputs) + 0.5) * scale, strict=True):
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), inputs)
        taps = np.maximum(1.0 - np.abs(np.arange(first, last) - centre + 0.5) / support, 0.0)
        row[first:last] = np.floor(taps / taps.sum() * _STEPS + 0.5) / _STEPS
    return weights


def bilinear_weights(inputs: int, outputs: int) -> NDArray[np.float32]:
    """(outputs, inputs): torch's plain bilinear resize of a line, align_corners=False."""
    lines = torch.nn.functional.interpolate(torch.eye(inputs)[None], size=outputs, mode="linear", align_corners=False)
    return np.ascontiguousarray(lines[0].T.numpy())


@contextmanager
def _short_products(use: bool) -> Iterator[None]:
    """Matrix products on a GPU's tensor cores in TF32 meanwhile."""
    if not use:
        yield
        return
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
