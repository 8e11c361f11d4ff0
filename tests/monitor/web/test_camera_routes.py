"""The page asks the monitor to change cameras: only for operators, in their names, and every refusal is a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

from monitor.alerts.control import (
    AddCamera,
    Arm,
    Budget,
    Cameras,
    Mask,
    Pause,
    Relearn,
    RemoveCamera,
    RollBack,
    TryCamera,
    Versions,
    Zone,
)
from monitor.alerts.control_desk import Asker, Desk, Done
from monitor.errors import RunError, UsageError
from monitor.web.bus_reader import BusAddress
from monitor.web.monitor_link import AT_ONCE, MonitorLink
from monitor.web.user_file import UserFile
from tests.helpers.controlled import controlled
from tests.helpers.web_page import HOSTILE, OWN, a_page, browser, log_in, users_file

CORNERS = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]
CHANGES: dict[str, tuple[str, str, Any, type]] = {
    "pause": ("PUT", "cameras/door/paused", {"paused": True}, Pause),
    "arm": ("PUT", "cameras/door/armed", {"armed": False}, Arm),
    "budget": ("PUT", "cameras/door/budget", {"per_day": 0.5}, Budget),
    "relearn": ("POST", "cameras/door/relearn", None, Relearn),
    "roll back": ("POST", "cameras/door/rollback", None, RollBack),
    "mask": ("PUT", "cameras/door/masks/window", {"polygon": CORNERS}, Mask),
    "no mask": ("DELETE", "cameras/door/masks/window", None, Mask),
    "zone": ("PUT", "cameras/door/zones/road", {"polygon": CORNERS, "sensitivity": 0.5}, Zone),
    "no zone": ("DELETE", "cameras/door/zones/road", None, Zone),
    "test": ("POST", "cameras/test", {"source": "rtsp://a.example/1"}, TryCamera),
    "add": ("POST", "cameras", {"camera": "door", "source": "rtsp://a.example/1", "transport": "tcp"}, AddCamera),
    "remove": ("DELETE", "cameras/door", None, RemoveCamera),
}


@dataclass
class Lab:
    """A page with users, and the requests that its monitor has got."""

    operator: TestClient
    viewer: TestClient
    asked: list[tuple[Any, Asker]]

    def send(self, client: TestClient, method: str, path: str, body: Any = None) -> Any:
        return client.request(method, f"/api/v1/{path}", json=body, headers=OWN)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    asked: list[tuple[Any, Asker]] = []

    def serve(request: Any, asker: Asker) -> Done:
        asked.append((request, asker))
        if getattr(request, "camera", None) == "gone":
            raise UsageError(f"no camera gone is watched ({HOSTILE})")
        return Done("done so", {"camera": "door"})

    def prepare(desk: Desk) -> None:
        for kind in {Cameras, Versions, *(kind for *_, kind in CHANGES.values())}:
            desk.serve(kind, serve)

    users = UserFile(users_file(tmp_path_factory.mktemp("routes"))[0])
    with controlled(prepare) as publisher, a_page(users=users) as page:
        with MonitorLink(BusAddress(publisher.alerts_endpoint, None)) as link:
            page.links = [link]
            clients = [browser(page) for _ in range(2)]
            for client, name in zip(clients, ("ann", "vic"), strict=True):
                assert log_in(client, name).status_code == 200
            yield Lab(clients[0], clients[1], asked)
        page.links = ()


@pytest.mark.parametrize("change", CHANGES)
def test_an_operator_changes_a_camera_and_a_viewer_does_not(lab: Lab, change: str) -> None:
    method, path, body, kind = CHANGES[change]
    answer = lab.send(lab.operator, method, path, body)
    assert answer.status_code == 200
    assert (answer.json()["said"], answer.json()["camera"]) == ("done so", "door")
    request, asker = lab.asked[-1]
    assert type(request).__name__ == kind.__name__
    assert (request.asked_by, asker.person) == ("ann", "ann")
    count = len(lab.asked)
    assert lab.send(lab.viewer, method, path, body).status_code == 403
    assert len(lab.asked) == count


@pytest.mark.parametrize("kind", ["masks", "zones"])
def test_any_name_of_a_place_reaches_the_monitor_which_says_what_is_wrong_with_it(lab: Lab, kind: str) -> None:
    for method, body in (("PUT", {"polygon": CORNERS}), ("DELETE", None)):
        assert lab.send(lab.operator, method, f"cameras/door/{kind}/a%2Fb", body).status_code == 200
        assert lab.asked[-1][0].name == "a/b"


def test_what_is_set_is_for_viewers_too(lab: Lab) -> None:
    assert lab.viewer.get("/api/v1/setup").status_code == 200
    assert isinstance(lab.asked[-1][0], Cameras)
    assert lab.viewer.get("/api/v1/versions").status_code == 200
    assert isinstance(lab.asked[-1][0], Versions)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("PUT", "cameras/gone/paused", {"paused": True}, 409, "no camera gone is watched"),
        ("PUT", "cameras/door/masks/a", {"polygon": [[0, 0]]}, 422, "polygon: it must have at least 3 entries"),
        ("PUT", "cameras/door/masks/a", {"polygon": CORNERS, "look": "red"}, 422, "look: "),
        ("PUT", "cameras/door/zones/a", {"polygon": CORNERS, "sensitivity": 99}, 422, "sensitivity: "),
        ("PUT", "cameras/door/budget", {"per_day": -1}, 422, "per_day: "),
        ("POST", "cameras", {"camera": "x" * 201, "source": "0"}, 422, ""),
        ("POST", "cameras/test", {"source": "0", "transport": "pigeon"}, 422, "transport: "),
        ("POST", "cameras/test", {"source": "0", "monitor": 1}, 422, "monitor: this page shows 1, counted from 0"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(lab: Lab, method: str, path: str, body: Any, status: int, says: str) -> None:
    answer = lab.send(lab.operator, method, path, body)
    assert answer.status_code == status
    if says:
        assert answer.json()["detail"].startswith(says)
    assert "\x1b" not in answer.text


def test_too_many_requests_at_once_are_refused() -> None:
    with MonitorLink(BusAddress("tcp://127.0.0.1:9", None)) as link:
        for _ in range(AT_ONCE):
            assert link._room.acquire(blocking=False)
        with pytest.raises(RunError, match="requests wait for the monitor already"):
            link.ask(Cameras())
        for _ in range(AT_ONCE):
            link._room.release()
        with pytest.raises(RunError, match="no monitor answered at"):
            link.ask(Cameras(), timeout_s=0.1)
