"""The timeline, as the API gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel

from monitor.text.outside import safe
from monitor.web.asking import Asking
from monitor.web.page_answers import NO_REASON

if TYPE_CHECKING:
    from monitor.web.page_app import Page

LONGEST_S = 2 * 86_400.0
MOST_EVENTS = 2000
_At = Annotated[float, Query(ge=0, le=1e11, allow_inf_nan=False)]


class StateAnswer(BaseModel):
    """A state of a camera, as in a health message. since: unix seconds."""

    since: float
    state: str
    detail: str


class GapAnswer(BaseModel):
    """A stretch in which a camera was blind. Unix seconds."""

    begin: float
    end: float
    why: str


class MarkAnswer(BaseModel):
    """An event on the timeline."""

    id: str
    started_at: float
    ended_at: float | None
    peak_score: float
    quiet: bool
    verdict: str
    sentence: str


class TimelineAnswer(BaseModel):
    """What one camera did. Times are unix seconds.

    known_from      since when this page has heard the camera. Before that it knows events and states from the monitor's
                    journal, but neither scores nor gaps; null: it has heard nothing in this stretch
    scores          the highest score of each minute from ``begin`` on, null without one
    gaps            in which the camera was blind for more than five seconds
    watched_s       seconds with scores, of ``known_s`` seconds that the page knows of
    counted_s       seconds that the monitor says it has watched, from its messages about the budget, once per hour
    """

    camera: str
    known_from: float | None
    scores: list[float | None]
    states: list[StateAnswer]
    gaps: list[GapAnswer]
    watched_s: float
    known_s: float
    counted_s: float
    events: list[MarkAnswer]


def add_timeline(app: FastAPI, page: Page) -> None:
    """Add the path of the timeline to the application."""

    @app.get("/api/v1/timeline")
    def timeline(
        who: Asking, begin: _At, end: _At, camera: Annotated[str | None, Query(max_length=255)] = None
    ) -> list[TimelineAnswer]:
        """What each camera did between two times, at most two days apart."""
        if not 0 < end - begin <= LONGEST_S:
            raise HTTPException(422, "end must lie after begin, by at most two days")
        present = {str(each["name"]) for each in page.board.cameras()}
        names = sorted(name for name in present | set(page.store.cameras()) if who.sees(name))
        return [_answer(page, name, begin, end) for name in names if camera in (None, name)]


def _answer(page: Page, name: str, begin: float, end: float) -> TimelineAnswer:
    found = page.timeline.timeline(name, begin, end)
    marks = [
        MarkAnswer(
            id=key,
            started_at=started_at,
            ended_at=ended_at,
            peak_score=peak,
            quiet=not notify,
            verdict=safe(verdict),
            sentence=safe(reason or NO_REASON),
        )
        for key, started_at, ended_at, peak, notify, verdict, reason in page.store.marks(name, begin, end, MOST_EVENTS)
    ]
    return TimelineAnswer(
        camera=name,
        known_from=found.known_from,
        scores=found.scores,
        states=[
            StateAnswer(since=each.since, state=safe(each.state), detail=safe(each.detail)) for each in found.states
        ],
        gaps=[GapAnswer(begin=gap.begin, end=gap.end, why=safe(gap.why)) for gap in found.gaps],
        watched_s=found.watched_s,
        known_s=found.known_s,
        counted_s=page.store.alarms(name, begin, end)[1],
        events=marks,
    )
