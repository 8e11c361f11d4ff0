"""Pages in a real browser, Debian's Chromium: served in this process, opened in tabs that note every fault."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

from monitor.sinks.evidence.clips import open_clip
from monitor.web.page_server import PageServer
from monitor.web.web_listening import listening_socket
from tests.helpers.web_page import PASSWORD

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
DEADLINE_MS = 20_000


@contextmanager
def a_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def a_context(browser: Browser, width: int = 390, height: int = 844) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": width, "height": height}, service_workers="block") as context:
        context.set_default_timeout(DEADLINE_MS)
        yield context


@contextmanager
def serving(server: PageServer) -> Iterator[str]:
    """Serve the page in a thread; gives its URL."""
    with listening_socket("127.0.0.1", 0) as listening:
        ready = threading.Event()
        thread = threading.Thread(target=server.serve, args=(listening, ready.set))
        thread.start()
        try:
            assert ready.wait(DEADLINE_MS / 1000)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.stop()
            thread.join()


def open_page(context: BrowserContext, said: list[str]) -> Page:
    """A tab that notes what would be a fault: errors, refusals by the policy, and a dialog that hostile text opened."""

    def dismissed(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    page = context.new_page()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda line: said.append(line.text) if "Content Security Policy" in line.text else None)
    page.on("dialog", dismissed)
    return page


def log_in(page: Page, url: str, password: str = PASSWORD, name: str = "vic") -> None:
    page.goto(f"{url}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def write_clip(path: Path) -> None:
    clip = open_clip(path, 64, 48, camera="door", started_at=1.5e9)
    for number in range(20):
        clip.write(number / 10, np.full((48, 64, 3), 10 * number, np.uint8))
    clip.finish()
