"""The page as an ASGI application: the API under ``/api/v1``, the pages, and their files."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from monitor import __version__
from monitor.web.access import Access
from monitor.web.asking import Asking, operator
from monitor.web.board import Board
from monitor.web.budget_routes import add_budgets
from monitor.web.bus_reader import News
from monitor.web.camera_routes import add_control_routes, add_live_routes
from monitor.web.day_routes import add_days
from monitor.web.event_routes import add_events
from monitor.web.event_store import EventStore, StoredEvent, Wanted
from monitor.web.gate import Gate, cookie_name
from monitor.web.live_pictures import LivePictures
from monitor.web.moment_store import MomentStore
from monitor.web.monitor_link import MonitorLink
from monitor.web.monitor_names import MonitorNames
from monitor.web.page_answers import (
    CameraAnswer,
    EventAnswer,
    HealthAnswer,
    event_answer,
)
from monitor.web.page_teaching import Teaching
from monitor.web.review_routes import add_review
from monitor.web.timeline_routes import add_timeline
from monitor.web.timeline_store import TimelineStore
from monitor.web.user_file import MOST_LETTERS
from monitor.web.viewers import MOST_VIEWERS, EventStream, Viewers, event_chunk

STATIC = Path(__file__).with_name("static")
PAGES = ("/", "/review", "/timeline", "/budget", "/health")
SCORES_EVERY_S = 0.5
_MOST_LOGINS_AT_ONCE = 8
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}


class Credentials(BaseModel):
    """Name and password of a user."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=MOST_LETTERS)


@dataclass
class Page:
    """What the page is made of.

    evidence  the evidence folder of the first monitor, or None; further_evidence: of each one after it
    teaching  gives verdicts of people to the monitor; None: nobody can give any
    moments_folder  the folder of moments of the first monitor, or None; further_moments: of each one after it
    links     to each monitor's control socket, and ``lives`` their pictures; empty: the page only shows
    names     how the page calls the cameras of several monitors
    """

    store: EventStore
    board: Board
    access: Access
    evidence: Path | None = None
    tls: bool = False
    teaching: Teaching | None = None
    moments: MomentStore = field(default_factory=MomentStore)
    moments_folder: Path | None = None
    further_evidence: Sequence[Path | None] = ()
    further_moments: Sequence[Path | None] = ()
    timeline: TimelineStore = field(default_factory=TimelineStore)
    viewers: Viewers = field(default_factory=Viewers)
    links: Sequence[MonitorLink] = ()
    lives: Sequence[LivePictures] = ()
    names: MonitorNames = field(default_factory=MonitorNames)

    def evidence_of(self, camera: str) -> Path | None:
        """The evidence folder of the monitor that has this camera; None if the page does not have it."""
        return self._folder(camera, (self.evidence, *self.further_evidence))

    def moments_of(self, camera: str) -> Path | None:
        """The folder of moments of the monitor that has this camera; None if the page does not have it."""
        return self._folder(camera, (self.moments_folder, *self.further_moments))

    def _folder(self, camera: str, folders: Sequence[Path | None]) -> Path | None:
        owner = self.names.owner(camera)
        return None if owner is None else next(iter(folders[owner[0] : owner[0] + 1]), None)

    def answer(self, event: StoredEvent) -> EventAnswer:
        """An event as the API gives it."""
        return event_answer(event, self.store, self.evidence_of(event.alert.camera))

    def tell(self, news: News) -> None:
        """Tell all viewers, from any thread."""
        self.viewers.tell(news.kind, lambda: self._data(news))

    def _data(self, news: News) -> Any:
        if isinstance(news.event, StoredEvent):
            return self.answer(news.event).model_dump()
        if news.kind == "monitor":
            return self.board.link()
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
    add_events(app, page)
    add_review(app, page)
    add_days(app, page)
    add_budgets(app, page)
    add_timeline(app, page)
    add_live_routes(app, lambda: page.lives, page.names, gate.still_may)
    add_control_routes(app, lambda: page.links, page.names)
    _add_session(app, page, gate)
    _add_pages(app)
    return gate


@contextlib.asynccontextmanager
async def _running(page: Page) -> AsyncIterator[None]:
    """While the application runs, viewers get scores."""
    page.viewers.start()
    for live in page.lives:
        live.start()

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
    def cameras(who: Asking) -> list[CameraAnswer]:
        """All cameras, with state, score and the last minute."""
        return [CameraAnswer(**camera) for camera in page.board.cameras() if who.sees(camera["name"])]

    @app.get("/api/v1/health")
    def health(who: Asking) -> HealthAnswer:
        """How the monitor, its cameras and this page are doing."""
        return HealthAnswer(
            version=__version__,
            monitor=page.board.link(),
            cameras=cameras(who),
            viewers=len(page.viewers.present),
            slow_viewers=page.viewers.closed_slow,
            events=page.store.count(Wanted(cameras=who.cameras)),
            evidence=any(folder is not None for folder in (page.evidence, *page.further_evidence)),
        )

    @app.get("/api/v1/stream", response_class=Response)
    async def stream(request: Request, who: Asking) -> Response:
        """Server-sent events: ``alert``, ``verdict``, ``camera``, ``cameras``, ``scores``, and more."""
        if len(page.viewers.present) >= MOST_VIEWERS:
            raise HTTPException(503, f"{MOST_VIEWERS} browsers look already: close one")
        seen = [camera for camera in page.board.cameras() if who.sees(camera["name"])]
        first = [event_chunk("monitor", page.board.link()), event_chunk("cameras", seen)]
        sees = None if who.cameras is None else who.sees
        return EventStream(page.viewers, first, lambda: gate.still_may(who, request.headers), sees)


def _add_session(app: FastAPI, page: Page, gate: Gate) -> None:
    access = page.access
    one_by_one = asyncio.Lock()  # each check takes 19 MiB
    waiting = 0

    def tls(request: Request) -> bool:
        return page.tls or request.url.scheme == "https"  # the page's own, or that of a trusted proxy

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
            cookie_name(tls=tls(request)), cookie, path="/", secure=tls(request), httponly=True, samesite="strict"
        )
        return {"name": given.name, "role": role, "login": True}

    @app.delete("/api/v1/session")
    async def log_out(request: Request, response: Response) -> dict[str, bool]:
        """Log out: the session ends."""
        access.log_out(gate.cookie(request.headers))
        for secure in (False, True):
            response.delete_cookie(cookie_name(tls=secure), path="/", secure=secure, httponly=True, samesite="strict")
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
