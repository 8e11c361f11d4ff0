"""The True Sight network rearranged for inference: the same function, less work.

Each normalisation is folded into the convolution before it. The last layer, which doubles the size and has only
three channels, is one convolution that gives the four pixels of each place at once. Four layers may calculate in
bfloat16.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from monitor.detector.autoencoder import TrueSightNet

_SLOPE = 0.2  # of every LeakyReLU
_Layer = TypeVar("_Layer", bound=nn.Module)


class FastNet:
    """RGB (B, 3, 96, 96) float32 in [0, 1] -> reconstruction (B, 3, 96, 96) and attention (B, 1, 6, 6), float32.

    trunk  torch.bfloat16 for the four layers that bear it, torch.float32 for all layers in float32

    In bfloat16 are the third and the fourth layer of the encoder, the second and the third of the decoder. The
    others would move the score: the first two and the last two by their pixels, the two around the code because the
    whole picture passes them. What each layer would cost and save is printed by ``python -m benchmarks.scorer``.
    """

    def __init__(self, net: TrueSightNet, trunk: torch.dtype = torch.float32) -> None:
        """Takes a copy of the network, on its device; it must be in eval mode."""
        first, second, third, fourth = (_folded(block) for block in net.encoder)
        up = [_folded(block) for block in list(net.decoder)[:4]]
        self.trunk = trunk
        self._near = [first, second]  # in float32
        self._far = [third.to(trunk), fourth.to(trunk)]
        self._code = [_folded(net.bottleneck), up[0]]
        self._middle = [up[1].to(trunk), up[2].to(trunk)]
        self._fine = up[3]
        self._heads = _joined_heads(net)
        fuse = net.attention.fuse
        self._fuse = (fuse.weight.detach().flatten(1), _bias(fuse))
        self._last = _Doubling(_only(net.decoder[4], nn.ConvTranspose2d))

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the class; to be called in inference mode."""
        h = _through(self._near, x.contiguous(memory_format=torch.channels_last))  # (B, 64, 24, 24)
        h = _through(self._far, h.to(self.trunk)).float()  # (B, 128, 6, 6)
        attention = self._attention(h)
        h = _through(self._code, h * attention)  # (B, 128, 6, 6)
        h = _through(self._middle, h.to(self.trunk)).float()  # (B, 64, 24, 24)
        return torch.sigmoid_(self._last(_through([self._fine], h))), attention

    def _attention(self, h: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 1, h, w): as Attention, its three heads in one product."""
        places = h.permute(0, 2, 3, 1)  # (B, h, w, C), as it lies in memory
        heads = torch.sigmoid_(functional.linear(places, *self._heads))
        return torch.sigmoid_(functional.linear(heads, *self._fuse)).permute(0, 3, 1, 2)


class _Doubling:
    """ConvTranspose2d(kernel 4, stride 2, padding 1) as a convolution with kernel 2 and four outputs a channel.

    An even row sees the rows above and at its place with the kernel's rows 3 and 1, an odd one those at and below
    with 2 and 0; columns alike.
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        weight = layer.weight.detach()  # (inputs, outputs, 4, 4)
        taps = ((3, 1), (2, 0))
        pixels = [weight[:, :, list(rows)][..., list(columns)] for rows in taps for columns in taps]
        stacked = torch.stack(pixels).permute(0, 2, 1, 3, 4).flatten(0, 1)  # (4 * outputs, inputs, 2, 2)
        self._weight = stacked.contiguous(memory_format=torch.channels_last)
        self._bias = _bias(layer).repeat(4)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, 2h, 2w), contiguous."""
        pixels = functional.conv2d(x, self._weight, self._bias, padding=1)  # (B, 4 * outputs, h + 1, w + 1)
        batch, channels, height, width = len(x), len(self._bias) // 4, x.shape[2], x.shape[3]
        out = x.new_empty(batch, channels, height, 2, width, 2)
        for row in (0, 1):
            for column in (0, 1):
                start = (2 * row + column) * channels
                out[:, :, :, row, :, column] = pixels[
                    :, start : start + channels, row : row + height, column : column + width
                ]
        return out.view(batch, channels, 2 * height, 2 * width)


def _only(module: nn.Module, kind: type[_Layer]) -> _Layer:
    assert isinstance(module, kind)
    return module


def _bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias.detach()


def _folded(block: nn.Module) -> nn.Module:
    """A block's convolution alone, its normalisation, if it has one, folded in."""
    assert isinstance(block, nn.Sequential)
    conv, after = copy.deepcopy(block[0]), block[1]
    if isinstance(after, nn.BatchNorm2d):
        if isinstance(conv, nn.ConvTranspose2d):
            conv = fuse_conv_bn_eval(conv, after, transpose=True)
        else:
            conv = fuse_conv_bn_eval(_only(conv, nn.Conv2d), after)
    return conv.requires_grad_(False).to(memory_format=torch.channels_last)


def _through(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = functional.leaky_relu_(layer(x), _SLOPE)
    return x


def _joined_heads(net: TrueSightNet) -> tuple[Tensor, Tensor]:
    """Weight (3, C) and bias (3,) of the attention's heads."""
    heads = [_only(head, nn.Conv2d) for head in net.attention.heads]
    return torch.cat([h.weight.detach().flatten(1) for h in heads]), torch.cat([_bias(h) for h in heads])
