"""Every detector fulfils the contract of ``monitor.detector.base``, each on its own small scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from monitor.detector.appearance.appearance_detector import Appearance
from monitor.detector.base import Detector, Observation, Tensors
from monitor.detector.motion.motion_detector import Motion
from monitor.detector.registry import REGISTRY, detector_class
from monitor.detector.scene.picture_memory import Pictures
from monitor.detector.scene.scene_detector import Scene
from monitor.detector.static_detector import StaticAge
from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.published_score import Term
from monitor.detector.true_sight.true_sight_detector import TERM_NAMES, TrueSight, Variant
from monitor.detector.true_sight2 import true_sight2_detector
from monitor.detector.true_sight2.clip_inputs import CHANNELS
from monitor.detector.true_sight2.clip_net import ClipNet
from monitor.detector.true_sight2.true_sight2_detector import TrueSight2, TrueSight2Settings
from monitor.errors import ModelError
from monitor.states import Reason
from monitor.stream.regimes import Regime, small_picture
from monitor.testing.detector_case import DetectorCase
from monitor.testing.detector_contract import DETECTOR_CHECKS, DetectorCheck
from monitor.testing.detector_storing import check_foreign_parts
from monitor.testing.fakes import Brightness, frame
from monitor.types import Detection, Frame, Image
from tests.helpers.gliding import clip, ground, picture

pytestmark = pytest.mark.usefixtures("one_torch_thread")

DAY_S = 86_400.0


def named(camera: str, frames: Sequence[Frame], later_s: float = 0.0) -> list[Frame]:
    return [Frame(camera, frame.index, later_s + frame.time_s, frame.image) for frame in frames]


@cache
def normal() -> list[list[Frame]]:
    """A block that moves to the right at 20 px/s."""
    return [clip(20.0, 5.0, start) for start in (0.0, 53.0, 90.0)]


@cache
def watched() -> list[list[Frame]]:
    """One camera shows the usual motion. Another one shows a block that moves fast, and to the left."""
    return [named("calm", clip(20.0, 1.0)), named("fast", clip(-70.0, 1.0, start=90.0, row=20), later_s=0.03)]


def stands(seconds: float, from_s: float) -> list[Frame]:
    """A block that moves, and stops at ``from_s``."""
    times = np.arange(round(seconds * 10)) / 10
    return [Frame("a", i, float(t), picture(20.0 * min(t, from_s) + 30.0)) for i, t in enumerate(times)]


def brightness() -> DetectorCase:
    dark = [Frame("dark", frame.index, frame.time_s, frame.image // 4) for frame in clip(20.0, 1.2)]
    return DetectorCase(Brightness(), [*watched(), dark])


def motion() -> DetectorCase:
    def strength(reason: Reason) -> float:
        return reason.value / max(reason.usual, 5.0 if reason.unit == "px/s" else 10.0)

    return DetectorCase(Motion.fit(normal()), watched(), strength)


def appearance() -> DetectorCase:
    return DetectorCase(Appearance.fit(normal()).with_auc(0.8), watched())


def static() -> DetectorCase:
    clips = [named("calm", clip(20.0, 2.0)), named("left", stands(8.0, from_s=1.0), later_s=0.03)]
    return DetectorCase(StaticAge.fit(normal()), clips)


def changed(frames: Sequence[Frame], from_s: float) -> list[Frame]:
    """The frames, with a large dark object from ``from_s`` on."""

    def paint(image: Image) -> Image:
        image = image.copy()
        image[30:80, 60:130] = 15
        return image

    return [Frame(f.camera, f.index, f.time_s, paint(f.image) if f.time_s >= from_s else f.image) for f in frames]


def scene(pieces: Sequence[Sequence[Frame]]) -> DetectorCase:
    clips = [named("calm", clip(20.0, 4.0)), named("changed", changed(clip(20.0, 4.0), 1.0), later_s=0.03)]
    return DetectorCase(Scene.fit(pieces), clips)


def scene_patches() -> DetectorCase:
    return scene(normal())


def scene_states() -> DetectorCase:
    return scene([named("a", frames, later_s=0.4 * number * DAY_S) for number, frames in enumerate(normal())])


def scene_pictures() -> DetectorCase:
    frames = [frame for piece in normal() for frame in piece]
    exemplars = np.stack([small_picture(frame.small.sample) for frame in frames[::5]]).astype(np.float16)
    detector = Scene.of_pictures(Pictures(exemplars, 5.0), dict.fromkeys(Regime, len(frames)))
    return replace(scene(normal()), detector=detector, whole=True)


def true_sight(variant: Variant) -> DetectorCase:
    torch.manual_seed(7)
    net = TrueSightNet(4)
    net(torch.rand(4, 3, 96, 96))  # changes the statistics of the batch norms from their initial values
    images = [frame.image for frame in normal()[0]]
    detector = TrueSight.from_network(net, variant=variant, sizes=(96, 64)).calibrate(images)
    settings = detector.settings()
    usual = {TERM_NAMES[t]: (settings["term_means"][t], settings["term_stds"][t]) for t in Term}

    def strength(reason: Reason) -> float:
        mean, std = usual[reason.term]
        return float((reason.value - mean) / max(std, 1e-12))

    return DetectorCase(detector, [frames[:8] for frames in watched()], strength, frozenset({"usual"}))


def true_sight2() -> DetectorCase:
    torch.manual_seed(3)
    net = ClipNet(CHANNELS, 4)
    net(torch.randn(4, CHANNELS, 96, 160))  # changes the statistics of the batch norms from their initial values
    learned = true_sight2_detector.Scene(ground().astype(np.float32), np.full((6, 10), 10, np.float32))
    detector = TrueSight2(net, TrueSight2Settings(width=4), learned).with_usual(-9.0, (-9.0, -9.0, -9.0)).with_auc(0.9)
    return DetectorCase(detector, watched())


CASES: dict[str, Callable[[], DetectorCase]] = {
    "brightness": brightness,
    "motion": motion,
    "static": static,
    "appearance": appearance,
    "scene, patches": scene_patches,
    "scene, states": scene_states,
    "scene, pictures": scene_pictures,
    "true-sight, published": lambda: true_sight("published"),
    "true-sight, sound": lambda: true_sight("sound"),
    "true-sight-2": true_sight2,
}


@cache
def case(name: str) -> DetectorCase:
    return CASES[name]()


@pytest.mark.parametrize("check", DETECTOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CASES)
def test_a_detector_keeps_its_promises(name: str, check: DetectorCheck) -> None:
    check(case(name))


@pytest.mark.parametrize("name", [name for name in CASES if name != "brightness"])
def test_a_detector_refuses_what_it_does_not_know(name: str) -> None:
    check_foreign_parts(case(name))


def test_a_calibrated_detector_without_its_statistics_is_refused() -> None:
    """Without its statistics, its scores would have other units."""
    detector = case("true-sight, sound").detector
    left = {name: tensor for name, tensor in detector.tensors().items() if not name.startswith("error_")}
    with pytest.raises(ModelError, match="lacks the tensor 'error_mean'"):
        TrueSight.load(detector.settings(), left, "cpu")


def test_no_detector_of_the_registry_is_left_out() -> None:
    kinds = {type(case(name).detector) for name in CASES}
    assert {detector_class(name) for name in REGISTRY} == kinds - {Brightness}


def scored(name: str, frames: Sequence[Frame]) -> list[Detection]:
    detector = case(name).detector
    stream = detector.new_stream()
    return detector.score([Observation(frame, stream) for frame in frames])


@pytest.mark.parametrize("name", CASES)
def test_the_small_scene_is_worth_checking(name: str) -> None:
    """Each detector gives a map and a reason on its scene."""
    found = [detection for clip in case(name).clips for detection in scored(name, clip)]
    assert any(detection.anomaly_map is not None for detection in found)
    assert any(detection.reasons for detection in found)


# The checks themselves


class Broken(Brightness):
    """Measures brightness. With a fault, it violates one part of the contract."""

    seen = 0

    def __init__(self, fault: str = "load") -> None:
        self.fault = fault

    def new_stream(self) -> list[int]:
        return [Broken.seen] if self.fault == "fresh" else [0]

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        Broken.seen += len(batch)
        found = super().score(batch)
        if self.fault == "pictures" and batch:
            batch[0].frame.image[0, 0] += 1
        if self.fault == "count" and len(batch) > 2:
            return found[:-1]
        return [self.spoiled(one, len(batch), observation) for one, observation in zip(found, batch, strict=True)]

    def spoiled(self, one: Detection, size: int, observation: Observation) -> Detection:
        if self.fault == "batch":
            return Detection(one.score + 1e-9 * size, one.anomaly_map, one.reasons)
        if self.fault == "cameras":
            return Detection(one.score + 1e-9 * Broken.seen, one.anomaly_map, one.reasons)
        if self.fault == "fresh":
            return Detection(one.score + 1e-9 * observation.stream[0], one.anomaly_map, one.reasons)
        if self.fault == "map":
            return Detection(one.score, np.full((2, 2), np.inf, np.float32))
        if self.fault == "infinite":
            return Detection(float("inf"))
        if self.fault == "reasons":
            return Detection(one.score, reasons=(Reason("light", 1.0, 2.0),))
        if self.fault == "load":
            return Detection(one.score + 1.0)
        return one

    def settings(self) -> dict[str, Any]:
        return {"level": np.float32(1)} if self.fault == "settings" else {}

    def tensors(self) -> Tensors:
        return {"one": np.zeros(2, np.float32)} if self.fault == "tensors" else {}

    def on_cpu(self) -> Detector:
        return Broken(self.fault) if self.fault == "cpu" else self


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("pictures", "scoring changes the picture"),
        ("count", "detections"),
        ("batch", "in batches of 3, frame 0 has another score"),
        ("cameras", "has another score"),
        ("fresh", "with a fresh stream after another clip, frame 0 has another score"),
        ("map", "not finite"),
        ("infinite", "the score is infinite"),
        ("reasons", "is not above its usual value"),
        ("settings", "cannot be stored as JSON"),
        ("tensors", "accepts the detector without the tensor 'one'"),
        ("sound", "after loading, frame 0 has another score"),
        ("cpu", "on_cpu of a detector on the CPU gives another one"),
    ],
)
def test_a_broken_promise_is_found(fault: str, sentence: str) -> None:
    clips = [[frame(0.1 * number, 20 * light + number, name) for number in range(9)] for light, name in enumerate("ab")]
    found = []
    for check in DETECTOR_CHECKS:
        try:
            check(DetectorCase(Broken(fault), clips))
        except AssertionError as error:
            found.append(str(error))
    assert any(sentence in text for text in found), found
