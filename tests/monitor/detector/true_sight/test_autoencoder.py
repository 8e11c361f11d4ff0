import math

import pytest
import torch
from torch import nn

from monitor.detector.true_sight.autoencoder import PUBLISHED_PARAMETERS, TrueSightNet


def test_published_width_has_the_published_parameters() -> None:
    assert TrueSightNet().parameter_count() == PUBLISHED_PARAMETERS == 772_938


def test_a_forward_pass_costs_the_published_160_megaflop() -> None:
    # PyTorch's own counter loads its compiler, which takes a second.
    net, flop = TrueSightNet().eval(), 0

    def count(layer: nn.Module, given: tuple[torch.Tensor], result: torch.Tensor) -> None:
        nonlocal flop
        weights = next(layer.parameters()).numel()
        # Each weight is used once per pixel of the smaller side: of the result if it shrinks, of what is given if not.
        flop += 2 * weights * min(math.prod(x.shape[2:]) for x in (given[0], result))

    with_weights = [layer for layer in net.modules() if next(layer.parameters(recurse=False), None) is not None]
    convolutions = [layer for layer in with_weights if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert all(isinstance(layer, nn.BatchNorm2d) for layer in set(with_weights) - set(convolutions))
    for layer in convolutions:
        layer.register_forward_hook(count)
    net(torch.rand(1, 3, 96, 96))
    assert flop / 1e6 == pytest.approx(160.4, abs=0.05)


@pytest.mark.parametrize("width", [8, 32])
def test_output_shapes_and_ranges(width: int) -> None:
    torch.manual_seed(1)
    out = TrueSightNet(width).eval()(torch.rand(2, 3, 96, 96))
    assert out.reconstruction.shape == (2, 3, 96, 96)
    assert out.code.shape == (2, width, 3, 3)
    assert out.attention.shape == (2, 1, 6, 6)
    for part in (out.reconstruction, out.attention):
        assert part.min() > 0
        assert part.max() < 1


def test_every_stage_has_the_published_shape() -> None:
    net = TrueSightNet().eval()
    x = torch.rand(1, 3, 96, 96)
    shapes = []
    for block in net.encoder:
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(32, 48, 48), (64, 24, 24), (128, 12, 12), (128, 6, 6)]
    x = net.bottleneck(x)
    shapes = []
    for block in net.decoder:
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(128, 6, 6), (128, 12, 12), (64, 24, 24), (32, 48, 48), (3, 96, 96), (3, 96, 96)]


def test_dropout_rates_are_the_published_ones_times_the_factor() -> None:
    def rates(net: TrueSightNet) -> list[float]:
        return [module.p for module in net.modules() if isinstance(module, nn.Dropout2d)]

    assert rates(TrueSightNet()) == [0.45, 0.45, 0.40, 0.35]
    assert rates(TrueSightNet(dropout=0.5)) == pytest.approx([0.225, 0.225, 0.2, 0.175])
    assert rates(TrueSightNet(dropout=0)) == []


def test_only_the_first_and_last_layer_go_without_batch_norm() -> None:
    net = TrueSightNet()
    norms = [module.num_features for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms == [64, 128, 128, 32, 128, 128, 64, 32]
    assert all(m.bias is not None for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))


def test_weights_fit_whatever_the_dropout() -> None:
    assert TrueSightNet(dropout=0).state_dict().keys() == TrueSightNet().state_dict().keys()


def test_attention_scales_what_the_bottleneck_sees() -> None:
    torch.manual_seed(2)
    net = TrueSightNet(8).eval()
    x = torch.rand(1, 3, 96, 96)
    features = net.encoder(x)
    heads = torch.cat([torch.sigmoid(head(features)) for head in net.attention.heads], dim=1)
    assert heads.shape == (1, 3, 6, 6)
    attention = torch.sigmoid(net.attention.fuse(heads))
    out = net(x)
    torch.testing.assert_close(out.attention, attention)
    torch.testing.assert_close(out.code, net.bottleneck(features * attention))


@pytest.mark.parametrize(("width", "dropout", "said"), [(0, 1.0, "width"), (32, -0.1, "dropout"), (32, 2.5, "dropout")])
def test_impossible_sizes_are_refused(width: int, dropout: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrueSightNet(width, dropout)
