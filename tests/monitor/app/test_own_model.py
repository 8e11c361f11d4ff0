"""A model that is found by name alone is checked, and can be learned again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from monitor.app.config import CameraConfig, MonitorConfig
from monitor.app.own_model import Relearning, check_scene
from monitor.app.planning import plan_cameras
from monitor.errors import ConfigError
from monitor.learning.learning_words import begins
from monitor.model.model_store import Model, load_model
from monitor.sources.camera import CameraSource
from monitor.sources.folder import FolderSource
from monitor.sources.naming import address_mark
from monitor.sources.source import Source
from monitor.stream.health.viewpoint import Viewpoint
from monitor.testing.fakes import frame
from monitor.types import Image
from tests.places import ROOT

DEMO = ROOT / "monitor/assets/demo"


def scene(seed: int) -> Image:
    """A coloured picture with detail, (90, 160, 3) uint8, another one for each seed."""
    rough = np.random.default_rng(seed).integers(0, 255, (45, 80, 3), np.uint8)
    return np.asarray(cv2.resize(rough, (160, 90), interpolation=cv2.INTER_NEAREST), np.uint8)


def footage(folder: Path, *pictures: Image) -> FolderSource:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{number:03d}.png"), picture)
    return FolderSource(folder, "yard", 1.0)


def model_of(*pictures: Image, **notes: str) -> Model:
    model = load_model(DEMO)
    viewpoint = Viewpoint.learn([[replace(frame(t / 10), image=picture) for t in range(20)] for picture in pictures])
    provenance = model.card.provenance.model_copy(update={"notes": {**model.card.provenance.notes, **notes}})
    return replace(model, viewpoint=viewpoint, card=model.card.model_copy(update={"provenance": provenance}))


def test_a_file_of_another_scene_is_refused_with_three_ways_out(tmp_path: Path) -> None:
    infrared = np.repeat(scene(2).mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    with pytest.raises(ConfigError, match="another scene"):
        check_scene(footage(tmp_path / "night", infrared), Path("m"), model_of(scene(1)))
    source = footage(tmp_path / "yard", *[scene(2)] * 4)
    with pytest.raises(ConfigError, match="shows another scene than models/yard has learned") as caught:
        check_scene(source, Path("models/yard"), model_of(scene(1)))
    for way in ("a name of its own (NAME=", "--relearn", "--model models/yard"):
        assert way in str(caught.value)


def test_a_file_of_the_same_scene_passes_whatever_happens_in_it(tmp_path: Path) -> None:
    learned = model_of(scene(1), scene(3))
    moving = [scene(1).copy() for _ in range(4)]
    for index, picture in enumerate(moving):
        picture[20:70, 20 + 20 * index : 60 + 20 * index] = 255
    infrared = np.repeat(255 - scene(1).mean(axis=2, keepdims=True).astype(np.uint8) // 2, 3, axis=2)
    infrared[:, :100] = scene(1).mean(axis=2, keepdims=True).astype(np.uint8)[:, :100]
    darker = (scene(1) * 0.4).astype(np.uint8)
    shifted = np.roll(scene(1), 12, axis=1)
    mirrored = scene(3)[:, ::-1]
    late = [scene(2), scene(2), scene(1)]
    for number, pictures in enumerate(
        ([scene(1)], [scene(3)], moving, [darker], [infrared], [shifted], [mirrored], late)
    ):
        check_scene(footage(tmp_path / str(number), *pictures), Path("m"), learned)


def test_where_nobody_can_tell_nothing_is_refused(tmp_path: Path) -> None:
    check_scene(footage(tmp_path / "dark", np.zeros_like(scene(1))), Path("m"), model_of(scene(1)))
    check_scene(footage(tmp_path / "day", scene(2)), Path("m"), model_of(np.zeros_like(scene(1))))
    check_scene(footage(tmp_path / "old", scene(2)), Path("m"), load_model(DEMO))
    gone = footage(tmp_path / "gone", scene(2))
    shutil.rmtree(tmp_path / "gone")
    check_scene(gone, Path("m"), model_of(scene(1)))


def test_a_camera_with_another_address_is_named(caplog: pytest.LogCaptureFixture) -> None:
    first, second = (CameraSource("door", f"rtsp://u:secret@10.0.0.{n}/live") for n in (1, 2))
    mark = address_mark(first.label)
    assert mark is not None
    learned = model_of(scene(1), source=mark)
    check_scene(CameraSource("door", "rtsp://u:changed@10.0.0.1/live"), Path("models/door"), learned)
    check_scene(first, Path("models/door"), model_of(scene(1)))
    assert not caplog.records
    check_scene(second, Path("models/door"), learned)
    assert "door: models/door was learned from a camera with another address" in caplog.text
    assert "secret" not in caplog.text


@pytest.fixture
def learned(tmp_path: Path) -> MonitorConfig:
    """The settings of a run in which the camera ``yard`` has a model."""
    shutil.copytree(DEMO, tmp_path / "models" / "yard" / "v0001")
    return MonitorConfig(models_folder=tmp_path / "models", device="cpu", detectors=("motion",))


@pytest.fixture
def yard(tmp_path: Path) -> Source:
    return footage(tmp_path / "yard", scene(1))


def test_a_camera_learns_again_once_and_a_reload_does_not_repeat_it(
    tmp_path: Path, learned: MonitorConfig, yard: Source
) -> None:
    relearning = Relearning(asked=True)
    for _ in range(2):
        camera = plan_cameras([yard], learned, None, relearning)[0]
        assert camera.monitor is None
        assert camera.learning is not None
        assert camera.learning.footage.name == "footage-again", "older footage does not mix with it"
        assert "learns again, from the beginning of the file" in begins(camera.learning, 0.0, again=False)
    shutil.copytree(DEMO, tmp_path / "models" / "yard" / "v0002")
    assert plan_cameras([yard], learned, None, relearning)[0].monitor is not None
    assert plan_cameras([yard], learned, None)[0].monitor is not None
    assert (tmp_path / "models" / "yard" / "v0001").exists()


def test_a_learning_time_for_a_camera_that_has_learned_says_how_to_learn_again(
    learned: MonitorConfig, yard: Source, caplog: pytest.LogCaptureFixture
) -> None:
    plan_cameras([yard], learned, None)
    assert "--learn" not in caplog.text
    plan_cameras([yard], learned, None, Relearning(duration=True))
    assert "yard has learned already" in caplog.text
    assert "--learn has no effect on it; to learn it again, add --relearn" in caplog.text


def test_a_model_that_a_setting_names_is_neither_checked_nor_learned_again(
    learned: MonitorConfig, yard: Source, caplog: pytest.LogCaptureFixture
) -> None:
    named = learned.model_copy(update={"cameras": {"yard": CameraConfig(source="x", model=DEMO)}})
    assert plan_cameras([yard], named, None, Relearning(asked=True))[0].monitor is not None
    assert "by a setting, so --relearn has no effect on it" in caplog.text


def test_a_single_model_cannot_get_a_further_version(tmp_path: Path, learned: MonitorConfig, yard: Source) -> None:
    shutil.rmtree(tmp_path / "models" / "yard")
    shutil.copytree(DEMO, tmp_path / "models" / "yard")
    with pytest.raises(ConfigError, match="is a single model, not a folder of versions: move it away"):
        plan_cameras([yard], learned, None, Relearning(asked=True))
