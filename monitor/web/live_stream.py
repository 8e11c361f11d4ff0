"""The answer that shows live pictures for as long as a viewer looks: multipart, one JPEG per part.

A viewer gets the newest picture of each camera whenever it has taken the one before. So one that is slow gets fewer
pictures, and none waits for it in memory. With one camera, browsers and players know this form as MJPEG.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from monitor.alerts.previews import Preview
from monitor.web.live_pictures import LivePictures, Place
from monitor.web.viewers import SEND_S

CHECK_S = 5.0
"""How often a stream without pictures looks whether its viewer may still see."""
_BOUNDARY = "picture"


class LiveStream(Response):
    """Sends pictures until the viewer leaves, takes nothing for a while, or may not see any more.

    wishes  for each monitor: the places there -> the name that each camera has on this page
    may     called before each picture: False if the viewer may not see any more
    """

    def __init__(self, wishes: Mapping[LivePictures, Mapping[Place, str]], may: Callable[[], bool]) -> None:
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        super().__init__(headers={"Content-Type": kind, "Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._wishes, self._may = wishes, may

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the base names it
        """Send until the end."""
        tasks = [asyncio.create_task(self._send_all(send)), asyncio.create_task(_left(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _send(send, f"--{_BOUNDARY}\r\n".encode())
        sent: dict[str, Preview] = {}
        said = ""
        news = asyncio.Event()
        with ExitStack() as stack:
            for live, places in self._wishes.items():
                stack.enter_context(live.looking(places, news))
            while self._may():
                news.clear()
                problem = "; ".join(dict.fromkeys(live.problem for live in self._wishes if live.problem))
                if problem != said:
                    said = problem
                    await _send(send, _part("application/json", json.dumps({"problem": said}).encode(), {}))
                for place, shown, live in self._places:
                    newest = live.latest(place)
                    if newest is None or newest is sent.get(shown):
                        continue
                    if not self._may():
                        break
                    sent[shown] = newest
                    await _send(send, _picture(newest, shown))
                try:
                    async with asyncio.timeout(CHECK_S):
                        await news.wait()
                except TimeoutError:
                    continue
        async with asyncio.timeout(SEND_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    @property
    def _places(self) -> Iterator[tuple[Place, str, LivePictures]]:
        for live, places in self._wishes.items():
            for place, shown in places.items():
                yield place, shown, live


def _picture(preview: Preview, shown: str) -> bytes:
    message = preview.message
    headers = {
        "X-Camera": quote(shown),
        "X-Kind": message.kind,
        "X-Taken-At": f"{message.captured_at:.3f}",
        "X-Score": "" if message.score is None else f"{message.score:.3f}",
    }
    return _part("image/jpeg", preview.jpeg, headers)


def _part(kind: str, content: bytes, headers: dict[str, str]) -> bytes:
    """One part. The boundary follows it at once: a player shows a part when it sees its end."""
    lines = {"Content-Type": kind, "Content-Length": str(len(content)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return head.encode() + b"\r\n" + content + f"\r\n--{_BOUNDARY}\r\n".encode()


async def _send(send: Send, chunk: bytes) -> None:
    async with asyncio.timeout(SEND_S):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _left(receive: Receive) -> None:
    """Wait until the viewer has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
