"""The network of True Sight 2: an encoder-decoder with three attention heads that form the anomaly map.

In the published network the attention is not trained for any target, and it learned nothing useful. Here each head
predicts where something is abnormal. Each has a different stride (large 16, medium 8, subtle 4 px), and learned weights
fuse the three.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

HEADS = ("large", "medium", "subtle")
STRIDE = 4
"""Stride of the anomaly map, px of the input."""
COARSEST = 16
"""Stride of the coarsest features, px of the input. Both sides of the input must be multiples of it."""


class AnomalyLogits(NamedTuple):
    """The result of a forward pass, all float32. A logit above 0 means that abnormal is more likely than normal.

    fused  (B, h/4, w/4) logits of the anomaly map
    parts  (B, 3, h/4, w/4) contribution of each head to the map, in the order of HEADS
    heads  logits of each head at its own stride: (B, h/16, w/16), (B, h/8, w/8), (B, h/4, w/4)
    fine   (B, c, h/4, w/4) the finest features: what the network has learned to tell abnormal places by
    """

    fused: Tensor
    parts: Tensor
    heads: tuple[Tensor, Tensor, Tensor]
    fine: Tensor


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class ClipNet(nn.Module):
    """Inputs of a clip (B, C, h, w) float -> AnomalyLogits; h and w are multiples of 16.

    channels  C, see clip_inputs
    width     number of channels of the finest features; the coarser features have 2, 3 and 4 times as many
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        w = width
        self.dtype = torch.float32
        self.stem = _conv(channels, w, 2)  # (B, w, h/2, w/2)
        self.fine = nn.Sequential(_conv(w, 2 * w, 2), _conv(2 * w, 2 * w))  # h/4
        self.middle = nn.Sequential(_conv(2 * w, 3 * w, 2), _conv(3 * w, 3 * w))  # h/8
        self.coarse = nn.Sequential(_conv(3 * w, 4 * w, 2), _conv(4 * w, 4 * w))  # h/16
        self.from_coarse = nn.Conv2d(4 * w, 3 * w, kernel_size=1)
        self.at_middle = _conv(3 * w, 3 * w)
        self.from_middle = nn.Conv2d(3 * w, 2 * w, kernel_size=1)
        self.at_fine = _conv(2 * w, 2 * w)
        self.attention = nn.ModuleList(nn.Conv2d(c, 1, kernel_size=1) for c in (4 * w, 3 * w, 2 * w))
        # softplus makes the weights positive, so a head with a higher logit always increases the fused logit.
        self.fuse_weight = nn.Parameter(torch.full((3,), -0.5))
        self.fuse_bias = nn.Parameter(torch.zeros(()))
        for head in self.attention:
            nn.init.constant_(head.get_parameter("bias"), -2.0)  # most places of a picture are normal

    def trunk_to(self, dtype: torch.dtype) -> None:
        """Convert everything except the heads to another type. In bfloat16, heads would give many equal scores."""
        self.to(dtype)
        self.attention.float()
        self.fuse_weight.data = self.fuse_weight.data.float()
        self.fuse_bias.data = self.fuse_bias.data.float()
        self.dtype = dtype

    def forward(self, x: Tensor) -> AnomalyLogits:
        """See the class."""
        fine = self.fine(self.stem(x.to(self.dtype)))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.at_middle(middle + _double(self.from_coarse(coarse)))
        fine = self.at_fine(fine + _double(self.from_middle(middle)))
        with torch.autocast(x.device.type, enabled=False):
            heads = tuple(
                head(features.float()) for head, features in zip(self.attention, (coarse, middle, fine), strict=True)
            )
            size = heads[2].shape[2:]
            same = [functional.interpolate(h, size, mode="bilinear", align_corners=False) for h in heads[:2]]
            weight = functional.softplus(self.fuse_weight)
            parts = torch.cat([*same, heads[2]], dim=1) * weight[:, None, None]
            fused = parts.sum(dim=1) + self.fuse_bias
        large, medium, subtle = (head[:, 0] for head in heads)
        return AnomalyLogits(fused, parts, (large, medium, subtle), fine.float())


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def averaged(logits: Tensor) -> Tensor:
    """Mean over each 2x2 places: (B, h, w) -> (B, h - 1, w - 1). A high value at only one place is noise."""
    return functional.avg_pool2d(logits[:, None], 2, stride=1)[:, 0]
