"""Verdicts through the API, to a real teacher over the control socket, and what the page keeps of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from monitor.alerts.control import Changes, Feedback
from monitor.testing.captured import eventually
from monitor.web.board import Board
from monitor.web.bus_reader import BusReader
from monitor.web.event_store import Wanted, key_of
from monitor.web.monitor_link import MonitorLink
from monitor.web.page_app import Page
from monitor.web.page_teaching import Teaching
from monitor.web.user_file import Role, UserFile, Who
from tests.helpers.publishing import an_alert
from tests.helpers.taught_monitor import TaughtMonitor
from tests.helpers.web_page import OWN, a_page, browser, ended, fill, log_in, users_file


@dataclass
class Taught:
    """A page beside a monitor that it can teach, and a browser of an operator."""

    page: Page
    monitor: TaughtMonitor
    link: MonitorLink
    ann: TestClient

    def events(self, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ann.get("/api/v1/events", params=params).json()["events"]
        return found

    def shows(self, level: int) -> str:
        """Show something, and wait until the page has its event; returns the event's id in the API."""
        (raised,) = self.monitor.show(level)
        assert eventually(lambda: ended(self.page, raised))
        return key_of(raised)

    def post(self, path: str, **body: Any) -> Any:
        return self.ann.post(f"/api/v1/{path}", json=body, headers=OWN)


@contextmanager
def taught(folder: Path) -> Iterator[Taught]:
    users, _ = users_file(folder)
    with (
        TaughtMonitor(folder) as monitor,
        a_page(users=UserFile(users)) as page,
        MonitorLink(monitor.address) as link,
    ):
        board = page.board
        assert isinstance(board, Board)
        page.teaching = Teaching([link], page.store, [board], page.tell)
        with BusReader(monitor.address, page.store, board, page.tell), page.teaching:
            assert eventually(lambda: page.board.link()["state"] == "connected")
            ann = browser(page)
            assert log_in(ann, "ann").status_code == 200
            yield Taught(page, monitor, link, ann)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Taught]:
    with taught(tmp_path) as made:
        yield made


def test_normal_is_told_before_it_counts_silences_the_like_and_is_undone(house: Taught) -> None:
    first, second = house.shows(200), house.shows(200)
    before = house.post(f"events/{second}/preview", verdict="normal").json()
    assert before["said"] == "would have hidden 2 of 2 alarms of the last 30 days"
    assert [event["id"] for event in before["events"]] == [first], "the event itself is not told"
    given = house.post(f"events/{second}/verdict", verdict="normal", all_hours=True).json()
    assert "is normal" in given["said"]
    assert (given["event"]["verdict"], given["event"]["judged_by"]) == ("normal", "ann")
    assert house.monitor.show(200) == [], "the like is silent"
    assert [event["verdict"] for event in house.events(review=True)] == ["", "normal"]
    assert [event["id"] for event in house.events(verdict="")] == [first]
    assert [event["id"] for event in house.events(search="NORMAL")] == [second]
    assert house.ann.delete(f"/api/v1/events/{second}/verdict", headers=OWN).json()["event"]["verdict"] == ""
    assert house.monitor.show(200), "it alarms again"
    changes = house.link.ask(Changes(limit=10)).data["changes"]
    assert [change["by"].split(" by ")[0] for change in changes] == ["ann", "ann"]


def test_names_are_kept_offered_and_carried_by_later_events(house: Taught) -> None:
    event = house.shows(200)
    assert house.post(f"events/{event}/verdict", verdict="  delivery ").json()["event"]["verdict"] == "delivery"
    assert house.ann.get("/api/v1/names").json() == {"names": ["delivery"], "may": True}
    house.page.store.take_alert(an_alert(event_id="like", name="delivery", alike=0.8), None)
    like = house.ann.get(f"/api/v1/events/{key_of('like')}").json()
    assert (like["name"], like["alike"], like["verdict"]) == ("delivery", 0.8, "")
    assert len(house.events(search="delivery")) == 2


def test_a_verdict_that_another_program_gives_comes_to_the_page(house: Taught) -> None:
    event = house.shows(200)
    stored = house.page.store.event(event)
    assert stored is not None
    house.link.ask(Feedback(event=stored.alert.event_id, verdict="real"), Who("bob", Role.OPERATOR))
    assert house.page.teaching is not None
    house.page.teaching.read()
    (seen,) = house.events(verdict="real")
    assert (seen["id"], seen["judged_by"].split(" by ")[0]) == (event, "bob")


def test_many_are_judged_at_once_and_each_that_is_not_taken_says_why(house: Taught) -> None:
    event = house.shows(200)
    fill(house.page, 1, "yard")
    answer = house.post("verdicts", verdict="real", events=[event, key_of("e1-yard-0"), "0" * 32]).json()
    assert answer["taken"] == 1
    assert [refused["id"] for refused in answer["refused"]] == [key_of("e1-yard-0"), "0" * 32]
    assert "no event e1-yard-0 is kept" in answer["refused"][0]["why"]
    assert "no such event" in answer["refused"][1]["why"]
    assert house.page.store.count(Wanted(verdict="real")) == 1


def test_a_viewer_may_look_and_not_judge(tmp_path: Path) -> None:
    users, _ = users_file(tmp_path)
    with a_page(users=UserFile(users)) as page:
        fill(page, 1)
        vic = browser(page)
        log_in(vic, "vic")
        assert vic.get("/api/v1/names").json()["may"] is False
        path = f"/api/v1/events/{key_of('e1-door-0')}"
        for method, tried in (
            ("POST", f"{path}/verdict"),
            ("POST", f"{path}/preview"),
            ("DELETE", f"{path}/verdict"),
            ("POST", "/api/v1/verdicts"),
        ):
            body = {"verdict": "normal", "events": [key_of("e1-door-0")]}
            assert vic.request(method, tried, json=body, headers=OWN).status_code == 403, tried


def test_an_event_that_the_monitor_cannot_name_is_refused_with_a_sentence(house: Taught) -> None:
    house.page.store.take_alert(an_alert(event_id="e" * 400), None)
    for path in ("verdict", "preview"):
        refused = house.post(f"events/{key_of('e' * 400)}/{path}", verdict="real")
        assert refused.status_code == 409
        assert refused.json()["detail"].startswith("the monitor would not take this: event: ")


def test_what_cannot_be_judged_says_so() -> None:
    with a_page() as page:
        client = browser(page)
        page.store.take_alert(an_alert(event_id="lost", about="camera_lost"), None)
        page.store.take_alert(an_alert(event_id="e"), None)
        lost, event = (f"/api/v1/events/{key_of(name)}/verdict" for name in ("lost", "e"))
        assert client.post(lost, json={"verdict": "real"}, headers=OWN).json()["detail"].startswith("that a camera is")
        refused = client.post(event, json={"verdict": "real"}, headers=OWN)
        assert (refused.status_code, refused.json()["detail"]) == (
            409,
            "this page is not connected to a monitor that can be taught",
        )
        for wrong in ("", " ", "x" * 65):
            assert client.post(event, json={"verdict": wrong}, headers=OWN).status_code == 422
        assert [each["id"] for each in client.get("/api/v1/events", params={"verdict": ""}).json()["events"]] == [
            key_of("e")
        ]
