"""Describes in sentences how a run ended and why it failed."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from monitor.judging.judged_time import UNSCORED_AFTER_S
from monitor.reports import CameraReport, RunReport
from monitor.states import CameraState
from monitor.text.addresses import HIDDEN
from monitor.text.commands import monitor_command
from monitor.text.durations import in_words
from monitor.text.wording import counted

_MOST_UNSCORED, _MOST_UNSCORED_S = 0.1, 60.0
"""A run has failed if a camera was unscored for this share of its time, or for this many seconds."""
_LEAST_JUDGED = 0.25
"""A run has failed if less than this share of a camera's frames was judged, whatever the reason."""
_MOST_NAMED = 10
"""Cameras that a sentence names. A folder may hold hundreds."""
_FEW, _OF_MANY = 2, 50
"""A run has failed if only so many frames of a file were analysed, although so many came; or if no more came."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that has ended.

    stopped     True if the user stopped it; then a camera without any frame is not a failure
    config      the config file of the run, or None
    configured  names of the cameras in the config file
    """

    report: RunReport
    stopped: bool
    config: Path | None = None
    configured: Collection[str] = ()

    def problems(self, *, logged: bool = False) -> list[str]:
        """Why the run failed; empty if it did not fail.

        logged  True if an earlier line on the user's screen already explains why sources failed
        """
        cameras, found = self.report.cameras, list[str]()
        failed = [camera for camera in cameras if camera.state is CameraState.FAILED]
        if failed:
            share = f"{len(failed)} of {len(cameras)}"
            which = _some((camera.name for camera in failed), ", ") + " (see the reason above)"
            why = _some(f"{camera.name}: {camera.detail}" for camera in failed)
            found.append(f"{share} sources could not be watched to the end: {which if logged else why}")
        if not self.stopped and (nothing := self.nothing_came()):
            found.append(nothing)
        unscored = [c for c in cameras if c.unscored and self._is_over(c)]
        if unscored:
            which = _some(f"{camera.name} ({camera.unscored})" for camera in unscored)
            found.append(f"no frame was scored for {which}")
        partly = [c for c in cameras if _too_much_unscored(c) and c not in unscored]
        if partly and not self.stopped:
            which = _some(
                (f"{in_words(c.unscored_s)} of the {in_words(c.watched_s)} of {c.name}" for c in partly), ", "
            )
            found.append(f"no detector could judge {which}: {self._see_why(partly)}")
        hardly = [
            c for c in cameras if _hardly_judged(c) and self._counts(c) and c not in (*unscored, *partly, *failed)
        ]
        if hardly:
            which = _some(f"{c.judged} of {c.to_judge} frames of {c.name} ({c.unjudged})" for c in hardly)
            found.append(f"only a small part was judged: {which}")
        few = [c for c in cameras if _few_analysed(c)]
        if few:
            which = _some(f"{c.analysed} of {c.frames_in} frames of {c.name}" for c in few)
            found.append(f"too few frames were analysed to watch anything: {which}; raise analysis_fps")
        short = [c for c in cameras if c.state is CameraState.ENDED and 0 < c.frames_in <= _FEW and not self.stopped]
        if short:
            which = _some(f"{counted(c.frames_in, 'frame')} of {c.name}" for c in short)
            found.append(f"too few frames came to watch anything: {which}; give a longer video, or more images")
        return found

    def _counts(self, camera: CameraReport) -> bool:
        """Whether the share that was judged counts: of a source that has ended, or that was watched for long enough.

        A camera that the user stops may just have had a dark night.
        """
        ended, long = camera.state is CameraState.ENDED, camera.watched_s >= UNSCORED_AFTER_S
        return ended and long if self.stopped else ended or long

    def _is_over(self, camera: CameraReport) -> bool:
        """Whether a camera without any score is a failure. If the user stopped it, it may only have begun."""
        if self.stopped:
            return camera.state is CameraState.ENDED and camera.watched_s >= UNSCORED_AFTER_S
        return camera.state in (CameraState.ENDED, CameraState.UNSCORED)

    def nothing_came(self) -> str:
        """A sentence that names the cameras without any frame and says what to do; empty if there is none."""
        silent = [c for c in self.report.cameras if not c.frames_in and c.state is not CameraState.FAILED]
        if not silent:
            return ""
        return f"no frame came from {_some(map(_with_reason, silent), ', ')}: {self._see_why(silent)}"

    def how_it_ended(self) -> str:
        """``done``, ``stopped`` or ``failed``, and the reason."""
        if failures := self.problems():
            return f"failed: {'; '.join(failures)}"
        if self.stopped:
            return "stopped: by Ctrl-C or SIGTERM"
        over = all(camera.state is CameraState.ENDED for camera in self.report.cameras)
        return "done: every source has ended" if over else "done: --duration is over"

    def _see_why(self, cameras: Collection[CameraReport]) -> str:
        """The command that checks these cameras.

        The user can paste the command, so it shows no address of which a part is hidden. For cameras of the config
        file, it names the file.
        """
        if self.config is not None and all(camera.name in self.configured for camera in cameras):
            sources = ["--config", str(self.config)]
        else:
            sources = [camera.source.removeprefix("USB camera ") for camera in cameras]
            if len(sources) > _MOST_NAMED or any(HIDDEN in source for source in sources):
                return f"run `{monitor_command('doctor')}` with the same sources to see why"
        return f"run `{monitor_command(f'doctor {shlex.join(sources)}')}` to see why"


def _too_much_unscored(camera: CameraReport) -> bool:
    return camera.unscored_s >= min(_MOST_UNSCORED_S, max(_MOST_UNSCORED * camera.watched_s, 1e-9))


def _hardly_judged(camera: CameraReport) -> bool:
    return camera.judged < _LEAST_JUDGED * camera.to_judge


def _few_analysed(camera: CameraReport) -> bool:
    return camera.state is CameraState.ENDED and camera.analysed <= _FEW and camera.frames_in >= _OF_MANY


def _some(parts: Iterable[str], between: str = "; ") -> str:
    """The first parts of a list, and how many others there are."""
    first, others = (every := list(parts))[:_MOST_NAMED], len(every) - _MOST_NAMED
    return between.join([*first, f"and {counted(others, 'other')}"] if others > 0 else first)


def _with_reason(camera: CameraReport) -> str:
    return f"{camera.name} ({camera.detail})" if camera.detail else camera.name
