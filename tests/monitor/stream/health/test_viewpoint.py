"""The usual views of a camera: learned from footage, stored in the model folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from monitor.detector.registry import REGISTRY
from monitor.errors import ModelError, UsageError
from monitor.model.model_store import load_model, save_model
from monitor.stream.health.viewpoint import Viewpoint
from monitor.testing.fakes import Brightness, held_out, provenance
from monitor.types import Frame, Image

RNG = np.random.default_rng(2)


def scene(seed: int) -> Image:
    noise = np.random.default_rng(seed).integers(0, 256, (180, 320, 3), np.uint8)
    spread = np.asarray(cv2.GaussianBlur(noise, (0, 0), 4), np.float32)
    return np.asarray((spread - spread.min()) / (spread.max() - spread.min()) * 255, np.uint8)


def clip(pictures: Sequence[Image], fps: float = 2.0) -> list[Frame]:
    return [Frame("cam", index, index / fps, picture) for index, picture in enumerate(pictures)]


def grey(image: Image) -> Image:
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)


ROOM = scene(1)


def test_who_walks_by_leaves_no_trace() -> None:
    pictures = []
    for index in range(40):
        picture = ROOM.copy()
        picture[60:120, 8 * index : 8 * index + 30] = 0
        pictures.append(picture)
    learned, empty = Viewpoint.learn([clip(pictures)]), Viewpoint.learn([clip([ROOM] * 40)])
    assert len(learned) == 1
    assert np.array_equal(learned.thumbnails, empty.thumbnails)
    assert empty.likeness[0] == pytest.approx(1.0)
    assert 0.5 < learned.likeness[0] < 1.0


def test_day_infrared_and_a_clip_of_another_place_are_views_of_their_own_the_usual_one_first() -> None:
    clips = [clip([ROOM] * 80), clip([grey(255 - ROOM)] * 40), clip([scene(5)] * 20)]
    viewpoint = Viewpoint.learn(clips)
    assert len(viewpoint) == 3
    whole = cv2.resize(ROOM, (80, 45), interpolation=cv2.INTER_AREA)
    assert np.abs(viewpoint.thumbnails[0].astype(int) - whole).max() <= 1


def test_a_clip_in_which_infrared_switches_on_shows_two_views() -> None:
    assert len(Viewpoint.learn([clip([*[ROOM] * 20, *[grey(ROOM)] * 20])])) in (1, 2)
    assert len(Viewpoint.learn([clip([*[ROOM] * 15, *[grey(255 - ROOM)] * 25])])) == 2


def test_corrupted_footage_does_not_make_a_flipped_view_usual() -> None:
    upside_down = np.ascontiguousarray(ROOM[::-1, ::-1])
    assert len(Viewpoint.learn([clip([ROOM] * 60), clip([upside_down] * 40)])) == 1


def test_a_dark_room_is_one_view_however_noisy() -> None:
    dark = [RNG.integers(0, 4, ROOM.shape, np.uint8) for _ in range(200)]
    assert len(Viewpoint.learn([clip(dark)])) == 1


def test_at_most_eight_views_are_kept() -> None:
    viewpoint = Viewpoint.learn(clip([scene(seed)] * 5) for seed in range(12))
    assert len(viewpoint) == 8


def test_what_was_measured_is_the_camera_s() -> None:
    noisy = [np.clip(ROOM + RNG.normal(0, 10, ROOM.shape), 0, 255).astype(np.uint8) for _ in range(10)]
    soft = np.asarray(cv2.GaussianBlur(ROOM, (0, 0), 3), np.uint8)
    assert Viewpoint.learn([clip(noisy)]).noise[0] > Viewpoint.learn([clip([ROOM] * 10)]).noise[0] + 3
    assert Viewpoint.learn([clip([soft] * 10)]).sharpness[0] < Viewpoint.learn([clip([ROOM] * 10)]).sharpness[0]


@pytest.mark.parametrize("clips", [[], [[]]])
def test_no_frames_are_refused(clips: list[list[Frame]]) -> None:
    with pytest.raises(UsageError, match="give normal footage"):
        Viewpoint.learn(clips)


# In the model folder


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGISTRY, "brightness", "monitor.testing.fakes:Brightness")


def test_a_model_folder_keeps_it_and_one_without_it_has_none(tmp_path: Path) -> None:
    viewpoint = Viewpoint.learn([clip([ROOM] * 20), clip([scene(5)] * 20)])
    for given in (viewpoint, None):
        save_model(tmp_path / "model", "street", [Brightness()], held_out(), provenance(), viewpoint=given)
        found = load_model(tmp_path / "model").viewpoint
        if given is None:
            assert found is None
        else:
            assert found is not None
            for name, array in given.tensors().items():
                assert np.array_equal(found.tensors()[name], array)
                assert found.tensors()[name].dtype == array.dtype


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda t: {k: v for k, v in t.items() if k != "noise"}, "its viewpoint holds"),
        (lambda t: {**t, "noise": t["noise"].astype(np.float64)}, "its viewpoint's noise are float64"),
        (lambda t: {**t, "noise": np.ones(2, np.float32)}, "its viewpoint's noise are float32"),
        (lambda t: {**t, "likeness": np.full(1, np.nan, np.float32)}, "its viewpoint's likeness are not all finite"),
        (lambda t: {**t, "thumbnails": t["thumbnails"][:, :44]}, "its viewpoint's thumbnails are uint8"),
        (lambda t: {name: array[:0] for name, array in t.items()}, "its viewpoint's thumbnails are uint8"),
    ],
)
def test_damage_is_said(damage: Callable[[Mapping[str, Any]], dict[str, Any]], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        Viewpoint.load(damage(Viewpoint.learn([clip([ROOM] * 5)]).tensors()))
