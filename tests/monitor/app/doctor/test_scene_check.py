"""The doctor finds a file that a run would refuse, because its model has learned another scene."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from monitor.app.config import MonitorConfig
from monitor.app.doctor.finding_report import State
from monitor.app.doctor.scene_check import check_scenes
from monitor.model.model_store import load_model, save_model
from monitor.sources.folder import FolderSource
from monitor.stream.health.viewpoint import Viewpoint
from monitor.testing.fakes import frame
from monitor.types import Frame, Image
from tests.places import ROOT


def scene(seed: int) -> Image:
    rough = np.random.default_rng(seed).integers(0, 255, (45, 80, 3), np.uint8)
    return np.asarray(cv2.resize(rough, (160, 90), interpolation=cv2.INTER_NEAREST), np.uint8)


def showing(picture: Image, time_s: float) -> Frame:
    made = frame(time_s)
    return Frame(made.camera, made.index, made.time_s, picture, made.segment, made.captured_at, made.wall_time)


def test_a_file_of_another_scene_is_a_problem_and_the_same_scene_is_none(tmp_path: Path) -> None:
    demo = load_model(ROOT / "monitor/assets/demo")
    viewpoint = Viewpoint.learn([[showing(scene(1), t / 10) for t in range(20)]])
    for name in ("yard", "door"):
        folder = tmp_path / "models" / name / "v0001"
        folder.parent.mkdir(parents=True)
        save_model(folder, name, demo.detectors, demo.held_out, demo.provenance, viewpoint)
    sources = []
    for name, seed in (("yard", 2), ("door", 1), ("other", 3)):
        (tmp_path / name).mkdir()
        assert cv2.imwrite(str(tmp_path / name / "1.png"), scene(seed))
        sources.append(FolderSource(tmp_path / name, name, 1.0))
    (found,) = check_scenes(sources, MonitorConfig(models_folder=tmp_path / "models"))
    assert (found.check, found.name, found.state) == ("model", "yard", State.PROBLEM)
    assert found.found.endswith("models/yard has learned")
    assert "--relearn" in found.mend
