"""What a run came to: what it failed of, and how it ended, in words."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from monitor.live.sink import CameraReport, RunReport
from monitor.states import CameraState
from monitor.text.commands import monitor_command


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that is over.

    stopped     the user asked for the end: a camera that had given no frame by then is no failure
    config      the config file of the run, or None
    configured  names of the cameras that stand in it
    """

    report: RunReport
    stopped: bool
    config: Path | None = None
    configured: Collection[str] = ()

    def problems(self, *, logged: bool = False) -> list[str]:
        """What the run failed of. logged: a line that the user sees says already why sources failed."""
        cameras, found = self.report.cameras, list[str]()
        failed = [camera for camera in cameras if camera.state is CameraState.FAILED]
        if failed:
            share = f"{len(failed)} of {len(cameras)}"
            which = ", ".join(camera.name for camera in failed) + " (why: see above)"
            why = "; ".join(f"{camera.name}: {camera.detail}" for camera in failed)
            found.append(f"{share} sources could not be watched to the end: {which if logged else why}")
        if not self.stopped and (nothing := self.nothing_came()):
            found.append(nothing)
        unscored = [c for c in cameras if c.state is CameraState.ENDED and c.unscored]
        if unscored:
            which = "; ".join(f"{camera.name} ({camera.unscored})" for camera in unscored)
            found.append(f"not one frame was scored of {which}")
        return found

    def nothing_came(self) -> str:
        """Which cameras never gave a frame, and what to do about it; empty where all did."""
        silent = [c for c in self.report.cameras if not c.frames_in and c.state is not CameraState.FAILED]
        if not silent:
            return ""
        return f"not one frame came from {', '.join(_with_reason(c) for c in silent)}: {self._see_why(silent)}"

    def how_it_ended(self) -> str:
        """``done``, ``stopped`` or ``failed``, and why."""
        if failures := self.problems():
            return f"failed: {'; '.join(failures)}"
        if self.stopped:
            return "stopped: by Ctrl-C or SIGTERM"
        over = all(camera.state is CameraState.ENDED for camera in self.report.cameras)
        return "done: every source has ended" if over else "done: --duration is over"

    def _see_why(self, cameras: Collection[CameraReport]) -> str:
        """The command that looks at these cameras. Of the config file's it shows no address, so it can be pasted."""
        if self.config is not None and all(camera.name in self.configured for camera in cameras):
            sources = ["--config", str(self.config)]
        else:
            sources = [camera.source.removeprefix("USB camera ") for camera in cameras]
        return f"run `{monitor_command(f'doctor {shlex.join(sources)}')}` to see why"


def _with_reason(camera: CameraReport) -> str:
    return f"{camera.name} ({camera.detail})" if camera.detail else camera.name
