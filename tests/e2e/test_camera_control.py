"""Clients change the cameras of a whole monitor: it holds at once, after a reload, and after a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.alerts.control import AddCamera, Changes, Mask, Pause, Relearn, RemoveCamera, TryCamera, Zone
from monitor.testing.captured import eventually
from tests.helpers.pictures_of import is_masked, seen
from tests.helpers.real_monitor import DEADLINE_S, RealMonitor, real_monitor

CORNERS = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("control")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[RealMonitor]:
    with real_monitor(folder) as monitor:
        monitor.until_watched()
        yield monitor


def test_a_mask_hides_its_place_and_outlives_a_reload_and_a_restart(running: RealMonitor) -> None:
    assert not is_masked(seen(running))
    normal = running.folder / "state/runs/normal/street"
    assert eventually(lambda: any(normal.rglob("*-normal.jpg")), DEADLINE_S)
    unmasked = set(normal.rglob("*-normal.jpg"))
    said = running.ask(Mask(camera="street", name="window", polygon=CORNERS))
    assert said.reply == "ok", said.said
    assert said.said.startswith("street: the mask window hides its place from now on")
    assert is_masked(seen(running))
    assert eventually(lambda: not unmasked & set(normal.rglob("*-normal.jpg")), DEADLINE_S), "they showed the place"
    running.hang_up()
    assert is_masked(seen(running))
    places = {place["name"]: place["fixed"] for place in running.camera()["masks"]}
    assert places == {"window": False, "door": True}
    assert "polygon" in running.choices.read_text()
    assert "window" not in (running.folder / "cameras.toml").read_text()
    removed = running.ask(Mask(camera="street", name="window", polygon=None))
    assert removed.said == "street: the mask window is removed, and what was below it is seen again"
    assert not is_masked(seen(running))
    changes = running.ask(Changes()).data["changes"]
    assert [change["said"] for change in changes[:2]] == [removed.said, said.said]


def test_a_zone_and_a_pause_hold_without_opening_the_stream_again(running: RealMonitor) -> None:
    opened = sum("changed street" in line for line in running.lines)
    said = running.ask(Zone(camera="street", name="road", polygon=CORNERS, sensitivity=0.5))
    assert said.said == "street: the zone road holds from now on: what happens there counts 0.5 times as much"
    paused = running.ask(Pause(camera="street", paused=True, asked_by="ann"))
    assert paused.said == "street is paused: nothing is scored until it is resumed, also after a restart"
    assert eventually(lambda: running.camera()["state"] == "paused", DEADLINE_S)
    assert seen(running).any(), "it is still seen"
    (change,) = running.ask(Changes(limit=1)).data["changes"]
    assert change["by"].startswith("ann by ")
    running.hang_up()
    assert running.camera()["state"] == "paused"
    assert running.ask(Pause(camera="street", paused=False)).reply == "ok"
    running.until_watched()
    assert sum("changed street" in line for line in running.lines) == opened
    assert running.ask(Zone(camera="street", name="road", polygon=None)).reply == "ok"


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Mask(camera="street", name="door", polygon=CORNERS), "the config file has the mask door of street"),
        (Mask(camera="street", name="gone", polygon=None), "street has no mask gone"),
        (Mask(camera="yard", name="a", polygon=CORNERS), "no camera yard is watched (cameras: street)"),
        (Mask(camera="street", name="a b", polygon=CORNERS), "a name has letters, digits"),
        (Mask(camera="street", name="a", polygon=((0, 0), (1, 1), (1, 0), (0, 1))), "its sides cross or touch"),
        (Mask(camera="street", name="a", polygon=((0, 0), (2, 0), (1, 1))), "lies outside the picture: give shares"),
        (Zone(camera="street", name="a", polygon=((0, 0), (99, 0), (9, 9))), "lies outside the picture: give shares"),
        (Mask(camera="street", name="a", polygon=((0, 0), (1, 0), (1, 1), (0, 1))), "cover the whole picture"),
        (Zone(camera="street", name="a", polygon=CORNERS, times=("always",)), "'always' is no time of the week"),
        (Relearn(camera="street"), "the config names the model of street: remove the setting model"),
        (RemoveCamera(camera="street"), "the config file names street: remove it there"),
        (RemoveCamera(camera="yard"), "no camera yard is watched"),
        (AddCamera(camera="street", source="0"), "there is a camera street already"),
        (AddCamera(camera="a b", source="0"), "cannot be the name of a camera"),
        (AddCamera(camera="yard", source="/nowhere/x.mp4"), "/nowhere/x.mp4"),
        (AddCamera(camera="yard", source="rtsp://u:${PW}@h/1"), "a reference to a secret holds in"),
        (TryCamera(source="0", transport="udp"), "only a source with rtsp:// or rtsps:// has a transport"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_a_sentence_and_changes_nothing(
    running: RealMonitor, request_: Mask | AddCamera, says: str
) -> None:
    before = running.choices.read_bytes() if running.choices.exists() else b""
    reply = running.ask(request_)
    assert reply.reply == "error"
    assert says in reply.said
    assert len(reply.said.splitlines()) == 1
    assert (running.choices.read_bytes() if running.choices.exists() else b"") == before


def test_a_camera_is_tried_added_and_removed(running: RealMonitor) -> None:
    tried = running.ask(TryCamera(source=str(running.video)))
    assert tried.data["usable"] is True, tried.data
    assert {finding["state"] for finding in tried.data["findings"]} == {"ok"}
    bad = running.ask(TryCamera(source="rtsp://user:secret-word@127.0.0.1:9/stream"))
    assert bad.data["usable"] is False
    assert "fix" in bad.data["findings"][0]
    assert "secret-word" not in json.dumps(bad.data) + bad.said
    added = running.ask(AddCamera(camera="yard", source=str(running.video)))
    assert added.said == "yard is added: it is watched in this run and in later ones"
    running.until_watched("yard")
    assert running.camera("yard")["added"] is True
    assert seen(running, "yard").any()
    running.hang_up()
    running.until_watched("yard")
    assert "yard" not in (running.folder / "cameras.toml").read_text()
    gone = running.ask(RemoveCamera(camera="yard"))
    assert gone.said.startswith("yard is removed; its model and its events stay")
    assert running.ask(Pause(camera="yard", paused=True)).reply == "error"


def test_a_reload_that_fails_is_said_and_what_was_asked_for_holds_later(running: RealMonitor) -> None:
    config = running.folder / "cameras.toml"
    good = config.read_text()
    config.write_text(good + "\nnonsense = 1\n")
    try:
        reply = running.ask(Mask(camera="street", name="late", polygon=CORNERS))
        assert reply.reply == "error"
        assert reply.said.startswith("it is stored, but it does not hold yet, because the run cannot be changed now: ")
        assert "nonsense" in reply.said
    finally:
        config.write_text(good)
    running.hang_up()
    assert is_masked(seen(running))


def test_after_a_restart_everything_is_as_it_was_left(running: RealMonitor, folder: Path) -> None:
    assert running.ask(AddCamera(camera="yard", source=str(running.video))).reply == "ok"
    assert running.ask(Pause(camera="yard", paused=True)).reply == "ok"
    running.process.terminate()
    running.process.wait(DEADLINE_S)
    with real_monitor(folder) as again:
        assert eventually(lambda: again.camera("yard")["state"] == "paused", DEADLINE_S)
        assert [place["name"] for place in again.camera()["masks"]] == ["late", "door"]
        assert is_masked(seen(again))
