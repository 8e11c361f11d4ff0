"""What is kept of an event so that people can teach by it later: what the detectors measured in some of its frames.

Bounded: at most 64 frames of an event, evenly spread over it, whatever its length.
"""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from monitor.detector.lessons import Lesson
from monitor.states import AlertEvent
from monitor.types import ScoredFrame, Traits

MOST_SAMPLES = 64
"""Frames that are kept of an event, at most."""
MOST_BYTES = 1_000_000
"""Largest stored form, bytes; usual are 10 to 150 KB."""
_MOST_UNPACKED = 8_000_000
_BEFORE, _BEFORE_S = 8, 1.0  # frames before the rise, and their greatest age, seconds
_SEPARATOR = "/"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A frame of an event. time_s: on the stream's clock; scores: raw, in the model's order; traits: by detector."""

    time_s: float
    scores: tuple[float, ...]
    traits: Mapping[str, Traits]

    @classmethod
    def of(cls, scored: ScoredFrame, names: Sequence[str]) -> Sample:
        """What is to be kept of a frame. names: the detectors, in the model's order."""
        found = {
            name: detection.traits
            for name, detection in zip(names, scored.detections, strict=True)
            if detection.traits is not None
        }
        return cls(scored.frame.time_s, tuple(detection.score for detection in scored.detections), found)


@dataclass(frozen=True, slots=True, eq=False)
class EventTraits:
    """What is kept of an event.

    names    the detectors, in the model's order
    samples  in order of time; the first is the frame at which the score first passed the threshold
    hours    (from, to) the local time of day, 0 to 24; None for a file
    blocks   (first, last) numbers of the half minutes in which it was, see LiveCalibration
    """

    names: tuple[str, ...]
    samples: tuple[Sample, ...]
    hours: tuple[float, float] | None = None
    blocks: tuple[int, int] = (0, -1)

    def lesson(self, *, everywhere: bool, all_hours: bool, beside_h: float = 1.0) -> Lesson:
        """What it teaches if it was normal. beside_h: hours before and after that the verdict holds for, too."""
        hours = None
        if self.hours is not None and not all_hours:
            hours = self.hours[0] - beside_h, self.hours[1] + beside_h
        return Lesson(tuple(sample.traits for sample in self.samples), everywhere, hours)

    def dump(self) -> bytes:
        """The stored form."""
        arrays: dict[str, NDArray[np.generic]] = {
            "time_s": np.array([sample.time_s for sample in self.samples], np.float64),
            "scores": np.array([sample.scores for sample in self.samples], np.float64),
            "hours": np.array(self.hours or (), np.float64),
            "blocks": np.array(self.blocks, np.int64),
        }
        for number, sample in enumerate(self.samples):
            for detector, traits in sample.traits.items():
                for key, array in traits.items():
                    name = _SEPARATOR.join((str(number), str(self.names.index(detector)), key))
                    arrays[name] = np.asarray(array, order="C")
        return zlib.compress(save(arrays, {"names": ",".join(self.names)}), 1)

    @classmethod
    def load(cls, content: bytes, names: Sequence[str]) -> EventTraits:
        """The traits in their stored form. names: the detectors. Raises ValueError if it is damaged."""
        try:
            unpacking = zlib.decompressobj()
            arrays = load(unpacking.decompress(content, _MOST_UNPACKED))
            times, scores, hours, blocks = (arrays.pop(key) for key in ("time_s", "scores", "hours", "blocks"))
            traits: list[dict[str, dict[str, NDArray[np.generic]]]] = [{} for _ in times]
            for name, array in arrays.items():
                number, detector, key = name.split(_SEPARATOR)
                traits[int(number)].setdefault(names[int(detector)], {})[key] = array
            samples = tuple(
                Sample(float(time_s), tuple(map(float, row)), of)
                for time_s, row, of in zip(times, scores, traits, strict=True)
            )
            if any(len(sample.scores) != len(names) for sample in samples):
                raise ValueError("it has the scores of other detectors")
            known = (float(hours[0]), float(hours[1])) if len(hours) else None
            return cls(tuple(names), samples, known, (int(blocks[0]), int(blocks[1])))
        except (zlib.error, SafetensorError, KeyError, IndexError, TypeError) as error:
            raise ValueError(f"what is kept of an event is damaged: {error}") from error


class TraitCollector:
    """Collects the frames of a rise, which may become an event, and those shortly before it.

    The smoothed score rises a little after the raw ones, so the frames before the rise show the same thing.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._before: deque[Sample] = deque(maxlen=_BEFORE)
        self._samples: list[Sample] = []
        self._every, self._seen, self._first_block = 1, 0, 0

    def begin_anew(self) -> None:
        """The score is low: keep only the last frames."""
        self._before.extend(sample for sample in self._samples[-_BEFORE:] if sample.traits)
        self._samples, self._every, self._seen = [], 1, 0

    def take(self, scored: ScoredFrame, block: int) -> None:
        """Take the next frame. block: number of the half minute that it is in."""
        if not self._seen:
            self._first_block = block
            oldest_s = scored.frame.time_s - _BEFORE_S
            self._samples = [sample for sample in self._before if oldest_s <= sample.time_s < scored.frame.time_s]
            self._before.clear()
        if self._seen % self._every == 0:
            self._samples.append(Sample.of(scored, self._names))
        self._seen += 1
        if len(self._samples) > MOST_SAMPLES:
            self._samples, self._every = self._samples[::2], 2 * self._every

    def found(self, event: AlertEvent, hours: tuple[float, float] | None, block: int) -> EventTraits:
        """What is to be kept of the event so far. Frames after its last high score are left out."""
        ended_s = math.inf if event.ended_s is None else event.ended_s
        samples = tuple(sample for sample in self._samples if sample.time_s <= ended_s)
        return EventTraits(self._names, samples, hours, (self._first_block, block))
