"""Batches as on a GPU, tested on the CPU: resizing as matrix products, one batch shape, too little memory."""

import logging
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from monitor.detector.precision import exact
from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.device_batch import (
    Batches,
    DeviceScorer,
    DeviceViews,
    ViewScorer,
    bilinear_weights,
    pieces,
    pillow_weights,
    tensor_cores,
)
from monitor.detector.true_sight.fast_net import FastNet
from monitor.detector.true_sight.published_score import PUBLISHED_SIZES, five_sizes
from monitor.types import Image

CPU = torch.device("cpu")


def pictures(count: int, height: int, width: int) -> list[Image]:
    rng = np.random.default_rng(height + width)
    waves = np.sin(np.arange(width) / 9)[None, :, None] * np.cos(np.arange(height) / 7)[:, None, None]
    noisy = [120 + 90 * waves + rng.normal(0, 12, (height, width, 3)) for _ in range(count)]
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in noisy]


def network() -> FastNet:
    torch.manual_seed(7)
    net = TrueSightNet(4)
    net(torch.rand(4, 3, 96, 96))
    return FastNet(net.eval())


@pytest.mark.parametrize(("inputs", "outputs"), [(640, 80), (359, 112), (97, 96), (50, 104), (1, 8)])
def test_weights_of_a_line_are_pillows(inputs: int, outputs: int) -> None:
    line = np.random.default_rng(inputs).integers(0, 256, (1, inputs), np.uint8)
    found = np.floor(pillow_weights(inputs, outputs) @ line[0] + 0.5)
    expected = PillowImage.fromarray(line).resize((outputs, 1), PillowImage.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(expected)[0])


def test_the_pieces_of_the_weights_are_exact_in_tf32() -> None:
    weights = pillow_weights(1280, 112)
    high, low = pieces(weights)
    np.testing.assert_array_equal(high + low, weights)
    for piece in (high, low):
        bits = piece.astype(np.float32).view(np.uint32)
        assert not (bits & ((1 << 13) - 1)).any(), "only bits that TF32 has"


def test_short_numbers_are_allowed_for_the_resizes_alone() -> None:
    with exact(torch.device("cuda")), tensor_cores(use=True):
        assert torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_plain_bilinear_weights_are_torchs() -> None:
    x = torch.rand(1, 1, 80)
    expected = torch.nn.functional.interpolate(x, size=96, mode="linear", align_corners=False)[0, 0]
    torch.testing.assert_close(torch.from_numpy(bilinear_weights(80, 96)) @ x[0, 0], expected)


@pytest.mark.parametrize("shape", [(360, 640), (241, 319), (96, 96), (40, 50), (720, 1280)])
def test_views_made_by_products_are_pillows(shape: tuple[int, int]) -> None:
    images = pictures(2, *shape)
    views = DeviceViews(shape, PUBLISHED_SIZES, CPU)(torch.from_numpy(np.stack(images)))
    assert views.shape == (10, 3, 96, 96)
    bilinear = PillowImage.Resampling.BILINEAR
    for number, (image, size) in enumerate((image, size) for image in images for size in PUBLISHED_SIZES):
        picture = PillowImage.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
        # Width first, as in older versions of Pillow. The latest ones choose the order by cost and round differently.
        small = picture.resize((size, shape[0]), bilinear).resize((size, size), bilinear)
        x = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None] / 255
        expected = torch.nn.functional.interpolate(x, size=(96, 96), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(views[number], expected, rtol=0, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_views_are_the_same_on_a_gpu() -> None:
    frames = torch.from_numpy(np.stack(pictures(8, 360, 640)))
    here, there = (
        DeviceViews((360, 640), PUBLISHED_SIZES, device)(frames.to(device)) for device in (CPU, torch.device("cuda"))
    )
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=1e-6)


def test_frames_of_several_shapes_keep_their_order_and_their_scores() -> None:
    net, few = network(), pictures(5, 60, 90)
    mixed = [few[0], *pictures(1, 96, 128), few[1], few[2], *pictures(1, 97, 40), few[3], few[4]]
    scorer = DeviceScorer(net, PUBLISHED_SIZES, CPU, frames=3)
    found = scorer(mixed)
    plain = ViewScorer(net, len(PUBLISHED_SIZES))
    with torch.inference_mode():
        expected = [plain(five_sizes(image)) for image in mixed]
    torch.testing.assert_close(found.terms, torch.cat([e.terms for e in expected]), rtol=0, atol=2e-2)
    torch.testing.assert_close(found.error, torch.cat([e.error for e in expected]), rtol=0, atol=5e-3)
    backwards = scorer(mixed[::-1])
    torch.testing.assert_close(backwards.terms.flip(0), found.terms, rtol=1e-5, atol=1e-6)


class SmallMemory:
    """A task for which only this many items fit into the memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.sizes: list[int] = []

    def __call__(self, items: Sequence[Image], frames: int) -> list[int]:
        self.sizes.append(frames)
        if frames > self._most:
            raise torch.OutOfMemoryError("as on a small GPU")
        return [int(item[0, 0, 0]) for item in items]


def numbered(count: int) -> list[Image]:
    return [np.full((1, 1, 3), number, np.uint8) for number in range(count)]


def test_batches_are_halved_until_they_fit_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    batches, work = Batches(8, "cuda:0"), SmallMemory(3)
    with caplog.at_level(logging.WARNING):
        assert list(batches.run(numbered(5), work)) == [0, 1, 2, 3, 4]
        assert list(batches.run(numbered(3), work)) == [0, 1, 2]
    assert work.sizes == [8, 4, 2, 2, 2, 2, 2]
    assert [record.message for record in caplog.records] == [
        "cuda:0 has too little memory for 8 frames at once: using smaller batches from now on"
    ]


def test_too_little_memory_for_one_frame_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        list(Batches(2, "cuda:0").run(numbered(1), SmallMemory(0)))
