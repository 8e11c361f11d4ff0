"""Scene memory: has this scene ever looked like this? It sees what stands still as well as what moves.

A lying person, moved furniture, a room darker than it ever is. With footage of a day, pictures of 16x8 blocks are
compared with the states that the scene was seen in (states.py). With less, only the texture of each place is
(patches.py), which is worth less, see ``Scene.min_threshold``: four hours show nothing of the light of a fifth, and
the whole picture would look new for most of the next day. Either way under the same regime (colour, infrared).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from monitor.detector.base import Detector, Observation, Paced, Precision, Tensors, nan_detection
from monitor.detector.kept_pictures import Kept
from monitor.detector.scene.patches import SIDE, Patches, patch_picture
from monitor.detector.scene.scene_states import States, colour_differences, parts, top_mean
from monitor.detector.stored import check_tensors, read_settings
from monitor.errors import ModelError, UsageError
from monitor.scores.calibration import fit_tail
from monitor.scores.held_out import HeldOut
from monitor.scores.smoothing import CausalMedian, SmoothingSettings
from monitor.states import TIMES_USUAL, Reason
from monitor.stream.regimes import COLUMNS, ROWS, LightWatch, Regime, small_picture
from monitor.types import Detection, Frame

_REGIMES = tuple(Regime)
_MIN_PICTURES = 32  # of a regime, for it to be learned
_PATCHES_ONLY_S = 72_000.0  # most of a day: with less, the whole picture of other hours looks new
_EVERY_S = 0.3  # what it sees stays for seconds
_PATCHES_FLOOR = 2.0  # normal clips of days not learned reach 1.7


class SceneSettings(BaseModel):
    """Settings of ``Scene``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["states", "patches"]
    exemplars: tuple[int, int, int] = Field(description="how many of each regime: colour, grey, dark; 0: not learned")
    rows: int = Field(ge=1, description="of places, in the anomaly map")
    columns: int = Field(ge=1)
    smooth_s: float = Field(gt=0, description="seconds over which the score's median is taken")
    floor: float = Field(gt=0, description="score below which nothing is ever abnormal, see ``Scene.min_threshold``")


@dataclass(slots=True, eq=False)
class _Stream:
    """One camera's light, the median of its scores and what was said last."""

    median: CausalMedian
    light: LightWatch = field(default_factory=LightWatch)
    paced: Paced = field(default_factory=lambda: Paced(_EVERY_S))


class Scene(Detector):
    """Scores how unlike everything learned a picture is. High is abnormal.

    The score is about 1 where a picture is as unusual as few normal ones from an unlearned part of the footage. NaN
    while the light settles after a switch, and in a regime that was not learned: there is nothing to compare with.
    """

    name: ClassVar[str] = "scene"
    small: ClassVar[bool] = True

    def __init__(self, settings: SceneSettings, memories: Mapping[Regime, States] | Mapping[Regime, Patches]) -> None:
        self._settings = settings
        self._memories: dict[Regime, States | Patches] = dict(memories)
        # Held-out footage of the same hours as the footage learned says too little of another day, or another clip.
        self.min_threshold = settings.floor
        # In the minutes just learned hardly anything looks new, in any other clip much does, and says nothing.
        self.usual = min(1.0, settings.floor / 2)

    @property
    def regimes(self) -> tuple[Regime, ...]:
        """The regimes that were learned."""
        return tuple(self._memories)

    @classmethod
    def fit(cls, clips: Iterable[Sequence[Frame]], seed: int = 0, most: int = 1024) -> Self:  # noqa: ARG003
        """Learn from clips of normal footage, each in order of time; whole days are welcome.

        most: states of a regime to remember. Keeps at most 20,000 small pictures (1.5 KB, and 4 KB while there is
        less than a day), evenly spread over the footage, and none of the frames. Nothing is random: the seed
        is there for the interface. Raises UsageError when there are too few frames.
        """
        kept = Kept(whole_after_s=_PATCHES_ONLY_S)
        for clip in clips:
            kept.add_clip(clip)
        unlearned: list[HeldOut] = []
        states: dict[Regime, States] = {}
        patches: dict[Regime, Patches] = {}
        for regime in _REGIMES:
            pictures, greys, time_s = kept.of(regime)
            if len(pictures) < _MIN_PICTURES:
                continue
            if greys is None:
                states[regime], scores = States.learn(colour_differences(pictures), time_s, most)
                part = parts(len(scores)).astype(np.int32)
                unlearned.append(HeldOut(time_s, part, {cls.name: scores.astype(np.float64)}))
            else:
                patches[regime] = Patches.learn(greys)
        if not states and not patches:
            raise UsageError(
                f"scene needs at least {_MIN_PICTURES} pictures of normal footage in steady light to learn from, "
                f"got {len(kept)}; give more"
            )
        if states:
            counts = tuple(len(states[regime].exemplars) if regime in states else 0 for regime in _REGIMES)
            floor = max(_once_a_day(held_out, cls.name) for held_out in unlearned)
            given = {"kind": "states", "rows": ROWS, "columns": COLUMNS, "smooth_s": 5.0, "floor": floor}
            return cls(SceneSettings.model_validate({**given, "exemplars": counts}), states)
        counts = tuple(patches[regime].exemplars.shape[2] if regime in patches else 0 for regime in _REGIMES)
        rows, columns = next(iter(patches.values())).scale.shape
        given = {"kind": "patches", "rows": rows, "columns": columns, "smooth_s": 1.0, "floor": _PATCHES_FLOOR}
        return cls(SceneSettings.model_validate({**given, "exemplars": counts}), patches)

    def new_stream(self) -> _Stream:
        """Nothing is known of the light yet."""
        return _Stream(CausalMedian(self._settings.smooth_s, self._settings.smooth_s))

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """The anomaly map is (rows, columns) of places: how unlike anything learned each is, in the score's units."""
        return [
            seen.stream.paced.tell(seen.frame.time_s, partial(self._look, seen.frame, seen.stream)) for seen in batch
        ]

    def _look(self, frame: Frame, stream: _Stream) -> Detection:
        picture = small_picture(frame.small.sample)
        light = stream.light.update(frame.time_s, picture)
        memory = self._memories.get(light.regime)
        if memory is None or light.settling:
            return nan_detection()
        if isinstance(memory, States):
            places = memory.compare(colour_differences(picture))[0]
        else:
            places = memory.compare(patch_picture(frame.small.sample, memory.size))
        score = stream.median.update(frame.time_s, top_mean(places))
        return Detection(score, places, _reasons(score, light.regime))

    def settings(self) -> dict[str, Any]:
        """The fields of SceneSettings."""
        return self._settings.model_dump()

    def tensors(self) -> Tensors:
        """The parts of ``States`` or ``Patches`` of each regime that was learned, as ``colour.exemplars`` and so on."""
        found: Tensors = {}
        for regime, memory in self._memories.items():
            found[f"{regime}.exemplars"] = memory.exemplars
            if isinstance(memory, States):
                found[f"{regime}.time_s"] = memory.time_s
                found[f"{regime}.deviation"] = memory.deviation
                found[f"{regime}.unit"] = np.array([memory.unit], np.float32)
            else:
                found[f"{regime}.scale"] = memory.scale
        return found

    @classmethod
    def load(
        cls,
        settings: Mapping[str, Any],
        tensors: Mapping[str, NDArray[Any]],
        device: str,  # noqa: ARG003 - for detectors with a network
        precision: Precision = "auto",  # noqa: ARG003
    ) -> Self:
        """Build from stored parts. Raises ModelError when one is missing, foreign, misshapen or not finite."""
        given = read_settings(cls.name, SceneSettings, settings)
        grid = (given.rows, given.columns)
        if given.kind == "states" and grid != (ROWS, COLUMNS):
            raise ModelError(f"the scene of this model has {grid} places and not {(ROWS, COLUMNS)}; train it again")
        expected: dict[str, tuple[tuple[int, ...], Any]] = {}
        learned = {regime: n for regime, n in zip(_REGIMES, given.exemplars, strict=True) if n > 0}
        for regime, n in learned.items():
            if given.kind == "states":
                expected[f"{regime}.exemplars"] = ((n, *grid, 3), np.float16)
                expected[f"{regime}.time_s"] = ((n,), np.float64)
                expected[f"{regime}.deviation"] = ((*grid, 3), np.float32)
                expected[f"{regime}.unit"] = ((1,), np.float32)
            else:
                expected[f"{regime}.exemplars"] = ((*grid, n, SIDE * SIDE), np.float16)
                expected[f"{regime}.scale"] = (grid, np.float32)
        check_tensors(cls.name, tensors, expected)
        for name, tensor in tensors.items():
            if name.endswith((".deviation", ".unit", ".scale")) and tensor.min() <= 0:
                raise ModelError(f"'{name}' of scene in this model is not above 0; train it again")

        def part(regime: Regime, name: str) -> NDArray[Any]:
            return tensors[f"{regime}.{name}"]

        if given.kind == "patches":
            return cls(given, {r: Patches(part(r, "exemplars"), part(r, "scale")) for r in learned})
        states = {
            r: States(part(r, "exemplars"), part(r, "time_s"), part(r, "deviation"), float(part(r, "unit")[0]))
            for r in learned
        }
        return cls(given, states)


def _once_a_day(held_out: HeldOut, name: str) -> float:
    """The score that a regime's pictures pass once a day in parts of the footage that were not learned; at least 1."""
    try:
        return max(fit_tail(held_out, name, SmoothingSettings().smoother).scale(name, 1.0).threshold, 1.0)
    except ModelError:  # the footage never varied
        return 1.0


def _reasons(score: float, regime: Regime) -> tuple[Reason, ...]:
    if score <= 1:
        return ()
    return (Reason(f"distance from all {regime} pictures learned", score, 1.0, TIMES_USUAL),)
