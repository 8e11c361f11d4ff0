import json
from pathlib import Path

import pytest

from monitor.errors import ConfigError, RunError
from monitor.machines.fleet_state import CameraRow, FleetState, StateFile, Turn, Wish

ROW = CameraRow(wish=Wish(source="rtsp://gate"), holder=Turn(node="south", epoch=7), floor=7)
STATE = FleetState(fleet="lab", epoch=9, cameras={"gate": ROW})


def test_the_state_is_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "fleet.json"
    with StateFile(path, "lab") as file:
        assert file.load() == FleetState(fleet="lab")
        file.save(STATE)
    with StateFile(path, "lab") as file:
        assert file.load() == STATE
    assert path.stat().st_mode & 0o777 == 0o600
    assert not list(path.parent.glob("*.partial"))


def test_a_second_coordinator_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    with (
        StateFile(path, "lab"),
        pytest.raises(RunError, match="in use by another coordinator: stop that one"),
        StateFile(path, "lab"),
    ):
        pass
    with StateFile(path, "lab"):
        pass


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is damaged .*put back a good copy; without it, epochs could be given twice"),
        (b'{"format": "true-sight fleet", "fleet": "lab", "epo', "is damaged"),
        (b'{"format": "true-sight fleet", "fleet": "lab", "epoch": -4}', "is damaged .epoch"),
        (b'{"format": "true-sight fleet", "version": 2, "fleet": "lab"}', "is damaged .version"),
        (b'{"some": "other program"}', "belongs to another program: choose another folder"),
        (b"[1, 2]", "belongs to another program"),
        (b'{"format": "true-sight fleet", "fleet": "other"}', "belongs to the fleet 'other', not to 'lab'"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_in_one_sentence_and_not_changed(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "fleet.json"
    path.write_bytes(content)
    with StateFile(path, "lab") as file, pytest.raises(ConfigError, match=sentence) as refused:
        file.load()
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match="choose another folder for the fleet"),
        StateFile(tmp_path / "file" / "fleet.json", "lab"),
    ):
        pass


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    with StateFile(path, "lab") as file:
        file.save(STATE)
        (tmp_path / ".fleet.json.partial").mkdir()
        with pytest.raises(OSError, match="directory"):
            file.save(STATE.but(epoch=10))
        assert file.load().epoch == 9
    assert json.loads(path.read_bytes())["format"] == "true-sight fleet"
