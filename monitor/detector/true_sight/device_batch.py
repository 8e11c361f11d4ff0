"""The calculations of the published detector for batches on a device: frames -> views -> network -> terms.

On a GPU the resizes are matrix products, so that only the bytes of the frames are copied to the GPU. Every batch has
the same shape. One shape uses one kernel, so the result of a frame does not depend on the other frames in its batch.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monitor.detector.precision import exact
from monitor.detector.true_sight.autoencoder import INPUT_SIZE
from monitor.detector.true_sight.fast_net import FastNet
from monitor.detector.true_sight.published_score import Comparison, Term, compare
from monitor.types import FloatArray, Image

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_STEPS = 2**22  # Pillow rounds its weights to multiples of 1 / _STEPS
_PIECE = 2**11


class ViewScorer:
    """Computes the terms and the error of each frame, as means over its views. The views are on the network's device.

    sizes  number of views per frame
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
    """Computes the views of frames of one shape on a device; the result is that of ``five_sizes``.

    The reduced pictures are equal to Pillow's in every bit. The weights are split into two pieces of 11 bits, so their
    products with integer grey levels are exact, also in TF32. The sums do not need more bits than float32 has.
    """

    def __init__(self, shape: tuple[int, int], sizes: Sequence[int], device: torch.device) -> None:
        """shape: height and width of the frames, pixels."""
        height, width = shape
        self._sizes = list(sizes)
        self._on_gpu = device.type == "cuda"
        across = np.concatenate([pillow_weights(width, size) for size in sizes])  # (all sizes, W)
        self._across = _factors(across, device)
        self._down = [_factors(pillow_weights(height, size), device) for size in sizes]
        self._up = [torch.from_numpy(bilinear_weights(size, INPUT_SIZE)).to(device) for size in sizes]

    def __call__(self, frames: Tensor) -> Tensor:
        """frames: (N, H, W, 3) uint8 BGR on the device. Returns (N * sizes, 3, 96, 96) float32 RGB in [0, 1]."""
        planes = frames.permute(0, 3, 1, 2).flip(1).float()  # (N, 3, H, W)
        with tensor_cores(self._on_gpu):
            narrow = _rounded(planes @ self._across)  # (N, 3, H, all sizes); width first, as Pillow does
            small = [
                _rounded(part.mT @ factors).mT  # (N, 3, size, size)
                for part, factors in zip(torch.split(narrow, self._sizes, dim=3), self._down, strict=True)
            ]
        views = [
            (view / 255.0 if view.shape[-1] == INPUT_SIZE else up @ (view / 255.0) @ up.mT)
            for view, up in zip(small, self._up, strict=True)
        ]
        return torch.stack(views, dim=1).flatten(0, 1)


class DeviceScorer:
    """Computes terms and errors of pictures in memory, in batches of one shape on a device.

    frames  pictures per batch, padded with black ones; halved permanently if the device has too little memory
    """

    def __init__(self, net: FastNet, sizes: Sequence[int], device: torch.device, frames: int) -> None:
        self._scorer = ViewScorer(net, len(sizes))
        self._sizes = tuple(sizes)
        self._device = device
        self._batches = Batches(frames, str(device))
        # Cache the matrices of the most recent frame shapes.
        self._views = lru_cache(maxsize=8)(lambda shape: DeviceViews(shape, self._sizes, device))

    def __call__(self, images: Sequence[Image]) -> Comparison:
        """images: each (H, W, 3) uint8 BGR. Returns terms (N, 7) and error (N, 96, 96), float32 on the CPU."""
        of_shape: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for i, image in enumerate(images):
            of_shape[image.shape[0], image.shape[1]].append(i)
        terms = torch.empty(len(images), len(Term))
        errors = torch.empty(len(images), INPUT_SIZE, INPUT_SIZE)
        for shape, places in of_shape.items():
            looked = self._batches.run([images[i] for i in places], partial(self._look, shape=shape))
            for i, (term, error) in zip(places, looked, strict=True):
                terms[i], errors[i] = term, error
        return Comparison(terms, errors)

    def _look(self, images: Sequence[Image], frames: int, *, shape: tuple[int, int]) -> list[tuple[Tensor, Tensor]]:
        batch = torch.zeros(frames, *shape, 3, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        for place, image in zip(batch.numpy(), images, strict=False):
            place[:] = image
        with torch.inference_mode(), exact(self._device):
            found = self._scorer(self._views(shape)(batch.to(self._device, non_blocking=True)))
            return list(zip(found.terms.cpu(), found.error.cpu(), strict=True))[: len(images)]


class Batches:
    """Runs work on batches of at most ``frames`` items. It halves the batch size permanently if memory is too small."""

    def __init__(self, frames: int, device: str) -> None:
        self.frames = frames
        self._device = device
        self._said = False

    def run(
        self, items: Sequence[Image], work: Callable[[Sequence[Image], int], Sequence[_Result]]
    ) -> Iterator[_Result]:
        """Yields the results of ``work(some items, batch size)`` for all items, in order.

        Raises torch.OutOfMemoryError if the memory is too small even for one item.
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
            words = "%s has too little memory for %d frames at once: using smaller batches from now on"
            log.warning(words, self._device, 2 * self.frames)


def pillow_weights(inputs: int, outputs: int) -> NDArray[np.float64]:
    """The weights of Pillow's antialiased bilinear resize of a line, rounded as in Pillow: (outputs, inputs)."""
    scale = inputs / outputs
    support = max(scale, 1.0)
    weights = np.zeros((outputs, inputs))
    for row, centre in zip(weights, (np.arange(outputs) + 0.5) * scale, strict=True):
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), inputs)
        taps = np.maximum(1.0 - np.abs(np.arange(first, last) - centre + 0.5) / support, 0.0)
        row[first:last] = np.floor(taps / taps.sum() * _STEPS + 0.5) / _STEPS
    return weights


def pieces(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split weights with 22 binary places into two parts that add up to them: the first 11 places and the last 11."""
    high = np.floor(weights * _PIECE) / _PIECE
    return high, weights - high


def _factors(weights: NDArray[np.float64], device: torch.device) -> Tensor:
    """Both pieces side by side: (outputs, inputs) -> (inputs, 2 * outputs) float32."""
    return torch.from_numpy(np.concatenate(pieces(weights)).T.astype(np.float32)).to(device)


def _rounded(products: Tensor) -> Tensor:
    """The sum of the products of both pieces, (..., 2 * outputs), rounded exactly (half up) to integer grey levels."""
    high, low = products.chunk(2, dim=-1)
    high = high + 0.5
    whole = high.floor()
    # The full sum needs more bits than float32 has; the fraction plus the lower piece does not.
    return (whole + (high - whole + low).floor()).clamp_(0, 255)


def bilinear_weights(inputs: int, outputs: int) -> FloatArray:
    """The weights of torch's plain bilinear resize of a line, align_corners=False: (outputs, inputs)."""
    lines = torch.nn.functional.interpolate(torch.eye(inputs)[None], size=outputs, mode="linear", align_corners=False)
    return np.ascontiguousarray(lines[0].T.numpy())


@contextmanager
def tensor_cores(use: bool) -> Iterator[None]:
    """A context in which matrix products on a GPU use TF32, so that they run on tensor cores."""
    if not use:
        yield
        return
    # Not fp32_precision: torch refuses to mix it with the older flags that ``exact`` sets.
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
