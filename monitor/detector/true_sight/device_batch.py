"""The published detector's work on batches that lie on a device: frames -> views -> network -> terms.

On a GPU the resizes are matrix products, so that only the camera's bytes travel. Every batch has the same shape: one
shape gives one kernel, and a frame the same bytes whatever else is in its batch.
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
_STEPS = 2**22  # Pillow rounds its weights to parts of this
_PIECE = 2**11


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
    """Frames of one shape, on a device -> their views, as ``five_sizes`` gives them.

    The reduced pictures are Pillow's to the last bit: whole grey levels times weights in two pieces of 11 bits are
    exact, in TF32 as well, and their sums have no more bits than float32.
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


def pieces(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two parts that add up to weights of 22 binary places: the first 11 of them, and the last."""
    high = np.floor(weights * _PIECE) / _PIECE
    return high, weights - high


def _factors(weights: NDArray[np.float64], device: torch.device) -> Tensor:
    """(outputs, inputs) -> (inputs, 2 * outputs) float32: both pieces side by side."""
    return torch.from_numpy(np.concatenate(pieces(weights)).T.astype(np.float32)).to(device)


def _rounded(products: Tensor) -> Tensor:
    """The sums of both pieces, (..., 2 * outputs), added up and rounded half up to whole grey levels, exactly."""
    high, low = products.chunk(2, dim=-1)
    high = high + 0.5
    whole = high.floor()
    # Together they have more bits than float32; the fraction and the lower piece do not.
    return (whole + (high - whole + low).floor()).clamp_(0, 255)


def bilinear_weights(inputs: int, outputs: int) -> FloatArray:
    """(outputs, inputs): torch's plain bilinear resize of a line, align_corners=False."""
    lines = torch.nn.functional.interpolate(torch.eye(inputs)[None], size=outputs, mode="linear", align_corners=False)
    return np.ascontiguousarray(lines[0].T.numpy())


@contextmanager
def tensor_cores(use: bool) -> Iterator[None]:
    """Meanwhile matrix products on a GPU take TF32, which tensor cores are made for."""
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
