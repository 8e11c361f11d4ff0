"""Names that people gave to events, and later events that are like them: from one example on. Pure.

Two events are compared by what the network has learned to tell abnormal places by, at the most abnormal place of their
frames. Where there is no network, they are compared by how much faster and larger than usual they move. Each frame is
compared with the most similar frame of the other event, and the median over the frames counts.

With several examples of a name, the second nearest counts: one odd example must not give its name to everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.judging.event_traits import EventTraits
from monitor.types import FloatArray

FEATURES_LIMIT, MOTION_LIMIT = 0.09, 0.25
"""Events that are farther apart than this are not alike: by the network's features, and by motion."""
_FRAMES = 8  # frames of an event that are compared: those with the highest scores
_CELLS = 8  # cells of a frame whose motion is compared
_LEAST_ALIKE = 0.5


@dataclass(frozen=True, slots=True)
class Named:
    """The name of an event.

    alike   0.5 to 1: 1 is the same as an example, 0.5 is just alike
    notify  whether an event with this name notifies; None: as its score says
    """

    name: str
    alike: float
    notify: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What an event looks like: (n, c) of the network, and (m, 6) of motion; either may be empty."""

    features: FloatArray
    motion: FloatArray


class Prototypes:
    """The examples of one camera.

    named   name and traits of each; an empty name: it was judged normal, so that what is most like it gets no name
    notify  name -> whether events with it always (True) or never (False) notify
    """

    def __init__(self, named: Sequence[tuple[str, EventTraits]] = (), notify: Mapping[str, bool] | None = None) -> None:
        self._examples: dict[str, list[_Look]] = {}
        for name, traits in named:
            self._examples.setdefault(name, []).append(_look(traits))
        self._notify = dict(notify or {})

    def match(self, traits: EventTraits) -> Named | None:
        """The name of an event like these; None if it is like none, or most like one that was judged normal."""
        if not self._examples or not traits.samples:
            return None
        look = _look(traits)
        # In units of the limit.
        distances = {name: _nearest([_apart(look, each) for each in known]) for name, known in self._examples.items()}
        name = min(distances, key=lambda name: distances[name])
        if not name or not distances[name] <= 1.0:
            return None
        alike = 1.0 - (1.0 - _LEAST_ALIKE) * distances[name]
        return Named(name, round(alike, 2), self._notify.get(name))


def _nearest(distances: list[float]) -> float:
    """The second smallest distance; the only one of a single example."""
    return sorted(distances)[min(1, len(distances) - 1)]


def _apart(one: _Look, other: _Look) -> float:
    """How far two events are apart, in units of the limit; infinite if they cannot be compared."""
    if len(one.features) and len(other.features) and one.features.shape[1] == other.features.shape[1]:
        lengths = np.linalg.norm(one.features, axis=1)[:, None] + np.linalg.norm(other.features, axis=1)
        return _between(one.features, other.features, np.maximum(lengths, 1e-6)) / FEATURES_LIMIT
    if len(one.features) or len(other.features) or not (len(one.motion) and len(other.motion)):
        return float("inf")
    return _between(one.motion, other.motion, np.float32(1.0)) / MOTION_LIMIT


def _between(one: FloatArray, other: FloatArray, unit: FloatArray | np.float32) -> float:
    """The median distance of the rows of each to the nearest row of the other, the mean of both ways."""
    distances = np.linalg.norm(one[:, None] - other[None], axis=2) / unit
    return float(np.median(distances.min(axis=1)) + np.median(distances.min(axis=0))) / 2


def _look(traits: EventTraits) -> _Look:
    features: list[tuple[float, FloatArray]] = []
    motion: list[tuple[float, FloatArray]] = []
    for sample in traits.samples:
        for of in sample.traits.values():
            if "features" in of and "map" in of:
                features.append((float(of["map"].max()), of["features"].astype(np.float32)))
            elif "ratios" in of and len(of["scores"]):
                row = _of_cells(of["ratios"][:_CELLS], of["scores"][:_CELLS], of["terms"][:_CELLS])
                motion.append((float(of["scores"][0]), row))
    return _Look(_highest(features), _highest(motion))


def _of_cells(ratios: FloatArray, scores: FloatArray, terms: FloatArray) -> FloatArray:
    """(5,): speed, lasting speed, moving area and foreground area beside the usual, and how much one direction has."""
    weights = scores.astype(np.float64) / max(float(scores.astype(np.float64).sum()), 1e-6)
    beside = weights @ np.log1p(np.maximum(ratios.astype(np.float64), 0.0))
    course = weights @ terms[:, : -ratios.shape[1]].astype(np.float64)
    return np.array([*beside, course.max(initial=0.0)], np.float32)


def _highest(found: list[tuple[float, FloatArray]]) -> FloatArray:
    """The rows of the frames with the highest scores."""
    kept = sorted(found, key=lambda pair: -pair[0])[:_FRAMES]
    return np.stack([row for _, row in kept]) if kept else np.zeros((0, 0), np.float32)
