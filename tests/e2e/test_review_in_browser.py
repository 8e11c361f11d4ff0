"""Reviewing as people do it: Chromium against a page beside a monitor that can be taught, by keyboard and by thumb."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from monitor.testing.captured import eventually
from monitor.web.page_server import PageServer
from monitor.web.web_settings import WebSettings
from tests.helpers.in_browser import CHROMIUM, a_browser, a_context, log_in, open_page, serving, write_clip
from tests.helpers.taught_monitor import TaughtMonitor
from tests.helpers.web_page import users_file

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)")
HOSTILE = "<img src=x onerror=alert(1)>"
CLIP = "door/2026-03-02/101112.345-1.mp4"


@dataclass
class Served:
    """A page that is served, and the monitor that it shows."""

    url: str
    monitor: TaughtMonitor
    evidence: Path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with TaughtMonitor(tmp_path) as monitor:
        settings = WebSettings(passwords=users_file(tmp_path)[0])
        with serving(PageServer(settings, monitor.address, tmp_path / "evidence")) as url:
            yield Served(url, monitor, tmp_path / "evidence")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser


def test_an_alert_is_seen_played_marked_normal_and_the_next_like_it_is_silent(
    served: Served, chromium: Browser
) -> None:
    said: list[str] = []
    with a_context(chromium, 1280, 900) as context:
        page = open_page(context, said)
        log_in(page, served.url, name="ann")
        page.wait_for_url(f"{served.url}/")
        page.goto(f"{served.url}/review")
        expect(page.get_by_text("No event.")).to_be_visible()
        served.monitor.show(200)
        write_clip(served.evidence / CLIP)
        served.monitor.show(200, CLIP)
        expect(page.locator(".event")).to_have_count(2)
        page.locator(".event").first.click()
        assert eventually(lambda: page.evaluate("document.querySelector('video')?.currentTime > 0.2"))
        page.get_by_text("Where and when it is normal").click()
        page.get_by_label("When").select_option("1")
        page.locator("h2").first.click()
        page.keyboard.press("n")
        expect(page.locator(".preview")).to_contain_text("would have hidden 2 of 2 alarms")
        expect(page.locator(".hits a")).to_have_count(1)
        page.keyboard.press("Enter")
        expect(page.locator(".toast")).to_contain_text("is normal")
        expect(page.locator(".event .chip")).to_have_text(["normal"])
        assert served.monitor.show(200) == []
        page.keyboard.press("u")
        expect(page.locator(".toast")).to_contain_text("is no longer normal")
        expect(page.locator(".event .chip")).to_have_count(0)
        assert served.monitor.show(200), "it alarms again"
    assert not said


def test_every_action_works_by_keyboard_and_a_viewer_has_none(served: Served, chromium: Browser) -> None:
    said: list[str] = []
    for level in (200, 120):
        served.monitor.show(level)
    with a_context(chromium, 1280, 900) as context:
        page = open_page(context, said)
        log_in(page, served.url, name="ann")
        page.wait_for_url(f"{served.url}/")
        page.goto(f"{served.url}/review")
        expect(page.locator(".event[aria-current]")).to_have_count(1)
        expect(page.get_by_role("group", name="What was it?")).to_be_visible()
        page.keyboard.press("m")
        expect(page.get_by_role("dialog", name="What was it?")).to_be_visible()
        page.keyboard.type(HOSTILE)
        page.keyboard.press("Enter")
        expect(page.locator(".event .chip")).to_have_text([HOSTILE])
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.keyboard.press("r")  # the next event was chosen meanwhile
        expect(page.locator(".event .chip")).to_have_text([HOSTILE, "real"])
        page.keyboard.press("k")
        expect(page.locator(".event").first).to_have_attribute("aria-current", "true")
        page.get_by_label("Verdict").select_option("real")
        expect(page.locator(".event")).to_have_count(1)
        page.get_by_label("Verdict").select_option("")
        page.get_by_label("Search").fill("onerror")
        expect(page.locator(".event")).to_have_count(1)
    with a_context(chromium) as context:
        page = open_page(context, said)
        log_in(page, served.url, name="vic")
        page.wait_for_url(f"{served.url}/")
        page.goto(f"{served.url}/review")
        page.locator(".event").first.click()
        expect(page.locator(".panel .reason").first).to_be_visible()
        expect(page.get_by_role("button", name="Normal here")).to_have_count(0)
        page.keyboard.press("n")
        expect(page.locator(".panel .chip")).not_to_have_text("normal")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert not said
