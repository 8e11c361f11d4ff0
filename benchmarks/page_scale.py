"""The page for browsers with thousands of events and many viewers: times, memory, and what the monitor feels of it.

    python -m benchmarks.page_scale [--events 10000] [--viewers 50] [--alerts 200] [--browser]

A publisher with a journal sends this many events, each with two messages and a picture of 10 kB. Then the page starts
as a process of its own. Printed are:

- how long it takes until the page has all events, and its memory (proportional set size) then and at the end;
- how long the first page of the list, a page in the middle, and searches take over HTTP;
- with viewers that read, five that read one byte per second, and five that never read: how long an alert takes from the
  bus to each viewer that reads, and how long the publisher's own work takes per alert, without viewers and with them;
- with --browser: first contentful paint of the review in Chromium, and the frames that took longer than 50 ms while it
  scrolls through the list.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.lib.process_memory import memory_of
from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.publisher import Publisher
from monitor.states import AlertEvent, CameraState, Phase, Reason

ANY = "tcp://127.0.0.1:*"
PICTURE = b"\xff\xd8" + bytes(10_000)
MODEL = ModelRef(id="street", hash="ab12")
CAMERAS = ("door", "yard", "gate", "street")
DEADLINE_S = 120.0
ODD_VIEWERS = 5
_ALERT_EVERY_S = 0.05
_SCROLL = """async () => {
  const long = [];
  let before = performance.now();
  const ends = before + 8000;
  while (before < ends) {
    scrollBy(0, 400);
    await new Promise((done) => requestAnimationFrame(done));
    const now = performance.now();
    if (now - before > 50) long.push(Math.round(now - before));
    before = now;
  }
  return { long, rows: document.querySelectorAll(".event").length, height: document.documentElement.scrollHeight };
}"""


class Monitor:
    """A publisher in a thread of its own, which alone uses it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        self._stop, self.ready = threading.Event(), threading.Event()
        self._wanted: deque[str] = deque()
        self.took_ms: list[float] = []
        self.thread = threading.Thread(target=self._run)

    def fill(self, events: int) -> None:
        """Send events before the page starts."""
        with (
            Journal(self._folder / "journal.sqlite3", fsync="second") as journal,
            Publisher(ANY, ANY, ANY, node="bench", journal=journal) as publisher,
        ):
            began = time.time() - 60.0 * events
            for number in range(events):
                self._send(publisher, CAMERAS[number % 4], began + 60.0 * number, f"speed {number} px/s", number)

    def alert(self, said: str) -> None:
        """Send one alert soon."""
        self._wanted.append(said)

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self.thread.join()

    def _run(self) -> None:
        with (
            Journal(self._folder / "journal.sqlite3", fsync="second") as journal,
            Publisher(ANY, ANY, ANY, ANY, node="bench", journal=journal) as publisher,
        ):
            self.endpoints = publisher.alerts_endpoint, publisher.scores_endpoint
            for camera in CAMERAS:
                publisher.publish_health(camera, CameraState.ONLINE, since=time.time())
            self.ready.set()
            scored_at = 0.0
            while not self._stop.wait(0.002):
                began = time.perf_counter()
                busy = bool(self._wanted)
                if busy:
                    self._number += 1
                    self._send(publisher, "door", time.time(), self._wanted.popleft(), self._number)
                if time.monotonic() - scored_at > 0.1:
                    scored_at = time.monotonic()
                    for camera in CAMERAS:
                        publisher.publish_score(
                            camera, time_s=scored_at, frame_index=0, score=0.3, captured_at=time.time(), raw={}
                        )
                publisher.tick(time.monotonic())
                if busy:
                    self.took_ms.append(1000 * (time.perf_counter() - began))

    @staticmethod
    def _send(publisher: Publisher, camera: str, at: float, said: str, number: int) -> None:
        for phase, ended_s in ((Phase.START, None), (Phase.END, 3.0)):
            publisher.publish_alert(
                camera,
                AlertEvent(number, phase, 1.0, ended_s, 1.2, 1.0 + number % 97 / 50, 1.0, notify=True),
                started_at=at,
                ended_at=None if ended_s is None else at + 2.0,
                model=MODEL,
                frame_age_s=0.1,
                dropped_frames=0,
                reasons=[Reason("speed", 3.0, 1.0, said=said)],
                jpeg=PICTURE,
            )


@contextmanager
def page_of(monitor: Monitor) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The page's process and its port."""
    alerts, scores = monitor.endpoints
    command = [sys.executable, "-m", "monitor.web", "--endpoint", alerts, "--scores-endpoint", scores]
    process = subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline().rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()


def get(port: int, path: str) -> tuple[dict[str, object], float]:
    """The answer of the API, and how long it took, milliseconds."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}") as answer:
        content = json.loads(answer.read())
    return content, 1000 * (time.perf_counter() - began)


def quantiles(values: Sequence[float]) -> str:
    """``p50 1.2, p99 3.4, longest 5.6 ms``."""
    if not values:
        return "none"
    ordered = sorted(values)
    p50, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"p50 {p50:.1f}, p99 {p99:.1f}, longest {ordered[-1]:.1f} ms ({len(ordered)})"


async def watch(port: int, came: list[tuple[str, float]], *, slow: bool = False) -> None:
    """A viewer of the stream that notes each alert that begins. slow: it takes one byte per second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    writer.write(b"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    with suppress(OSError, asyncio.IncompleteReadError):
        while slow:
            await reader.readexactly(1)
            await asyncio.sleep(1)
        kind = ""
        while line := await reader.readline():
            if line.startswith(b"event: "):
                kind = line[7:].decode().strip()
            elif line.startswith(b"data: ") and kind == "alert":
                data = json.loads(line[6:])
                if data["open"]:
                    came.append((data["sentence"], time.time()))
    writer.close()


async def measure_stream(port: int, monitor: Monitor, viewers: int, alerts: int) -> list[float]:
    """Milliseconds from sending an alert to each viewer that reads."""
    came: list[tuple[str, float]] = []
    tasks = [asyncio.create_task(watch(port, came)) for _ in range(viewers)]
    if viewers > 1:
        tasks += [asyncio.create_task(watch(port, [], slow=True)) for _ in range(ODD_VIEWERS)]
        for _ in range(ODD_VIEWERS):  # they never read
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            tasks.append(asyncio.create_task(_held(writer)))
    await asyncio.sleep(2)
    sent: dict[str, float] = {}
    for number in range(alerts):
        said = f"alert {viewers}.{number}"
        sent[said] = time.time()
        monitor.alert(said)
        await asyncio.sleep(_ALERT_EVERY_S)
    ends_at = time.monotonic() + 10
    while len(came) < alerts * viewers and time.monotonic() < ends_at:
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(f"  {len(came)} of {alerts * viewers} alerts came")
    return [1000 * (at - sent[said]) for said, at in came if said in sent]


async def _held(writer: asyncio.StreamWriter) -> None:
    try:
        await asyncio.sleep(DEADLINE_S)
    finally:
        writer.close()


def in_browser(port: int) -> None:
    """First contentful paint and scrolling in Chromium."""
    from playwright.sync_api import sync_playwright

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"http://127.0.0.1:{port}/review")
        page.wait_for_selector(".event")
        listed = page.evaluate("performance.now()")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
        print(f"review: first contentful paint {paint:.0f} ms, list there after {listed:.0f} ms")
        found = page.evaluate(_SCROLL)
        print(f"scrolling 8 s: {found['rows']} rows in the page, list {found['height']} px high")
        print(f"frames of more than 50 ms: {found['long']} ms")
        browser.close()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--alerts", type=int, default=200)
    parser.add_argument("--browser", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        monitor = Monitor(Path(folder))
        monitor.fill(given.events)
        monitor.thread.start()
        assert monitor.ready.wait(DEADLINE_S)
        try:
            with page_of(monitor) as (process, port):
                began = time.monotonic()
                while (known := get(port, "health")[0]["events"]) != given.events:
                    if time.monotonic() - began > DEADLINE_S:
                        break
                    time.sleep(0.1)
                print(f"{known} events in the page after {time.monotonic() - began:.1f} s")
                print(f"memory of the page: {memory_of(process.pid).pss:.0f} MB")
                paths = {
                    "first page": "events?limit=60&review=true",
                    "search of a word": "events?limit=60&search=4711",
                    "camera and verdict": "events?limit=60&camera=yard&verdict=",
                    "a day": f"events?limit=60&since={time.time() - 86_400:.0f}&until={time.time():.0f}",
                    "timeline": f"timeline?begin={time.time() - 86_400:.0f}&end={time.time():.0f}",
                }
                for name, path in paths.items():
                    print(f"{name}: {quantiles([get(port, path)[1] for _ in range(20)])}")
                if given.browser:
                    in_browser(port)
                for viewers in (1, given.viewers):
                    monitor.took_ms.clear()
                    latencies = asyncio.run(measure_stream(port, monitor, viewers, given.alerts))
                    print(f"{viewers} viewers, alert on the bus to alert at a viewer: {quantiles(latencies)}")
                    print(f"{viewers} viewers, work of the publisher per alert: {quantiles(monitor.took_ms)}")
                    print(f"memory of the page: {memory_of(process.pid).pss:.0f} MB")
        finally:
            monitor.stop()


if __name__ == "__main__":
    main()
