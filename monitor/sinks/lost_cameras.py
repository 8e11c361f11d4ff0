"""Decides when a lost camera is an alert, or one that cannot be watched. Pure: it takes reports, and reads no clock.

A short break is no alert: cameras reconnect within seconds. Losses add up until the camera has been back for a while,
so one that comes and goes all the time is an alert, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.reports import CameraReport, RunReport
from monitor.states import CAMERA_BACK, LOST, PAUSED, CameraState, Phase

_BACK_S = 5.0
"""A camera is back once it has given frames for this long, seconds."""
_LOST = tuple(state for state in LOST if state is not CameraState.ENDED)
_UNWATCHED = (CameraState.UNSCORED, CameraState.MISFIT)
"""Frames arrive, but nothing is watched until somebody does something. A dark or frozen picture may pass by itself; it
counts when nothing has been judged for a minute."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The start or the end of an alert about a lost camera. Times are seconds since the start of the run.

    number      1-based number among the losses of the camera in this run
    started_s   when the camera was lost
    ended_s     when it came back, or was no longer to be watched; None at the start
    said        why it is lost, in words; at the end: that it is back
    """

    camera: str
    number: int
    phase: Phase
    started_s: float
    ended_s: float | None
    said: str


@dataclass(slots=True)
class _Known:
    """What is known of one camera. started_s: begin of the present loss; back_s: since when it gives frames again."""

    seen_s: float
    number: int = 0
    open: bool = False
    lost_s: float = 0.0
    started_s: float | None = None
    back_s: float | None = None


class LostCameras:
    """Takes every report of the run, in order. after_s: a camera that was lost for this long in total is an alert."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._known: dict[str, _Known] = {}

    def update(self, report: RunReport) -> list[Loss]:
        """The alerts that begin or end now."""
        found = []
        for camera in report.cameras:
            known = self._known.setdefault(camera.name, _Known(report.elapsed_s))
            what = "lost" if camera.state in _LOST else "not watched" if _is_unwatched(camera) else ""
            why = f"the camera is {what}: {camera.detail or camera.state}" if what else None
            loss = self._look(camera.name, known, report.elapsed_s, why)
            known.seen_s = report.elapsed_s
            found += [loss] if loss else []
        return found

    def removed(self, camera: str) -> list[Loss]:
        """A camera is no longer watched: its alert ends."""
        known = self._known.pop(camera, None)
        return [] if known is None else self._end(camera, known, known.seen_s, "the camera is no longer watched")

    def close(self) -> list[Loss]:
        """The run ends: all alerts end."""
        found = []
        for camera, known in self._known.items():
            found += self._end(camera, known, known.seen_s, "the monitor has ended, and the camera is still lost")
        return found

    def _look(self, camera: str, known: _Known, now_s: float, lost: str | None) -> Loss | None:
        if lost is None:
            if known.started_s is None:
                return None
            known.back_s = now_s if known.back_s is None else known.back_s
            if now_s - known.back_s < _BACK_S:
                return None
            back = self._end(camera, known, known.back_s, CAMERA_BACK)
            known.started_s, known.lost_s = None, 0.0
            return back[0] if back else None
        if known.started_s is None:
            known.started_s = now_s
        elif known.back_s is None:
            known.lost_s += now_s - known.seen_s
        known.back_s = None
        if known.open or known.lost_s < self._after_s:
            return None
        known.open = True
        known.number += 1
        return Loss(camera, known.number, Phase.START, known.started_s, None, lost)

    @staticmethod
    def _end(camera: str, known: _Known, ended_s: float, said: str) -> list[Loss]:
        if not known.open or known.started_s is None:
            return []
        known.open = False
        return [Loss(camera, known.number, Phase.END, known.started_s, ended_s, said)]


def _is_unwatched(camera: CameraReport) -> bool:
    return camera.state in _UNWATCHED or (camera.unwatched and camera.state in PAUSED)
