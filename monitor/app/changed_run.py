"""What requests that change cameras need of a run: its cameras, its settings, the store, and a reload."""

from __future__ import annotations

import time
from collections.abc import Callable

from monitor.alerts.control_desk import WAITING, Done, Steps
from monitor.app.choice_store import ChoiceStore
from monitor.app.config import CameraConfig, MonitorConfig
from monitor.app.planning import watching
from monitor.app.reload import Reloader
from monitor.errors import RunError, UsageError
from monitor.live.fleet import Fleet, Member
from monitor.text.wording import listed

RELOADED_S = 60.0
"""A reload that takes longer is said to go on."""


class ChangedRun:
    """Main thread only.

    settings  the present settings of the run
    reloader  reads everything again; None in the demo, in which nothing is opened again
    """

    def __init__(
        self, store: ChoiceStore, fleet: Fleet, settings: Callable[[], MonitorConfig], reloader: Reloader | None
    ) -> None:
        self.store, self.fleet, self.settings = store, fleet, settings
        self._reloader = reloader

    def member(self, camera: str) -> Member:
        """The camera of this name. Raises UsageError."""
        member = self.fleet.get(camera)
        if member is None:
            known = sorted(each.name for each in self.fleet)
            there = f"cameras: {listed(known, 10)}" if known else "none is watched"
            raise UsageError(f"no camera {camera} is watched ({there}): give the name of one that is")
        return member

    def fixed(self, camera: str) -> CameraConfig | None:
        """What the config file says about a camera; None if it says nothing."""
        settings = self.settings()
        return None if camera in settings.added else settings.cameras.get(camera)

    def renew(self, camera: str) -> None:
        """Let what was chosen for a camera hold from its next frame on. Its stream stays open."""
        member = self.member(camera)
        self.fleet.replace(watching(member.camera, self.settings(), member.camera.model, member.monitor))

    def check_reload(self) -> None:
        """Raise UsageError if this run cannot open a camera again."""
        if self._reloader is None:
            raise UsageError("the demo has its own scene, which cannot be opened again: watch a camera of yours")

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
