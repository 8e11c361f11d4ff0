"""Live pictures in the page: one lease for all browsers, few pictures for a slow one, none without the right to see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from monitor.testing.captured import eventually
from monitor.web.live_pictures import MOST_LOOKING, LivePictures, Place
from monitor.web.live_stream import LiveStream
from monitor.web.monitor_link import MonitorLink
from monitor.web.user_file import UserFile
from tests.helpers.looked_at import LookedAt, decoded, looked_at
from tests.helpers.publishing import DEADLINE_S
from tests.helpers.web_page import a_page, browser, log_in, users_file
from tests.monitor.web.test_viewers import Line

BOUNDARY = b"--picture\r\n"


@pytest.fixture(scope="module")
def lab() -> Iterator[LookedAt]:
    with looked_at() as lab:
        yield lab


@contextmanager
def live_of(lab: LookedAt) -> Iterator[LivePictures]:
    with MonitorLink(lab.address) as link, LivePictures(lab.address, link) as live:
        yield live


def parts_of(line: Line) -> list[tuple[dict[str, str], bytes]]:
    """Headers and content of the parts that a viewer has got."""
    found = []
    for part in b"".join(line.sent).split(BOUNDARY)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        assert len(content) == int(headers["Content-Length"]) + 2
        found.append((headers, content[:-2]))
    return found


def named(places: list[Place]) -> dict[Place, str]:
    return {place: place[0] for place in places}


async def until(condition: object) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


def test_viewers_of_one_camera_and_of_two_get_pictures_and_the_lease_ends_with_them(lab: LookedAt) -> None:
    async def run(live: LivePictures) -> None:
        live.start()
        lines = [Line(), Line()]
        wished = [[("door", "picture")], [("door", "picture"), ("yard", "picture")]]
        tasks = [
            asyncio.create_task(LiveStream({live: named(places)}, lambda: True)({}, line.receive, line.send))  # type: ignore[arg-type]
            for places, line in zip(wished, lines, strict=True)
        ]
        await until(lambda: all(len(parts_of(line)) >= 4 for line in lines))
        assert live.viewers == 2
        first, second = (parts_of(line) for line in lines)
        assert {headers["X-Camera"] for headers, _ in first} == {"door"}
        assert {headers["X-Camera"] for headers, _ in second} == {"door", "yard"}
        assert decoded(first[0][1]).shape == (96, 128, 3)
        for line in lines:
            line.left.set()
        await asyncio.gather(*tasks)
        assert live.viewers == 0
        assert live.latest(("door", "picture")) is None, "an old picture is not kept"

    with live_of(lab) as live:
        asyncio.run(run(live))
        assert eventually(lambda: not lab.publisher.preview_wanted("door", "picture"))


def test_a_slow_viewer_gets_fewer_pictures_and_the_newest(lab: LookedAt) -> None:
    async def run(live: LivePictures) -> None:
        live.start()
        slow, quick = Line(takes=False), Line()
        tasks = [
            asyncio.create_task(
                LiveStream({live: {("door", "picture"): "door"}}, lambda: True)({}, line.receive, line.send)
            )
            for line in (slow, quick)
        ]
        await until(lambda: len(parts_of(quick)) >= 5)
        assert slow.sent == []
        slow.taken.set()
        await until(lambda: len(parts_of(slow)) >= 1)
        at = [float(parts_of(line)[0][0]["X-Taken-At"]) for line in (slow, quick)]
        assert at[0] >= at[1] + 0.5, "what it has missed does not wait for it"
        for line in (slow, quick):
            line.left.set()
        await asyncio.gather(*tasks)

    with live_of(lab) as live:
        asyncio.run(run(live))


def test_who_may_not_see_any_more_sees_nothing_more(lab: LookedAt) -> None:
    async def run(live: LivePictures) -> None:
        live.start()
        line, may = Line(), True
        stream = LiveStream({live: {("door", "picture"): "door"}}, lambda: may)
        task = asyncio.create_task(stream({}, line.receive, line.send))
        await until(lambda: parts_of(line))
        may = False
        async with asyncio.timeout(DEADLINE_S):
            await task
        line.left.set()

    with live_of(lab) as live:
        asyncio.run(run(live))


def test_a_monitor_without_control_says_why_no_picture_comes() -> None:
    async def run(live: LivePictures) -> None:
        live.start()
        line = Line()
        stream = LiveStream({live: {("door", "picture"): "door"}}, lambda: True)
        task = asyncio.create_task(stream({}, line.receive, line.send))
        await until(lambda: parts_of(line))
        headers, content = parts_of(line)[0]
        assert headers["Content-Type"] == "application/json"
        assert "has no control socket" in json.loads(content)["problem"]
        line.left.set()
        await task

    with looked_at(control=None) as lab, live_of(lab) as live:
        asyncio.run(run(live))


def test_the_route_refuses_strangers_nonsense_and_too_many(tmp_path: Path) -> None:
    users = UserFile(users_file(tmp_path)[0])
    with a_page(users=users) as page:
        client: TestClient = browser(page)
        assert client.get("/api/v1/live?camera=door").status_code == 401
        log_in(client, "vic")
        answer = client.get("/api/v1/live?camera=door")
        assert (answer.status_code, answer.json()["detail"]) == (
            503, "this page has no monitor to ask for live pictures"
        )  # fmt: skip

        assert client.get("/api/v1/setup").json()["detail"] == "this page has no monitor to ask"

        class Full:
            viewers = MOST_LOOKING

        page.lives = [Full()]  # type: ignore[list-item]
        try:
            assert client.get("/api/v1/live").status_code == 422
            assert client.get("/api/v1/live?camera=a/b").status_code == 422
            assert "look at live pictures already" in client.get("/api/v1/live?camera=door").json()["detail"]
        finally:
            page.lives = ()
