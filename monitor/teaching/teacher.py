"""The teacher: takes verdicts, keeps them, and gives each camera's chain what follows from them.

Main thread only. It is a sink, so it hears of cameras that join and of monitors that are exchanged, and applies what
was taught to them. A verdict never becomes a rule beside the chain: it changes the model and the examples that judge.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from monitor.alerts.control import LAST, Changes, ControlRequest, Feedback, Kept, Name, Preview, Undo, Verdicts
from monitor.alerts.control_desk import Asker, Desk, Done, Steps
from monitor.errors import RunError, UsageError
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.judging.live_calibration import KEPT_DAYS as CALIBRATED_DAYS
from monitor.judging.prototypes import Prototypes
from monitor.learning.calibration_store import CalibrationStore
from monitor.live.fleet import Fleet, Member
from monitor.live.sink import Sink
from monitor.scores.calibration import DAY_S
from monitor.teaching.lessons_applied import taught_model, would_alert
from monitor.teaching.verdict_store import MOST_EVENTS, MOST_VERDICTS, KeptEvent, Verdict, VerdictStore
from monitor.text.commands import client_command
from monitor.text.durations import local_time
from monitor.text.wording import counted, listed

NORMAL, REAL, NAMED = "normal", "real", "named"
PREVIEW_DAYS = 30.0
"""A preview looks at the alarms of this time, days."""
_NOTIFIES = {"always": True, "never": False}
_SHOWN = 10


class Teacher(Sink):
    """Serves feedback, previews, undo, lists and names at the desk.

    fleet         the cameras; their models are replaced when something is taught
    calibrations  where thresholds are kept, so that a judged peak survives a kill
    """

    def __init__(self, store: VerdictStore, fleet: Fleet, calibrations: CalibrationStore) -> None:
        self._store, self._fleet, self._calibrations = store, fleet, calibrations
        self._untaught: set[str] = set()
        self.given = {NORMAL: 0, REAL: 0, NAMED: 0}
        """Kind of verdict -> how many were given in this run."""

    def serve_at(self, desk: Desk) -> None:
        """Answer these requests from now on, and record every change at this desk."""
        desk.recorded_by(self.note)
        desk.serve(Feedback, self._feedback)
        desk.serve(Preview, self._preview)
        desk.serve(Undo, self._undo)
        desk.serve(Verdicts, self._list)
        desk.serve(Kept, self._kept)
        desk.serve(Name, self._name)
        desk.serve(Changes, lambda request, _: self._changes(request))

    def note(self, asker: Asker, request: ControlRequest, said: str) -> None:
        """Record a change."""
        with suppress(RunError):  # the change itself is made, and in the log
            self._store.note(str(asker), str(getattr(request, "request", "")), said)

    def kept(self, alert: Alert, event_id: str) -> None:
        """An event was published under this id: keep what can be taught by it."""
        if alert.traits is None or not alert.traits.samples:
            return
        event = alert.event
        self._store.keep(
            KeptEvent(
                event_id, alert.camera, alert.started_at, alert.ended_at, event.peak_score, event.notify, alert.traits
            )
        )

    def added(self, monitor: CameraMonitor) -> None:
        """This monitor judges from now on. ``apply`` gives it what was taught."""
        self._untaught.add(monitor.camera)

    def apply(self) -> None:
        """Give cameras that are new, or have a new model, what was taught before. May change the fleet."""
        while self._untaught:
            camera = self._untaught.pop()
            self._store.arrive(camera)
            self._apply(camera)

    def forgotten(self, camera: str, thresholds: bool) -> None:
        """What was known of a camera is deleted: its verdicts, and perhaps what its thresholds have learned."""
        member = self._fleet.get(camera)
        if thresholds and member is not None and member.monitor is not None:
            member.monitor.calibration.forget()
        self._apply(camera)

    def _apply(self, camera: str) -> None:
        member = self._fleet.get(camera)
        if member is None or member.monitor is None:
            return
        verdicts = self._store.verdicts(camera)
        lessons, named = [], []
        for verdict in verdicts:
            event = self._store.event(verdict.event_id)
            if event is None:
                continue
            if verdict.verdict == NORMAL:
                lessons.append(event.traits.lesson(everywhere=verdict.everywhere, all_hours=verdict.all_hours))
                named.append(("", event.traits))
            else:
                named.append((verdict.verdict, event.traits))
        notifies = {name: _NOTIFIES[how] for name, how in self._store.alerts().items() if how in _NOTIFIES}
        member.monitor.prototypes = Prototypes(named, notifies)
        member.monitor.calibration.calibrate(_earned(verdicts))
        model = taught_model(member.camera.model, lessons)
        if model is not member.camera.model:
            self._fleet.replace(replace(member.camera, model=model))

    def _feedback(self, request: Feedback, asker: Asker) -> Done:
        event, verdict = self._event(request)
        before = self._store.verdict(event.event_id)
        said = verdict.casefold() if verdict.casefold() in (NORMAL, REAL) else verdict
        if len(self._store.verdicts(event.camera)) >= MOST_VERDICTS and before is None:
            raise UsageError(
                f"{event.camera} has {MOST_VERDICTS} verdicts already: learn it again, or take some back with undo"
            )
        if before is not None:
            self._restore(before)
        judged = self._judge(event, normal=said == NORMAL)
        self._store.give(
            Verdict(
                event.event_id,
                event.camera,
                said,
                request.scope == "picture",
                request.all_hours,
                time.time(),
                str(asker),
                judged,
            )
        )
        self.given[said if said in (NORMAL, REAL) else NAMED] += 1
        self._apply(event.camera)
        words = [f"{event.camera}: event {event.event_id} is {_as_said(said)}"]
        words += [_where_and_when(request, event)] if said == NORMAL else []
        if before is not None and before.verdict != said:
            words.append(f"it was {_as_said(before.verdict)} until now; the later verdict counts")
        if not any(sample.traits for sample in event.traits.samples):
            words.append("but its detectors keep nothing that could be taught by, so only the threshold follows")
        words.append(f"it began {local_time(event.started_at)}")
        return Done("; ".join(words), {"event": event.event_id, "camera": event.camera, "verdict": said})

    def _preview(self, request: Preview, _: Asker) -> Steps:
        event, verdict = self._event(request)
        member = self._member(event.camera)
        return self._would_hide(request, event, member, verdict)

    def _would_hide(self, request: Preview, event: KeptEvent, member: Member, verdict: str) -> Steps:
        """How many alarms of the last 30 days a normal verdict would have hidden; for others, how many get the name."""
        assert member.monitor is not None
        normal, monitor, model = verdict.casefold() == NORMAL, member.monitor, member.camera.model
        lesson = event.traits.lesson(everywhere=request.scope == "picture", all_hours=request.all_hours)
        detectors = [detector.origin for detector in model.detectors]
        taught = [detector.taught([lesson]) for detector in detectors]
        alike = Prototypes([(verdict, event.traits)])
        ids = self._store.event_ids(event.camera, time.time() - PREVIEW_DAYS * DAY_S, notified=True)
        hit = []
        for event_id in ids:
            other = self._store.event(event_id)
            if other is not None and normal:
                judge = (monitor.scale, monitor.smoothing, monitor.settings)
                if would_alert(other.traits, detectors, *judge) and not would_alert(other.traits, taught, *judge):
                    hit.append(event_id)
            elif other is not None and alike.match(other.traits) is not None:
                hit.append(event_id)
            yield None
        what = "would have hidden" if normal else f"would have named '{verdict}'"
        return Done(
            f"{what} {len(hit)} of {counted(len(ids), 'alarm')} of the last {PREVIEW_DAYS:g} days",
            {"hits": len(hit), "alarms": len(ids), "events": hit[:500]},
        )

    def what_if(self, camera: str, per_day: float) -> Steps:
        """Which alarms of the last 30 days another budget would have left out: each is judged again, by its chain.

        What a higher budget would add cannot be judged again, because it was never recorded. ``raised`` helps with
        that: the threshold in units of the present one, which moments of the ranked day can be compared with.
        """
        member = self._fleet.get(camera)
        monitor = None if member is None else member.monitor
        if member is None or monitor is None:
            raise UsageError(f"{camera} is not watched now, so another budget cannot be tried: set it untried")
        calibration = monitor.calibration.copy(monitor.calibration.first.with_budget(per_day))
        calibration.calibrate(monitor.calibration.earned)
        ids = self._store.event_ids(member.name, time.time() - PREVIEW_DAYS * DAY_S, notified=True)
        gone = []
        for event_id in ids:
            other = self._store.event(event_id)
            rest = member.camera.model.detectors, monitor.scale, monitor.smoothing, monitor.settings
            if other is not None and would_alert(other.traits, *rest):
                rest = rest[0], calibration.scale, *rest[2:]
                if not would_alert(other.traits, *rest):
                    gone.append(event_id)
            yield None
        raised = monitor.calibration.scale.raised_by(calibration.scale)
        budget = f"a budget of {counted(per_day, 'false alarm')} per day"
        return Done(
            f"{budget} would have left out {len(gone)} of {counted(len(ids), 'alarm')} of the last {PREVIEW_DAYS:g} "
            f"days; its threshold is {raised:.2g} times the present one",
            {"gone": len(gone), "alarms": len(ids), "events": gone[:500], "raised": raised, "per_day": per_day},
        )

    def _undo(self, request: Undo, _: Asker) -> Done:
        event = self._last_verdict(request.camera) if request.event == LAST else request.event
        verdict = self._store.verdict(event)
        if verdict is None:
            raise UsageError(f"nobody has said anything about event {event}: there is nothing to undo")
        if request.camera is not None and request.camera != verdict.camera:
            raise UsageError(f"event {event} is of camera {verdict.camera}, not of {request.camera}")
        self._restore(verdict)
        self._store.take_back(event)
        self._apply(verdict.camera)
        kept = self._store.event(event)
        when = "" if kept is None else f"; it began {local_time(kept.started_at)}"
        said = f"{verdict.camera}: event {event} is no longer {_as_said(verdict.verdict)}{when}"
        return Done(said, {"event": event, "camera": verdict.camera})

    def _list(self, request: Verdicts, _: Asker) -> Done:
        found = self._store.verdicts(request.camera)
        alerts = self._store.alerts()
        return Done(
            f"{counted(len(found), 'verdict')}",
            {"verdicts": [each.facts() for each in found[-500:]], "names": alerts},
        )

    def _kept(self, request: Kept, _: Asker) -> Done:
        event = self._store.event(request.event)
        if event is None:
            raise UsageError(f"no event {request.event} is kept here")
        return Done(f"event {event.event_id} of {event.camera}", event.facts())

    def _name(self, request: Name, _: Asker) -> Done:
        _check_name(request.name)
        known = sorted({each.verdict for each in self._store.verdicts()} - {NORMAL})
        if request.name not in known:
            there = f"known: {listed(known, _SHOWN)}" if known else "no event has a name yet"
            raise UsageError(f"no event is named '{request.name}' ({there}): give the name to an event first")
        self._store.set_alert(request.name, request.alert)
        for camera in {each.camera for each in self._store.verdicts() if each.verdict == request.name}:
            self._apply(camera)
        how = {"as-scored": "notify as their score says", "always": "always notify", "never": "never notify"}
        return Done(f"events named '{request.name}' {how[request.alert]} from now on")

    def _changes(self, request: Changes) -> Done:
        found = self._store.changes(request.limit)
        return Done(counted(len(found), "change"), {"changes": found})

    def _event(self, request: Feedback) -> tuple[KeptEvent, str]:
        """The event and the verdict that a request names. Raises UsageError."""
        _check_name(request.verdict)
        event = self._store.event(self._last(request) if request.event == LAST else request.event)
        if event is None:
            raise UsageError(
                f"no event {request.event} is kept: it never existed, it is about a lost camera, or it is gone (the "
                f"last {MOST_EVENTS} per camera are kept); list events with "
                f"`{client_command('--since 30d --no-follow --json')}`"
            )
        if request.camera is not None and request.camera != event.camera:
            raise UsageError(f"event {request.event} is of camera {event.camera}, not of {request.camera}")
        return event, request.verdict

    def _last(self, request: Feedback) -> str:
        """The id of the camera's last event that notified. Raises UsageError."""
        if request.camera is None:
            raise UsageError("the last event of which camera? name it with --camera")
        found = self._store.event_ids(request.camera, notified=True)
        if not found:
            raise UsageError(f"{request.camera} has no event that notified: give the id of an event")
        return found[-1]

    def _last_verdict(self, camera: str | None) -> str:
        """The id of the camera's event about which something was said last. Raises UsageError."""
        if camera is None:
            raise UsageError("the last verdict about which camera? name it with --camera")
        found = self._store.verdicts(camera)
        if not found:
            raise UsageError(f"nobody has said anything about events of {camera}: there is nothing to undo")
        return found[-1].event_id

    def _member(self, camera: str) -> Member:
        member = self._fleet.get(camera)
        if member is None or member.monitor is None:
            raise UsageError(f"{camera} is not watched now, so it cannot be tried: give the verdict without a preview")
        return member

    def _judge(self, event: KeptEvent, *, normal: bool) -> dict[str, Any]:
        """Let the camera's thresholds know. Returns what undoes it."""
        member = self._fleet.get(event.camera)
        if member is None or member.monitor is None or not member.monitor.calibration.on:
            return {}
        calibration = member.monitor.calibration
        before = calibration.judge(*event.traits.blocks, normal=normal)
        self._calibrations.save(event.camera, calibration, member.monitor.smoothing)
        return {"model": calibration.scale.model.hash, "blocks": before}

    def _restore(self, verdict: Verdict) -> None:
        member = self._fleet.get(verdict.camera)
        if member is None or member.monitor is None:
            return
        calibration = member.monitor.calibration
        if verdict.judged.get("model") == calibration.scale.model.hash:
            calibration.restore(_blocks(verdict.judged.get("blocks")))
            self._calibrations.save(verdict.camera, calibration, member.monitor.smoothing)


def _blocks(stored: object) -> dict[str, list[tuple[int, float, float]]]:
    """What LiveCalibration.restore takes, from JSON; empty if it is damaged."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    try:
        for name, rows in dict(stored or {}).items():  # type: ignore[call-overload]
            found[str(name)] = [(int(number), float(highest), float(limit)) for number, highest, limit in rows]
    except (TypeError, ValueError):
        return {}
    return found


def _earned(verdicts: list[Verdict]) -> int:
    """Alarms of the calibrated days that were judged real."""
    since = time.time() - CALIBRATED_DAYS * DAY_S
    return sum(each.verdict != NORMAL and each.given_at >= since for each in verdicts)


def _check_name(name: str) -> None:
    if not name.isprintable():
        raise UsageError("a name must be printable text on one line")


def _as_said(verdict: str) -> str:
    return verdict if verdict in (NORMAL, REAL) else f"named '{verdict}'"


def _where_and_when(request: Feedback, event: KeptEvent) -> str:
    where = "anywhere in the picture" if request.scope == "picture" else "in this place"
    if event.traits.hours is None or request.all_hours:
        return f"similar events are normal {where} at any hour from now on"
    minutes = [round(60 * hour) % 1440 for hour in _widened(event.traits.hours)]
    start, end = (f"{minute // 60:02}:{minute % 60:02}" for minute in minutes)
    return f"similar events are normal {where} from {start} to {end} from now on"


def _widened(hours: tuple[float, float]) -> tuple[float, float]:
    return hours[0] - 1.0, hours[1] + 1.0
