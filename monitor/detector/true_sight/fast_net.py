"""The True Sight network, rearranged for inference: the same function with fewer calculations.

Each normalisation is folded into the convolution before it. The last layer doubles the size and has only three
channels. It is replaced by one convolution that computes the four pixels of each place at once.

A bfloat16 number has only 8 bits of precision. This is not enough for a score that must be exact to 1e-4. So all layers
except the first calculate with differences from the results for a usual picture, which are computed once in float32.
The differences are small, and so their rounding errors are small.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from monitor.detector.true_sight.autoencoder import TrueSightNet

_SLOPE = 0.2
"""Slope of the network's LeakyReLU below zero."""

_Conv = nn.Conv2d | nn.ConvTranspose2d
_Kind = TypeVar("_Kind", bound=nn.Module)


class FastNet:
    """RGB (B, 3, 96, 96) float32 in [0, 1] -> reconstruction (B, 3, 96, 96) and attention (B, 1, 6, 6), float32.

    trunk  torch.bfloat16 for all layers except the first, or torch.float32
    usual  (3, 96, 96) float32 RGB, a typical picture; without it, everything is calculated in float32
    """

    def __init__(self, net: TrueSightNet, trunk: torch.dtype = torch.float32, usual: Tensor | None = None) -> None:
        """Copies the network, which stays on its device. The network must be in eval mode."""
        first, *rest = (_folded(_only(block, nn.Sequential)) for block in net.encoder)
        blocks = [net.bottleneck, *list(net.decoder)[:-2]]
        self.trunk = torch.float32 if usual is None else trunk
        self._first = _Chain([first])
        self._encoder = _Chain(rest)
        heads = [_only(head, nn.Conv2d) for head in net.attention.heads]
        self._heads = torch.cat([_weight(h).flatten(1) for h in heads]), torch.cat([_bias(h) for h in heads])
        self._fuse = _weight(net.attention.fuse).flatten(1), _bias(net.attention.fuse)
        last = _Doubling(_only(net.decoder[-2], nn.ConvTranspose2d))
        self._decoder = _Chain([_folded(_only(block, nn.Sequential)) for block in blocks], last)
        if usual is not None and self.trunk != torch.float32:
            with torch.inference_mode():
                self._calculate_around(usual[None].to(first.weight.device))

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the class. Call it in inference mode."""
        features = self._encoder(self._first(x.contiguous(memory_format=torch.channels_last)))  # (B, 128, 6, 6)
        attention = self._attention(features)
        return torch.sigmoid_(self._decoder(features * attention)), attention

    def _attention(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 1, h, w): like Attention, but the three heads are one matrix product."""
        places = features.permute(0, 2, 3, 1)  # (B, h, w, C), the order in memory
        heads = torch.sigmoid_(functional.linear(places, *self._heads))
        return torch.sigmoid_(functional.linear(heads, *self._fuse)).permute(0, 3, 1, 2)

    def _calculate_around(self, usual: Tensor) -> None:
        features = self._encoder.around(self._first(usual.contiguous(memory_format=torch.channels_last)), self.trunk)
        self._decoder.around(features * self._attention(features), self.trunk)


class _Chain:
    """Convolutions, each with a LeakyReLU, and optionally a last one that doubles the size, without LeakyReLU.

    Input and output are float32; ``around`` sets the type in between. It overwrites its input.
    """

    def __init__(self, layers: Sequence[_Conv], last: _Doubling | None = None) -> None:
        self._layers = layers
        self._last = last
        self._around: _Around | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if self._around is not None:
            return self._around(x)
        for layer in self._layers:
            x = _activated(layer(x))
        return x if self._last is None else self._last(x)

    def around(self, usual: Tensor, dtype: torch.dtype) -> Tensor:
        """From now on, calculate in ``dtype`` with differences from the results for the usual input, (1, C, H, W).

        Returns the output for the usual input.
        """
        self._around = _Around(self._layers, self._last, usual, dtype)
        return self(usual.clone())


class _Around:
    """See _Chain.around. Sums and activations are float32, because elementwise operations are slower in bfloat16."""

    def __init__(self, layers: Sequence[_Conv], last: _Doubling | None, usual: Tensor, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._steps: list[tuple[_Conv, Tensor, Tensor]] = []
        for layer in layers:
            sums = layer(usual)  # this includes the bias, so the layer must not add it again
            low = copy.deepcopy(layer).to(dtype)
            low.bias = None
            self._steps.append((low, usual.clone(), sums))
            usual = _activated(sums.clone())
        self._last = None if last is None else (last.without_bias(dtype), usual, last.pixels(usual))

    def __call__(self, x: Tensor) -> Tensor:
        for layer, usual, sums in self._steps:
            x = _activated(layer(x.sub_(usual).to(self._dtype)).float().add_(sums))
        if self._last is None:
            return x
        doubling, usual, pixels = self._last
        return doubling.arranged(doubling.pixels(x.sub_(usual).to(self._dtype)).float().add_(pixels))


class _Doubling:
    """ConvTranspose2d(kernel 4, stride 2, padding 1) as a convolution with kernel 2 and four outputs per channel.

    An even output row uses the input rows above and at its place, with the kernel's rows 3 and 1. An odd output row
    uses the input rows at and below its place, with the kernel's rows 2 and 0. The same applies to columns.
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        weight = _weight(layer)  # (inputs, outputs, 4, 4)
        taps = ((3, 1), (2, 0))
        pixels = [weight[:, :, list(rows)][..., list(columns)] for rows in taps for columns in taps]
        stacked = torch.stack(pixels).permute(0, 2, 1, 3, 4).flatten(0, 1)  # (4 * outputs, inputs, 2, 2)
        self._weight = stacked.contiguous(memory_format=torch.channels_last)
        self._bias: Tensor | None = _bias(layer).repeat(4)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, 2h, 2w), contiguous."""
        return self.arranged(self.pixels(x))

    def without_bias(self, dtype: torch.dtype) -> _Doubling:
        """A copy that calculates in this type and adds no bias."""
        low = copy.copy(self)
        low._weight, low._bias = self._weight.to(dtype), None
        return low

    def pixels(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, 4 * outputs, h + 1, w + 1): even and odd rows and columns side by side."""
        return functional.conv2d(x, self._weight, self._bias, padding=1)

    def arranged(self, pixels: Tensor) -> Tensor:
        """The result of ``pixels``, arranged as a picture: (B, outputs, 2h, 2w), contiguous."""
        batch, channels = len(pixels), pixels.shape[1] // 4
        height, width = pixels.shape[2] - 1, pixels.shape[3] - 1
        out = pixels.new_empty(batch, channels, height, 2, width, 2)
        for row in (0, 1):
            for column in (0, 1):
                start = (2 * row + column) * channels
                out[:, :, :, row, :, column] = pixels[
                    :, start : start + channels, row : row + height, column : column + width
                ]
        return out.view(batch, channels, 2 * height, 2 * width)


def _activated(x: Tensor) -> Tensor:
    """The network's LeakyReLU, in place."""
    return functional.leaky_relu_(x, _SLOPE)


def _folded(block: nn.Sequential) -> _Conv:
    """The convolution of a block, with its normalisation (if any) folded in."""
    conv: _Conv
    if isinstance(block[0], nn.ConvTranspose2d):
        conv = copy.deepcopy(block[0])
    else:
        conv = copy.deepcopy(_only(block[0], nn.Conv2d))
    if isinstance(after := block[1], nn.BatchNorm2d):
        conv = fuse_conv_bn_eval(conv, after, transpose=isinstance(conv, nn.ConvTranspose2d))
    return conv.requires_grad_(False).to(memory_format=torch.channels_last)


def _only(module: nn.Module, kind: type[_Kind]) -> _Kind:
    assert isinstance(module, kind)
    return module


def _weight(layer: _Conv) -> Tensor:
    return layer.weight.detach()


def _bias(layer: _Conv) -> Tensor:
    assert layer.bias is not None
    return layer.bias.detach()
