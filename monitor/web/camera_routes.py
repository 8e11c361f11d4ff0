"""The part of the API that concerns cameras: live pictures, what is set for each camera, and changes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import Headers

from monitor.alerts.control import (
    MOST_LOOKED_AT,
    AddCamera,
    Arm,
    Budget,
    Cameras,
    ControlRequest,
    Mask,
    Pause,
    Relearn,
    RemoveCamera,
    RollBack,
    TryCamera,
    Versions,
    Zone,
)
from monitor.alerts.previews import Kind
from monitor.client.controller import ANSWER_S
from monitor.errors import MonitorError, first_problem
from monitor.text.outside import safe
from monitor.web.asking import Asking, Operating
from monitor.web.live_pictures import MOST_LOOKING, LivePictures, Place
from monitor.web.live_stream import LiveStream
from monitor.web.monitor_link import MonitorLink
from monitor.web.monitor_names import MonitorNames
from monitor.web.user_file import Who

SLOW_S = 90.0
"""Longest wait for a change that opens a camera, seconds."""
CameraName = Annotated[str, Query(min_length=1, max_length=200, pattern="^[^/]+$")]
Name = Annotated[str, InPath(min_length=1, max_length=200)]
Answer = dict[str, Any]


class PlaceBody(BaseModel):
    """A place in the picture. polygon: corners (x, y) in order, shares of the picture's width and height, 0..1."""

    polygon: list[tuple[float, float]] = Field(max_length=100)


class MaskBody(PlaceBody):
    """A privacy mask. look: ``solid`` or ``pixelated``."""

    look: str = Field("solid", max_length=20)


class ZoneBody(PlaceBody):
    """A zone. Without a rule, nothing that happens there is scored."""

    sensitivity: float | None = None
    must_touch: bool = False
    times: list[str] = Field(default_factory=list, max_length=50)


class SourceBody(BaseModel):
    """A camera to try. transport: ``tcp`` or ``udp``, of an RTSP camera; null: as it works.

    monitor: which of several monitors is asked, from 0, in the order of ``/health``
    """

    source: str = Field(max_length=2000)
    transport: str | None = Field(None, max_length=10)
    monitor: int = Field(0, ge=0)


class CameraBody(SourceBody):
    """A camera to add."""

    camera: str = Field(max_length=200)


class PauseBody(BaseModel):
    """Whether a camera is paused."""

    paused: bool


class ArmBody(BaseModel):
    """Whether a camera is armed."""

    armed: bool


class PerDayBody(BaseModel):
    """A budget, false alarms per day; null: as the config says."""

    per_day: float | None


def add_live_routes(
    app: FastAPI,
    live: Callable[[], Sequence[LivePictures]],
    names: MonitorNames,
    still_may: Callable[[Who, Headers], bool],
) -> None:
    """Add the routes of live pictures.

    live       of each monitor
    names      how the page calls the cameras of several monitors
    still_may  whether who has sent these headers may still see the page
    """

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
        if not found:
            raise HTTPException(503, "this page has no monitor to ask for live pictures")
        if sum(each.viewers for each in found) >= MOST_LOOKING:
            raise HTTPException(503, f"{MOST_LOOKING} browsers look at live pictures already: close one")
        kind: Kind = "heat" if heat else "picture"
        wishes: dict[LivePictures, dict[Place, str]] = {}
        for name in camera:
            monitor, own = _owner(names, who, name)
            wishes.setdefault(found[monitor], {})[own, kind] = name
        return LiveStream(wishes, lambda: still_may(who, request.headers))


def _owner(names: MonitorNames, who: Who, camera: str) -> tuple[int, str]:
    """The number of the monitor that has a camera, and its name there. Raises HTTPException."""
    owner = names.owner(camera) if who.sees(camera) else None
    if owner is None:
        raise HTTPException(404, "there is no such camera")
    return owner


def _link(links: Sequence[MonitorLink], monitor: int) -> MonitorLink:
    """The link to a monitor. Raises HTTPException."""
    if not links:
        raise HTTPException(503, "this page has no monitor to ask")
    if monitor >= len(links):
        raise HTTPException(422, f"monitor: this page shows {len(links)}, counted from 0")
    return links[monitor]


def _everywhere(who: Operating) -> Who:
    """Who has sent it, if that is an operator of all cameras."""
    if who.cameras is not None:
        raise HTTPException(403, "only an operator of all cameras may do this: log in as one")
    return who


OperatingAll = Annotated[Who, Depends(_everywhere)]


def add_control_routes(app: FastAPI, links: Callable[[], Sequence[MonitorLink]], names: MonitorNames) -> None:
    """Add the routes that ask the monitor of a camera to change it. Answers have ``said``, a sentence for people.

    links  to each monitor
    names  how the page calls the cameras of several monitors
    """

    def ask(who: Who, kind: type[ControlRequest], timeout_s: float = ANSWER_S, **fields: Any) -> Answer:
        """Ask the monitor that has the camera of the request."""
        monitor, fields["camera"] = _owner(names, who, fields["camera"])
        return ask_monitor(monitor, who, kind, timeout_s, **fields)

    def ask_monitor(
        monitor: int, who: Who, kind: type[ControlRequest], timeout_s: float = ANSWER_S, **fields: Any
    ) -> Answer:
        found = _link(links(), monitor)
        try:
            reply = found.ask(kind(**fields), who, timeout_s)
        except ValidationError as error:
            where, what = first_problem(error)
            raise HTTPException(422, f"{where}: {what}" if where else what) from None
        except MonitorError as error:
            found.forget()
            raise HTTPException(503, safe(error)) from None
        if reply.reply != "ok":
            raise HTTPException(409, safe(reply.said))
        return {"said": safe(reply.said), **reply.data, "node": reply.node}

    def ask_all(who: Who, kind: type[ControlRequest]) -> Answer:
        """Ask all monitors for their ``cameras``. ``problems``: what those say that do not answer, if one does.

        ``monitors``: of each that answers, its ``number`` from 0, and ``why_not_opened``: why it can open no camera,
        neither a new one nor one again (for a mask, or to learn); "" if it can. Each camera has the latter, too.
        """
        count, told, problems, said, monitors = max(1, len(links())), [], [], [], []
        for monitor in range(count):
            try:
                answer = ask_monitor(monitor, who, kind)
            except HTTPException as error:
                if count == 1:
                    raise
                problems.append(str(error.detail))
                continue
            said.append(answer["said"])
            node, cameras, why_not = answer["node"], answer.get("cameras", []), safe(answer.get("why_not_opened", ""))
            monitors.append({"number": monitor, "why_not_opened": why_not})
            told += [
                each | {"name": names.shown(monitor, node, each["name"]), "why_not_opened": why_not} for each in cameras
            ]
        if not said:
            raise HTTPException(503, problems[0])
        seen = [each for each in told if who.sees(each["name"])]
        return {"said": "; ".join(said), "cameras": seen, "problems": problems, "monitors": monitors}

    @app.get("/api/v1/setup")
    def setup(who: Asking) -> Answer:
        """What is set for each camera, what the config file fixes, and how far it has learned."""
        return ask_all(who, Cameras)

    @app.get("/api/v1/versions")
    def versions(who: Asking) -> Answer:
        """Versions of each camera's model, the newest first. ``why_not``: why it cannot go back to the one before."""
        return ask_all(who, Versions)

    @app.post("/api/v1/cameras/test")
    def test_camera(who: OperatingAll, body: SourceBody) -> Answer:
        """Let the monitor check a camera as the doctor does, without watching it: ``findings``, and ``usable``."""
        return ask_monitor(body.monitor, who, TryCamera, SLOW_S, **body.model_dump(exclude={"monitor"}))

    @app.post("/api/v1/cameras")
    def add_camera(who: OperatingAll, body: CameraBody) -> Answer:
        """Watch one more camera, in this run and in later ones."""
        return ask_monitor(body.monitor, who, AddCamera, SLOW_S, **body.model_dump(exclude={"monitor"}))

    @app.delete("/api/v1/cameras/{name}")
    def remove_camera(who: Operating, name: Name) -> Answer:
        """Stop watching a camera that was added."""
        return ask(who, RemoveCamera, SLOW_S, camera=name)

    @app.put("/api/v1/cameras/{name}/paused")
    def pause(who: Operating, name: Name, body: PauseBody) -> Answer:
        """Pause or resume the scoring of a camera."""
        return ask(who, Pause, camera=name, paused=body.paused)

    @app.put("/api/v1/cameras/{name}/armed")
    def arm(who: Operating, name: Name, body: ArmBody) -> Answer:
        """Arm or disarm a camera."""
        return ask(who, Arm, camera=name, armed=body.armed)

    @app.put("/api/v1/cameras/{name}/budget")
    def set_budget(who: Operating, name: Name, body: PerDayBody) -> Answer:
        """Set the budget of a camera."""
        return ask(who, Budget, camera=name, per_day=body.per_day)

    @app.post("/api/v1/cameras/{name}/relearn")
    def relearn(who: Operating, name: Name) -> Answer:
        """Learn a camera again."""
        return ask(who, Relearn, SLOW_S, camera=name)

    @app.post("/api/v1/cameras/{name}/rollback")
    def roll_back(who: Operating, name: Name) -> Answer:
        """Go back to the version of a camera's model before the newest one."""
        return ask(who, RollBack, SLOW_S, camera=name)

    @app.put("/api/v1/cameras/{name}/masks/{place:path}")
    def set_mask(who: Operating, name: Name, place: Name, body: MaskBody) -> Answer:
        """Set a privacy mask."""
        return ask(who, Mask, SLOW_S, camera=name, name=place, **body.model_dump())

    @app.delete("/api/v1/cameras/{name}/masks/{place:path}")
    def remove_mask(who: Operating, name: Name, place: Name) -> Answer:
        """Remove a privacy mask."""
        return ask(who, Mask, SLOW_S, camera=name, name=place, polygon=None)

    @app.put("/api/v1/cameras/{name}/zones/{place:path}")
    def set_zone(who: Operating, name: Name, place: Name, body: ZoneBody) -> Answer:
        """Set a zone."""
        return ask(who, Zone, camera=name, name=place, **body.model_dump())

    @app.delete("/api/v1/cameras/{name}/zones/{place:path}")
    def remove_zone(who: Operating, name: Name, place: Name) -> Answer:
        """Remove a zone."""
        return ask(who, Zone, camera=name, name=place, polygon=None)
