"""Fuses the scores of several detectors into one score, for one budget of false alarms per day.

Detectors that respond to the same kind of anomaly (``Detector.sees``) form a sense. Within a sense, each score is
converted to its rarity in normal footage, and the rarities are added. So an anomaly that two detectors find counts more
than one that a single detector finds. A detector that is hardly better than chance counts little (``Detector.trust``).

The scores of different senses are not added, because a low score in one sense is no evidence against another. Each
sense has its own share of the budget, and the scores above typical are combined as a Euclidean norm. So an anomaly in
one sense counts in full, and anomalies in two senses at the same time count more. If three senses were independent and
had exponential tails, the norm would pass the threshold one third more often than the three senses separately in
total. The sum of their scores would pass it several times as often.
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
    """Detectors that respond to the same kind of anomaly, and the tail of their common score in held-out footage.

    members  name of a detector -> the rarity of its smoothed scores; None for an only member: its scores stay raw
    tail     of the sum of the rarities, or of an only member's smoothed scores
    """

    members: dict[str, Surprise | None]
    tail: ScoreTail

    def rarities(self, smoothed: Mapping[str, float]) -> dict[str, float]:
        """Each member's contribution to the sum; NaN for a member that cannot judge."""
        return {
            name: smoothed[name] if surprise is None else surprise.of(smoothed[name])
            for name, surprise in self.members.items()
        }

    def map(self, maps: Mapping[str, FloatArray]) -> FloatArray | None:
        """The sum of the members' anomaly maps, (h, w) on the finest of their grids, each as rarity.

        A single map is returned as it is. None if no member gives a map.
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
        """The common score from the members' smoothed scores; NaN if none can judge."""
        known = [value for value in self.rarities(smoothed).values() if not math.isnan(value)]
        return math.fsum(known) if known else math.nan


@dataclass(frozen=True, slots=True)
class ModelName:
    """The name of a model in messages and records. hash: SHA-256 of its card, or the first digits of that hash."""

    name: str
    hash: str

    @property
    def id(self) -> str:
        """Name and the first 8 hex digits of the hash, for display."""
        return f"{self.name}@{self.hash[:8]}"


@dataclass(frozen=True, slots=True)
class Fused:
    """The fused score of one frame.

    score     of all senses, each in units of its threshold: 0 is typical normal footage, 1 is the threshold; NaN if no
              detector can judge
    detector  the detector that contributes most to the sense with the highest score, an index in the model's order;
              None if none can judge
    """

    score: float
    detector: int | None


class ModelScale:
    """The scales of a model's senses for one false-alarm budget. Compute them once and share them among cameras.

    Raises ModelError if the held-out scores cannot give a threshold.
    """

    def __init__(self, model: Model, false_alarms_per_day: float, smoothing: SmoothingSettings) -> None:
        names = tuple(detector.name for detector in model.detectors)
        self._set(ModelName(model.name, model.hash), names, fit_senses(model, smoothing), false_alarms_per_day)

    @classmethod
    def of_senses(
        cls, model_id: str, names: Sequence[str], senses: Mapping[str, Sense], false_alarms_per_day: float
    ) -> Self:
        """The scale of a model that is not at hand, from its senses.

        names: the detectors, in the model's order. Raises ValueError if the senses belong to other detectors.
        """
        members = [name for sense in senses.values() for name in sense.members]
        if sorted(members) != sorted(names):
            raise ValueError(
                f"the senses belong to the detectors {', '.join(members)}, but the model has {', '.join(names)}"
            )
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
        """Name of a sense -> its scale."""

    @property
    def supported_per_day(self) -> float:
        """The lowest rate of false alarms per day that the model's held-out footage supports without extrapolation."""
        return max(scale.supported_per_day for scale in self.scales.values())

    @property
    def rests_on_s(self) -> float | None:
        """Seconds of held-out footage if it is too short for the requested budget: then the threshold is extrapolated.

        None if the footage is long enough.
        """
        short = self.supported_per_day > self.false_alarms_per_day
        return DAY_S / self.supported_per_day if short else None

    def fuse(self, smoothed: Sequence[float]) -> Fused:
        """Fuse the detectors' smoothed scores, given in the model's order."""
        by_name = dict(zip(self.names, smoothed, strict=True))
        known = self.by_sense(smoothed)
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

    def by_sense(self, smoothed: Sequence[float]) -> dict[str, float]:
        """The score of each sense that can judge, in units of the threshold. smoothed: as for ``fuse``."""
        by_name = dict(zip(self.names, smoothed, strict=True))
        units = {name: self.scales[name].units(sense.sum(by_name)) for name, sense in self.senses.items()}
        return {name: score for name, score in units.items() if not math.isnan(score)}

    def sense_of(self, detector: int) -> str:
        """The name of the sense that a detector, by its index, belongs to."""
        return next(name for name, sense in self.senses.items() if self.names[detector] in sense.members)

    def anomaly_map(self, detections: Sequence[Detection], loudest: int) -> FloatArray | None:
        """Where a frame is abnormal: the common map of the sense of detector ``loudest`` (an index), or None."""
        sense = self.senses[self.sense_of(loudest)]
        return sense.map(
            {
                name: detection.anomaly_map
                for name, detection in zip(self.names, detections, strict=True)
                if detection.anomaly_map is not None
            }
        )


def fit_senses(model: Model, smoothing: SmoothingSettings) -> dict[str, Sense]:
    """A model's senses by name, in the order of its detectors. Raises ModelError if too few scores are held out."""
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
            tail_of(smoothed[detector.name], held_out, detector.name)  # its error names a detector with too few scores
        members = {d.name: fit_surprise(smoothed[d.name], d.trust) for d in detectors}
        # If one member cannot judge, the sum is NaN and does not count: a partial sum differs from the usual live sum.
        sums = [
            math.fsum(surprise.of(value) for surprise, value in zip(members.values(), row, strict=True))
            for row in zip(*(values.tolist() for values in smoothed.values()), strict=True)
        ]
        senses[name] = Sense(dict(members), tail_of(np.array(sums), held_out, name))
    return senses
