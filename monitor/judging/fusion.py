"""One score of several detectors, for one budget of false alarms a day.

Detectors that see the same kind of thing (``Detector.sees``) are added up, each first turned into how rare its score is
in normal footage: what two of them find odd counts for more than what one does, and what one finds that is hardly
better than chance for little (``Detector.trust``). Those that see different things are not, since one's silence says
nothing of the other: each such sense has a share of the budget, and what is above typical in several of them stands at
right angles. So what one finds counts in full, and what two find odd at once for more. Were they independent of each
other, with exponential tails, three senses together would pass the threshold a third more often than each by itself
does in sum; their scores added up would pass it several times as often.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np

from monitor.detector.base import Detector
from monitor.model.model_store import Model
from monitor.scores.calibration import (
    DAY_S,
    ScoreScale,
    ScoreTail,
    Surprise,
    fit_surprise,
    fit_tail,
    smooth_clips,
    tail_of,
)
from monitor.scores.smoothing import SmoothingSettings
from monitor.types import Detection, FloatArray


@dataclass(frozen=True, slots=True)
class Sense:
    """Detectors whose scores are added up, and what held-out footage says of the sum.

    members  name -> how rare its smoothed scores are; None for the only one, whose scores stay in their own units
    tail     of the sum, or of the only member's smoothed scores
    """

    members: dict[str, Surprise | None]
    tail: ScoreTail

    def rarities(self, smoothed: Mapping[str, float]) -> dict[str, float]:
        """What each member adds to the sum; NaN for one that cannot judge."""
        return {
            name: smoothed[name] if surprise is None else surprise.of(smoothed[name])
            for name, surprise in self.members.items()
        }

    def map(self, maps: Mapping[str, FloatArray]) -> FloatArray | None:
        """The members' anomaly maps (h, w) as one, on the finest of their grids: places that several find odd are high.

        None where no member gives one.
        """
        found = {
            name: heat if surprise is None else surprise.of_map(heat)
            for name, surprise in self.members.items()
            if (heat := maps.get(name)) is not None
        }
        if len(found) <= 1:
            return next((maps[name] for name in found), None)
        height, width = max((heat.shape for heat in found.values()), key=math.prod)
        resized = [cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR) for heat in found.values()]
        return np.asarray(np.sum(resized, axis=0), np.float32)

    def sum(self, smoothed: Mapping[str, float]) -> float:
        """The members' smoothed scores as one; NaN where none can judge."""
        known = [value for value in self.rarities(smoothed).values() if not math.isnan(value)]
        return math.fsum(known) if known else math.nan


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model as messages and records name it. hash: SHA-256 of its card, or the hash's first digits."""

    name: str
    hash: str

    @property
    def id(self) -> str:
        """Name and the hash's first 8 hex digits, for people."""
        return f"{self.name}@{self.hash[:8]}"


@dataclass(frozen=True, slots=True)
class Fused:
    """What is made of one frame's smoothed scores.

    score     of the senses together, each in units of its threshold: 0 is typical normal footage, 1 the threshold; NaN
              where no detector can judge
    detector  which detector of the highest sense speaks loudest, an index in the model's order; None where none can
              judge
    """

    score: float
    detector: int | None


class ModelScale:
    """The scales of a model's detectors for one budget: work them out once, share them among cameras.

    Raises ModelError where the held-out scores cannot give a threshold.
    """

    def __init__(self, model: Model, false_alarms_per_day: float, smoothing: SmoothingSettings) -> None:
        names = tuple(detector.name for detector in model.detectors)
        self._set(ModelName(model.name, model.hash), names, fit_senses(model, smoothing), false_alarms_per_day)

    @classmethod
    def of_senses(
        cls, model_id: str, names: Sequence[str], senses: Mapping[str, Sense], false_alarms_per_day: float
    ) -> Self:
        """The same without the model, from what its detectors' held-out scores looked like.

        names: of the detectors, in the model's order. Raises ValueError where the senses are not of these detectors.
        """
        members = [name for sense in senses.values() for name in sense.members]
        if sorted(members) != sorted(names):
            raise ValueError(f"the senses are of {', '.join(members)}, the detectors {', '.join(names)}")
        scale = cls.__new__(cls)
        name, _, digits = model_id.rpartition("@")
        scale._set(ModelName(name, digits), tuple(names), senses, false_alarms_per_day)
        return scale

    def _set(
        self, model: ModelName, names: tuple[str, ...], senses: Mapping[str, Sense], false_alarms_per_day: float
    ) -> None:
        self.model = model
        self.names = names
        self.senses = dict(senses)
        self.false_alarms_per_day = false_alarms_per_day
        share = false_alarms_per_day / len(senses)
        self.scales: dict[str, ScoreScale] = {name: sense.tail.scale(name, share) for name, sense in senses.items()}
        """One a sense, under its name."""

    @property
    def supported_per_day(self) -> float:
        """The lowest rate of false alarms a day that the model's held-out footage shows without extrapolation."""
        return max(scale.supported_per_day for scale in self.scales.values())

    @property
    def rests_on_s(self) -> float | None:
        """Seconds of that footage, where it is too short to show the false alarms asked for; None where it shows them.

        The threshold is extrapolated then.
        """
        short = self.supported_per_day > self.false_alarms_per_day
        return DAY_S / self.supported_per_day if short else None

    def fuse(self, smoothed: Sequence[float]) -> Fused:
        """One score from the detectors' smoothed scores, in the model's order."""
        by_name = dict(zip(self.names, smoothed, strict=True))
        units = {name: self.scales[name].units(sense.sum(by_name)) for name, sense in self.senses.items()}
        known = {name: score for name, score in units.items() if not math.isnan(score)}
        if not known:
            return Fused(math.nan, None)
        highest = max(known, key=lambda name: known[name])
        best = self.senses[highest]
        odd = [score for score in known.values() if score > 0]
        score = math.hypot(*odd) if odd else known[highest]
        loudness = {
            name: best.sum({**dict.fromkeys(best.members, math.nan), name: by_name[name]}) for name in best.members
        }
        loudest = max(loudness, key=lambda name: -math.inf if math.isnan(loudness[name]) else loudness[name])
        return Fused(score, self.names.index(loudest))

    def anomaly_map(self, detections: Sequence[Detection], loudest: int) -> FloatArray | None:
        """Where a frame is abnormal: the map of all detectors that see what the loudest does; None without one."""
        sense = _sense_of(self.senses, self.names[loudest])
        return sense.map(
            {
                name: detection.anomaly_map
                for name, detection in zip(self.names, detections, strict=True)
                if detection.anomaly_map is not None
            }
        )


def _sense_of(senses: Mapping[str, Sense], detector: str) -> Sense:
    return next(sense for sense in senses.values() if detector in sense.members)


def fit_senses(model: Model, smoothing: SmoothingSettings) -> dict[str, Sense]:
    """A model's senses by name, in the order of its detectors. Raises ModelError where too few scores are held out."""
    groups: dict[str, list[Detector]] = {}
    for detector in model.detectors:
        groups.setdefault(detector.sees or detector.name, []).append(detector)
    held_out = model.held_out
    senses: dict[str, Sense] = {}
    for name, detectors in groups.items():
        if len(detectors) == 1:
            only = detectors[0]
            tail = fit_tail(held_out, only.name, smoothing.smoother, only.min_threshold)
            tail = replace(tail, typical=max(tail.typical, only.usual))
            senses[only.name] = Sense({only.name: None}, tail)
            continue
        smoothed = {d.name: smooth_clips(held_out.scores[d.name], held_out, smoothing.smoother) for d in detectors}
        for detector in detectors:
            tail_of(smoothed[detector.name], held_out, detector.name)  # says which detector has too few scores
        members = {d.name: fit_surprise(smoothed[d.name], d.trust) for d in detectors}
        # Where one cannot judge the sum is NaN: it would not be what it is live.
        sums = [
            math.fsum(surprise.of(value) for surprise, value in zip(members.values(), row, strict=True))
            for row in zip(*(values.tolist() for values in smoothed.values()), strict=True)
        ]
        senses[name] = Sense(dict(members), tail_of(np.array(sums), held_out, name))
    return senses
