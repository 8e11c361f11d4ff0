"""The part of the API that concerns cameras: live pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response
from starlette.datastructures import Headers

from monitor.alerts.control import MOST_LOOKED_AT
from monitor.alerts.previews import Kind
from monitor.web.asking import Asking
from monitor.web.live_pictures import MOST_LOOKING, LivePictures
from monitor.web.live_stream import LiveStream
from monitor.web.user_file import Who

CameraName = Annotated[str, Query(min_length=1, max_length=200, pattern="^[^/]+$")]


def add_live_routes(
    app: FastAPI, live: Callable[[], LivePictures | None], still_may: Callable[[Who, Headers], bool]
) -> None:
    """Add the routes of live pictures. still_may: whether who has sent these headers may still see the page."""

    @app.get("/api/v1/live", response_class=Response)
    async def live_pictures(
        request: Request,
        who: Asking,
        camera: Annotated[list[CameraName], Query(min_length=1, max_length=MOST_LOOKED_AT)],
        heat: bool = False,
    ) -> Response:
        """Live pictures as ``multipart/x-mixed-replace``: at most 5 per second and camera, fewer for a slow viewer.

        Repeat ``camera`` for more. Each part is a JPEG with the headers ``X-Camera`` (URL-encoded), ``X-Kind``,
        ``X-Taken-At`` (unix seconds) and ``X-Score``; or JSON with ``problem``, a sentence that says why no pictures
        come, "" when they come again.
        """
        found = live()
        if found is None:
            raise HTTPException(503, "this page has no monitor to ask for live pictures")
        if found.viewers >= MOST_LOOKING:
            raise HTTPException(503, f"{MOST_LOOKING} browsers look at live pictures already: close one")
        kind: Kind = "heat" if heat else "picture"
        places = [(name, kind) for name in dict.fromkeys(camera)]
        return LiveStream(found, places, lambda: still_may(who, request.headers))
