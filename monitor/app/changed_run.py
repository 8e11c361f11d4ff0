"""What requests that change cameras need of a run: its cameras, its settings, the store, and a reload.

The same code serves a run of one process and one with several engines: they differ in ``RunCameras`` only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from monitor.alerts.control_desk import WAITING, Done, Steps
from monitor.app.choice_store import ChoiceStore
from monitor.app.config import CameraConfig, MonitorConfig
from monitor.app.planning import watching
from monitor.errors import RunError, UsageError
from monitor.live.fleet import Fleet, Member
from monitor.text.wording import listed

RELOADED_S = 60.0
"""A reload that takes longer is said to go on."""


@dataclass(frozen=True, slots=True)
class RunCamera:
    """A camera of the run.

    label      of its source, for people
    live       whether it is a camera, and no file
    own_model  whether it uses a model of its own, which it may learn again
    model      id of the model that judges it; "" while it learns its first one; None: not known at the moment
    size       (width, height) of its pictures, pixels; None before the first one
    """

    name: str
    label: str
    live: bool
    own_model: bool
    model: str | None
    size: tuple[int, int] | None


class RunCameras(Protocol):
    """The cameras of a run, in the order of the config."""

    def __iter__(self) -> Iterator[RunCamera]: ...

    def get(self, camera: str) -> RunCamera | None:
        """The camera of this name; None if it is not in the run."""

    def renewed(self, camera: str, done: Done) -> Done | Steps:
        """Let what was chosen for a camera hold from its next frame on; its stream stays open. Then answer ``done``."""


class Rereading(Protocol):
    """Reads everything again: see Reloader, whose methods these are."""

    refusal: str

    def ask(self) -> int:
        """Ask for a reload. Returns a number for ``is_done``."""

    def is_done(self, asked: int) -> bool:
        """Whether it has been carried out or refused: ``refusal`` says why."""


class FleetCameras:
    """The cameras of a fleet in this process."""

    def __init__(self, fleet: Fleet, settings: Callable[[], MonitorConfig]) -> None:
        self._fleet, self._settings = fleet, settings

    def __iter__(self) -> Iterator[RunCamera]:
        return (_camera_of(member) for member in self._fleet)

    def get(self, camera: str) -> RunCamera | None:
        """See RunCameras."""
        member = self._fleet.get(camera)
        return None if member is None else _camera_of(member)

    def renewed(self, camera: str, done: Done) -> Done:
        """See RunCameras."""
        member = self._fleet.get(camera)
        if member is not None:
            self._fleet.replace(watching(member.camera, self._settings(), member.camera.model, member.monitor))
        return done


def _camera_of(member: Member) -> RunCamera:
    camera, source = member.camera, member.camera.source
    model = "" if member.monitor is None else camera.model.id
    return RunCamera(member.name, source.label, source.live, camera.own_model, model, member.feed.status.size)


class ChangedRun:
    """Main thread only.

    settings  the present settings of the run
    reloader  reads everything again; None in the demo, in which nothing is opened again
    """

    def __init__(
        self,
        store: ChoiceStore,
        cameras: RunCameras,
        settings: Callable[[], MonitorConfig],
        reloader: Rereading | None,
    ) -> None:
        self.store, self.cameras, self.settings = store, cameras, settings
        self._reloader = reloader

    def camera(self, name: str) -> RunCamera:
        """The camera of this name. Raises UsageError."""
        camera = self.cameras.get(name)
        if camera is None:
            known = sorted(each.name for each in self.cameras)
            there = f"cameras: {listed(known, 10)}" if known else "none is watched"
            raise UsageError(f"no camera {name} is watched ({there}): give the name of one that is")
        return camera

    def fixed(self, camera: str) -> CameraConfig | None:
        """What the config file says about a camera; None if it says nothing."""
        settings = self.settings()
        return None if camera in settings.added else settings.cameras.get(camera)

    @property
    def why_not_opened(self) -> str:
        """Why this run can open no camera: no new one, and none again; "" if it can."""
        if self._reloader is not None:
            return ""
        return "the demo has its own scene, which cannot be opened again: watch a camera of yours"

    def check_reload(self) -> None:
        """Raise UsageError if this run cannot open a camera again."""
        if self.why_not_opened:
            raise UsageError(self.why_not_opened)

    def reloaded(self, done: Done) -> Steps:
        """Read everything again, and give this answer once it holds. Raises RunError if the reload is refused."""
        assert self._reloader is not None
        asked, until = self._reloader.ask(), time.monotonic() + RELOADED_S
        while not self._reloader.is_done(asked):
            if time.monotonic() > until:
                raise RunError(f"it is stored, but it does not hold yet: the reload takes longer than {RELOADED_S:g} s")
            yield WAITING
        if self._reloader.refusal:
            why = self._reloader.refusal
            raise RunError(f"it is stored, but it does not hold yet, because the run cannot be changed now: {why}")
        return done
