"""The result of one check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from monitor.app.doctor.facts import Failure, FootageFacts, StreamFacts


class State(StrEnum):
    """The state of a finding. A problem prevents a run from starting or a camera from being watched."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model contains and how fast it scores.

    id, trained_at, data, frames, detectors  as recorded in the model folder
    held_out_s             seconds of held-out footage that set its threshold
    supported_per_day      the lowest false-alarm rate per day that this much footage can confirm
    device                 device on which it was timed
    width, height          pixels of the frames it was timed with
    learned_size           (width, height) in pixels of the frames it learned from; None if not recorded
    ms_a_frame             milliseconds to score one frame
    silent                 camera name -> detectors that cannot judge its frames, because they are too far apart
    cameras_a_thread       cameras that one thread can score at ``analysis_fps`` frames per second each
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
    silent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    check  kind of check: config, source, camera, footage, model, load, port, keys, disk, receiver, device
    name   name of the checked item; may be empty
    found  what was found, as a sentence
    mend   what to do about it; empty if there is nothing to do. The screen shows it after "fix:"
    facts  the numbers behind the sentence; None if there are none
    """

    check: str
    name: str
    state: State
    found: str
    mend: str = ""
    facts: StreamFacts | FootageFacts | ModelFacts | Failure | None = None


def from_error(check: str, name: str, error: Exception, mend: str = "") -> Finding:
    """A problem from an error of the monitor. Most error sentences end with a colon and what to do."""
    found, colon, advice = str(error).partition(": ")
    if mend or not colon:
        return Finding(check, name, State.PROBLEM, str(error), mend)
    return Finding(check, name, State.PROBLEM, found, advice)
