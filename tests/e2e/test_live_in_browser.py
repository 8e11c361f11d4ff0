"""Live pictures and drawing as people use them: Chromium, the page, and a whole monitor."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from monitor.sources.masked import GREY
from monitor.testing.captured import eventually
from monitor.web.page_server import PageServer
from monitor.web.web_listening import listening_socket
from monitor.web.web_settings import WebSettings
from tests.helpers.in_browser import DEADLINE_MS, FLAGS, open_page
from tests.helpers.real_monitor import DEADLINE_S, RealMonitor, real_monitor
from tests.helpers.web_page import PASSWORD, users_file

CHROMIUM = shutil.which("chromium")
MIDDLE = """() => {
  const canvas = document.querySelector('.stage canvas');
  const data = canvas.getContext('2d').getImageData(canvas.width * .45, canvas.height * .45, canvas.width * .1, canvas.height * .1).data;
  return [...data].filter((_, at) => at % 4 < 3).reduce(([low, high], each) => [Math.min(low, each), Math.max(high, each)], [255, 0]);
}"""  # noqa: E501 - a script

expect.set_options(timeout=DEADLINE_MS)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)")


@dataclass
class Served:
    """A page that is served, and the monitor that it shows."""

    url: str
    monitor: RealMonitor
    server: PageServer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("live")
    with real_monitor(folder) as monitor, listening_socket("127.0.0.1", 0) as listening:
        monitor.until_watched()
        server = PageServer(WebSettings(passwords=users_file(folder)[0]), monitor.address, None)
        ready = threading.Event()
        thread = threading.Thread(target=server.serve, args=(listening, ready.set))
        thread.start()
        try:
            assert ready.wait(DEADLINE_S)
            yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", monitor, server)
        finally:
            server.stop()
            thread.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    with chromium.new_context(viewport={"width": 820, "height": 1180}, service_workers="block") as context:
        context.set_default_timeout(DEADLINE_MS)
        yield context


def log_in(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("article", name="camera street")).to_be_visible()


def in_middle(page: Page) -> tuple[int, int]:
    """The lowest and the highest level of the middle of the large picture."""
    low, high = page.evaluate(MIDDLE)
    return low, high


def is_grey(page: Page) -> bool:
    low, high = in_middle(page)
    return GREY - 12 <= low <= high <= GREY + 12


def test_a_mask_that_is_drawn_hides_its_place_and_a_new_login_loses_nothing(
    served: Served, context: BrowserContext
) -> None:
    said: list[str] = []
    page = open_page(context, said)
    log_in(page, served.url, "ann")
    assert eventually(lambda: page.evaluate("document.querySelector('.view canvas').width") > 100), "a live picture"
    page.get_by_role("link", name="street, large").click()
    expect(page.get_by_role("region", name="What is set")).to_contain_text("door")
    assert eventually(lambda: not is_grey(page) and in_middle(page)[1] > 0)
    page.get_by_role("button", name="Draw a mask or zone").click()
    box = page.locator(".board").bounding_box()
    assert box is not None
    for x, y in ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    corner = page.get_by_role("button", name="corner 1, 30 % from the left, 30 % from the top")
    corner.press("ArrowUp")
    expect(page.get_by_role("button", name="corner 1, 30 % from the left, 29 % from the top")).to_be_focused()
    page.get_by_label("Name").fill("window")
    served.server.page.access.log_out_all()
    page.get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog", name="Log in again")
    dialog.get_by_label("Name").fill("ann")
    dialog.get_by_label("Password").fill("wrong")
    dialog.get_by_role("button", name="Log in").click()
    expect(dialog.get_by_role("alert")).to_have_text("the name or the password is wrong")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Log in").click()
    expect(page.locator(".said")).to_contain_text("the mask window hides its place from now on")
    assert eventually(lambda: is_grey(page)), in_middle(page)
    places = page.get_by_role("region", name="What is set")
    expect(places).to_contain_text("window")
    assert [place["name"] for place in served.monitor.camera()["masks"]] == ["window", "door"]
    places.get_by_role("button", name="Remove window").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator(".said")).to_contain_text("is removed")
    assert eventually(lambda: not is_grey(page))
    assert not said


def test_a_failure_is_a_sentence_and_the_drawing_stays(served: Served, context: BrowserContext) -> None:
    said: list[str] = []
    page = open_page(context, said)
    log_in(page, served.url, "ann")
    page.goto(f"{served.url}/#street")
    page.get_by_role("button", name="Draw a mask or zone").click()
    page.get_by_role("button", name="Rectangle").click()
    page.get_by_label("Name").fill("door")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".said")).to_contain_text("the config file has the mask door of street")
    expect(page.locator(".corner")).to_have_count(4)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".chip")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".chip")).not_to_have_text("paused")
    page.goto(f"{served.url}/")
    page.get_by_role("button", name="Add a camera").click()
    form = page.get_by_role("dialog", name="Add a camera")
    form.get_by_label("Name").fill("yard")
    form.get_by_label("Address").fill("rtsp://127.0.0.1:9/stream")
    form.get_by_role("button", name="Test").click()
    expect(form.locator(".findings")).to_contain_text("problem")
    form.get_by_label("Address").fill(str(served.monitor.video))
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form.locator(".said")).to_contain_text("yard is added")
    form.get_by_role("button", name="Close").click()
    page.get_by_role("link", name="yard, large").click()
    page.get_by_role("button", name="Remove the camera").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove the camera").click()
    expect(page.get_by_role("article", name="camera street")).to_be_visible()
    expect(page.get_by_role("article", name="camera yard")).to_have_count(0)
    assert not said


def test_a_viewer_sees_and_changes_nothing(served: Served, context: BrowserContext) -> None:
    page = open_page(context, [])
    log_in(page, served.url, "vic")
    expect(page.get_by_role("button", name="Add a camera")).to_be_hidden()
    page.goto(f"{served.url}/#street")
    expect(page.get_by_text("Only an operator can change this.")).to_be_visible()
    expect(page.get_by_role("button", name="Draw a mask or zone")).to_be_hidden()
    page.get_by_role("button", name="Heat").click()
    assert eventually(lambda: any(("street", "heat") in live._latest for live in served.server.page.lives))
    status = page.evaluate("""async () => (await fetch('/api/v1/cameras/street/paused', { method: 'PUT',
      headers: { 'X-True-Sight': '1', 'Content-Type': 'application/json' }, body: '{"paused": true}' })).status""")
    assert status == 403
