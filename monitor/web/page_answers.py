"""What the API answers: the fields of cameras, events, budgets and health, with a sentence for people in each."""

from __future__ import annotations

import base64
import json
import math
import re
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from monitor.alerts.message_parts import EARLY, NOT_NOTIFIED
from monitor.alerts.messages import AlertMessage, BudgetMessage
from monitor.client.lines import budget_text
from monitor.promise import DAY_S, extrapolation_words
from monitor.states import AlertKind, Phase
from monitor.text.outside import safe
from monitor.web.event_store import EventStore, Place, StoredEvent, can_judge
from monitor.web.evidence_paths import CLIPS, evidence_file
from monitor.web.poisson_interval import rate_interval

KINDS = ("picture", "heat", "clip", "normal")
NO_REASON = "the score passed the threshold"
_CLIP_WITHIN_S = 60.0
"""So long after its end, the clip of an event may still be written."""
_WINDOWS_DAYS = (1, 7, 30)


class CameraAnswer(BaseModel):
    """A camera now.

    state      as in a health message; null until the monitor has told it
    mood       ``fine``, ``waiting`` (connects, learns, has ended), ``bad``, or ``gone``: the monitor is not heard
    since      when the state began, unix seconds
    score      0 is typical, 1 the threshold; null without a score of the last minute
    curve      points (unix seconds, highest score in half a second) of the last minute
    """

    name: str
    state: str | None
    mood: str
    since: float | None
    detail: str
    score: float | None
    threshold: float
    scored_at: float | None
    curve: list[tuple[float, float]]


class EventAnswer(BaseModel):
    """An event, as the list shows it. Times are unix seconds.

    id           names the event in this API; event_id is its name in messages
    open         True while the event continues
    sentence     the strongest reason, in words
    unusual      how unusual it is, in words
    quiet        True: it repeats an event of shortly before, and nobody is notified
    can_judge    whether people can say what it was
    verdict      what they have said: ``normal``, ``real`` or a name; "" if nothing
    judged_by    who said so, and ``judged_at`` when, unix seconds
    name         the name of events that it is like, ``alike`` how much: 1 is the same, 0.5 is just alike
    picture, heat, clip  whether there is a picture of the start, a picture of the peak with heat, a clip
    normal       whether there is a small picture of the nearest normal moment, which was at ``normal_at``
    missing      why there is no clip, or not yet, a sentence; "" if there is one, or if none is expected
    """

    id: str
    event_id: str
    camera: str
    about: str
    open: bool
    started_at: float
    ended_at: float | None
    peak_score: float
    sentence: str
    also: list[str]
    unusual: str
    notes: list[str]
    quiet: bool
    can_judge: bool
    verdict: str
    judged_by: str
    judged_at: float | None
    name: str
    alike: float | None
    picture: bool
    heat: bool
    clip: bool
    normal: bool
    normal_at: float | None
    missing: str


class EventDetails(EventAnswer):
    """An event with all that is known of it. rank: 1 is the camera's most unusual event of those kept; of: how many.

    message  the event's last message, with all fields of the protocol
    """

    rank: int
    of: int
    message: dict[str, Any]


class EventPage(BaseModel):
    """Some events, the newest first. following: pass it as ``after`` for the next page; null on the last one."""

    events: list[EventAnswer]
    total: int
    following: str | None


class AlarmsIn(BaseModel):
    """Alarms in the last days, the days that were watched in them, and the 95 % interval of their rate per day.

    low, high  None if nothing was watched
    """

    days: int
    alarms: int
    watched_days: float
    per_day: float | None
    low: float | None
    high: float | None


class BudgetAnswer(BaseModel):
    """A camera's alarms beside its budget. Rates are alarms per day, with their 95 % interval, of seven days watched.

    threshold  how far the threshold is extrapolated, a sentence; "" if the monitor does not say
    broken    True if there are more alarms than promised, beyond doubt
    windows   alarms that were counted in the last 1, 7 and 30 days
    """

    camera: str
    promised_per_day: float
    per_day: float | None
    low: float
    high: float | None
    alarms: int
    watched_days: float
    broken: bool
    sentence: str
    threshold: str
    windows: list[AlarmsIn]
    told_at: float


class HealthAnswer(BaseModel):
    """How the monitor, its cameras and this page are doing.

    monitor  state: ``connecting``, ``connected``, ``silent``, ``ended`` or ``refused``, with a sentence; history:
             ``loading``, ``complete`` or ``unavailable``: the events from before this page was started
    viewers  browsers that look now
    """

    version: str
    monitor: dict[str, Any]
    cameras: list[CameraAnswer]
    viewers: int
    slow_viewers: int
    events: int
    evidence: bool


def event_answer(event: StoredEvent, store: EventStore, evidence: Path | None) -> EventAnswer:
    """An event for the list."""
    return EventAnswer(**_fields(event, store, evidence))


def event_details(event: StoredEvent, store: EventStore, evidence: Path | None) -> EventDetails:
    """An event with all that is known of it."""
    alert = event.alert
    rank, of = store.rank(alert)
    fields = _fields(event, store, evidence)
    if alert.about == AlertKind.ANOMALY:
        place = "the most unusual" if rank == 1 else f"rank {rank}"
        fields["unusual"] += f", {place} of {of} events of this camera" if of > 1 else ""
    message = json.loads(alert.model_dump_json(by_alias=True))
    return EventDetails(**fields, rank=rank, of=of, message=message)


def budget_answer(message: BudgetMessage, store: EventStore, now: float) -> BudgetAnswer:
    """A camera's budget. now: unix seconds."""
    windows = []
    for days in _WINDOWS_DAYS:
        alarms, watched_s = store.alarms(message.camera, now - days * DAY_S)
        watched = watched_s / DAY_S
        low, high = rate_interval(alarms, watched) if watched > 0 else (None, None)
        per_day = alarms / watched if watched > 0 else None
        windows.append(AlarmsIn(days=days, alarms=alarms, watched_days=watched, per_day=per_day, low=low, high=high))
    return BudgetAnswer(
        camera=message.camera,
        promised_per_day=message.promised_per_day,
        per_day=message.per_day,
        low=message.low,
        high=message.high,
        alarms=message.alarms,
        watched_days=message.watched_s / DAY_S,
        broken=message.broken,
        sentence=safe(budget_text(message)),
        threshold=extrapolation_words(message.supported_per_day, message.promised_per_day),
        windows=windows,
        told_at=message.sent_at,
    )


def place_text(place: Place) -> str:
    """Where a page of events ends, as text for a URL."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def place_of(text: str) -> Place:
    """The opposite. Raises ValueError for any other text."""
    judged, at, key = json.loads(base64.urlsafe_b64decode(text.encode()))
    if not math.isfinite(float(at)) or not re.fullmatch("[0-9a-f]{32}", key):
        raise ValueError("it does not name an event")
    return int(bool(judged)), float(at), key


def _fields(event: StoredEvent, store: EventStore, evidence: Path | None) -> dict[str, Any]:
    alert = event.alert
    pictures = store.pictures(event.key)
    said = (store.verdict(event.key) if event.verdict else None) or {}
    there = {kind: kind in pictures or evidence_file(evidence, alert.evidence, kind) is not None for kind in KINDS}
    return {
        "id": event.key,
        "event_id": alert.event_id,
        "camera": alert.camera,
        "about": str(alert.about),
        "open": alert.phase is not Phase.END,
        "started_at": alert.started_at,
        "ended_at": alert.ended_at,
        "peak_score": alert.peak_score,
        "sentence": sentence_of(alert),
        "also": [safe(reason.text) for reason in alert.also],
        "unusual": f"{alert.peak_score:.3g} times the threshold" if alert.about == AlertKind.ANOMALY else "",
        "notes": _notes(alert),
        "quiet": not alert.notify,
        "can_judge": can_judge(alert),
        "verdict": safe(event.verdict),
        "judged_by": safe(said.get("given_by", "")),
        "judged_at": said.get("given_at"),
        "name": safe(alert.name),
        "alike": alert.alike,
        "normal_at": alert.normal_at,
        "missing": "" if there["clip"] else _missing(alert, evidence),
        **there,
    }


def elsewhere(what: str, node: str) -> str:
    """Where files are that the page cannot have. what: ``evidence`` or ``moments``, the kind of their folder."""
    return (
        f"Clip and large pictures are in the folder of {what} of the monitor {safe(node)}, which this page does not "
        f"have: name it with --{what}, or open the page of that monitor."
    )


def _missing(alert: AlertMessage, evidence: Path | None) -> str:
    if not alert.evidence:
        return ""
    if evidence is None:
        return elsewhere("evidence", alert.node)
    if not any(name.endswith(CLIPS) for name in alert.evidence):
        return ""
    if alert.phase is not Phase.END:
        return "The clip comes some seconds after the end of the event."
    if alert.ended_at is not None and time.time() - alert.ended_at < _CLIP_WITHIN_S:
        return "The clip is being written: it comes within some seconds."
    return "There is no clip in the evidence folder: it was deleted, or the log says why it was not written."


def sentence_of(alert: AlertMessage) -> str:
    """The strongest reason of an event, in words."""
    if alert.reasons:
        return safe(alert.reasons[0].text)
    return "the camera is lost" if alert.about == AlertKind.CAMERA_LOST else NO_REASON


def _notes(alert: AlertMessage) -> list[str]:
    notes = []
    if alert.early:
        notes.append(EARLY)
    if not alert.notify:
        notes.append(NOT_NOTIFIED)
    if alert.interrupted:
        notes.append("the monitor was killed during the event")
    return notes
