"""The client's commands that change cameras, against a desk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from monitor.alerts.control import (
    AddCamera,
    Cameras,
    ControlRequest,
    Mask,
    Pause,
    Relearn,
    RemoveCamera,
    RollBack,
    TryCamera,
    Versions,
    Zone,
)
from monitor.alerts.control_desk import Desk, Done
from monitor.client.__main__ import app
from tests.helpers.controlled import controlled

ASKED: list[ControlRequest] = []
CAMERA = {
    "name": "door", "state": "paused", "source": "rtsp://h/***", "per_day": 0.5, "paused": True, "armed": False,
    "masks": [{"name": "window"}], "zones": [{"name": "road"}], "learning": {"said": "50 % of all"},
}  # fmt: skip
THREE = ("0,0", "0.5,0", "0.5,0.5")
POLYGON = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5))


def serving(desk: Desk) -> None:
    def take(request: ControlRequest, _: object) -> Done:
        ASKED.append(request.model_copy(update={"tag": ""}))
        if isinstance(request, TryCamera) and not isinstance(request, AddCamera):
            usable = "good" in request.source
            finding = {"state": "ok" if usable else "problem", "found": "25 fps", "fix": "" if usable else "look"}
            return Done("looked", {"usable": usable, "findings": [finding]})
        return Done("done so", {"cameras": [CAMERA]})

    for kind in (AddCamera, Cameras, Mask, Pause, Relearn, RemoveCamera, RollBack, TryCamera, Versions, Zone):
        desk.serve(kind, take)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with controlled(serving) as publisher:
        yield publisher.alerts_endpoint


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("pause", "door"), Pause(camera="door", paused=True)),
        (("resume", "door"), Pause(camera="door", paused=False)),
        (("relearn", "door"), Relearn(camera="door")),
        (("rollback", "door"), RollBack(camera="door")),
        (("versions",), Versions()),
        (("versions", "door"), Versions(camera="door")),
        (("mask", "door", "window", *THREE), Mask(camera="door", name="window", polygon=POLYGON)),
        (("mask", "door", "window", "remove"), Mask(camera="door", name="window", polygon=None)),
        (
            ("mask", "door", "window", *THREE, "--pixelated"),
            Mask(camera="door", name="window", polygon=POLYGON, look="pixelated"),
        ),
        (
            ("zone", "door", "road", *THREE, "--sensitivity", "0.5", "--times", "Mon 08:00-18:00"),
            Zone(camera="door", name="road", polygon=POLYGON, sensitivity=0.5, times=("Mon 08:00-18:00",)),
        ),
        (
            ("add", "yard", "rtsp://h/1", "--transport", "tcp"),
            AddCamera(camera="yard", source="rtsp://h/1", transport="tcp"),
        ),
        (("remove", "yard"), RemoveCamera(camera="yard")),
    ],
)  # fmt: skip
def test_each_command_reaches_the_monitor(endpoint: str, words: tuple[str, ...], wanted: ControlRequest) -> None:
    ASKED.clear()
    done = CliRunner().invoke(app, [*words, "--endpoint", endpoint])
    assert (done.exit_code, done.stdout) == (0, "done so\n"), done.output
    assert [wanted] == ASKED


def test_a_password_may_come_from_standard_input(endpoint: str) -> None:
    ASKED.clear()
    done = CliRunner().invoke(app, ["add", "yard", "-", "--endpoint", endpoint], input="rtsp://u:p@h/1\n")
    assert done.exit_code == 0, done.output
    assert [AddCamera(camera="yard", source="rtsp://u:p@h/1")] == ASKED


def test_the_list_and_a_test_are_printed_and_a_bad_camera_is_an_exit_code(endpoint: str) -> None:
    done = CliRunner().invoke(app, ["cameras", "--endpoint", endpoint])
    line = "door  paused  rtsp://h/***  0.5 false alarms per day  paused  disarmed  mask window  zone road  50 % of all"
    assert done.stdout.splitlines()[1] == line
    good = CliRunner().invoke(app, ["test", "good", "--endpoint", endpoint])
    assert (good.exit_code, good.stdout) == (0, "looked\n  ok: 25 fps\n")
    bad = CliRunner().invoke(app, ["test", "bad", "--endpoint", endpoint])
    assert (bad.exit_code, bad.stdout) == (1, "looked\n  problem: 25 fps; fix: look\n")


@pytest.mark.parametrize(
    "words",
    [
        ("mask", "door", "w", "0;0", "1,1", "1,0"),
        ("mask", "door", "w", "0,0"),
        ("zone", "door", "z", "1,x"),
        ("zone", "door", "z", "nan,0", "1,1", "1,0"),
    ],
)
def test_wrong_corners_are_wrong_usage(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, list(words)).exit_code == 2


def test_a_name_with_a_slash_is_refused_in_own_words() -> None:
    said = " ".join(CliRunner().invoke(app, ["pause", "a/b"]).output.split())
    assert "camera: it must have at least 1 character, and no /" in said
    assert "pattern" not in said


@pytest.mark.parametrize("corner", ["nan,0", "0,inf", "0,-inf", "1e999,0"])
def test_a_corner_that_is_no_number_is_told_as_one(corner: str) -> None:
    said = " ".join(CliRunner().invoke(app, ["mask", "door", "w", corner, "1,1", "1,0"]).output.split())
    assert "each corner is X,Y with shares from 0 to 1" in said
    assert "polygon" not in said
