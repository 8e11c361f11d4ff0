"""The stream of changes: what viewers get, and that none of them holds memory or stays longer than it may."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from monitor.web import viewers as module
from monitor.web.bus_reader import News
from monitor.web.user_file import UserFile
from monitor.web.viewers import QUEUED, EventStream, Viewers, event_chunk
from tests.helpers.web_page import HOSTILE, a_page

DEADLINE_S = 20.0


class Line:
    """The two ends of a connection: what the server sends, and whether the viewer takes it or has left."""

    def __init__(self, *, takes: bool = True) -> None:
        self.sent: list[bytes] = []
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        self.taken = asyncio.Event()
        if takes:
            self.taken.set()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            await self.taken.wait()
            self.sent.append(message["body"])
            self.arrived.set()

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def until(self, part: bytes) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not any(part in chunk for chunk in self.sent):
                self.arrived.clear()
                await self.arrived.wait()


async def present(viewers: Viewers, count: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while len(viewers.present) != count:
            await asyncio.sleep(0)


def test_a_change_reaches_all_viewers_at_once_and_as_one_event() -> None:
    async def run() -> None:
        viewers = Viewers()
        viewers.start()
        lines = [Line(), Line()]
        streams = [EventStream(viewers, [b"first\n\n"], lambda: True) for _ in lines]
        tasks = [
            asyncio.create_task(stream({}, line.receive, line.send))
            for stream, line in zip(streams, lines, strict=True)
        ]
        await present(viewers, 2)
        await asyncio.to_thread(viewers.tell, "alert", lambda: {"sentence": f"{HOSTILE}\n\nevent: forged"})
        for line in lines:
            await line.until(b"alert")
            assert line.sent[0] == b"first\n\n"
            head, data, *rest = line.sent[1].decode().split("\n")
            assert head == "event: alert"
            assert json.loads(data.removeprefix("data: "))["sentence"].startswith(HOSTILE)
            assert rest == ["", ""]
            line.left.set()
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*tasks)
        assert not viewers.present

    asyncio.run(run())


def test_a_viewer_that_takes_nothing_is_closed_and_holds_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_S", 0.05)

    async def run() -> None:
        viewers = Viewers()
        viewers.start()
        line = Line(takes=False)
        task = asyncio.create_task(EventStream(viewers, [], lambda: True)({}, line.receive, line.send))
        await present(viewers, 1)
        (viewer,) = viewers.present
        for number in range(3 * QUEUED):
            viewers._tell("scores", partial(dict, number=number))
            assert viewer.chunks.qsize() <= QUEUED
        assert viewer.slow.is_set()
        async with asyncio.timeout(DEADLINE_S):
            await task
        assert not viewers.present
        assert viewers.closed_slow == 1

    asyncio.run(run())


def test_a_viewer_that_falls_behind_is_told_so() -> None:
    async def run() -> None:
        viewers = Viewers()
        viewers.start()
        line = Line(takes=False)
        task = asyncio.create_task(EventStream(viewers, [], lambda: True)({}, line.receive, line.send))
        await present(viewers, 1)
        for _ in range(QUEUED + 2):
            viewers._tell("scores", dict)
        line.taken.set()
        await line.until(event_chunk("slow", {}))
        async with asyncio.timeout(DEADLINE_S):
            await task

    asyncio.run(run())


def test_a_viewer_that_may_not_any_more_gets_nothing_more() -> None:
    async def run() -> None:
        viewers = Viewers()
        viewers.start()
        line = Line()
        allowed = True
        task = asyncio.create_task(EventStream(viewers, [], lambda: allowed)({}, line.receive, line.send))
        await present(viewers, 1)
        viewers._tell("alert", dict)
        await line.until(b"alert")
        allowed = False
        viewers._tell("secret", dict)
        async with asyncio.timeout(DEADLINE_S):
            await task
        assert not any(b"secret" in chunk for chunk in line.sent)

    asyncio.run(run())


def test_without_viewers_nothing_is_made() -> None:
    async def run() -> None:
        viewers = Viewers()
        viewers.start()
        made: list[int] = []
        viewers.tell("scores", lambda: made.append(1))
        done = asyncio.Event()
        asyncio.get_running_loop().call_soon(done.set)
        await done.wait()
        assert not made

    asyncio.run(run())


def test_news_of_a_camera_that_is_not_known_are_left_out() -> None:
    with a_page() as page:
        assert page._data(News("camera", "nobody")) is None
        assert page._data(News("refresh")) == {}


def test_the_users_of_a_page_can_be_none() -> None:
    with a_page(users=None) as page:
        assert page.access.users is None
        assert not isinstance(page.access.users, UserFile)
