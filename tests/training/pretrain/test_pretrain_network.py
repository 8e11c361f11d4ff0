"""Pre-training on several scenes: the same result after an interruption, its folder, and input that is refused."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import pytest
import torch

from monitor.errors import ModelError, UsageError
from tests.helpers.gliding import clip
from tests.helpers.moving_scenes import record_scene
from tests.places import ROOT
from training.autoencoder.checkpoint import CHECKPOINT_FILE
from training.learn.fit_clip_net import FINE_STEPS, STEPS, fit_true_sight2
from training.learn.grey_footage import GreyFootage, grey_footage
from training.learn.pretrained_weights import CARD, WEIGHTS, Pretrained, load_pretrained
from training.learn.synthetic_anomalies import AnomalyMaker
from training.pretrain import pretraining_loop
from training.pretrain.pretrain_network import PretrainSettings, pretrain, unfinished_steps
from training.pretrain.pretraining_loop import mixed_batch, pretrain_network
from training.progress import Report

CPU = torch.device("cpu")
QUIET = Report(quiet=True)
TINY = PretrainSettings(steps=4, width=4, device="cpu")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("scenes")
    return [str(record_scene(folder / name, seed)) for name, seed in (("yard", 1), ("door", 7))]


@pytest.fixture(scope="module")
def makers() -> list[AnomalyMaker]:
    footage = [GreyFootage(grey_footage([clip(speed, 4)])) for speed in (20, -15)]
    return [AnomalyMaker(each, np.random.default_rng(0)) for each in footage]


@pytest.fixture(autouse=True)
def every_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining_loop, "EVERY", 2)


def interrupt(_: int) -> None:
    raise KeyboardInterrupt


KILLED = """
import os, signal, sys
from pathlib import Path
from training.pretrain import pretraining_loop
from training.pretrain.pretrain_network import PretrainSettings, pretrain
from training.progress import Report
pretraining_loop.EVERY = 2
*scenes, out = sys.argv[1:]
kill = lambda done: os.kill(os.getpid(), signal.SIGKILL)
pretrain(scenes, Path(out), PretrainSettings(4, 4, 0, "cpu"), Report(quiet=True), kill)
"""


def test_a_killed_pretraining_continues_and_gives_the_same_weights(scenes: list[str], tmp_path: Path) -> None:
    out = tmp_path / "killed"
    with Popen([sys.executable, "-c", KILLED, *scenes, str(out)], cwd=ROOT, stderr=PIPE, env={**os.environ}) as process:
        process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL
    assert unfinished_steps(out) == 2
    assert not out.exists(), "nothing half-written"
    with pytest.raises(UsageError, match="add --resume to continue"):
        pretrain(scenes, out, TINY, QUIET)
    pretrain(scenes, out, PretrainSettings(4, 4, 0, "cpu", resume=True), QUIET)
    pretrain(scenes, tmp_path / "whole", TINY, QUIET)
    assert (out / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"], "the checkpoint is removed"
    about, whole = (json.loads((tmp_path / name / CARD).read_text()) for name in ("killed", "whole"))
    assert about["loss"] == whole["loss"]
    assert [scene["name"] for scene in about["scenes"]] == scenes
    assert len({scene["sha256"] for scene in about["scenes"]}) == 2
    assert (about["steps"], about["seed"], about["versions"]["torch"]) == (4, 0, str(torch.__version__))
    start = load_pretrained(out)
    assert str(start).endswith(", 2 scenes, 4 steps, seed 0")


def test_a_checkpoint_of_another_pretraining_or_a_damaged_one_is_refused_and_stays(
    makers: list[AnomalyMaker], tmp_path: Path
) -> None:
    def train(**run: object) -> None:
        pretrain_network(
            makers, width=4, steps=4, seed=0, device=CPU, report=QUIET, run=run, folder=tmp_path,
            after_checkpoint=interrupt,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        train(seed=0)
    with pytest.raises(UsageError, match="used another seed"):
        train(seed=1)
    file = tmp_path / CHECKPOINT_FILE
    whole = file.read_bytes()
    for damaged in (b"", b"nothing", whole[:-9], whole.replace(b'"optimizer/0.step"', b'"optimizer/0.stop"')):
        file.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"is damaged .*delete .* and train again"):
            train(seed=0)
        assert file.read_bytes() == damaged


def test_footage_of_one_scene_is_refused_and_nothing_is_written(
    scenes: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = str(record_scene(tmp_path / "still", 9, speed=0.0))
    again = str(record_scene(tmp_path / "again", 1, seconds=11.0, speed=24.0))
    short = str(record_scene(tmp_path / "short", 3, seconds=2.0))
    out = tmp_path / "new/out"
    for paths, says in (
        (scenes[:1], "one path is one scene"),
        ([scenes[0], scenes[0]], "has the same frames as"),
        ([scenes[0], still], "nothing moves for long enough in these 12 s"),
        ([scenes[0], short], "1.9 s of footage are too short"),
        ([scenes[0], again], "all of this footage shows the same scene"),
    ):
        with pytest.raises(UsageError, match=rf"at least two different scenes in which something moves .*{says}"):
            pretrain(paths, out, TINY, Report())
    assert not out.parent.exists()
    assert "warning: '" in capsys.readouterr().err


def test_a_folder_of_something_else_is_not_replaced(scenes: list[str], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter").write_text("dear")
    (tmp_path / "file").write_text("dear")
    (tmp_path / "other.training").mkdir()
    (tmp_path / "other.training/letter").write_text("dear")
    for name, says in (
        ("full", "does not hold pre-trained weights"),
        ("file", "is a file"),
        ("other", "is not an unfinished pre-training"),
    ):
        with pytest.raises(UsageError, match=says):
            pretrain(scenes, tmp_path / name, TINY, QUIET)
    with pytest.raises(UsageError, match="remove --resume"):
        pretrain(scenes, tmp_path / "none", PretrainSettings(resume=True), QUIET)


def test_each_batch_has_samples_of_all_scenes_and_follows_from_its_step(makers: list[AnomalyMaker]) -> None:
    inputs, masks = mixed_batch(makers, 0, 3)
    again, _ = mixed_batch(makers, 0, 3)
    other, _ = mixed_batch(makers, 0, 4)
    assert inputs.shape == (8, 15, 96, 160)
    assert not masks[::2].any()
    assert np.array_equal(inputs, again)
    assert not np.array_equal(inputs, other)


def test_learning_from_pretrained_weights_begins_with_them(makers: list[AnomalyMaker]) -> None:
    network, _ = pretrain_network(makers, width=4, steps=2, seed=5, device=CPU, report=QUIET)
    start = Pretrained(4, network, "12345678")
    frames = [clip(20, 2.5)]
    fine, random = (fit_true_sight2(frames, steps=1, width=9, start=each).tensors() for each in (start, None))
    name = "fine.0.0.weight"
    assert np.abs(fine[f"network.{name}"] - network[name].numpy()).max() < 0.01, "after one step, they are nearly those"
    assert random[f"network.{name}"].shape != network[name].shape, "which also give the width"
    assert FINE_STEPS < STEPS
