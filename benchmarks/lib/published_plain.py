"""A simple re-implementation of the published score, as the reference for the fast one."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn import functional

from monitor.detector.true_sight.autoencoder import INPUT_SIZE, TrueSightNet
from monitor.detector.true_sight.published_score import PUBLISHED_SIZES, PUBLISHED_WEIGHTS, five_sizes, spread
from monitor.types import Image


class PlainPublished:
    """Resizes with Pillow, runs one forward pass per size in float32, and computes the seven terms one by one.

    A high score is abnormal.
    """

    def __init__(self, net: TrueSightNet, dtype: torch.dtype = torch.float32) -> None:
        """dtype: number format of the whole network, to measure its effect on the score."""
        self._net = copy.deepcopy(net).eval().to(dtype)
        self._dtype = dtype

    def score(self, image: Image) -> float:
        """The score of an image, (H, W, 3) uint8 BGR."""
        with torch.no_grad():
            return sum(self._score(self._view(image, size)).item() for size in PUBLISHED_SIZES) / len(PUBLISHED_SIZES)

    @staticmethod
    def _view(image: Image, size: int) -> Tensor:
        picture = PillowImage.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
        small = picture.resize((size, size), PillowImage.Resampling.BILINEAR)
        x = torch.from_numpy(np.array(small)).permute(2, 0, 1).contiguous().float().div(255.0)[None]
        return functional.interpolate(x, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)

    def _score(self, x: Tensor) -> Tensor:
        o, _, attention = (part.float() for part in self._net(x.to(self._dtype)))
        error = (x - o).abs()
        up = functional.interpolate(attention, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)
        terms = (
            error.mean(),
            ((x - o) ** 2).mean(),
            error.max(),
            (error * up).mean(),
            (x.std(dim=(2, 3)).mean() - o.std(dim=(2, 3)).mean()).abs(),
            (torch.fft.rfft2(x) - torch.fft.rfft2(o)).abs().mean(),
            (x.amax(dim=(2, 3)).mean() - o.amax(dim=(2, 3)).mean()).abs(),
        )
        return torch.stack([weight * term for weight, term in zip(PUBLISHED_WEIGHTS, terms, strict=True)]).sum()


def learn_a_little(images: Sequence[Image], steps: int = 60) -> TrueSightNet:
    """A network of the published width, in eval mode, trained on frames for a few steps, which takes seconds.

    Its speed is that of any other network. Its weights are no longer random, so rounding acts as in a trained network.
    """
    x = torch.cat([five_sizes(image, (INPUT_SIZE,)) for image in images])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = TrueSightNet()
        # The optimizer classes of PyTorch would load its compiler, which takes a second.
        weights = list(net.parameters())
        momentum = [torch.zeros_like(each) for each in weights]
        for _ in range(steps):
            batch = x[torch.randint(len(x), (8,))]
            o, _, attention = net(batch)
            loss = ((o - batch).abs() * (1 + spread(attention, INPUT_SIZE, INPUT_SIZE))).mean()
            for each, before, gradient in zip(weights, momentum, torch.autograd.grad(loss, weights), strict=True):
                before.mul_(0.9).add_(gradient)
                each.data.sub_(0.02 * before)
    return net.eval()
