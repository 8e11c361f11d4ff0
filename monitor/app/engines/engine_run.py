"""An engine: watches some cameras of a run, in a process of its own, and tells the run what its sinks must hear.

Everything that needs pictures or models is here: capture, detectors, alert rules, evidence, moments, learning, memories
that grow, and what people have taught. Everything that there is once per run is in the run: bus, journal, page.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import ExitStack

from monitor.alerts.control_desk import Desk, Done
from monitor.app.changed_run import ChangedRun, FleetCameras
from monitor.app.chooser import Chooser
from monitor.app.choosing import Choosing
from monitor.app.config import MonitorConfig
from monitor.app.engines.engine_messages import (
    Ack,
    Ask,
    Chosen,
    Decided,
    Facts,
    Finished,
    ForgetParts,
    Forgotten,
    Plan,
    Ready,
    Refused,
    Replied,
    Show,
    Stop,
    Task,
    Taught,
)
from monitor.app.engines.engine_plan import EnginePlans, planned
from monitor.app.engines.far_stores import FarChoices, FarVerdicts
from monitor.app.engines.relay_sink import RelaySink
from monitor.app.engines.run_line import LogRelay, RunLine
from monitor.app.engines.seats import OVER
from monitor.app.moments_place import kept_for_moments, moments_folder
from monitor.app.normal_place import normal_sink
from monitor.app.own_model import Relearning
from monitor.app.planning import calibration_store, growing_plan, grown, learned, warn_of_short_footage, watching
from monitor.errors import MonitorError
from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.coordinator import Learning
from monitor.learning.growing import Growing, GrowingPlan
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.model.model_store import Model
from monitor.sinks.calibration_sink import CalibrationSink
from monitor.sinks.evidence.evidence_sink import EvidenceSink
from monitor.sinks.growing_sink import GrowingSink
from monitor.sinks.moments.moments_sink import MomentsSink
from monitor.sinks.previews.preview_sink import PreviewSink
from monitor.state_folder import MEMORIES
from monitor.teaching.teacher import Teacher

log = logging.getLogger("monitor")

WRITTEN_S = 10.0
"""Seconds that a camera that leaves waits until its memory is written, at most."""
TAKEN_S = 5.0
"""Seconds that an engine waits at its end until the run has taken all steps of events."""


class EngineRun:
    """Builds everything for ``run``."""

    def __init__(self, line: RunLine, task: Task, logs: LogRelay) -> None:
        self._line, self._task, self._logs = line, task, logs
        self._wire = line.wire
        self._choices = FarChoices(task.choices)
        self._settings = task.plan.settings.with_choices(self._choices)
        self._desk = Desk(self._settings.node, task.epoch)
        self._asked: deque[tuple[int, Generator[bool | None, None, bytes]]] = deque()
        self._leaving: dict[str, float] = {}  # name -> until when it is waited for its memory
        self._ending, self._hurried = threading.Event(), threading.Event()

    def run(self) -> None:
        """Watch until the run says stop, or until every source has ended. Tells the run how it ended."""
        task = self._task
        try:
            _, cameras = planned(task.plan, self._choices, task.max_frames, task.relearning)
        except MonitorError as error:
            self._wire.send(Refused(task.plan.number, error))
            self._wire.drain(TAKEN_S)
            return
        unfinished: list[str] = []
        error_at_end: MonitorError | None = None
        try:
            self._watch(cameras, unfinished)
        except MonitorError as error:
            error_at_end = error
        self._tell_the_rest()
        self._wire.send(Finished(tuple(unfinished), error_at_end))
        self._wire.drain(TAKEN_S)

    def _watch(self, cameras: list[Camera], unfinished: list[str]) -> None:
        task, settings = self._task, self._settings
        self._fleet = Fleet(Pipeline(settings.queue, cpu_fallback=settings.cpu_fallback), cameras)
        memories = settings.journal.path.parent / MEMORIES
        self._growing = Growing(memories, lambda plan: grown(plan, self._settings), lambda: self._settings)
        learning = Learning((), lambda plan: learned(plan, self._settings), current=lambda: self._settings)
        with ExitStack() as stack:
            sinks = self._sinks(stack)
            self._relay.lease(task.plan.leases)
            warn_of_short_footage(member.camera for member in self._fleet)
            stack.callback(lambda: unfinished.extend(learning.close()))
            counted = {lease.camera: lease.counted for lease in task.plan.leases}
            self._watching = Watch(self._fleet, sinks, learning=learning, counted=counted)
            self._plans = EnginePlans(self._fleet, self._prepare, self._begin_plan)
            self._cameras = FleetCameras(self._fleet, lambda: self._settings)
            self._chooser = Chooser(self._fleet, lambda: self._settings)
            if self._teacher is not None:
                run = ChangedRun(self._choices, self._cameras, lambda: self._settings, None)
                Choosing(run, self._teacher.what_if).serve_at(self._desk)  # the run asks for previews only
                self._teacher.apply()  # before the first frame
            self._wire.send(Ready(task.plan.number))

            def on_tick() -> None:
                self._obey()
                told = self._plans.tick()
                self._relay.facts(self._facts())  # before the run hears that a plan is carried out
                if told is not None:
                    self._leaving |= dict.fromkeys(getattr(told, "removed", ()), time.monotonic() + WRITTEN_S)
                    self._wire.send(told)
                self._tell_who_left()
                learning.tick(self._watching.state_of, self._adopt)
                self._chooser.tick()
                if self._teacher is not None:
                    self._teacher.apply()
                self._growing.tick(self._adopt)
                self._answer()
                self._logs.send(self._wire)
                self._wire.flush()

            self._watching.run(self._ending, None, on_tick)
            if self._moments is not None:
                self._moments.finish()

    def _sinks(self, stack: ExitStack) -> list[Sink]:
        """The sinks that need pictures or models, after the one that tells the run."""
        settings, task = self._settings, self._task
        self._normal = normal = normal_sink(settings, lambda: self._settings)
        evidence = EvidenceSink(
            settings.evidence,
            stop=self._hurried,
            kept_s=kept_for_moments(settings),
            nearest=(lambda _: None) if normal is None else normal.nearest_to,
        )
        self._evidence = evidence
        names = evidence.names if settings.evidence.enabled else lambda _: ()
        normal_at = evidence.normal_at if settings.evidence.enabled else lambda _: None
        self._relay = RelaySink(
            self._wire,
            names,
            self._figures,
            lambda name: self._watching.counted_of(name),
            done=self._done,
            normal_at=normal_at,
        )
        self._previews = stack.enter_context(PreviewSink(self._relay))
        sinks: list[Sink] = [self._relay, self._previews]
        self._teacher: Teacher | None = None
        if task.teaches:
            self._teacher = Teacher(FarVerdicts(self._line.call), self._fleet, calibration_store(settings))
            self._teacher.serve_at(self._desk)
            self._desk.recorded_by(lambda *_: None)  # the run's own desk records it
            sinks.append(self._teacher)
        sinks.append(stack.enter_context(CalibrationSink(calibration_store(settings))))
        sinks.append(stack.enter_context(GrowingSink(self._growing, self._growing_plan)))
        if normal is not None:
            sinks.append(stack.enter_context(normal))
        if settings.evidence.enabled:
            sinks.append(stack.enter_context(evidence))
        self._moments: MomentsSink | None = None
        if settings.moments.enabled:
            clip = evidence.clip_around if settings.evidence.enabled else None
            publish = self._relay.moment if settings.publish.enabled else None
            moments = MomentsSink(
                moments_folder(settings),
                settings.moments,
                lambda name: self._settings.schedule_of(name),
                publish,
                clip,
                epoch=task.epoch,
                nearest=None if normal is None else normal.nearest,
            )
            self._moments = stack.enter_context(moments)
            sinks.append(self._moments)
        return sinks

    def _obey(self) -> None:
        """Do what the run says."""
        for message in self._line.take():
            if isinstance(message, Stop):
                self._ending.set()
                if message.hurry:
                    self._hurried.set()
            elif isinstance(message, Ack):
                self._relay.acknowledged(message.camera, message.epoch, message.seq)
            elif isinstance(message, Plan):
                self._take_plan(message)
            elif isinstance(message, Decided):
                self._plans.decided(message.number, carry_out=message.carry_out)
            elif isinstance(message, Ask):
                self._asked.append((message.number, self._desk.answer(message.payload, message.asker)))
            elif isinstance(message, Taught) and self._teacher is not None:
                for member in self._fleet:
                    if member.monitor is not None:
                        self._teacher.added(member.monitor)
            elif isinstance(message, Forgotten) and self._teacher is not None:
                self._teacher.forgotten(message.camera, message.thresholds)
            elif isinstance(message, Chosen):
                self._hold(message)
            elif isinstance(message, Show):
                self._previews.leases.only(message.places)
            elif isinstance(message, ForgetParts):
                self._forget(message)
        if self._wire.ended:
            self._ending.set()  # the run is gone

    def _take_plan(self, plan: Plan) -> None:
        """Prepare a plan, with what people have chosen until now."""
        if plan.settings.choices is not None:
            self._choices.take(plan.settings.choices.choices)
        for carried in plan.sources:
            self._leaving.pop(carried.inner.name, None)  # it is watched again
        self._plans.take(plan)

    def _hold(self, chosen: Chosen) -> None:
        """What people have chosen for a camera holds from its next frame on."""
        self._choices.choose(chosen.camera, chosen.choice)
        self._chooser.chosen()
        self._plans.outdated()
        self._cameras.renewed(chosen.camera, Done(""))
        self._wire.send(Replied(chosen.number, b""))

    def _forget(self, parts: ForgetParts) -> None:
        if parts.moments is not None and self._moments is not None:
            self._moments.forget(parts.camera, *parts.moments)
        if parts.normal is not None and self._normal is not None:
            self._normal.forget(parts.camera, *parts.normal)
        if parts.memory:
            self._growing.forget(parts.camera)
        self._wire.send(Replied(parts.number, b""))

    def _facts(self) -> list[Facts]:
        """What requests need to know of the cameras."""
        return [Facts(each.name, each.own_model, each.model or "", each.size) for each in self._cameras]

    def _answer(self) -> None:
        """Go on with clients' requests, for a bounded time."""
        ends_at = time.monotonic() + 0.02
        while self._asked and time.monotonic() < ends_at:
            number, steps = self._asked.popleft()
            try:
                next(steps)
            except StopIteration as ended:
                self._wire.send(Replied(number, ended.value))
            else:
                self._asked.append((number, steps))

    def _tell_who_left(self) -> None:
        """Tell of cameras that are removed, once all that is known of them is written: another engine may go on."""
        now = time.monotonic()
        for name, until in list(self._leaving.items()):
            if now >= until or self._growing.is_written(name):
                del self._leaving[name]
                self._relay.left(name)

    def _tell_the_rest(self) -> None:
        """Send the last log lines, and wait until the run has taken all steps."""
        self._logs.send(self._wire)
        deadline = time.monotonic() + TAKEN_S
        while self._relay.unacknowledged and time.monotonic() < deadline and not self._wire.ended:
            self._wire.wait(deadline - time.monotonic())
            self._wire.flush()
            self._obey()

    def _prepare(self, plan: Plan) -> tuple[MonitorConfig, list[Camera]]:
        relearning = self._task.relearning if self._task.relearn and not plan.moves else Relearning()
        return planned(plan, self._choices, self._task.max_frames, relearning, self._fleet)

    def _begin_plan(self, plan: Plan, settings: MonitorConfig) -> MonitorConfig:
        before, self._settings = self._settings, settings
        new = [lease for lease in plan.leases if self._fleet.get(lease.camera) is None]
        self._relay.lease(new)
        for lease in new:
            if lease.counted:  # else, it was watched here before, which has been counted here
                self._watching.recall(lease.camera, lease.counted)
        return before

    def _figures(self) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
        models = [member.camera.model for member in self._fleet if member.monitor is not None]
        devices = sorted({detector.device for model in models for detector in model.detectors})
        return self._evidence.disk.lost, tuple(sorted({model.id for model in models})), tuple(devices)

    def _done(self) -> frozenset[str]:
        """The cameras that have ended, and of which every frame is judged and told."""
        over = (member for member in self._fleet if member.feed.status.state in OVER and member.all_judged)
        return frozenset(member.name for member in over if member.monitor is None or not member.monitor.alarmed)

    def _growing_plan(self, monitor: CameraMonitor) -> GrowingPlan | None:
        member = self._fleet.get(monitor.camera)
        return None if member is None else growing_plan(member.camera, monitor, self._settings)

    def _adopt(self, name: str, model: Model, monitor: CameraMonitor) -> CameraMonitor | None:
        """A camera has learned: watch it with its model. Returns the monitor that judged it until now, or None."""
        member = self._fleet.get(name)
        if member is None:
            return None
        before = member.monitor
        self._fleet.replace(watching(member.camera, self._settings, model, monitor))
        log.info("%s: watched with the model that it has learned (%s)", name, model.id)
        return before
