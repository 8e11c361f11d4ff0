"""What people have chosen for cameras is kept whole, and nothing that is written there by others does harm."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from monitor.errors import RunError
from monitor.live.choice_store import Choice, ChoiceStore


def test_a_choice_is_kept_over_a_restart_and_for_this_user_only(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "choices.json"
    store = ChoiceStore(file)
    assert store.of("door") == Choice(None, armed=True)
    store.choose("door", Choice(2.5, armed=False))
    store.choose("yard", Choice(armed=False))
    later = ChoiceStore(file)
    assert (later.of("door"), later.of("yard")) == (Choice(2.5, armed=False), Choice(armed=False))
    assert file.stat().st_mode & 0o777 == 0o600
    later.choose("yard", Choice())
    assert json.loads(file.read_text())["cameras"] == {"door": {"per_day": 2.5, "armed": False}}
    assert [each.name for each in file.parent.iterdir()] == ["choices.json"]


@pytest.mark.parametrize(
    "content",
    ["", "nonsense", "[]", '{"version": 2}', '{"cameras": {"door": {"per_day": -1}}}', '{"cameras": {"door": 5}}'],
)
def test_a_damaged_file_is_kept_aside(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "choices.json"
    file.write_text(content)
    store = ChoiceStore(file)
    assert store.of("door") == Choice()
    assert "budgets and arming are as the config says" in caplog.text
    assert (tmp_path / "choices.json.damaged").read_text() == content
    store.choose("door", Choice(armed=False))
    assert not ChoiceStore(file).of("door").armed


def test_a_choice_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder belongs")
    store = ChoiceStore(tmp_path / "runs" / "choices.json")
    with pytest.raises(RunError, match="so nothing has changed: free space on the disk"):
        store.choose("door", Choice(armed=False))
    assert store.of("door").armed


def test_what_is_no_file_in_its_place_is_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "choices.json")
    assert ChoiceStore(tmp_path / "choices.json").of("cam") == Choice()
    path = tmp_path / "choices.json"
    said = f"{path} cannot be read (it is a pipe, not a file): budgets and arming are as the config says"
    assert caplog.messages == [said]
