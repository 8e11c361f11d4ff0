"""Scene memory: has this scene, as a whole, ever looked like this? It sees what stands still as well as what moves.

A lying person, moved furniture, a room darker than it ever is. Pictures of 16x8 blocks are compared with the states
learned under the same regime (colour, infrared), in units of what that regime's own footage shows from one part of
the day to another. It needs hours of footage; see ``Scene.fit`` for what it does with minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from monitor.detector.base import Detector, Observation, Tensors, nan_detection
from monitor.detector.states import States, top_mean
from monitor.detector.stored import check_tensors, read_settings
from monitor.errors import ModelError, UsageError
from monitor.regimes import COLUMNS, ROWS, Light, LightWatch, Regime, small_picture
from monitor.smoothing import CausalMedian
from monitor.types import Detection, FloatArray, Frame, Reason

_REGIMES = tuple(Regime)
_MOST_PICTURES = 20_000  # held while learning, 1.5 KB each
_MIN_PICTURES = 32  # of a regime, for it to be learned


class SceneSettings(BaseModel):
    """Settings of ``Scene``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exemplars: tuple[int, ...] = Field(description="how many of each regime: colour, grey, dark", min_length=3)
    smooth_s: float = Field(default=5.0, gt=0, description="seconds over which the score's median is taken")


@dataclass(slots=True, eq=False)
class _Stream:
    """One camera's light and the median of its scores."""

    median: CausalMedian
    light: LightWatch = field(default_factory=LightWatch)


class Scene(Detector):
    """Scores how unlike everything learned a picture is. High is abnormal.

    The score is about 1 where a picture is as unusual as one normal picture of ten from an unlearned part of the
    footage. NaN while the light settles after a switch, and in a regime that was not learned: there is nothing to
    compare with.
    """

    name: ClassVar[str] = "scene"

    def __init__(self, settings: SceneSettings, states: Mapping[Regime, States]) -> None:
        self._settings, self._states = settings, dict(states)

    @property
    def regimes(self) -> tuple[Regime, ...]:
        """The regimes that were learned."""
        return tuple(self._states)

    @classmethod
    def fit(cls, clips: Iterable[Sequence[Frame]], seed: int = 0, most: int = 1024) -> Self:  # noqa: ARG003
        """Learn from clips of normal footage, each in order of time; whole days are welcome.

        most: exemplars of a regime. Keeps at most 20,000 pictures of 16x8 blocks, evenly spread over the footage, and
        none of the frames. The result depends on no random numbers. Raises UsageError when there are too few frames.
        """
        kept = _Kept()
        for clip in clips:
            watch = LightWatch()
            for frame in clip:
                picture = small_picture(frame.image)
                kept.add(frame.time_s, picture, watch.update(frame.time_s, picture))
            kept.end_clip()
        states = {}
        for regime in _REGIMES:
            pictures, time_s = kept.of(regime)
            if len(pictures) >= _MIN_PICTURES:
                states[regime] = States.learn(colour_differences(pictures), time_s, most)
        if not states:
            raise UsageError(
                f"scene needs at least {_MIN_PICTURES} pictures of normal footage to learn from, "
                f"got {kept.count}; give more"
            )
        counts = tuple(len(states[regime].exemplars) if regime in states else 0 for regime in _REGIMES)
        return cls(SceneSettings(exemplars=counts), states)

    def new_stream(self) -> _Stream:
        """Nothing is known of the light yet."""
        return _Stream(CausalMedian(self._settings.smooth_s, self._settings.smooth_s))

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """The anomaly map is (8, 16): how unlike the most alike states each block is, in units."""
        return [self._score_one(observation) for observation in batch]

    def _score_one(self, observation: Observation) -> Detection:
        frame, stream = observation.frame, observation.stream
        picture = small_picture(frame.image)
        light = stream.light.update(frame.time_s, picture)
        states = self._states.get(light.regime)
        if states is None or light.settling:
            return nan_detection()
        blocks, _ = states.compare(colour_differences(picture))
        score = stream.median.update(frame.time_s, top_mean(blocks))
        return Detection(score, blocks, _reasons(score, light.regime))

    def settings(self) -> dict[str, Any]:
        """The fields of SceneSettings."""
        return self._settings.model_dump()

    def tensors(self) -> Tensors:
        """The parts of ``States`` of each regime that was learned, as ``colour.exemplars`` and so on."""
        found: Tensors = {}
        for regime, states in self._states.items():
            found[f"{regime}.exemplars"] = states.exemplars
            found[f"{regime}.time_s"] = states.time_s
            found[f"{regime}.deviation"] = states.deviation
            found[f"{regime}.unit"] = np.array([states.unit], np.float32)
        return found

    @classmethod
    def load(cls, settings: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], device: str) -> Self:  # noqa: ARG003
        """Build from stored parts. Raises ModelError when one is missing, foreign, misshapen or not finite."""
        given = read_settings(cls.name, SceneSettings, settings)
        expected: dict[str, tuple[tuple[int, ...], Any]] = {}
        learned = {regime: n for regime, n in zip(_REGIMES, given.exemplars, strict=False) if n > 0}
        for regime, n in learned.items():
            expected[f"{regime}.exemplars"] = ((n, ROWS, COLUMNS, 3), np.float16)
            expected[f"{regime}.time_s"] = ((n,), np.float64)
            expected[f"{regime}.deviation"] = ((ROWS, COLUMNS, 3), np.float32)
            expected[f"{regime}.unit"] = ((1,), np.float32)
        check_tensors(cls.name, tensors, expected)
        states = {}
        for regime in learned:
            exemplars, time_s, deviation, unit = (
                tensors[f"{regime}.{part}"] for part in ("exemplars", "time_s", "deviation", "unit")
            )
            if min(deviation.min(), unit[0]) <= 0:
                raise ModelError("a scale of scene in this model is not above 0; train it again")
            states[regime] = States(exemplars, time_s, deviation, float(unit[0]))
        return cls(given, states)


class _Kept:
    """Pictures to learn from, evenly spread in time however long the footage is; those of unsettled light not."""

    def __init__(self) -> None:
        self.count = 0
        self._every_s = 0.2
        self._next_s = -math.inf
        self._kept: list[tuple[Regime, float, NDArray[np.float16]]] = []

    def add(self, time_s: float, picture: FloatArray, light: Light) -> None:
        self.count += 1
        if light.settling or time_s < self._next_s:
            return
        self._next_s = time_s + self._every_s - 1e-6
        self._kept.append((light.regime, time_s, picture.astype(np.float16)))
        if len(self._kept) > _MOST_PICTURES:
            self._kept, self._every_s = self._kept[::2], 2 * self._every_s

    def end_clip(self) -> None:
        self._next_s = -math.inf

    def of(self, regime: Regime) -> tuple[FloatArray, NDArray[np.float64]]:
        own = [(time_s, picture) for at, time_s, picture in self._kept if at is regime]
        pictures = np.array([picture for _, picture in own], np.float32).reshape(-1, ROWS, COLUMNS, 3)
        return pictures, np.array([time_s for time_s, _ in own], np.float64)


def colour_differences(pictures: FloatArray) -> FloatArray:
    """Luma, red and blue difference (ITU-R BT.601) of (..., 3) BGR, grey levels; same shape, float32."""
    blue, green, red = pictures[..., 0], pictures[..., 1], pictures[..., 2]
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    return np.stack([luma, 0.713 * (red - luma), 0.564 * (blue - luma)], axis=-1).astype(np.float32)


def _reasons(score: float, regime: Regime) -> tuple[Reason, ...]:
    if score <= 1:
        return ()
    return (Reason(f"distance from all {regime} pictures learned", score, 1.0, "times the usual"),)
