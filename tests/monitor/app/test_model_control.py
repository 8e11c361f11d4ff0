"""The versions of a camera's model are listed, and a run goes back to the one before the newest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.alerts.control import ControlRequest, Relearn, RollBack, Versions
from monitor.app.demo import MODEL_FOLDER
from monitor.app.model_control import ModelControl
from monitor.model.model_store import CARD_FILE
from tests.monitor.app.test_camera_control import House


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., House]:
    """A run with versions of the model of its camera."""

    def made(versions: int = 2, **given: bool) -> House:
        for number in range(1, versions + 1):
            folder = tmp_path / f"models/door/v{number:04d}"
            if not folder.exists():
                shutil.copytree(MODEL_FOLDER, folder)
                card = json.loads((folder / CARD_FILE).read_text())
                card["provenance"]["notes"]["learned_on"] = f"{number} h watched"
                (folder / CARD_FILE).write_text(json.dumps(card))
        house = House(tmp_path, **given)
        ModelControl(house.control._run).serve_at(house.desk)
        return house

    return made


def listed(house: House) -> list[tuple[str, str, bool]]:
    (camera,) = house.ask(Versions()).data["cameras"]
    return [(each["version"], each["learned_on"], each["used"]) for each in camera["versions"]]


def test_a_run_goes_back_at_once_and_the_newer_version_is_kept(house: Callable[..., House]) -> None:
    run = house()
    assert listed(run) == [("v0002", "2 h watched", True), ("v0001", "1 h watched", False)]
    member = run.fleet.get("door")
    assert member is not None
    newer = member.camera.model.hash
    reply = run.ask(RollBack(camera="door"))
    assert reply.said == (
        "door is watched with version v0001 from now on; the newer one is kept as worse-v0002; what it watches may "
        "give a new version: learning.on = false in the config file keeps this one"
    )
    assert listed(run) == [("v0001", "1 h watched", True)]
    member = run.fleet.get("door")
    assert member is not None
    assert member.camera.model.hash != newer
    assert (run.models / "door/worse-v0002" / CARD_FILE).exists()
    assert listed(house(1)) == [("v0001", "1 h watched", True)], "after a restart, too"


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (RollBack(camera="yard"), "no camera yard is watched (cameras: door)"),
        (Versions(camera="yard"), "no camera yard is watched (cameras: door)"),
        (RollBack(camera="door"), "door has no older version to go back to"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(house: Callable[..., House], request_: ControlRequest, says: str) -> None:
    run = house(1)
    reply = run.ask(request_)
    assert (reply.reply, reply.said.startswith(says)) == ("error", True), reply.said
    (camera,) = run.ask(Versions()).data["cameras"]
    assert camera["why_not"] == "door has no older version to go back to"


def test_a_camera_that_learns_does_not_go_back(house: Callable[..., House]) -> None:
    run = house()
    assert run.ask(Relearn(camera="door")).reply == "ok"
    assert run.ask(RollBack(camera="door")).said == "door learns now: wait until it has learned"


def test_the_demo_says_why_it_cannot(house: Callable[..., House]) -> None:
    assert "the demo has its own scene" in house(demo=True).ask(RollBack(camera="door")).said


def test_a_damaged_older_version_does_not_replace_one_that_works(house: Callable[..., House]) -> None:
    run = house()
    (run.models / "door/v0001" / CARD_FILE).write_text("{")
    reply = run.ask(RollBack(camera="door"))
    assert reply.reply == "error"
    assert "is damaged" in reply.said
    assert listed(run) == [("v0002", "2 h watched", True), ("v0001", "", False)]


def test_a_folder_that_cannot_be_changed_is_named(house: Callable[..., House], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path, __: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    run = house()
    monkeypatch.setattr(Path, "rename", refused)
    reply = run.ask(RollBack(camera="door"))
    assert "cannot be set aside (Permission denied): check the rights of" in reply.said
