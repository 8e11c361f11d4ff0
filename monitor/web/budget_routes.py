"""Budgets, as the API gives them: measured beside promised, and tried. ``camera_routes`` sets them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from monitor.errors import MonitorError
from monitor.promise import LEAST_PER_DAY, MOST_PER_DAY
from monitor.text.outside import safe
from monitor.web.asking import Asking, Operating
from monitor.web.event_store import key_of
from monitor.web.page_answers import BudgetAnswer, EventAnswer, budget_answer
from monitor.web.review_routes import failed, teaching_of

if TYPE_CHECKING:
    from monitor.web.page_app import Page

_MOST_SHOWN = 50


class BudgetBody(BaseModel):
    """A budget to try for a camera. per_day: false alarms per day; null: as the monitor's config says."""

    camera: Annotated[str, Field(min_length=1, max_length=200, pattern="^[^/]+$")]
    per_day: Annotated[float | None, Field(ge=LEAST_PER_DAY, le=MOST_PER_DAY, allow_inf_nan=False)]


class BudgetTried(BaseModel):
    """What another budget would have changed in the last 30 days.

    said    the monitor's sentence
    alarms  alarms of that time, of which ``gone`` would have been left out
    raised  the threshold in units of the present one
    events  the alarms that would have been left out, as far as the page knows them, at most 50
    added   ranked moments of that time that did not alarm and would have passed the threshold; only the most unusual
            moments of each day are known, so it is a lower bound
    """

    said: str
    alarms: int
    gone: int
    raised: float
    events: list[EventAnswer]
    added: int


def add_budgets(app: FastAPI, page: Page) -> None:
    """Add the paths of budgets to the application."""

    @app.get("/api/v1/budget")
    def budget(who: Asking) -> list[BudgetAnswer]:
        """Each camera's alarms beside its budget."""
        now = time.time()
        seen = (message for message in page.store.budgets() if who.sees(message.camera))
        return [budget_answer(message, page.store, now) for message in seen]

    @app.post("/api/v1/budget/preview")
    def try_budget(body: BudgetBody, who: Operating) -> BudgetTried:
        """What another budget would have changed, without setting it. For operators."""
        if not who.sees(body.camera):
            raise HTTPException(404, "there is no such camera")
        try:
            reply = teaching_of(page).try_budget(body.camera, body.per_day)
        except MonitorError as error:
            raise failed(error) from error
        keys = [key_of(str(each)) for each in reply.data.get("events", [])]
        known = [event for key in keys if (event := page.store.event(key)) is not None and who.sees(event.alert.camera)]
        known.sort(key=lambda event: -event.alert.started_at)
        raised = float(reply.data.get("raised", 1.0))
        return BudgetTried(
            said=safe(reply.said),
            alarms=int(reply.data.get("alarms", 0)),
            gone=int(reply.data.get("gone", 0)),
            raised=raised,
            events=[page.answer(event) for event in known[:_MOST_SHOWN]],
            added=page.moments.passing(body.camera, raised),
        )
