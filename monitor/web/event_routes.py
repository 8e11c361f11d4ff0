"""Events, their pictures and clips, as the API gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse

from monitor.web.asking import Asking
from monitor.web.event_store import StoredEvent, Wanted
from monitor.web.evidence_paths import evidence_file
from monitor.web.page_answers import EventDetails, EventPage, event_details, place_of, place_text
from monitor.web.user_file import Who

if TYPE_CHECKING:
    from monitor.web.page_app import Page

MOST_PER_PAGE = 200
Key = Annotated[str, InPath(pattern="^[0-9a-f]{32}$")]
"""The id of an event or a moment in a path."""
_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".jpg": "image/jpeg"}
_Unix = Annotated[float | None, Query(ge=0, le=1e11, allow_inf_nan=False)]


def event_of(page: Page, key: str, who: Who) -> StoredEvent:
    """The event with this id. Raises HTTPException if there is none, or none that this user may see."""
    event = page.store.event(key)
    if event is None or not who.sees(event.alert.camera):
        raise HTTPException(404, "there is no such event: the monitor's journal may have deleted it")
    return event


def add_events(app: FastAPI, page: Page) -> None:
    """Add the paths of events to the application."""

    @app.get("/api/v1/events")
    def events(
        who: Asking,
        camera: Annotated[str | None, Query(max_length=255)] = None,
        since: _Unix = None,
        until: _Unix = None,
        search: Annotated[str, Query(max_length=200)] = "",
        quiet: bool | None = None,
        verdict: Annotated[str | None, Query(max_length=64)] = None,
        review: bool = False,
        after: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE)] = 30,
    ) -> EventPage:
        """Events, the newest first.

        ``since`` and ``until``: began in this time, unix seconds. ``verdict``: empty: only events without one.
        ``review``: those without one come first.
        """
        try:
            place = None if after is None else place_of(after)
        except (ValueError, TypeError) as error:
            raise HTTPException(422, "after is not the end of a page: take it from `following`") from error
        wanted = Wanted(camera, who.cameras, since, until, search, quiet, verdict, review)
        rows, following = page.store.page(wanted, place, limit)
        return EventPage(
            events=[page.answer(event) for event in rows],
            total=page.store.count(wanted),
            following=None if following is None else place_text(following),
        )

    @app.get("/api/v1/events/{key}")
    def event(key: Key, who: Asking) -> EventDetails:
        """One event, with all that is known of it."""
        return event_details(found := event_of(page, key, who), page.store, page.evidence_of(found.alert.camera))

    def media(key: str, kind: str, who: Who) -> Response:
        alert = event_of(page, key, who).alert
        path = evidence_file(page.evidence_of(alert.camera), alert.evidence, kind)
        if path is not None:
            return FileResponse(path, media_type=_TYPES[path.suffix])
        jpeg = page.store.picture(key, kind)
        if jpeg is None:
            what = "normal picture beside" if kind == "normal" else f"{kind} of"
            raise HTTPException(404, f"there is no {what} this event, or not yet")
        return Response(jpeg, media_type="image/jpeg")

    @app.get("/api/v1/events/{key}/picture", response_class=Response)
    def picture(key: Key, who: Asking) -> Response:
        """The picture of the event's start, with heat and boxes."""
        return media(key, "picture", who)

    @app.get("/api/v1/events/{key}/heat", response_class=Response)
    def heat(key: Key, who: Asking) -> Response:
        """The picture of the event's peak, with heat and boxes."""
        return media(key, "heat", who)

    @app.get("/api/v1/events/{key}/normal", response_class=Response)
    def normal(key: Key, who: Asking) -> Response:
        """A small picture of the nearest normal moment, without heat. ``normal_at`` of the event says when it was."""
        return media(key, "normal", who)

    @app.get("/api/v1/events/{key}/clip", response_class=Response)
    def clip(key: Key, who: Asking) -> Response:
        """The clip, as MP4 or WebM. Answers requests for ranges."""
        return media(key, "clip", who)
