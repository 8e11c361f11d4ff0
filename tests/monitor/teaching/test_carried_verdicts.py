"""What people have said goes with a camera: two nodes with real files, between which the file of a camera is copied."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from monitor.errors import RunError
from monitor.state_folder import given_event
from monitor.teaching.carried_verdicts import CarriedVerdicts
from monitor.teaching.verdict_store import KeptEvent, Verdict
from tests.helpers.teachable import event_of


def event(number: int, camera: str = "door") -> KeptEvent:
    traits = event_of(200, camera).traits
    assert traits is not None
    return KeptEvent(f"e-{camera}-{number}", camera, 1e9 + number, None, 3.0, True, traits)


def verdict(number: int, said: str = "normal", camera: str = "door") -> Verdict:
    judged = {"model": "1", "blocks": {"motion": [[3, 1.5, math.inf]]}}
    return Verdict(f"e-{camera}-{number}", camera, said, False, True, 2e9 + number, "ann", judged)


class Places:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def node(self, name: str) -> CarriedVerdicts:
        taught = self.folder / name / "taught"
        taught.mkdir(parents=True, exist_ok=True)
        return CarriedVerdicts(self.folder / name / "taught.sqlite3", taught)

    def file(self, name: str, camera: str = "door") -> Path:
        return self.folder / name / f"taught/{camera}.json"

    def move(self, before: str, to: str) -> None:
        shutil.copy(self.file(before), self.file(to))


def test_all_that_was_said_goes_with_a_camera_and_back(tmp_path: Path) -> None:
    places = Places(tmp_path)
    with places.node("north") as north, places.node("south") as south:
        for number, said in ((1, "normal"), (2, "cat")):
            north.keep(event(number))
            north.give(verdict(number, said))
        north.keep(event(1, "yard"))
        north.give(verdict(1, "cat", "yard"))
        north.set_alert("cat", "never")
        places.move("north", "south")
        south.arrive("door")
        assert south.verdicts() == [verdict(1), verdict(2, "cat")]
        assert south.alerts() == {"cat": "never"}
        kept, sent = south.event("e-door-1"), event(1)
        assert kept is not None
        assert kept.traits.dump() == sent.traits.dump()
        assert kept.facts() == sent.facts()
        south.take_back("e-door-1")
        places.move("south", "north")
        north.arrive("door")
        assert north.verdicts("door") == [verdict(2, "cat")]
        assert north.verdicts("yard") == [verdict(1, "cat", "yard")]
        south.take_back("e-door-2")
        places.move("south", "north")
        north.arrive("door")
        assert north.verdicts("door") == []


def test_a_kill_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    places = Places(tmp_path)
    with places.node("north") as north:
        north.keep(event(1))
        north.give(verdict(1))
    places.file("north").unlink()  # as it is between the change and the file
    with places.node("north") as north:
        north.arrive("door")
        assert north.verdicts() == [verdict(1)]
    assert json.loads(places.file("north").read_text())["verdicts"][0]["event"] == "e-door-1"


@pytest.mark.parametrize("damage", ["", "[]", '{"format": "other"}', "CAMERA", "EVENT"])
def test_a_damaged_file_is_said_and_changes_nothing(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    places = Places(tmp_path)
    with places.node("north") as north:
        north.keep(event(1))
        north.give(verdict(1))
        content = places.file("north").read_text()
        if damage == "CAMERA":
            damage = content.replace('"camera": "door"', '"camera": "yard"')
        elif damage == "EVENT":
            damage = content.replace('"traits": "', '"traits": "!')
        places.file("north").write_text(damage)
        north.arrive("door")
        assert north.verdicts() == [verdict(1)]
    assert "what people have said about it on other nodes is not used" in caplog.text


def test_an_event_of_another_node_is_taken_from_its_file(tmp_path: Path) -> None:
    places = Places(tmp_path)
    with places.node("north") as north:
        path = given_event(tmp_path / "north/taught", "e-door-7")
        path.parent.mkdir()
        path.write_text(json.dumps(event(7).facts()))
        found = north.event("e-door-7")
        assert found is not None
        assert found.facts() == event(7).facts()
        assert not path.exists()
        other = given_event(tmp_path / "north/taught", "e-door-8")
        for content in ("{}", json.dumps(event(7).facts())):
            other.write_text(content)
            assert north.event("e-door-8") is None
        assert north.event("e-door-9") is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    places = Places(tmp_path)
    with places.node("north") as north:
        north.keep(event(1))
        places.file("north").mkdir()
        with pytest.raises(RunError, match="check its rights"):
            north.give(verdict(1))
        assert north.verdicts() == []
