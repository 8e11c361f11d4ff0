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

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

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
from monitor.scores.lasting import Lasting
from monitor.scores.smoothing import SmoothingSettings
from monitor.types import Detection, FloatArray

_LEAST_CALIBRATED_S = 300.0  # a few seconds of footage do not show what is the most unusual


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

    lasting: how long a score must last for an alarm; None for the default

    Raises ModelError if the held-out scores cannot give a threshold.
    """

    def __init__(
        self,
        model: Model,
        false_alarms_per_day: float,
        smoothing: SmoothingSettings,
        lasting: Lasting | None = None,
    ) -> None:
        names = tuple(detector.name for detector in model.detectors)
        self.lasting = lasting or Lasting()
        senses = fit_senses(model, smoothing, self.lasting)
        self._set(ModelName(model.name, model.hash), names, senses, false_alarms_per_day, model.watched_s)

    @classmethod
    def of_senses(
        cls,
        model_id: str,
        names: Sequence[str],
        senses: Mapping[str, Sense],
        false_alarms_per_day: float,
        lasting: Lasting | None = None,
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
        scale.lasting = lasting or Lasting()
        name, _, digits = model_id.rpartition("@")
        scale._set(ModelName(name, digits), tuple(names), senses, false_alarms_per_day)
        return scale

    def _set(
        self,
        model: ModelName,
        names: tuple[str, ...],
        senses: Mapping[str, Sense],
        false_alarms_per_day: float,
        watched_s: float = 0.0,
    ) -> None:
        self._watched_s = watched_s
        self.model = model
        self.names = names
        self.senses = dict(senses)
        self.false_alarms_per_day = false_alarms_per_day
        self.allowed_per_day = allowed_per_day(false_alarms_per_day, self.held_out_s)
        """False alarms per day at the present threshold: at first more than the budget, see ``allowed_per_day``."""
        self.scales: dict[str, ScoreScale] = self._at(self.allowed_per_day)
        """Name of a sense -> its scale."""
        self._promised = self._at(false_alarms_per_day)

    def _at(self, per_day: float) -> dict[str, ScoreScale]:
        return {name: sense.tail.scale(name, per_day / len(self.senses)) for name, sense in self.senses.items()}

    def with_budget(self, false_alarms_per_day: float) -> ModelScale:
        """The same senses with the thresholds of another budget, as the held-out footage gives them."""
        other = copy.copy(self)
        other._set(self.model, self.names, self.senses, false_alarms_per_day)
        return other

    def with_scales(
        self, scales: Mapping[str, ScoreScale], promised: Mapping[str, ScoreScale], allowed_per_day: float
    ) -> ModelScale:
        """The same senses with other thresholds.

        scales           name of a sense -> its scale at ``allowed_per_day``, the present rate of false alarms
        promised         name of a sense -> its scale at the budget
        """
        other = copy.copy(self)
        other.scales, other._promised, other.allowed_per_day = dict(scales), dict(promised), allowed_per_day
        return other

    @property
    def held_out_s(self) -> float:
        """Seconds of held-out footage of the sense that has most; for a model that has grown, all that was watched."""
        return max(self._watched_s, *(sense.tail.duration_s for sense in self.senses.values()))

    def early(self, smoothed: Sequence[float], on: float) -> bool:
        """Whether a score passes ``on`` only because more is allowed at first. smoothed: as for ``fuse``."""
        return (
            self.allowed_per_day > self.false_alarms_per_day and not _norm(self._units(smoothed, self._promised)) >= on
        )

    def at_budget(self, raw: Mapping[str, float]) -> float:
        """The score at the threshold of the budget, which hardly moves: at first, the one in force is much lower.

        raw: the common score of each sense, see ``raw_by_sense``. NaN if no sense can judge
        """
        units = {name: self._promised[name].units(value) for name, value in raw.items() if name in self._promised}
        return _norm({name: score for name, score in units.items() if not math.isnan(score)})

    def raised_by(self, other: ModelScale) -> float:
        """Another budget's threshold for the same senses, in units of the threshold of this budget: above 1 is higher.

        With several senses, the lowest of them: a score that stays below it would not have passed.
        """
        return min(self._promised[name].units(other._promised[name].threshold) for name in self.senses)

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
        score = _norm(known)
        loudness = {
            name: best.sum({**dict.fromkeys(best.members, math.nan), name: by_name[name]}) for name in best.members
        }
        loudest = max(loudness, key=lambda name: -math.inf if math.isnan(loudness[name]) else loudness[name])
        return Fused(score, self.names.index(loudest))

    def by_sense(self, smoothed: Sequence[float]) -> dict[str, float]:
        """The score of each sense that can judge, in units of the threshold. smoothed: as for ``fuse``."""
        return self._units(smoothed, self.scales)

    def raw_by_sense(self, smoothed: Sequence[float]) -> dict[str, float]:
        """The common score of each sense, in its own units; NaN if it cannot judge. smoothed: as for ``fuse``."""
        by_name = dict(zip(self.names, smoothed, strict=True))
        return {name: sense.sum(by_name) for name, sense in self.senses.items()}

    def _units(self, smoothed: Sequence[float], scales: Mapping[str, ScoreScale]) -> dict[str, float]:
        units = {name: scales[name].units(raw) for name, raw in self.raw_by_sense(smoothed).items()}
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


def allowed_per_day(budget: float, calibrated_s: float) -> float:
    """The rate of false alarms per day that is allowed after this much footage, seconds: at first more than the budget.

    What is more unusual than everything so far may alarm: one alarm in the time that was calibrated so far. Otherwise a
    monitor that has seen minutes would be blind, because it cannot know what one alarm per day means. From ten minutes
    to a day, this adds about ln(144) = 5 alarms if every hour is like the others. After a day, the budget holds.
    """
    return max(budget, DAY_S / max(calibrated_s, _LEAST_CALIBRATED_S))


def _norm(units: Mapping[str, float]) -> float:
    """The Euclidean norm of the scores above typical; the highest one if none is; NaN without any."""
    odd = [score for score in units.values() if score > 0]
    return math.hypot(*odd) if odd else max(units.values(), default=math.nan)


def fit_senses(model: Model, smoothing: SmoothingSettings, lasting: Lasting | None = None) -> dict[str, Sense]:
    """A model's senses by name, in the order of its detectors. Raises ModelError if too few scores are held out."""
    groups: dict[str, list[Detector]] = {}
    for detector in model.detectors:
        groups.setdefault(detector.sees or detector.name, []).append(detector)
    held_out = model.held_out
    senses: dict[str, Sense] = {}
    for name, detectors in groups.items():
        if len(detectors) == 1:
            only = detectors[0]
            tail = fit_tail(held_out, only.name, smoothing.smoother, only.min_threshold, lasting, only.usual)
            senses[only.name] = Sense({only.name: None}, tail)
            continue
        smoothed = {d.name: smooth_clips(held_out.scores[d.name], held_out, smoothing.smoother) for d in detectors}
        for detector in detectors:
            tail_of(smoothed[detector.name], held_out, detector.name)  # its error names a detector with too few scores
        members = {d.name: fit_surprise(smoothed[d.name], d.trust) for d in detectors}
        rarities = [
            np.array([surprise.of(value) for value in smoothed[member].tolist()])
            for member, surprise in members.items()
        ]
        if model.learned_from_all:
            _fill_in(rarities)
        # If one member cannot judge, the sum is NaN and does not count: a partial sum differs from the usual live sum.
        senses[name] = Sense(dict(members), tail_of(np.sum(rarities, axis=0), held_out, name, lasting=lasting))
    return senses


def _fill_in(rarities: Sequence[NDArray[np.float64]]) -> None:
    """Fill in what a member of a sense would have said about frames that were held out for another member only.

    A network is held out for hours of a day that motion judges as a whole. Where it has not judged, it gets the rarity
    that it has where the member that has judged most says nearly the same (hot-deck imputation). So the tail of the sum
    rests on all of the footage. The arrays, (n,), are changed; frames that nobody has judged stay NaN.
    """
    most = max(rarities, key=lambda values: int(np.sum(~np.isnan(values))))
    for values in rarities:
        both = np.flatnonzero(~np.isnan(most) & ~np.isnan(values))
        missing = np.flatnonzero(~np.isnan(most) & np.isnan(values))
        if len(both) and len(missing):
            donors = both[np.argsort(most[both], kind="stable")]
            nearest = np.searchsorted(most[donors], most[missing]).clip(0, len(donors) - 1)
            values[missing] = values[donors[nearest]]
