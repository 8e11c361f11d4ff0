"""Opens what people teach: the file of verdicts beside the journal, and the teacher that serves the control socket."""

from __future__ import annotations

from contextlib import ExitStack

from monitor.alerts.control import Forget
from monitor.app.camera_traces import places_of
from monitor.app.config import MonitorConfig
from monitor.app.forgetting import Forgetter, RunMemory
from monitor.app.planning import calibration_store
from monitor.app.publishing import Publishing
from monitor.live.fleet import Fleet
from monitor.state_folder import TAUGHT
from monitor.teaching.carried_verdicts import CarriedVerdicts
from monitor.teaching.teacher import Teacher
from monitor.teaching.verdict_store import VerdictStore, taught_path


def open_verdicts(publishing: Publishing, stack: ExitStack) -> VerdictStore | None:
    """The file of verdicts, until ``stack`` is closed; None without a journal, and clients are told why."""
    if publishing.journal is None:
        why = "this run keeps no journal, so nothing can be taught: run it without --no-journal"
        publishing.publisher.desk.why_not = why
        return None
    path = publishing.journal.path
    carried = path.parent / TAUGHT
    if carried.is_dir():  # a node of a fleet has made it: cameras come and go with what was said about them
        return stack.enter_context(CarriedVerdicts(taught_path(path), carried))
    return stack.enter_context(VerdictStore(taught_path(path)))


def open_teaching(
    settings: MonitorConfig, publishing: Publishing, stack: ExitStack, fleet: Fleet, memory: RunMemory
) -> Teacher | None:
    """The teacher of a run, until ``stack`` is closed; None without a journal, which gives events their ids.

    memory: how this run forgets a camera; it is told here how the teacher and the fleet do.

    Raises ConfigError or RunError if the file cannot be used.
    """
    desk = publishing.publisher.desk
    store = open_verdicts(publishing, stack)
    if store is None or publishing.journal is None:
        return None
    teacher = Teacher(store, fleet, calibration_store(settings))
    teacher.serve_at(desk)
    places = places_of(settings, publishing.journal, store)
    memory.forgotten = teacher.forgotten
    memory.known = lambda name: fleet.get(name) is not None
    memory.learning = lambda name: (member := fleet.get(name)) is not None and member.monitor is None
    desk.serve(Forget, Forgetter(places, memory).serve)
    return teacher
