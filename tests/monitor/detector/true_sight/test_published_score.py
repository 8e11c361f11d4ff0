"""Compares the terms with a slow, simple NumPy reference, and the resizing with Pillow."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage

from monitor.detector.true_sight.published_score import (
    PUBLISHED_SIZES,
    PUBLISHED_WEIGHTS,
    Term,
    five_sizes,
    published_score,
    published_terms,
    spread,
)
from monitor.types import Image

Array = NDArray[np.float64]


def slow_up(plane: Array, height: int, width: int) -> Array:
    """Bilinear resize of one plane, pixel by pixel, align_corners=False, edges repeated."""
    h, w = plane.shape
    out = np.zeros((height, width))
    for row in range(height):
        y = max((row + 0.5) * h / height - 0.5, 0.0)
        y0 = int(y)
        y1 = min(y0 + 1, h - 1)
        for column in range(width):
            x = max((column + 0.5) * w / width - 0.5, 0.0)
            x0 = int(x)
            x1 = min(x0 + 1, w - 1)
            top = plane[y0, x0] * (1 - (x - x0)) + plane[y0, x1] * (x - x0)
            bottom = plane[y1, x0] * (1 - (x - x0)) + plane[y1, x1] * (x - x0)
            out[row, column] = top * (1 - (y - y0)) + bottom * (y - y0)
    return out


def slow_dft2(plane: Array) -> NDArray[np.complex128]:
    """The left half of an unnormalised 2-D Fourier transform by its definition."""
    h, w = plane.shape
    rows = np.exp(-2j * np.pi * np.outer(np.arange(h), np.arange(h)) / h)
    columns = np.exp(-2j * np.pi * np.outer(np.arange(w), np.arange(w // 2 + 1)) / w)
    return np.asarray(rows @ plane @ columns)


def slow_std(plane: Array) -> float:
    n = plane.size
    mean = sum(plane.flat) / n
    return float(np.sqrt(sum((value - mean) ** 2 for value in plane.flat) / (n - 1)))


def slow_terms(x: Array, o: Array, attention: Array) -> list[float]:
    """The published definitions for one picture, (C, H, W) and (h, w)."""
    channels, height, width = x.shape
    n = x.size
    error = np.abs(x - o)
    up = slow_up(attention, height, width)
    magnitudes = [np.abs(slow_dft2(x[c]) - slow_dft2(o[c])) for c in range(channels)]
    return [
        sum(error.flat) / n,
        sum(((x - o) ** 2).flat) / n,
        max(error.flat),
        sum((error[c] * up).sum() for c in range(channels)) / n,
        abs(
            sum(slow_std(x[c]) for c in range(channels)) / channels
            - sum(slow_std(o[c]) for c in range(channels)) / channels
        ),
        sum(m.sum() for m in magnitudes) / sum(m.size for m in magnitudes),
        abs(sum(x[c].max() for c in range(channels)) / channels - sum(o[c].max() for c in range(channels)) / channels),
    ]


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((3, 96, 96), (6, 6)), ((3, 95, 97), (6, 6)), ((3, 17, 30), (5, 3)), ((1, 8, 9), (1, 1)), ((2, 33, 2), (4, 7))],
)
def test_each_term_equals_the_slow_reference(shape: tuple[int, int, int], grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    x = rng.random((2, *shape))
    o = np.clip(0.8 * x + 0.3 * rng.random((2, *shape)) ** 3, 0, 1)
    attention = rng.random((2, 1, *grid))
    expected = np.array([slow_terms(x[b], o[b], attention[b, 0]) for b in range(2)])

    exact = published_terms(torch.tensor(x), torch.tensor(o), torch.tensor(attention))
    np.testing.assert_allclose(exact.numpy(), expected, rtol=1e-11, atol=1e-13)

    single = published_terms(torch.tensor(x).float(), torch.tensor(o).float(), torch.tensor(attention).float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), expected, rtol=2e-5, atol=2e-7)


def test_terms_of_a_perfect_reconstruction_are_zero() -> None:
    x = torch.rand(1, 3, 95, 97)
    assert published_terms(x, x.clone(), torch.ones(1, 1, 6, 6)).abs().max() == 0


def test_terms_do_not_depend_on_the_memory_layout() -> None:
    torch.manual_seed(3)
    x, o, attention = torch.rand(2, 3, 96, 96), torch.rand(2, 3, 96, 96), torch.rand(2, 1, 6, 6)
    last = published_terms(x.contiguous(memory_format=torch.channels_last), o, attention)
    torch.testing.assert_close(last, published_terms(x, o, attention), rtol=1e-5, atol=1e-7)


def test_score_is_the_published_weighted_sum() -> None:
    assert sum(PUBLISHED_WEIGHTS) == pytest.approx(1.0)
    terms = torch.tensor([[1, 2, 3, 4, 5, 6, 7], [0, 0, 1, 0, 0, 0, 0]], dtype=torch.float64)
    by_hand = 0.26 * 1 + 0.22 * 2 + 0.21 * 3 + 0.15 * 4 + 0.08 * 5 + 0.06 * 6 + 0.02 * 7
    np.testing.assert_allclose(published_score(terms).numpy(), [by_hand, 0.21], rtol=1e-14)
    assert [term.name for term in Term] == ["L1", "L2", "MAX", "ATTENTION", "STD", "FREQ", "PEAK"]


def test_attention_is_spread_bilinearly() -> None:
    attention = torch.rand(1, 1, 6, 6, dtype=torch.float64)
    np.testing.assert_allclose(spread(attention, 95, 97)[0, 0], slow_up(attention[0, 0].numpy(), 95, 97), rtol=1e-12)


def picture(height: int, width: int, kind: str) -> Image:
    rng = np.random.default_rng(height * width)
    if kind == "noise":
        return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 127 * np.sin(x / (7 + 5 * c)) * np.cos(y / (11 - 3 * c)) for c in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("kind", ["noise", "waves"])
@pytest.mark.parametrize("shape", [(360, 640), (720, 1280), (359, 641), (97, 95), (240, 101), (40, 50), (3, 1)])
def test_resizing_is_within_one_grey_level_of_pillow(shape: tuple[int, int], kind: str) -> None:
    image = picture(*shape, kind)
    views = five_sizes(image)
    assert views.shape == (5, 3, 96, 96)
    assert views.dtype == torch.float32
    bilinear = PillowImage.Resampling.BILINEAR
    pillow = PillowImage.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
    for view, size in zip(views.numpy(), PUBLISHED_SIZES, strict=True):
        # Width first, as in older versions of Pillow. The latest ones choose the order by cost and round differently.
        small = pillow.resize((size, shape[0]), bilinear).resize((size, size), bilinear)
        expected = np.stack([slow_up(np.asarray(small)[:, :, c] / 255, 96, 96) for c in range(3)])
        difference = np.abs(view - expected) * 255
        assert difference.max() <= 1.01  # one grey level, if the two round differently
        assert difference.mean() <= 0.03  # which is rare


def test_the_size_of_the_network_is_only_resized_once() -> None:
    image = picture(96, 96, "noise")
    (view,) = five_sizes(image, (96,))
    np.testing.assert_array_equal(view.numpy(), image[:, :, ::-1].transpose(2, 0, 1).astype(np.float32) / 255)


def test_read_only_and_mirrored_views_are_accepted() -> None:
    image = picture(60, 80, "noise")
    expected = five_sizes(image[:, ::-1].copy())
    locked = image.copy()
    locked.flags.writeable = False
    assert torch.equal(five_sizes(locked[:, ::-1]), expected)
    assert torch.equal(five_sizes(locked), five_sizes(image))
