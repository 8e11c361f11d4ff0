"""The ranked day, as the API gives it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from monitor.alerts.messages import MomentMessage
from monitor.text.outside import safe
from monitor.web.asking import Asking
from monitor.web.event_routes import Key
from monitor.web.event_store import key_of
from monitor.web.evidence_paths import evidence_file
from monitor.web.moment_store import StoredMoment
from monitor.web.page_answers import elsewhere
from monitor.web.user_file import Who

if TYPE_CHECKING:
    from monitor.web.page_app import Page


class MomentAnswer(BaseModel):
    """A moment of a camera's day. Times are unix seconds.

    id             names the moment in this API
    rank           its place among the camera's moments of the day, from 1
    score          1 is the threshold of the budget, which hardly moves
    rare           in words how rare the like is
    alarmed        whether an alert covers it; event: the id of that event, null if the page does not know it
    picture, clip  whether there is one
    normal         whether there is a small picture of the nearest normal moment, which was at ``normal_at``
    missing        where its large picture and its clip are, if the page cannot have them, a sentence; else ""
    """

    id: str
    camera: str
    day: str
    at: float
    rank: int
    score: float
    rare: str
    sentence: str
    alarmed: bool
    event: str | None
    picture: bool
    clip: bool
    normal: bool
    normal_at: float | None
    missing: str


class DayAnswer(BaseModel):
    """A ranked day. day: null if no moment is known; days: those of which moments are known, the latest first."""

    day: str | None
    days: list[str]
    moments: list[MomentAnswer]


def add_days(app: FastAPI, page: Page) -> None:
    """Add the paths of the ranked day to the application."""

    def found(key: str, who: Who) -> MomentMessage:
        message = page.moments.moment(key)
        if message is None or not who.sees(message.camera):
            raise HTTPException(404, "there is no such moment: the monitor's journal may have deleted it")
        return message

    def file_of(message: MomentMessage, kind: str) -> Path | None:
        return evidence_file(page.moments_of(message.camera), message.files, kind)

    @app.get("/api/v1/moments")
    def moments(
        who: Asking,
        day: Annotated[str | None, Query(pattern=r"^\d{4}-\d\d-\d\d$")] = None,
        camera: Annotated[str | None, Query(max_length=255)] = None,
    ) -> DayAnswer:
        """The most unusual moments of a day, the most unusual first. Without a day: of the latest one."""
        days = page.moments.days(lambda name: who.sees(name) and camera in (None, name))
        chosen = day or next(iter(days), None)
        ranked = [] if chosen is None else page.moments.ranked(chosen, camera, who.sees)
        return DayAnswer(day=chosen, days=days, moments=[_answer(each, page) for each in ranked])

    @app.get("/api/v1/moments/{key}/picture", response_class=Response)
    def moment_picture(key: Key, who: Asking) -> Response:
        """The picture of a moment: the large one of the folder of moments, or the small one that was published."""
        path = file_of(found(key, who), "heat")
        if path is not None:
            return FileResponse(path, media_type="image/jpeg")
        jpeg = page.moments.picture(key)
        if jpeg is None:
            raise HTTPException(404, "there is no picture of this moment")
        return Response(jpeg, media_type="image/jpeg")

    @app.get("/api/v1/moments/{key}/normal", response_class=Response)
    def moment_normal(key: Key, who: Asking) -> Response:
        """A small picture of the nearest normal moment. ``normal_at`` of the moment says when it was."""
        path = file_of(found(key, who), "normal")
        if path is None:
            raise HTTPException(404, "there is no normal picture beside this moment")
        return FileResponse(path, media_type="image/jpeg")

    @app.get("/api/v1/moments/{key}/clip", response_class=Response)
    def moment_clip(key: Key, who: Asking) -> Response:
        """The clip of a moment, as MP4. Answers requests for ranges."""
        path = file_of(found(key, who), "clip")
        if path is None:
            raise HTTPException(404, "there is no clip of this moment")
        return FileResponse(path, media_type="video/webm" if path.suffix == ".webm" else "video/mp4")


def _answer(moment: StoredMoment, page: Page) -> MomentAnswer:
    message, event = moment.message, None
    if message.event_id is not None and page.store.event(key_of(message.event_id)) is not None:
        event = key_of(message.event_id)
    folder = page.moments_of(message.camera)
    large = evidence_file(folder, message.files, "heat")
    return MomentAnswer(
        id=moment.key,
        camera=message.camera,
        day=safe(message.day),
        at=message.at,
        rank=moment.rank,
        score=moment.score,
        rare=safe(moment.rare),
        sentence=safe(message.reasons[0].text) if message.reasons else "the score was high",
        alarmed=message.event_id is not None,
        event=event,
        picture=moment.has_picture or large is not None,
        clip=evidence_file(folder, message.files, "clip") is not None,
        normal=evidence_file(folder, message.files, "normal") is not None,
        normal_at=message.normal_at,
        missing=elsewhere("moments", message.node) if message.files and folder is None else "",
    )
