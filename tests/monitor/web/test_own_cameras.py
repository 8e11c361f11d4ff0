"""Users who may see only some cameras: on every path and channel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from monitor.alerts.control import ControlReply, ControlRequest
from monitor.errors import ConfigError
from monitor.states import CameraState
from monitor.web.bus_reader import BusAddress
from monitor.web.event_store import key_of
from monitor.web.live_pictures import LivePictures
from monitor.web.monitor_link import MonitorLink
from monitor.web.page_app import Page
from monitor.web.user_file import Role, UserFile, Who, new_token, set_password
from monitor.web.viewers import Viewer, Viewers, seen_part
from tests.helpers.publishing import an_alert
from tests.helpers.web_page import JPEG, OWN, PASSWORD, a_budget, a_health, a_page, browser, log_in
from tests.monitor.web.test_moment_store import a_moment

DOOR, YARD = key_of("of door"), key_of("of yard")


NOWHERE = BusAddress("tcp://127.0.0.1:1", None)


class Asked(MonitorLink):
    """A monitor with two cameras that notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(NOWHERE)
        self.requests: list[ControlRequest] = []

    def ask(self, request: ControlRequest, who: Who | None = None, timeout_s: float = 1.0) -> ControlReply:  # noqa: ARG002
        self.requests.append(request)
        return ControlReply(
            schema=1,
            reply="ok",
            node="n",
            epoch="e",
            said="2 cameras",
            data={"cameras": [{"name": "door"}, {"name": "yard"}]},
        )


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A page with two cameras, and a user who may see only the first."""
    set_password(tmp_path / "users", "dora", Role.OPERATOR, PASSWORD, ["door"])
    with a_page(users=UserFile(tmp_path / "users")) as page:
        for number, camera in enumerate(("door", "yard"), 1):
            page.store.take_alert(an_alert(event_id=f"of {camera}", camera=camera), JPEG)
            page.store.take_budget(a_budget(camera))
            page.board.take_health(a_health(camera, CameraState.ONLINE))
            page.moments.take(a_moment(number, [(number, 1.0)], camera=camera), JPEG)
        yield page


@pytest.fixture
def dora(page: Page) -> TestClient:
    client = browser(page)
    assert log_in(client, "dora").status_code == 200
    return client


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "cameras/yard/paused", {"paused": True}, 404),
        ("PUT", "cameras/yard/budget", {"per_day": 1}, 404),
        ("PUT", "cameras/yard/masks/a", {"polygon": [[0, 0], [1, 0], [1, 1]]}, 404),
        ("DELETE", "cameras/yard/zones/a", None, 404),
        ("POST", "cameras/yard/relearn", None, 404),
        ("DELETE", "cameras/yard", None, 404),
        ("POST", "cameras", {"camera": "new", "source": "0"}, 403),
        ("POST", "cameras/test", {"source": "0"}, 403),
        ("GET", "live?camera=door&camera=yard", None, 404),
    ],
)
def test_other_cameras_are_neither_changed_nor_shown_live(
    page: Page, dora: TestClient, method: str, path: str, body: Any, status: int
) -> None:
    asked = Asked()
    page.links, page.lives = [asked], [LivePictures(NOWHERE, asked)]
    answer = dora.request(method, f"/api/v1/{path}", json=body, headers=OWN)
    assert (answer.status_code, asked.requests) == (status, [])


def test_what_is_set_is_told_of_their_cameras_only(page: Page, dora: TestClient) -> None:
    page.links = [Asked()]
    for path in ("setup", "versions"):
        assert [each["name"] for each in dora.get(f"/api/v1/{path}").json()["cameras"]] == ["door"]


def test_lists_hold_only_their_cameras(dora: TestClient) -> None:
    assert [each["name"] for each in dora.get("/api/v1/cameras").json()] == ["door"]
    assert [each["camera"] for each in dora.get("/api/v1/budget").json()] == ["door"]
    events = dora.get("/api/v1/events").json()
    assert ([each["camera"] for each in events["events"]], events["total"]) == (["door"], 1)
    assert dora.get("/api/v1/events", params={"camera": "yard"}).json()["total"] == 0
    health = dora.get("/api/v1/health").json()
    assert ([each["name"] for each in health["cameras"]], health["events"]) == (["door"], 1)
    assert [each["camera"] for each in dora.get("/api/v1/moments").json()["moments"]] == ["door"]
    day = dora.get("/api/v1/timeline", params={"begin": 1.5e9, "end": 1.5e9 + 60}).json()
    assert [each["camera"] for each in day] == ["door"]


def test_what_belongs_to_another_camera_is_not_there(dora: TestClient) -> None:
    moment = key_of("yard/m2")
    for path in ("", "/picture", "/heat", "/normal", "/clip"):
        assert dora.get(f"/api/v1/events/{YARD}{path}").status_code == 404
    for path in ("picture", "normal", "clip"):
        assert dora.get(f"/api/v1/moments/{moment}/{path}").status_code == 404
    assert dora.get(f"/api/v1/events/{DOOR}/picture").content == JPEG
    for path in ("verdict", "preview"):
        body = {"verdict": "normal"}
        assert dora.post(f"/api/v1/events/{YARD}/{path}", json=body, headers=OWN).status_code == 404
    assert dora.delete(f"/api/v1/events/{YARD}/verdict", headers=OWN).status_code == 404
    budget = {"camera": "yard", "per_day": 1.0}
    assert dora.post("/api/v1/budget/preview", json=budget, headers=OWN).status_code == 404


def test_changes_of_other_cameras_do_not_reach_their_stream() -> None:
    viewers, viewer, other = Viewers(), Viewer(lambda name: name == "door"), Viewer()
    viewers.present |= {viewer, other}
    changes: dict[str, list[Any]] = {
        "alert": [{"camera": "yard"}, {"camera": "door"}],
        "verdict": [{"camera": "yard"}, {"camera": "door"}],
        "camera": [{"name": "yard"}, {"name": "door"}],
        "budget": ["yard", "door"],
        "moment": ["yard", "door"],
        "scores": [{"yard": {}}, {"yard": {}, "door": {}}],
        "cameras": [[{"name": "yard"}, {"name": "door"}]],
        "monitor": [{"state": "connected"}],
        "something new": [{"secret": 1}],
    }
    for kind, all_data in changes.items():
        for data in all_data:
            viewers._tell(kind, partial(deepcopy, data))
    came = b"".join(viewer.chunks.get_nowait() for _ in range(viewer.chunks.qsize())).decode()
    assert "yard" not in came
    assert "secret" not in came
    assert came.count("door") == 7
    assert other.chunks.qsize() == 15
    assert seen_part("cameras", [{"name": "yard"}], lambda _: False) == []


def test_the_file_keeps_the_cameras_and_a_wrong_line_says_how_to_write_it(tmp_path: Path) -> None:
    path = tmp_path / "users"
    token = new_token(path, "wall", Role.VIEWER, ["front yard", "door"])
    set_password(path, "ann", Role.OPERATOR, PASSWORD)
    who = UserFile(path).with_token(token)
    assert who is not None
    assert who.cameras == frozenset({"front yard", "door"})
    assert UserFile(path).who("ann").cameras is None  # type: ignore[union-attr]
    text = path.read_text()
    for wrong in ("door", "[]", "[1]", '{"a": 1}', '["door"', "[" * 5000):
        path.write_text(text.replace(json.dumps(["door", "front yard"]), wrong))
        with pytest.raises(ConfigError, match=r'line 2 of .*: write the cameras after the hash as \["door", "yard"\]'):
            UserFile(path)
