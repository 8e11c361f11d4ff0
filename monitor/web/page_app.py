"""The page as an ASGI application: the API under ``/api/v1``, the pages, and their files."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from monitor import __version__
from monitor.web.access import Access
from monitor.web.asking import Asking, operator
from monitor.web.board import Board
from monitor.web.bus_reader import News
from monitor.web.camera_routes import add_control_routes, add_live_routes
from monitor.web.event_store import EventStore, StoredEvent, Wanted
from monitor.web.evidence_paths import evidence_file
from monitor.web.gate import Gate, cookie_name
from monitor.web.live_pictures import LivePictures
from monitor.web.monitor_link import MonitorLink
from monitor.web.page_answers import (
    BudgetAnswer,
    CameraAnswer,
    EventDetails,
    EventPage,
    HealthAnswer,
    budget_answer,
    event_answer,
    event_details,
    place_of,
    place_text,
)
from monitor.web.user_file import MOST_LETTERS
from monitor.web.viewers import MOST_VIEWERS, EventStream, Viewers, event_chunk

STATIC = Path(__file__).with_name("static")
PAGES = ("/", "/review", "/budget", "/health")
SCORES_EVERY_S = 0.5
MOST_PER_PAGE = 200
_MOST_LOGINS_AT_ONCE = 8
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".jpg": "image/jpeg",
}
Key = Annotated[str, InPath(pattern="^[0-9a-f]{32}$")]
Unix = Annotated[float | None, Query(ge=0, le=1e11, allow_inf_nan=False)]


class Credentials(BaseModel):
    """Name and password of a user."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=MOST_LETTERS)


@dataclass
class Page:
    """What the page is made of.

    evidence  the monitor's evidence folder, or None
    link      to the monitor's control socket, and ``live`` its pictures; None: the page only shows
    """

    store: EventStore
    board: Board
    access: Access
    evidence: Path | None = None
    tls: bool = False
    viewers: Viewers = field(default_factory=Viewers)
    link: MonitorLink | None = None
    live: LivePictures | None = None

    def tell(self, news: News) -> None:
        """Tell all viewers, from any thread."""
        self.viewers.tell(news.kind, lambda: self._data(news))

    def _data(self, news: News) -> Any:
        if isinstance(news.event, StoredEvent):
            return event_answer(news.event, self.store, self.evidence).model_dump()
        if news.kind == "camera":
            return self.board.camera(news.data)
        if news.kind == "cameras":
            return self.board.cameras()
        return news.data if news.data is not None else {}


def page_application(page: Page) -> Gate:
    """The application, behind its gate."""
    app = FastAPI(
        title="True Sight",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # it would load programs from another site
        redoc_url=None,
        lifespan=lambda _: _running(page),
    )
    gate = Gate(app, page.access, tls=page.tls)
    _add_state(app, page, gate)
    _add_events(app, page)
    add_live_routes(app, lambda: page.live, gate.still_may)
    add_control_routes(app, lambda: page.link)
    _add_session(app, page, gate)
    _add_pages(app)
    return gate


@contextlib.asynccontextmanager
async def _running(page: Page) -> AsyncIterator[None]:
    """While the application runs, viewers get scores."""
    page.viewers.start()
    if page.live is not None:
        page.live.start()

    async def send_scores() -> None:
        while True:
            await asyncio.sleep(SCORES_EVERY_S)
            page.viewers.tell("scores", lambda: page.board.fresh_scores() or None)

    task = asyncio.create_task(send_scores())
    try:
        yield
    finally:
        task.cancel()


def _add_state(app: FastAPI, page: Page, gate: Gate) -> None:
    @app.get("/api/v1/cameras")
    def cameras() -> list[CameraAnswer]:
        """All cameras, with state, score and the last minute."""
        return [CameraAnswer(**camera) for camera in page.board.cameras()]

    @app.get("/api/v1/budget")
    def budget() -> list[BudgetAnswer]:
        """Each camera's alarms beside its budget."""
        now = time.time()
        return [budget_answer(message, page.store, now) for message in page.store.budgets()]

    @app.get("/api/v1/health")
    def health() -> HealthAnswer:
        """How the monitor, its cameras and this page are doing."""
        return HealthAnswer(
            version=__version__,
            monitor=page.board.link(),
            cameras=[CameraAnswer(**camera) for camera in page.board.cameras()],
            viewers=len(page.viewers.present),
            slow_viewers=page.viewers.closed_slow,
            events=page.store.count(Wanted()),
            evidence=page.evidence is not None,
        )

    @app.get("/api/v1/stream", response_class=Response)
    async def stream(request: Request, who: Asking) -> Response:
        """Server-sent events: ``alert``, ``camera``, ``cameras``, ``scores``, ``budget``, ``monitor``, ``refresh``."""
        if len(page.viewers.present) >= MOST_VIEWERS:
            raise HTTPException(503, f"{MOST_VIEWERS} browsers look already: close one")
        first = [event_chunk("monitor", page.board.link()), event_chunk("cameras", page.board.cameras())]
        return EventStream(page.viewers, first, lambda: gate.still_may(who, request.headers))


def _add_events(app: FastAPI, page: Page) -> None:
    def found(key: str) -> StoredEvent:
        event = page.store.event(key)
        if event is None:
            raise HTTPException(404, "there is no such event: the monitor's journal may have deleted it")
        return event

    @app.get("/api/v1/events")
    def events(
        camera: Annotated[str | None, Query(max_length=255)] = None,
        since: Unix = None,
        until: Unix = None,
        search: Annotated[str, Query(max_length=200)] = "",
        quiet: bool | None = None,
        after: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE)] = 30,
    ) -> EventPage:
        """Events, the newest first. ``since`` and ``until``: began in this time, unix seconds."""
        try:
            place = None if after is None else place_of(after)
        except (ValueError, TypeError) as error:
            raise HTTPException(422, "after is not the end of a page: take it from `following`") from error
        if place is not None and not math.isfinite(place[0]):
            raise HTTPException(422, "after is not the end of a page: take it from `following`")
        wanted = Wanted(camera, since, until, search, quiet)
        rows, following = page.store.page(wanted, place, limit)
        return EventPage(
            events=[event_answer(event, page.store, page.evidence) for event in rows],
            total=page.store.count(wanted),
            following=None if following is None else place_text(following),
        )

    @app.get("/api/v1/events/{key}")
    def event(key: Key) -> EventDetails:
        """One event, with all that is known of it."""
        return event_details(found(key), page.store, page.evidence)

    def media(key: str, kind: str) -> Response:
        path = evidence_file(page.evidence, found(key).alert.evidence, kind)
        if path is not None:
            return FileResponse(path, media_type=_TYPES[path.suffix])
        jpeg = page.store.picture(key, kind)
        if jpeg is None:
            raise HTTPException(404, f"there is no {kind} of this event, or not yet")
        return Response(jpeg, media_type="image/jpeg")

    @app.get("/api/v1/events/{key}/picture", response_class=Response)
    def picture(key: Key) -> Response:
        """The picture of the event's start, with heat and boxes."""
        return media(key, "picture")

    @app.get("/api/v1/events/{key}/heat", response_class=Response)
    def heat(key: Key) -> Response:
        """The picture of the event's peak, with heat and boxes."""
        return media(key, "heat")

    @app.get("/api/v1/events/{key}/clip", response_class=Response)
    def clip(key: Key) -> Response:
        """The clip, as MP4 or WebM. Answers requests for ranges."""
        return media(key, "clip")


def _add_session(app: FastAPI, page: Page, gate: Gate) -> None:
    access = page.access
    one_by_one = asyncio.Lock()  # each check takes 19 MiB
    waiting = 0

    @app.get("/api/v1/session")
    def session(who: Asking) -> dict[str, Any]:
        """Who I am, and what I may do."""
        return {"name": who.name, "role": who.role, "login": access.users is not None}

    @app.post("/api/v1/session")
    async def log_in(request: Request, response: Response, given: Annotated[Credentials, Body()]) -> dict[str, Any]:
        """Log in: sets the cookie of a session."""
        nonlocal waiting
        if access.users is None:
            raise HTTPException(404, "this page needs no login")
        address = request.client.host if request.client else ""
        wait_s = access.wait_s(given.name, address)
        if wait_s > 0 or waiting >= _MOST_LOGINS_AT_ONCE:
            wait = max(1, math.ceil(wait_s))
            raise HTTPException(429, f"too many attempts: try again in {wait} s", {"Retry-After": str(wait)})
        access.attempt(given.name, address)
        waiting += 1
        try:
            async with one_by_one:
                role = await asyncio.to_thread(access.check_password, given.name, given.password)
        finally:
            waiting -= 1
        if role is None:
            raise HTTPException(401, "the name or the password is wrong")
        cookie = access.log_in(given.name, address)
        response.set_cookie(
            cookie_name(tls=page.tls), cookie, path="/", secure=page.tls, httponly=True, samesite="strict"
        )
        return {"name": given.name, "role": role, "login": True}

    @app.delete("/api/v1/session")
    async def log_out(request: Request, response: Response) -> dict[str, bool]:
        """Log out: the session ends."""
        access.log_out(gate.cookie(request.headers))
        response.delete_cookie(cookie_name(tls=page.tls), path="/", secure=page.tls, httponly=True, samesite="strict")
        return {"ended": True}

    @app.delete("/api/v1/sessions", dependencies=[Depends(operator)])
    async def log_out_all() -> dict[str, int]:
        """End the sessions of all users, for a phone that was lost. For operators."""
        return {"ended": access.log_out_all()}


def _add_pages(app: FastAPI) -> None:
    def file(name: str) -> FileResponse:
        path = STATIC / name
        return FileResponse(path, media_type=_TYPES[path.suffix])

    for path in PAGES:
        app.add_api_route(path, lambda: file("index.html"), include_in_schema=False, response_class=FileResponse)
    app.add_api_route("/login", lambda: file("login.html"), include_in_schema=False, response_class=FileResponse)
    known = {path.name for path in STATIC.iterdir() if path.suffix in (".css", ".js", ".svg")}

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> FileResponse:
        if name not in known:
            raise HTTPException(404, "there is no such file")
        return file(name)
