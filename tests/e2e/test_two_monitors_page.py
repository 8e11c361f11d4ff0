"""One page for two whole monitors: pictures and changes are those of the monitor that has the camera."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from monitor.testing.captured import eventually
from monitor.web.page_server import PageServer
from monitor.web.web_settings import WebSettings
from tests.helpers.in_browser import CHROMIUM, DEADLINE_MS, a_browser, a_context, open_page, serving
from tests.helpers.real_monitor import DEADLINE_S, real_monitor, street_video

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)")
expect.set_options(timeout=DEADLINE_MS)
WIDTHS = "[...document.querySelectorAll('.view canvas')].map((canvas) => canvas.width)"


def test_live_pictures_and_a_pause_reach_the_monitor_of_the_camera(tmp_path: Path) -> None:
    said: list[str] = []
    folders = [tmp_path / name for name in ("first", "second")]
    video = street_video(tmp_path / "street.avi")
    for folder in folders:
        folder.mkdir()
    with real_monitor(folders[0], video=video) as first, real_monitor(folders[1], video=video) as second:
        for monitor in (first, second):
            monitor.until_watched()
        server = PageServer(WebSettings(), [first.address, second.address], None)
        with serving(server) as url, a_browser() as browser, a_context(browser, 1280, 900) as context:
            page = open_page(context, said)
            page.goto(url)
            expect(page.get_by_role("article")).to_have_count(2)
            assert eventually(lambda: min(page.evaluate(WIDTHS)) > 100, DEADLINE_S), "both show pictures"
            page.get_by_role("link", name=" 2: street, large").click()
            page.get_by_role("button", name="Pause").click()
            expect(page.locator(".said").first).to_contain_text("street is paused")
            assert second.camera()["paused"]
            assert not first.camera()["paused"]
    assert not said
