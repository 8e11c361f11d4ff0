"""The nearest normal picture, the way back to an older model, and the extrapolation, as people see them in Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from monitor.alerts.control import Budget, Cameras, RollBack, Versions
from monitor.alerts.control_desk import Asker, Desk, Done
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.publisher import Publisher
from monitor.judging.alarm_rate import rate_of
from monitor.sinks.evidence.alert_pictures import to_jpeg
from monitor.states import AlertEvent, CameraState, Phase, Reason
from monitor.testing.captured import eventually
from monitor.web.page_server import PageServer
from monitor.web.web_settings import WebSettings
from tests.helpers.in_browser import CHROMIUM, a_browser, a_context, log_in, open_page, serving
from tests.helpers.taught_monitor import TaughtMonitor
from tests.helpers.web_page import users_file

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)")
NORMAL = "door/2026-03-02/101112.345-1-normal.jpg"
OLD = {"version": "v0001", "learned_at": "2026-03-01T08:00:00+00:00", "learned_on": "", "used": False}
NEW = {"version": "v0002", "learned_at": "2026-03-02T08:00:00+00:00", "learned_on": "8 h watched", "used": True}


@dataclass
class Served:
    """A page that is served, its monitor, and what that was asked."""

    url: str
    monitor: TaughtMonitor
    asked: list[Any]


def serve_at(desk: Desk, asked: list[Any]) -> None:
    """Two versions of a model; going back sets the newer one aside."""
    versions = [NEW, OLD]

    def told(_: Versions, __: Asker) -> Done:
        why_not = "" if len(versions) > 1 else "door has no older version to go back to"
        return Done("versions", {"cameras": [{"name": "door", "versions": list(versions), "why_not": why_not}]})

    def back(request: RollBack, _: Asker) -> Done:
        asked.append(request)
        versions[:] = [OLD | {"used": True}]
        return Done("door is watched with version v0001 from now on")

    def budget(request: Budget, _: Asker) -> Done:
        asked.append(request)
        return Done("door: 0.5 false alarms per day from now on", {"alarms": 0, "gone": 0, "raised": 1.2, "events": []})

    desk.serve(Versions, told)
    desk.serve(RollBack, back)
    desk.serve(Budget, budget)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    asked: list[Any] = []
    with TaughtMonitor(tmp_path) as monitor:
        monitor.do(lambda publisher: serve_at(publisher.desk, asked))
        settings = WebSettings(passwords=users_file(tmp_path)[0])
        with serving(PageServer(settings, monitor.address, tmp_path / "evidence")) as url:
            picture = tmp_path / "evidence" / NORMAL
            picture.parent.mkdir(parents=True)
            picture.write_bytes(to_jpeg(np.full((96, 171, 3), 120, np.uint8), 80))
            yield Served(url, monitor, asked)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser


def alert(publisher: Publisher) -> None:
    publisher.publish_alert(
        "door", AlertEvent(7, Phase.START, 1.0, None, 1.2, 1.9, 1.0, notify=True), started_at=time.time(),
        ended_at=None, model=ModelRef(id="street", hash="ab"), frame_age_s=0.1, dropped_frames=0,
        reasons=[Reason("speed", 3.0, 1.0)], evidence=(NORMAL,), normal_at=1_772_461_380.0,
    )  # fmt: skip


def test_what_was_normal_instead_stands_beside_an_event(served: Served, chromium: Browser) -> None:
    said: list[str] = []
    with a_context(chromium) as context:
        page = open_page(context, said)
        log_in(page, served.url)
        page.wait_for_url(f"{served.url}/")
        page.goto(f"{served.url}/review")
        served.monitor.do(alert)
        page.locator(".event").first.click()
        expect(page.get_by_role("figure")).to_contain_text("nearest normal: ")
        shown = page.locator("figure time").get_attribute("datetime")
        assert shown == "2026-03-02T14:23:00.000Z"
        assert eventually(lambda: page.evaluate("document.querySelector('figure img').naturalWidth") == 171)
        expect(page.get_by_role("img", name="what was normal at door")).to_be_visible()
    assert not said


def test_an_operator_goes_back_to_an_older_model_after_a_question(served: Served, chromium: Browser) -> None:
    said: list[str] = []
    with a_context(chromium) as context:
        page = open_page(context, said)
        log_in(page, served.url, name="vic")
        page.wait_for_url(f"{served.url}/")
        page.goto(f"{served.url}/health")
        models = page.get_by_role("region", name="Models")
        expect(models).to_contain_text("v0002")
        expect(models.get_by_role("button")).to_have_count(0)
        page.get_by_role("button", name="Log out").click()
        log_in(page, served.url, name="ann")
        page.wait_for_url(f"{served.url}/")
        page.goto(f"{served.url}/health")
        models.get_by_role("button", name="Go back to v0001").click()
        page.get_by_role("button", name="Cancel").click()
        assert served.asked == []
        models.get_by_role("button", name="Go back to v0001").click()
        page.get_by_role("dialog").get_by_role("button", name="Go back to v0001").click()
        expect(models.get_by_role("status")).to_have_text("door is watched with version v0001 from now on")
        expect(models).not_to_contain_text("v0002")
        expect(models).to_contain_text("door has no older version to go back to")
    assert [(type(each), each.camera, each.asked_by) for each in served.asked] == [(RollBack, "door", "ann")]
    assert not said


def cameras(publisher: Publisher, why_not: str) -> None:
    camera = {
        "name": "door", "source": "street", "added": False, "learning": None, "model": "m@1",
        "may_relearn": not why_not, "paused": False, "armed": True, "per_day": 1.0, "fixed_per_day": None,
        "size": [64, 36], "masks": [], "zones": [],
    }  # fmt: skip
    publisher.desk.serve(Cameras, lambda *_: Done("cameras", {"cameras": [camera], "why_not_opened": why_not}))
    publisher.publish_health("door", CameraState.ONLINE, since=time.time())


def test_nothing_is_offered_that_the_monitor_would_refuse(served: Served, chromium: Browser) -> None:
    said: list[str] = []
    with a_context(chromium) as context:
        page = open_page(context, said)
        served.monitor.do(lambda publisher: cameras(publisher, "the demo has its own scene"))
        log_in(page, served.url, name="ann")
        page.wait_for_url(f"{served.url}/")
        expect(page.get_by_text("No camera can be added here: the demo has its own scene.")).to_be_visible()
        add = page.get_by_role("button", name="Add a camera")
        expect(add).to_be_hidden()
        page.get_by_role("link", name="door, large").click()
        expect(page.get_by_text("No mask, and no learning again: the demo has its own scene.")).to_be_visible()
        expect(page.get_by_role("button", name="Learn again")).to_have_count(0)
        page.get_by_role("button", name="Draw a mask or zone").click()
        expect(page.get_by_label("Kind")).to_have_value("ignore")
        expect(page.get_by_role("option", name="Privacy mask: grey")).to_be_disabled()
        page.get_by_role("button", name="Cancel").click()
        served.monitor.do(lambda publisher: cameras(publisher, ""))
        page.get_by_role("link", name="All cameras").click()
        expect(add).to_be_visible()
        page.get_by_role("link", name="door, large").click()
        expect(page.get_by_role("button", name="Learn again")).to_be_visible()
    assert not said


def test_a_place_is_drawn_with_the_keyboard_alone_and_failures_are_sentences(served: Served, chromium: Browser) -> None:
    said: list[str] = []
    with a_context(chromium) as context:
        page = open_page(context, said)
        served.monitor.do(lambda publisher: cameras(publisher, ""))
        log_in(page, served.url, name="ann")
        page.get_by_role("link", name="door, large").click()
        draw = page.get_by_role("button", name="Draw a mask or zone")
        draw.press("Enter")
        expect(page.get_by_label("Kind")).to_be_focused()
        page.get_by_role("button", name="Rectangle").press("Enter")
        name = page.get_by_label("Name")
        name.fill("<b>x</b>")
        name.press("Enter")
        assert name.evaluate("input => input.validity.patternMismatch")
        expect(page.locator(".said")).to_be_empty()
        name.fill("window")
        page.route("**/masks/*", lambda route: route.abort())
        name.press("Enter")
        expect(page.locator(".said")).to_have_text("the page's server does not answer: try again once it is back")
        expect(page.locator(".corner")).to_have_count(4)
        page.get_by_role("button", name="Cancel").press("Enter")
        expect(draw).to_be_focused()
    assert not said


def test_the_budget_says_how_far_the_threshold_is_extrapolated_and_is_set(served: Served, chromium: Browser) -> None:
    said: list[str] = []
    rate = replace(rate_of(3, 2 * 86_400.0, 1.0), supported_per_day=7.5)
    served.monitor.do(lambda publisher: publisher.publish_health("door", CameraState.ONLINE, since=time.time()))
    served.monitor.do(lambda publisher: publisher.publish_budget("door", rate, added_alarms=3, added_s=2 * 86_400.0))
    with a_context(chromium) as context:
        page = open_page(context, said)
        log_in(page, served.url, name="ann")
        page.wait_for_url(f"{served.url}/")
        page.goto(f"{served.url}/budget")
        card = page.get_by_role("article", name="budget of door")
        expect(card).to_contain_text("The threshold is extrapolated by a factor of 7.5: it rests on 3.2 h of footage")
        card.get_by_role("button", name="What if?").click()
        expect(card).to_contain_text("1.0 per day is the budget now: give another number.")
        expect(card.get_by_role("button", name="Set")).to_have_count(0)
        card.get_by_label("Another budget").fill("0.5")
        card.get_by_role("button", name="What if?").click()
        card.get_by_role("button", name="Set 0.5 per day").click()
        expect(page.locator(".toast")).to_contain_text("0.5 false alarms per day from now on")
    assert [(each.per_day, each.preview) for each in served.asked] == [(0.5, True), (0.5, False)]
    assert not said
