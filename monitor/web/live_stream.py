"""The answer that shows live pictures for as long as a viewer looks: multipart, one JPEG per part.

A viewer gets the newest picture of each camera whenever it has taken the one before. So one that is slow gets fewer
pictures, and none waits for it in memory. With one camera, browsers and players know this form as MJPEG.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
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

    may    called before each picture: False if the viewer may not see any more
    shown  a camera's name at its monitor -> its name on this page
    """

    def __init__(
        self,
        live: LivePictures,
        places: Sequence[Place],
        may: Callable[[], bool],
        shown: Mapping[str, str] | None = None,
    ) -> None:
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        super().__init__(headers={"Content-Type": kind, "Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._live, self._places, self._may, self._shown = live, places, may, shown or {}

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
        sent: dict[Place, Preview] = {}
        said = ""
        with self._live.looking(self._places) as news:
            while self._may():
                news.clear()
                if self._live.problem != said:
                    said = self._live.problem
                    await _send(send, _part("application/json", json.dumps({"problem": said}).encode(), {}))
                for place in self._places:
                    newest = self._live.latest(place)
                    if newest is None or newest is sent.get(place):
                        continue
                    if not self._may():
                        break
                    sent[place] = newest
                    await _send(send, _picture(newest, self._shown))
                try:
                    async with asyncio.timeout(CHECK_S):
                        await news.wait()
                except TimeoutError:
                    continue
        async with asyncio.timeout(SEND_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _picture(preview: Preview, shown: Mapping[str, str]) -> bytes:
    message = preview.message
    headers = {
        "X-Camera": quote(shown.get(message.camera, message.camera)),
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
