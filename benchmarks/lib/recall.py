"""How many pasted anomalies a camera's monitor finds, and after what time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks.lib.pasted import Paste, Pasted, Thing
from monitor.judging.camera_monitor import CameraMonitor
from monitor.model.model_store import Model
from monitor.replay import AS_LIVE, frames, judged, scored
from monitor.sources.source import Source
from monitor.states import Phase
from monitor.stream.frame_rules import FrameRules

LEAD_S = 40.0
"""Seconds that are watched before a thing appears."""
LATE_S = 1.0
"""An alarm counts if it is raised at most this many seconds after a thing that moves has gone."""
LEFT_S = 120.0
"""Seconds for which a thing that is left behind is shown."""
MOVING, LEFT = "moving", "left behind"


@dataclass(frozen=True)
class Attempt:
    """A pasted anomaly.

    delay_s   until the alarm, seconds; None if none was raised
    detector  the one that raised it
    highest   score while the thing was shown, 1 is the threshold
    """

    kind: str
    file: str
    paste: Paste
    delay_s: float | None
    detector: str
    highest: float


@dataclass(frozen=True)
class Recall:
    """The results of the attempts of one kind."""

    kind: str
    found: int
    tried: int
    delay_s: float | None

    @classmethod
    def of(cls, kind: str, attempts: Sequence[Attempt]) -> Recall:
        """Count the attempts of a kind."""
        own = [attempt for attempt in attempts if attempt.kind == kind]
        delays = [attempt.delay_s for attempt in own if attempt.delay_s is not None]
        return cls(kind, len(delays), len(own), median(delays) if delays else None)

    def __str__(self) -> str:
        after = "" if self.delay_s is None else f" after {self.delay_s:.1f} s"
        return f"{self.kind} {self.found} of {self.tried}{after}"


def random_paste(kind: str, at_s: float, rng: np.random.Generator) -> Paste:
    """A paste at a random place. Things that move cross the picture in 2.4 to 8 s."""
    if kind == MOVING:
        speed = float(rng.uniform(0.15, 0.5)) * float(rng.choice([-1, 1]))
        start = -0.1 if speed > 0 else 1.1
        height, foot = float(rng.uniform(0.25, 0.55)), float(rng.uniform(0.6, 1.0))
        return Paste(at_s, 1.2 / abs(speed), height, (start, foot), speed)
    height, foot = float(rng.uniform(0.15, 0.4)), float(rng.uniform(0.5, 1.0))
    return Paste(at_s, LEFT_S, height, (float(rng.uniform(0.1, 0.9)), foot), 0.0)


def try_one(
    source: Source, model: Model, monitor: Callable[[], CameraMonitor], thing: Thing, paste: Paste, kind: str
) -> Attempt | None:
    """Watch the footage around a paste. None if the footage alone raises an alarm there, or ends before."""
    watching = monitor()
    rules = FrameRules(AS_LIVE, model.viewpoint, model.learned_size)
    late_s = LATE_S if kind == MOVING else 0.0
    to_s = paste.at_s + paste.shown_s + late_s
    stream = frames(Pasted(source, thing, paste), rules, from_s=max(0.0, paste.at_s - LEAD_S), to_s=to_s)
    highest, last_s = -math.inf, -math.inf
    for judgement in judged(scored(stream, model), watching):
        last_s = judgement.scored.frame.time_s
        if watching.alarmed and last_s < paste.at_s:
            return None
        if last_s >= paste.at_s and judgement.score > highest:
            highest = judgement.score
        for alert in judgement.alerts:
            if alert.event.phase is Phase.START:
                return Attempt(kind, source.label, paste, last_s - paste.at_s, alert.detector, highest)
    if last_s < paste.at_s:
        return None
    return Attempt(kind, source.label, paste, None, "", highest)
