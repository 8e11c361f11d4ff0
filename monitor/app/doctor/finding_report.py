"""One thing that was checked, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from monitor.app.doctor.facts import Failure, FootageFacts, StreamFacts


class State(StrEnum):
    """How it stands: a problem keeps a run from starting or a camera from being watched."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model is and how fast it scores.

    id, trained_at, data, frames, detectors  as the model folder says
    held_out_s             seconds of footage that its threshold follows from
    supported_per_day      the lowest rate of false alarms a day that this much footage shows
    device                 where it ran
    width, height          pixels of the frames it was timed with
    learned_size           (width, height) px of those that it learned from; None where it does not say
    ms_a_frame             milliseconds to score one frame
    cameras_a_thread       cameras that one thread can score at ``analysis_fps`` frames a second each
    """

    id: str
    trained_at: str
    data: tuple[str, ...]
    frames: int
    detectors: tuple[str, ...]
    held_out_s: float
    supported_per_day: float
    device: str
    width: int
    height: int
    learned_size: tuple[int, int] | None
    ms_a_frame: float
    analysis_fps: float
    cameras_a_thread: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report.

    check  what kind of thing: config, camera, footage, model, load, port, keys, disk, device
    name   which one; may be empty
    found  what was found, for people
    mend   what to do about it; empty where there is nothing to do
    facts  the same in numbers, where there are any
    """

    check: str
    name: str
    state: State
    found: str
    mend: str = ""
    facts: StreamFacts | FootageFacts | ModelFacts | Failure | None = None


def from_error(check: str, name: str, error: Exception, mend: str = "") -> Finding:
    """A problem from an error of the monitor, whose sentence mostly ends with what to do, after a colon."""
    found, colon, advice = str(error).partition(": ")
    if mend or not colon:
        return Finding(check, name, State.PROBLEM, str(error), mend)
    return Finding(check, name, State.PROBLEM, found, advice)
