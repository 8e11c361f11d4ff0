"""Compares the rearranged network with the trained one, and scores and alerts of bfloat16 with those of float32."""

import copy
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pytest
import torch

from benchmarks.lib.published_plain import PlainPublished, learn_a_little
from monitor.detector.base import Observation, Precision
from monitor.detector.precision import bfloat16_is_fast, trunk_type
from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.fast_net import FastNet
from monitor.detector.true_sight.published_score import five_sizes
from monitor.detector.true_sight.true_sight_detector import TrueSight
from monitor.errors import UsageError
from monitor.judging.alerting import AlertRule, AlertSettings
from monitor.sources.synthetic.synthetic_scene import FPS, SyntheticScene
from monitor.types import Frame, Image

CPU = torch.device("cpu")
WITH_BFLOAT16 = pytest.mark.skipif(not bfloat16_is_fast(CPU), reason="this CPU only emulates bfloat16")


def street(seed: int, duration_s: float, *, abnormal: bool, per_s: float) -> list[Frame]:
    """The synthetic street of the demo at ``per_s`` frames per second."""
    scene = SyntheticScene(seed=seed, duration_s=duration_s, abnormal=abnormal)
    numbers = [round(step * FPS / per_s) for step in range(int(duration_s * per_s))]
    return [Frame("street", n, n / FPS, scene.render(n)) for n in numbers]


@cache
def normal() -> tuple[Image, ...]:
    return tuple(frame.image for frame in street(11, 24, abnormal=False, per_s=2))


@cache
def trained() -> TrueSightNet:
    # Only what bfloat16 does to scores depends on how much the network has learned.
    return learn_a_little(normal(), steps=30 if bfloat16_is_fast(CPU) else 10)


@cache
def detector(precision: Precision) -> TrueSight:
    return TrueSight.from_network(trained(), variant="published", precision=precision).calibrate(normal())


def scores(found: TrueSight, frames: Sequence[Frame]) -> list[float]:
    return [detection.score for detection in found.score([Observation(frame, None) for frame in frames])]


def alerts(scored: Sequence[float], frames: Sequence[Frame], threshold: float) -> Iterator[tuple[str, float, float]]:
    """(phase, start, time of the peak) of every step of the alert rule."""
    rule = AlertRule(AlertSettings())
    for frame, score in zip(frames, scored, strict=True):
        if (event := rule.update(frame.time_s, score / threshold)) is not None:
            yield event.phase, event.started_s, frame.time_s


def test_the_rearranged_network_is_the_same_function() -> None:
    net, x = trained(), five_sizes(normal()[3])
    with torch.inference_mode():
        o, attention = FastNet(net)(x)
        expected = net(x)
    assert o.is_contiguous()
    torch.testing.assert_close(o, expected.reconstruction, rtol=0, atol=5e-6)
    torch.testing.assert_close(attention, expected.attention, rtol=0, atol=5e-6)


@pytest.mark.parametrize("width", [1, 3])
def test_networks_of_any_width_can_be_rearranged(width: int) -> None:
    torch.manual_seed(width)
    net = TrueSightNet(width).eval()
    x = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(FastNet(net)(x)[0], net(x).reconstruction, rtol=0, atol=5e-6)


@WITH_BFLOAT16
def test_differences_from_a_usual_picture_are_calculated_closer_than_the_pictures_themselves() -> None:
    net, x = trained(), five_sizes(normal()[3])
    usual = torch.cat([five_sizes(image, (96,)) for image in normal()[:8]]).mean(dim=0)
    with torch.inference_mode():
        exact = FastNet(net)(x)[0]
        around = (FastNet(net, torch.bfloat16, usual)(x)[0] - exact).abs().mean()
        rounded = copy.deepcopy(net).to(torch.bfloat16)
        plain = (rounded(x.bfloat16()).reconstruction.float() - exact).abs().mean()
    assert around < plain / 3


def test_what_is_given_is_not_changed() -> None:
    x = five_sizes(normal()[3])
    before, net = x.clone(), trained()
    with torch.inference_mode():
        FastNet(net, torch.bfloat16, x[2])(x)
        FastNet(net)(x)
    assert torch.equal(x, before)


def test_without_a_usual_picture_all_is_in_float32() -> None:
    assert FastNet(trained(), torch.bfloat16).trunk == torch.float32


@WITH_BFLOAT16
def test_bfloat16_changes_scores_by_less_than_a_ten_thousandth_and_no_alert() -> None:
    frames = street(3, 25, abnormal=True, per_s=2)
    exact, fast = (scores(detector(precision), frames) for precision in ("float32", "bfloat16"))
    assert exact != fast
    np.testing.assert_allclose(fast, exact, rtol=0, atol=1e-4)
    held_out = street(12, 12, abnormal=False, per_s=2)
    threshold = float(np.quantile(scores(detector("float32"), held_out), 0.9))
    decided = list(alerts(exact, frames, threshold))
    assert decided
    assert list(alerts(fast, frames, threshold)) == decided


def test_the_fast_path_gives_the_published_scores() -> None:
    plain = PlainPublished(trained())
    frames = street(5, 6, abnormal=True, per_s=2)
    expected = [plain.score(frame.image) for frame in frames]
    np.testing.assert_allclose(scores(detector("float32"), frames), expected, rtol=0, atol=5e-5)
    np.testing.assert_allclose(scores(detector("auto"), frames), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_a_calibrated_detector_scores_the_same_bytes_every_time(precision: Precision) -> None:
    images = normal()[:6]
    one, other = (
        TrueSight.from_network(trained(), variant="published", precision=precision).calibrate(images) for _ in range(2)
    )
    assert one.settings() == other.settings()
    assert one.terms(images).tobytes() == other.terms(images).tobytes()
    assert one.terms(images[::-1])[::-1].tobytes() == one.terms(images).tobytes()


def test_a_model_of_an_earlier_version_has_no_usual_picture_and_is_used_in_float32() -> None:
    tensors = detector("auto").tensors()
    assert tensors["usual"].shape == (3, 96, 96)
    del tensors["usual"]
    old = TrueSight.load(detector("auto").settings(), tensors, "cpu")
    assert "usual" not in old.tensors()
    images = normal()[:2]
    assert old.terms(images).tobytes() == detector("float32").terms(images).tobytes()


def test_bfloat16_is_refused_where_it_is_only_emulated() -> None:
    with pytest.raises(UsageError, match=r"cpu only emulates bfloat16, .*: use float32 or auto"):
        trunk_type("bfloat16", CPU, fast=False)
    assert trunk_type("auto", CPU, fast=False) == torch.float32
    assert trunk_type("float32", CPU, fast=True) == torch.float32
    assert trunk_type("auto", CPU, fast=True) == trunk_type("bfloat16", CPU, fast=True) == torch.bfloat16
