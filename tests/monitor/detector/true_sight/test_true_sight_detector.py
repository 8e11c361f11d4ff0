"""The published model as a detector: its scores, that it is deterministic, and that saving keeps it unchanged."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from monitor.detector.base import Observation
from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.published_score import PUBLISHED_SIZES, five_sizes, published_score, published_terms
from monitor.detector.true_sight.true_sight_detector import TrueSight, Variant
from monitor.errors import ModelError, UsageError
from monitor.types import Detection, Frame, Image

VARIANTS: tuple[Variant, ...] = ("published", "sound")


def pictures(n: int, seed: int = 0, height: int = 61, width: int = 83) -> list[Image]:
    """Smooth grey gradients with a little noise: similar, but never equal."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(60, 160, width)[None, :, None] + np.zeros((height, 1, 3))
    return [np.clip(ramp + rng.normal(0, 6, ramp.shape), 0, 255).astype(np.uint8) for _ in range(n)]


def observations(images: Sequence[Image]) -> list[Observation]:
    return [Observation(Frame("gate", k, float(k), image), None) for k, image in enumerate(images)]


def network(width: int = 4) -> TrueSightNet:
    torch.manual_seed(7)
    net = TrueSightNet(width)
    net(torch.rand(4, 3, 96, 96))  # changes the statistics of the batch norms from their initial values
    return net


def same_bytes(a: Detection, b: Detection) -> bool:
    assert a.anomaly_map is not None
    assert b.anomaly_map is not None
    return (
        np.float64(a.score).tobytes() == np.float64(b.score).tobytes()
        and a.anomaly_map.tobytes() == b.anomaly_map.tobytes()
        and a.reasons == b.reasons
    )


def test_published_score_and_map_are_the_mean_over_the_five_sizes() -> None:
    net = network()
    (image,) = pictures(1)
    (found,) = TrueSight.from_network(net, variant="published", precision="float32").score(observations([image]))
    net.eval()
    scores, errors = [], []
    with torch.inference_mode():
        for size in PUBLISHED_SIZES:
            x = five_sizes(image, (size,))
            o, _, attention = net(x)
            scores.append(published_score(published_terms(x, o, attention)).item())
            errors.append((x - o).abs().mean(dim=(0, 1)).numpy())
    assert found.score == pytest.approx(np.mean(scores), rel=1e-5)
    assert found.anomaly_map is not None
    assert found.anomaly_map.dtype == np.float32
    np.testing.assert_allclose(found.anomaly_map, np.mean(errors, axis=0), rtol=1e-4, atol=1e-6)
    assert found.reasons == ()


def test_sound_score_is_the_largest_patch_error() -> None:
    net = network()
    (image,) = pictures(1)
    patch = 5
    (found,) = TrueSight.from_network(net, variant="sound", patch=patch).score(observations([image]))
    x = five_sizes(image, (96,))
    with torch.inference_mode():
        error = (x - net.eval()(x).reconstruction).abs().mean(dim=(0, 1)).numpy()
    mirrored = np.pad(error, patch // 2, mode="symmetric")
    slow = np.array([[mirrored[r : r + patch, c : c + patch].mean() for c in range(96)] for r in range(96)])
    assert found.anomaly_map is not None
    np.testing.assert_allclose(found.anomaly_map, slow, rtol=1e-4)
    assert found.score == found.anomaly_map.max() == pytest.approx(slow.max(), rel=1e-4)


def test_calibrated_sound_map_counts_deviations_from_what_is_usual_at_each_place() -> None:
    detector = TrueSight.from_network(network(), variant="sound")
    normal = pictures(40, seed=1)
    maps = np.stack([d.anomaly_map for d in detector.score(observations(normal)) if d.anomaly_map is not None])
    (probe,) = pictures(1, seed=2)
    probe[10:40, 50:70] = 255  # a white box, upper right of the middle
    (plain,) = detector.score(observations([probe]))
    (found,) = detector.calibrate(iter(normal)).score(observations([probe]))
    assert plain.anomaly_map is not None
    assert found.anomaly_map is not None
    expected = (plain.anomaly_map - maps.mean(axis=0)) / (maps.std(axis=0) + 1 / 1020)
    np.testing.assert_allclose(found.anomaly_map, expected, rtol=0.02, atol=0.02)
    row, column = np.unravel_index(int(found.anomaly_map.argmax()), (96, 96))
    assert 10 * 96 / 61 - 6 <= row <= 40 * 96 / 61 + 6
    assert 50 * 96 / 83 - 6 <= column <= 70 * 96 / 83 + 6
    usual = [d.score for d in detector.calibrate(normal).score(observations(pictures(20, seed=3)))]
    assert found.score > 2 * max(usual)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_frame_scores_the_same_bytes_whatever_else_is_in_the_batch(variant: Variant) -> None:
    images = pictures(5)
    detector = TrueSight.from_network(network(), variant=variant).calibrate(pictures(4, seed=9))
    together = detector.score(observations(images))
    backwards = detector.score(observations(images[::-1]))[::-1]
    alone = [detector.score(observations([image]))[0] for image in images]
    for a, b, c in zip(together, backwards, alone, strict=True):
        assert same_bytes(a, b)
        assert same_bytes(a, c)
    assert len({d.score for d in together}) == 5


@pytest.mark.parametrize("variant", VARIANTS)
def test_stored_and_loaded_detector_scores_the_same_bytes(variant: Variant) -> None:
    detector = TrueSight.from_network(network(), variant=variant, sizes=(96, 80)).calibrate(pictures(4))
    settings = json.loads(json.dumps(detector.settings()))
    tensors = {key: np.frombuffer(v.tobytes(), v.dtype).reshape(v.shape) for key, v in detector.tensors().items()}
    loaded = TrueSight.load(settings, tensors, "cpu")
    images = observations(pictures(3, seed=4))
    for a, b in zip(detector.score(images), loaded.score(images), strict=True):
        assert same_bytes(a, b)
    assert loaded.settings() == detector.settings()
    assert ("error_mean" in tensors) == (variant == "sound")


def test_loading_leaves_the_random_state_alone() -> None:
    detector = TrueSight.from_network(network(), variant="sound")
    before = torch.random.get_rng_state()
    TrueSight.load(detector.settings(), detector.tensors(), "cpu")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_trained_network_is_copied() -> None:
    net = network().train()
    detector = TrueSight.from_network(net, variant="sound")
    images = observations(pictures(1))
    (before,) = detector.score(images)
    assert net.training
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    (after,) = detector.score(images)
    assert same_bytes(before, after)


def test_terms_are_averaged_over_sizes_and_calibration_stores_their_statistics() -> None:
    plain = TrueSight.from_network(network(), variant="published")
    images = pictures(11)
    detector = plain.calibrate(images)
    terms = detector.terms(images)
    assert terms.shape == (11, 7)
    assert terms.dtype == np.float32
    weighted = published_score(torch.from_numpy(terms)).numpy()
    scores = [d.score for d in detector.score(observations(images))]
    np.testing.assert_allclose(scores, weighted, rtol=1e-6)
    settings = detector.settings()
    np.testing.assert_allclose(settings["term_means"], terms.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(settings["term_stds"], terms.std(axis=0, dtype=np.float64), rtol=1e-9)
    assert plain.settings()["term_means"] is None


def test_reasons_name_the_terms_that_rose_strongest_first() -> None:
    detector = TrueSight.from_network(network(), variant="published").calibrate(pictures(20, seed=1))
    settings = detector.settings()
    (strange,) = pictures(1, seed=2)
    strange[::4] = 255
    (found,) = detector.score(observations([strange]))
    assert found.reasons
    means, stds = np.array(settings["term_means"]), np.array(settings["term_stds"])
    deviations = (detector.terms([strange])[0] - means) / stds
    assert len(found.reasons) == (deviations > 2).sum()
    words = ("(L1)", "(L2)", "(Max)", "(Attention)", "(Std)", "(Freq)", "(Peak)")
    order = [next(k for k, word in enumerate(words) if word in reason.term) for reason in found.reasons]
    assert [deviations[k] for k in order] == sorted((d for d in deviations if d > 2), reverse=True)
    for k, reason in zip(order, found.reasons, strict=True):
        assert reason.usual == pytest.approx(means[k] + 2 * stds[k])
        assert reason.value > reason.usual
    assert ", usual here up to " in str(found.reasons[0])


def test_a_normal_frame_mostly_needs_no_reasons() -> None:
    detector = TrueSight.from_network(network(), variant="published").calibrate(pictures(30, seed=1))
    found = detector.score(observations(pictures(10, seed=2)))
    assert sum(bool(d.reasons) for d in found) <= 4


def test_default_sizes_follow_the_variant_and_nothing_is_remembered() -> None:
    published = TrueSight.from_network(network(), variant="published")
    sound = TrueSight.from_network(network(), variant="sound")
    assert published.settings()["sizes"] == list(PUBLISHED_SIZES)
    assert sound.settings()["sizes"] == [96]
    published.new_stream()
    assert published.score([]) == []


def test_frames_of_different_sizes_share_a_batch() -> None:
    detector = TrueSight.from_network(network(), variant="published")
    mixed = [*pictures(1), *pictures(1, height=97, width=40), *pictures(1, height=1, width=2)]
    found = detector.score(observations(mixed))
    assert all(np.isfinite(d.score) for d in found)
    assert same_bytes(found[1], detector.score(observations(mixed[1:2]))[0])


def test_calibration_needs_two_frames() -> None:
    detector = TrueSight.from_network(network(), variant="sound")
    with pytest.raises(UsageError, match="at least 2 held-out normal frames, got 1"):
        detector.calibrate(pictures(1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "red"}, "colour"),
        ({"variant": "best"}, "variant"),
        ({"sizes": []}, "sizes"),
        ({"sizes": [96, 3]}, "sizes.1"),
        ({"patch": 97}, "patch"),
        ({"width": 0}, "width"),
        ({"term_means": [1.0] * 6}, "term_means"),
        ({"term_stds": [float("nan")] * 7}, "term_stds"),
    ],
)
def test_wrong_settings_are_named(change: dict[str, object], said: str) -> None:
    detector = TrueSight.from_network(network(), variant="sound")
    with pytest.raises(ModelError, match=f"setting '{said}"):
        TrueSight.load({**detector.settings(), **change}, detector.tensors(), "cpu")


def test_wrong_tensors_are_named() -> None:
    detector = TrueSight.from_network(network(), variant="sound").calibrate(pictures(2))
    settings, tensors = detector.settings(), detector.tensors()
    weight = "network.encoder.0.0.weight"
    broken = tensors[weight].copy()
    broken[0] = np.nan
    for changed, said in [
        ({key: v for key, v in tensors.items() if key != weight}, f"lacks the tensor '{weight}'"),
        ({key: v for key, v in tensors.items() if key != "error_std"}, "lacks the tensor 'error_std'"),
        ({**tensors, "extra": np.zeros(3)}, "unknown tensor 'extra'"),
        ({**tensors, weight: tensors[weight][:2]}, f"'{weight}' is .* and should be"),
        ({**tensors, weight: tensors[weight].astype(np.float64)}, f"'{weight}' is .* float64 and should be"),
        ({**tensors, weight: broken}, f"'{weight}' holds values"),
    ]:
        with pytest.raises(ModelError, match=said):
            TrueSight.load(settings, changed, "cpu")


def test_a_network_of_another_width_is_refused() -> None:
    small, large = (TrueSight.from_network(network(width), variant="sound") for width in (4, 8))
    with pytest.raises(ModelError, match="should be"):
        TrueSight.load(large.settings(), small.tensors(), "cpu")


@pytest.mark.parametrize("device", ["tpu", "mps", ""])
def test_a_device_that_does_not_exist_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match="is not a device: use cpu"):
        TrueSight.from_network(network(), variant="sound", device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
def test_without_a_gpu_cuda_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="this machine has no CUDA device: run with --device cpu"):
        TrueSight.from_network(network(), variant="sound", device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_scores_equal_the_cpu_and_do_not_depend_on_the_batch() -> None:
    images = pictures(11)
    made = {device: TrueSight.from_network(network(), variant="published", device=device) for device in ("cpu", "cuda")}
    reference = made["cpu"].score(observations(images))
    detector = made["cuda"].calibrate(images)
    together = detector.score(observations(images))
    for image, a, b in zip(images, together, reference, strict=True):
        assert same_bytes(a, detector.score(observations([image]))[0])
        assert a.score == pytest.approx(b.score, abs=1e-4)
