"""Server-sent events: what changes goes to every browser that looks. None of them can hold memory.

Each viewer has a short queue. A viewer that does not keep up is told so and closed; its browser connects again and
loads the page's content anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MOST_VIEWERS = 64
QUEUED = 200
"""Changes that wait for one viewer."""
QUEUED_BYTES = 1_000_000
BEAT_S = 10.0
"""A comment is sent this often, so that a connection that is gone is noticed."""
_OF_ALL = ("monitor", "refresh", "slow")
"""Changes that say nothing about a camera."""
SEND_S = 15.0
"""A viewer that takes nothing for this long is closed."""


class Viewer:
    """The queue of one browser."""

    def __init__(self, sees: Callable[[str], bool] | None = None) -> None:
        self.sees = sees
        """Whether it may see a camera; None: all."""
        self.chunks: asyncio.Queue[bytes] = asyncio.Queue(QUEUED)
        self.bytes = 0
        self.slow = asyncio.Event()
        """Set once the viewer has not kept up. Nothing is queued from then on."""

    def put(self, chunk: bytes) -> None:
        """Queue a change; if there is no room, give up on this viewer."""
        if self.slow.is_set():
            return
        if self.chunks.full() or self.bytes + len(chunk) > QUEUED_BYTES:
            self.slow.set()
            while not self.chunks.empty():
                self.chunks.get_nowait()
            return
        self.bytes += len(chunk)
        self.chunks.put_nowait(chunk)

    async def get(self) -> bytes:
        """The next change."""
        chunk = await self.chunks.get()
        self.bytes -= len(chunk)
        return chunk


class Viewers:
    """All browsers that look. Only the event loop's thread may use it, except for ``tell``."""

    def __init__(self) -> None:
        self.present: set[Viewer] = set()
        self.closed_slow = 0
        """Viewers that were closed because they did not keep up."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Call it in the event loop before ``tell``."""
        self._loop = asyncio.get_running_loop()

    def tell(self, kind: str, make: Callable[[], Any]) -> None:
        """Send a change to all viewers, from any thread. make: gives its data, in the event loop; None: no change."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._tell, kind, make)

    def _tell(self, kind: str, make: Callable[[], Any]) -> None:
        if self.present and (data := make()) is not None:
            chunk = event_chunk(kind, data)
            for viewer in self.present:
                if viewer.sees is None:
                    viewer.put(chunk)
                elif (part := seen_part(kind, data, viewer.sees)) is not None:
                    viewer.put(event_chunk(kind, part))


def seen_part(kind: str, data: Any, sees: Callable[[str], bool]) -> Any:
    """What somebody who may see only some cameras gets of a change; None: nothing, also of an unknown kind."""
    if kind in _OF_ALL:
        return data
    if kind == "cameras":
        return [camera for camera in data if sees(camera["name"])]
    if kind == "scores":
        return {name: scores for name, scores in data.items() if sees(name)} or None
    name = data.get("camera", data.get("name")) if isinstance(data, dict) else data
    return data if isinstance(name, str) and sees(name) else None


def event_chunk(kind: str, data: Any) -> bytes:
    """One event of the stream. JSON has no line breaks of its own, so nobody can add an event."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


class EventStream(Response):
    """The answer that goes on for as long as a viewer looks.

    first  what the viewer gets at once
    may    called before each change: False if the viewer may not see any more
    sees   whether the viewer may see a camera; None: all
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        viewers: Viewers,
        first: list[bytes],
        may: Callable[[], bool],
        sees: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._viewers, self._first, self._may, self._sees = viewers, first, may, sees

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the base names it
        """Send until the viewer leaves, does not keep up, or may not see any more."""
        viewer = Viewer(self._sees)
        self._viewers.present.add(viewer)
        tasks = [
            asyncio.create_task(self._send_all(viewer, send)),
            asyncio.create_task(_left(receive)),
            asyncio.create_task(_stuck(viewer)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._viewers.present.discard(viewer)
            self._viewers.closed_slow += viewer.slow.is_set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_all(self, viewer: Viewer, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for chunk in self._first:
            await _send(send, chunk)
        while self._may():
            if viewer.slow.is_set():
                await _send(send, event_chunk("slow", {}))
                break
            try:
                async with asyncio.timeout(BEAT_S):
                    chunk = await viewer.get()
            except TimeoutError:
                chunk = b": here\n\n"
            if self._may():
                await _send(send, chunk)
        async with asyncio.timeout(SEND_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, chunk: bytes) -> None:
    async with asyncio.timeout(SEND_S):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _left(receive: Receive) -> None:
    """Wait until the viewer has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stuck(viewer: Viewer) -> None:
    """Wait until a viewer has not kept up, and has had time to be told so."""
    await viewer.slow.wait()
    await asyncio.sleep(SEND_S)
