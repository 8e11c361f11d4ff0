"""What a memory has learned becomes a version of the model, beside the others; going back is one command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from monitor.errors import ModelError, UsageError
from monitor.judging.fusion import ModelScale
from monitor.learning.grown_version import grown_model, roll_back, write_version, write_version_apart
from monitor.model.model_store import load_model
from monitor.model.model_versions import version_folders
from monitor.scores.smoothing import SmoothingSettings
from tests.helpers.growing import first_version, grown_memory
from training.__main__ import app


def test_a_version_is_written_beside_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_model(first_version(tmp_path / "door"))
    grown = replace(grown_memory(monkeypatch).make(), watched_s=7200.0)
    version = write_version(tmp_path / "door", grown)
    model = load_model(tmp_path / "door")
    assert version.name == "v0002"
    assert [detector.name for detector in model.detectors] == ["motion", "static"]
    assert model.detectors[1].settings() == first.detectors[1].settings()
    assert model.provenance.notes["learned_on"] == "2 h watched, 7 s of it known"
    assert model.watched_s == 7200.0
    assert model.learned_from_all, "its held-out scores count like what is watched"
    old = model.held_out.scores
    assert np.array_equal(old["static"][:600], first.held_out.scores["static"])
    assert np.isnan(old["motion"][:600]).all(), "another motion has scored them"
    assert np.isfinite(old["motion"][600:]).sum() > 250
    assert ModelScale(model, 1.0, SmoothingSettings()).held_out_s == 7200.0, "more than a sample of it"


def test_what_was_held_out_before_is_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_version(tmp_path / "door")
    memory = grown_memory(monkeypatch)
    write_version(tmp_path / "door", memory.make())
    before = load_model(tmp_path / "door").held_out
    write_version(tmp_path / "door", memory.make())
    after = load_model(tmp_path / "door").held_out
    assert len(after.time_s) == len(before.time_s)
    assert len(grown_model(load_model(tmp_path / "door"), memory.make()).held_out.time_s) == len(before.time_s)


def test_a_damaged_model_is_refused_and_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = first_version(tmp_path / "door")
    (version / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelError):
        write_version(tmp_path / "door", grown_memory(monkeypatch).make())
    assert [path.name for path in (tmp_path / "door").iterdir()] == ["v0001"]


def test_a_version_can_be_written_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = first_version(tmp_path / "door")
    grown = grown_memory(monkeypatch).make()
    assert write_version_apart(tmp_path / "door", grown) == tmp_path / "door" / "v0002"
    assert [own.name for own in load_model(tmp_path / "door", only="motion").detectors] == ["motion"]
    for written in (version, tmp_path / "door" / "v0002"):
        (written / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is damaged"):
        write_version_apart(tmp_path / "door", grown)


def test_going_back_is_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_version(tmp_path / "door")
    write_version(tmp_path / "door", grown_memory(monkeypatch).make())
    result = CliRunner().invoke(app, ["rollback", "door", "--models", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "v0001 is used from now on" in result.output
    assert [version.name for version in version_folders(tmp_path / "door")] == ["v0001"]
    assert (tmp_path / "door" / "worse-v0002").is_dir()
    with pytest.raises(UsageError, match="only version"):
        roll_back(tmp_path / "door")
    with pytest.raises(UsageError, match="no versions"):
        roll_back(tmp_path / "yard")
