"""The published True Sight network: a convolutional autoencoder with a small attention between encoder and decoder.

Picture in, reconstruction out. The network reconstructs objects badly that it never saw in training. The scorers turn
this error into a score. There are no skip connections: all information passes through the code.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

INPUT_SIZE = 96
"""Height and width of the network's input, pixels."""

PUBLISHED_WIDTH = 32
PUBLISHED_PARAMETERS = 772_938
"""Number of parameters of the network at the published width."""


class Reconstruction(NamedTuple):
    """The result of a forward pass.

    reconstruction  (B, 3, 96, 96) in (0, 1), RGB
    code            (B, width, 3, 3), the bottleneck
    attention       (B, 1, 6, 6) in (0, 1)
    """

    reconstruction: Tensor
    code: Tensor
    attention: Tensor


def _down(inputs: int, outputs: int, *, drop: float = 0.0, norm: bool = True) -> nn.Sequential:
    """A block that halves height and width: Conv -> BatchNorm -> LeakyReLU -> Dropout2d."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    layers.append(nn.LeakyReLU(0.2))
    if drop > 0:
        layers.append(nn.Dropout2d(drop))
    return nn.Sequential(*layers)


def _up(inputs: int, outputs: int) -> nn.Sequential:
    """A block that doubles height and width: ConvTranspose -> BatchNorm -> LeakyReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.2),
    )


class Attention(nn.Module):
    """Three 1x1 heads, fused into one map: (B, C, h, w) -> (B, 1, h, w) in (0, 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, kernel_size=1) for _ in range(3))
        self.fuse = nn.Conv2d(3, 1, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """The attention map; the caller multiplies the features by it."""
        heads = torch.cat([torch.sigmoid(head(x)) for head in self.heads], dim=1)  # (B, 3, h, w)
        return torch.sigmoid(self.fuse(heads))


class TrueSightNet(nn.Module):
    """RGB (B, 3, 96, 96) in [0, 1], no further normalisation -> Reconstruction.

    width    base channel count; all other channel counts scale with it; 32 is the published network
    dropout  factor for the published Dropout2d rates, from 0 (no dropout) to 2
    """

    def __init__(self, width: int = PUBLISHED_WIDTH, dropout: float = 1.0) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"the width of the network must be at least 1 channel, got {width}")
        if not 0 <= dropout <= 2:
            raise ValueError(f"the dropout factor must lie between 0 and 2, got {dropout}")
        w = width
        self.width = width
        self.encoder = nn.Sequential(
            _down(3, w, drop=0.45 * dropout, norm=False),  # (B, 32, 48, 48) at the published width
            _down(w, 2 * w, drop=0.45 * dropout),  # (B, 64, 24, 24)
            _down(2 * w, 4 * w, drop=0.40 * dropout),  # (B, 128, 12, 12)
            _down(4 * w, 4 * w, drop=0.35 * dropout),  # (B, 128, 6, 6)
        )
        self.attention = Attention(4 * w)
        self.bottleneck = _down(4 * w, w)
        self.decoder = nn.Sequential(
            _up(w, 4 * w),  # (B, 128, 6, 6)
            _up(4 * w, 4 * w),  # (B, 128, 12, 12)
            _up(4 * w, 2 * w),  # (B, 64, 24, 24)
            _up(2 * w, w),  # (B, 32, 48, 48)
            nn.ConvTranspose2d(w, 3, kernel_size=4, stride=2, padding=1),  # (B, 3, 96, 96)
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Reconstruction:
        """x: (B, 3, 96, 96) float RGB in [0, 1]."""
        features = self.encoder(x)  # (B, 128, 6, 6)
        attention = self.attention(features)  # (B, 1, 6, 6)
        code = self.bottleneck(features * attention)  # (B, 32, 3, 3)
        return Reconstruction(self.decoder(code), code, attention)

    def parameter_count(self) -> int:
        """Number of learned parameters."""
        return sum(p.numel() for p in self.parameters())
