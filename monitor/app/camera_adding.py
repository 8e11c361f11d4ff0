"""Serves requests to try, add and remove cameras. Added cameras are kept in the store, never in the config file."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from monitor.alerts.control import AddCamera, RemoveCamera, TryCamera
from monitor.alerts.control_desk import WAITING, Asker, Desk, Done, Steps
from monitor.app.changed_run import ChangedRun
from monitor.app.choice_store import Choice
from monitor.app.config import CameraConfig
from monitor.app.doctor.finding_report import Finding
from monitor.app.doctor.source_check import check_source, is_usable
from monitor.app.link_config import LinkConfig
from monitor.app.planning import find_sources
from monitor.errors import MonitorError, RunError, UsageError, first_problem
from monitor.sources.naming import NAME_RULE, is_name
from monitor.text.redaction import redact_source
from monitor.threads.stage import Stage
from monitor.threads.switching import quick_switching

MOST_ADDED = 200
_REFERENCE = re.compile(r"\$\{")
Result = TypeVar("Result")


class CameraAdding:
    """Main thread only; what takes long runs in a thread, one at a time."""

    def __init__(self, run: ChangedRun) -> None:
        self._run = run
        self._busy = False

    def serve_at(self, desk: Desk) -> None:
        """Answer these requests from now on."""
        desk.serve(TryCamera, self._try)
        desk.serve(AddCamera, self._add)
        desk.serve(RemoveCamera, self._remove)

    def _try(self, request: TryCamera, _: Asker) -> Steps:
        camera = _camera(request)
        settings = self._run.settings()
        findings = yield from self._in_thread(lambda: check_source(request.camera, camera, settings))
        usable = is_usable(findings)
        where = redact_source(request.source)
        said = f"{where} can be watched" if usable else f"{where} cannot be watched as it is"
        return Done(said, {"usable": usable, "findings": [_facts(finding) for finding in findings]})

    def _add(self, request: AddCamera, _: Asker) -> Steps:
        self._run.check_reload()
        camera, name = _camera(request), request.camera
        if not is_name(name):
            raise UsageError(f"'{name}' cannot be the name of a camera: {NAME_RULE}")
        self._check_new(name)
        settings = self._run.settings()
        alone = settings.model_copy(update={"cameras": {name: camera}})
        sources = yield from self._in_thread(lambda: find_sources([f"{name}={request.source}"], alone))
        if [source.name for source in sources] != [name]:
            raise UsageError(f"{redact_source(request.source)} holds {len(sources)} streams: add them one by one")
        self._check_new(name)  # somebody else may have added it meanwhile
        link = LinkConfig(source=request.source, transport=request.transport)
        self._run.store.choose(name, Choice(added=link))
        said = f"{name} is added: it is watched in this run and in later ones"
        done = yield from self._run.reloaded(Done(said, {"camera": name}))
        added = self._run.cameras.get(name)
        if added is not None and added.model == "":
            return Done(f"{said}, once it has learned what is normal", done.data)
        return done

    def _remove(self, request: RemoveCamera, _: Asker) -> Steps:
        name, settings = request.camera, self._run.settings()
        self._run.check_reload()
        if self._run.store.of(name).added is None:
            self._run.camera(name)
            where = "the config file names" if name in settings.cameras else "the command that started the run names"
            raise UsageError(f"{where} {name}: remove it there")
        if [each.name for each in self._run.cameras] == [name]:
            raise UsageError(f"{name} is the only camera: add another one first, or end the run")
        self._run.store.choose(name, Choice())
        said = f"{name} is removed; its model and its events stay until they are deleted with forget"
        return (yield from self._run.reloaded(Done(said, {"camera": name})))

    def _check_new(self, name: str) -> None:
        if self._run.cameras.get(name) is not None or name in self._run.settings().cameras:
            raise UsageError(f"there is a camera {name} already: choose another name")
        if len(self._run.store.added) >= MOST_ADDED:
            raise UsageError(f"{MOST_ADDED} cameras have been added already: put some into the config file")

    def _in_thread(self, work: Callable[[], Result]) -> Any:
        """Steps that wait for a result. Raises the error of the work, and RunError if another one goes on."""
        if self._busy:
            raise RunError("another camera is tried or added now: try again in some seconds")
        found: list[Result] = []

        def run() -> None:
            with quick_switching():  # cameras are watched meanwhile
                found.append(work())

        self._busy = True
        try:
            stage = Stage("camera check", run, lambda _: None)
            stage.start()
            while stage.alive:
                yield WAITING
        finally:
            self._busy = False
        if stage.error is not None:
            if isinstance(stage.error, MonitorError):
                raise stage.error
            raise RunError(f"the check failed ({type(stage.error).__name__}): see the log") from stage.error
        return found[0]


def _camera(request: TryCamera) -> CameraConfig:
    """The settings of this camera. Raises UsageError."""
    if _REFERENCE.search(request.source):
        raise UsageError("a reference to a secret holds in the config file only: give the whole address")
    try:
        return CameraConfig(source=request.source, transport=request.transport)
    except ValidationError as error:
        where, what = first_problem(error)
        what = what.removeprefix("Value error, ")
        raise UsageError(f"{where}: {what}" if where else what) from None


def _facts(finding: Finding) -> dict[str, str]:
    return {"check": finding.check, "state": str(finding.state), "found": finding.found, "fix": finding.mend}
