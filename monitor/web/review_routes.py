"""Verdicts about events, as the API takes them: give, try before, take back, and the same for many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field, StringConstraints

from monitor.alerts.control import MOST_NAME
from monitor.errors import MonitorError
from monitor.text.outside import safe
from monitor.web.asking import Asking, Operating
from monitor.web.event_routes import Key, event_of
from monitor.web.event_store import StoredEvent, can_judge
from monitor.web.page_answers import EventAnswer
from monitor.web.page_teaching import RefusedByMonitorError, Teaching
from monitor.web.user_file import Who

if TYPE_CHECKING:
    from monitor.web.page_app import Page

MOST_AT_ONCE = 50
"""Events that one request can judge."""
_MOST_SHOWN = 50
_ID = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]


class VerdictBody(BaseModel):
    """What an event was.

    verdict    ``normal``, ``real``, or a name; a name also says that it was real
    scope      ``here``: normal where the event was; ``picture``: everywhere in the picture
    all_hours  False: normal for an hour before and after the event's time of day
    """

    verdict: Annotated[str, StringConstraints(min_length=1, max_length=MOST_NAME, strip_whitespace=True)]
    scope: Literal["here", "picture"] = "here"
    all_hours: bool = False


class ManyBody(VerdictBody):
    """What several events were. events: their ids."""

    events: list[_ID] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Said(BaseModel):
    """What the monitor has said, and the event as it is now."""

    said: str
    event: EventAnswer


class NotTaken(BaseModel):
    """An event about which a verdict was not taken, and why."""

    id: str
    why: str


class ManySaid(BaseModel):
    """How many verdicts were taken, and which were not."""

    taken: int
    refused: list[NotTaken]


class PreviewAnswer(BaseModel):
    """What a verdict would have changed in the last 30 days.

    said    the monitor's sentence
    hits    number of events that it would have hidden, or that would have got the name
    events  those of them that the page knows, without the event itself; at most 50
    """

    said: str
    hits: int
    events: list[EventAnswer]


class NamesAnswer(BaseModel):
    """The names that people have given to events, and whether you may give verdicts."""

    names: list[str]
    may: bool


def add_review(app: FastAPI, page: Page) -> None:
    """Add the paths of verdicts to the application."""

    def teaching() -> Teaching:
        return teaching_of(page)

    def found(key: str, who: Who) -> StoredEvent:
        event = event_of(page, key, who)
        if not can_judge(event.alert):
            raise HTTPException(409, "that a camera is lost cannot be judged")
        return event

    def answer(event: StoredEvent) -> EventAnswer:
        return page.answer(event)

    def now(key: str, said: str, who: Who) -> Said:
        return Said(said=safe(said), event=answer(found(key, who)))

    @app.get("/api/v1/names")
    def names(who: Asking) -> NamesAnswer:
        """The names that people have given to events."""
        may = page.teaching is not None and who.may_change
        return NamesAnswer(names=[name for name in page.store.names() if name != "real"], may=may)

    @app.post("/api/v1/events/{key}/verdict")
    def give(key: Key, body: VerdictBody, who: Operating) -> Said:
        """Say what an event was. For operators."""
        event = found(key, who)
        try:
            said = teaching().give(event, body.verdict, body.scope, all_hours=body.all_hours, who=who)
        except MonitorError as error:
            raise failed(error) from error
        return now(key, said, who)

    @app.delete("/api/v1/events/{key}/verdict")
    def undo(key: Key, who: Operating) -> Said:
        """Take back what was said about an event, with all that followed. For operators."""
        event = found(key, who)
        try:
            said = teaching().undo(event, who)
        except MonitorError as error:
            raise failed(error) from error
        return now(key, said, who)

    @app.post("/api/v1/events/{key}/preview")
    def preview(key: Key, body: VerdictBody, who: Operating) -> PreviewAnswer:
        """What a verdict would have changed, without giving it: which past alerts it would have hidden.

        For operators: the monitor judges the alarms of a month again.
        """
        event = found(key, who)
        try:
            said, keys, hits = teaching().preview(event, body.verdict, body.scope, all_hours=body.all_hours)
        except MonitorError as error:
            raise failed(error) from error
        known = [each for hit in keys if hit != key and (each := page.store.event(hit)) is not None]
        known.sort(key=lambda each: -each.alert.started_at)
        return PreviewAnswer(said=safe(said), hits=hits, events=[answer(each) for each in known[:_MOST_SHOWN]])

    @app.post("/api/v1/verdicts")
    def give_many(body: ManyBody, who: Operating) -> ManySaid:
        """Say of several events, one after the other, that they were the same. For operators."""
        taken, refused = 0, []
        for key in dict.fromkeys(body.events):
            try:
                teaching().give(found(key, who), body.verdict, body.scope, all_hours=body.all_hours, who=who)
                taken += 1
            except HTTPException as error:
                refused.append(NotTaken(id=key, why=str(error.detail)))
            except RefusedByMonitorError as error:
                refused.append(NotTaken(id=key, why=str(error)))
            except MonitorError as error:
                raise failed(error) from error
        return ManySaid(taken=taken, refused=refused)


def teaching_of(page: Page) -> Teaching:
    """What the page teaches the monitor by. Raises HTTPException."""
    if page.teaching is None:
        raise HTTPException(409, "this page is not connected to a monitor that can be taught")
    return page.teaching


def failed(error: MonitorError) -> HTTPException:
    """409 if the monitor refuses, 503 if it does not answer."""
    return HTTPException(409 if isinstance(error, RefusedByMonitorError) else 503, safe(error))
