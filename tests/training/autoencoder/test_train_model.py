"""A complete training: the model folder that it writes, and the files that it does not touch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.errors import ModelError, UsageError
from monitor.model.model_store import load_model
from tests.helpers.tiny_training import QUIET, TINY, StopAfter, write_folder
from training.autoencoder.train_model import train_model, working_folder

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def train(tmp_path: Path, **changes: object) -> Path:
    out = tmp_path / "model"
    arguments: dict[str, object] = {"seed": 1, "device": "cpu", "resume": False, "report": QUIET, **changes}
    train_model([str(tmp_path / "clip")], out, TINY, **arguments)  # type: ignore[arg-type]
    return out


def test_model_folder_holds_a_calibrated_detector_and_where_it_comes_from(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", range(120))
    model = load_model(train(tmp_path))
    assert [d.name for d in model.detectors] == ["true-sight"]
    held_out = model.held_out
    assert held_out.time_s[0] >= 102 / 25  # the last 15 % of the clip
    assert np.isfinite(held_out.scores["true-sight"]).all()
    about = model.provenance
    assert (about.frames, about.seed, about.device, about.recipe) == (102, 1, "cpu", "default")
    assert about.data == [str(tmp_path / "clip")]
    assert about.notes["epochs"] == 3
    assert not working_folder(tmp_path / "model").exists()


def test_interrupted_command_keeps_its_epochs_and_the_old_model(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", range(120))
    out = train(tmp_path, seed=7)
    before = (out / "model.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, after_epoch=StopAfter(1))
    assert (out / "model.json").read_bytes() == before
    with pytest.raises(UsageError, match="add --resume"):
        train(tmp_path)
    train(tmp_path, resume=True)
    assert load_model(out).provenance.seed == 1
    assert not working_folder(out).exists()


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", range(120))
    with pytest.raises(UsageError, match="no unfinished training"):
        train(tmp_path, resume=True)


def test_a_folder_that_is_no_model_is_left_alone(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", range(120))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("precious")
    with pytest.raises(ModelError, match="is not a model folder"):
        train(tmp_path)
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["thesis.txt"]
    assert not working_folder(tmp_path / "model").exists()


def test_place_that_cannot_be_written_is_found_before_the_footage_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", range(20))  # too few to train on, which it would report next
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write to .*file.*give another --out"):
        train_model([str(tmp_path / "clip")], tmp_path / "file/model", TINY, seed=1, device="cpu", resume=False,
                    report=QUIET)  # fmt: skip
