"""Scene memory: checks if the scene has ever looked like this. It finds still objects as well as moving ones.

Examples: a person lying on the floor, moved furniture, a room that is darker than ever. With about a day of footage,
whole pictures of 16x8 blocks are compared with the most similar ones of the footage (picture_memory.py). Earlier
versions compared their blocks with the learned states of the scene (scene_states.py); such models are still used. With
less footage, only the texture of each place is compared (patches.py). This is less sensitive, see
``Scene.min_threshold``. Four hours do not show the light of the fifth hour, so the whole picture would look new for
most of the next day. States and textures are compared only with those of the same regime (colour, infrared).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from monitor.detector.base import Detector, Observation, Paced, Precision, Tensors, nan_detection, scored_places
from monitor.detector.kept_pictures import Kept
from monitor.detector.lessons import Lesson, hour_of
from monitor.detector.scene.patches import SIDE, Patches, patch_picture
from monitor.detector.scene.picture_memory import NEIGHBOURS, Pictures
from monitor.detector.scene.scene_states import States, colour_differences, parts, top_mean
from monitor.detector.scene.taught_pictures import TaughtPictures
from monitor.detector.stored import check_tensors, read_settings
from monitor.errors import ModelError, UsageError
from monitor.scores.calibration import fit_tail
from monitor.scores.held_out import HeldOut
from monitor.scores.smoothing import CausalMedian, SmoothingSettings
from monitor.states import TIMES_USUAL, Reason
from monitor.stream.regimes import COLUMNS, ROWS, LightWatch, Regime, small_picture
from monitor.types import Bools, Detection, FloatArray, Frame, Image, Traits

_REGIMES = tuple(Regime)
_MIN_PICTURES = 32  # minimum number of pictures to learn a regime
LEAST_S = 72_000.0
"""Seconds of footage to compare whole pictures: 20 h. With less, those of other hours would look new."""
_EVERY_S = 0.3  # short enough, because the changes that it finds last for seconds
_PATCHES_FLOOR = 2.0  # normal clips of other days reach 1.7
SMOOTH_S = 5.0
"""Window of the median of the scores of whole pictures, seconds: what they show lasts."""


_MOST_SEEN = 1_000_000
_Count = Annotated[int, Field(ge=0, le=_MOST_SEEN)]


class SceneSettings(BaseModel):
    """Settings of ``Scene``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["pictures", "states", "patches"]
    exemplars: tuple[_Count, _Count, _Count] = Field(
        description="number per regime: colour, grey, dark; 0: not learned. For pictures: how many were seen"
    )
    pictures: _Count = Field(default=0, description="number of exemplars of all regimes together, for pictures")
    rows: int = Field(ge=1, le=1024, description="rows of places in the anomaly map")
    columns: int = Field(ge=1, le=1024)
    smooth_s: float = Field(gt=0, le=60, description="window of the score's median, seconds")
    floor: float = Field(gt=0, le=1e9, description="lower limit of the threshold, see ``Scene.min_threshold``")


@dataclass(slots=True, eq=False)
class _Stream:
    """The light of one camera, the median of its scores, and the last result."""

    median: CausalMedian
    light: LightWatch = field(default_factory=LightWatch)
    paced: Paced = field(default_factory=lambda: Paced(_EVERY_S))


class Scene(Detector):
    """Scores how much a picture differs from everything learned. A high score is abnormal.

    A score of about 1 is reached only by few normal pictures from parts of the footage that were not learned. The score
    is NaN while the light settles after a switch, and in a regime that was not learned, because there is nothing to
    compare with.
    """

    name: ClassVar[str] = "scene"
    small: ClassVar[bool] = True

    def __init__(
        self,
        settings: SceneSettings,
        memories: Mapping[Regime, States] | Mapping[Regime, Patches] | Mapping[Regime, Pictures],
    ) -> None:
        self._settings = settings
        self._origin: Scene = self
        self._lessons: TaughtPictures | None = None
        self._memories: dict[Regime, States | Patches | Pictures] = dict(memories)
        # Held-out footage from the same hours as the learned footage does not represent another day, or another clip.
        self.min_threshold = settings.floor
        # In the learned minutes hardly anything looks new. In any other clip much looks new, but this is normal.
        # Whole pictures were scored hour by hour, by other hours; so it is known how new normal ones look.
        self.usual = -math.inf if settings.kind == "pictures" else min(1.0, settings.floor / 2)

    @classmethod
    def of_pictures(cls, pictures: Pictures, seen: Mapping[Regime, int]) -> Self:
        """A memory of whole pictures. seen: how many pictures of each regime were looked at."""
        counts = tuple(
            min(seen.get(regime, 0), _MOST_SEEN) if seen.get(regime, 0) >= _MIN_PICTURES else 0 for regime in _REGIMES
        )
        given = {"kind": "pictures", "rows": ROWS, "columns": COLUMNS, "smooth_s": SMOOTH_S, "floor": 1.0}
        settings = SceneSettings.model_validate({**given, "exemplars": counts, "pictures": len(pictures.exemplars)})
        return cls(settings, {r: pictures for r, count in zip(_REGIMES, counts, strict=True) if count})

    @property
    def regimes(self) -> tuple[Regime, ...]:
        """The regimes that were learned."""
        return tuple(self._memories)

    @classmethod
    def fit(cls, clips: Iterable[Sequence[Frame]], seed: int = 0, most: int = 1024) -> Self:  # noqa: ARG003
        """Learn from clips of normal footage, each in order of time. The footage may span whole days.

        most: maximum number of states per regime. It keeps at most 20,000 small pictures (1.5 KB each, plus 4 KB each
        for less than 20 h of footage), evenly spread over the footage, and no frames. Nothing is random; ``seed`` is
        only part of the interface. Raises UsageError if there are too few frames.
        """
        kept = Kept(whole_after_s=LEAST_S)
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
            given = {"kind": "states", "rows": ROWS, "columns": COLUMNS, "smooth_s": SMOOTH_S, "floor": floor}
            return cls(SceneSettings.model_validate({**given, "exemplars": counts}), states)
        counts = tuple(patches[regime].exemplars.shape[2] if regime in patches else 0 for regime in _REGIMES)
        rows, columns = next(iter(patches.values())).scale.shape
        given = {"kind": "patches", "rows": rows, "columns": columns, "smooth_s": 1.0, "floor": _PATCHES_FLOOR}
        return cls(SceneSettings.model_validate({**given, "exemplars": counts}), patches)

    def new_stream(self) -> _Stream:
        """A stream with unknown light."""
        return _Stream(CausalMedian(self._settings.smooth_s, self._settings.smooth_s))

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """The anomaly map, (rows, columns) of places, gives the difference from everything learned, in score units."""
        return [
            seen.stream.paced.tell(seen.frame.time_s, partial(self._look, seen.frame, seen.stream)) for seen in batch
        ]

    def _look(self, frame: Frame, stream: _Stream) -> Detection:
        picture = small_picture(frame.small.sample)
        light = stream.light.update(frame.time_s, picture)
        memory = self._memories.get(light.regime)
        if memory is None or light.settling:
            return nan_detection()
        patch = patch_picture(frame.small.sample, memory.size) if isinstance(memory, Patches) else None
        raw, places, learned = self._compared(memory, picture, patch, hour_of(frame), frame)
        score = stream.median.update(frame.time_s, raw)
        traits = _traits(light.regime, picture, patch, learned) if max(raw, score) > 1 else None
        return Detection(score, places, _reasons(score, light.regime), traits)

    def _compared(
        self,
        memory: States | Patches | Pictures,
        picture: FloatArray,
        patch: Image | None,
        hour: float | None,
        frame: Frame | None,
    ) -> tuple[float, FloatArray, FloatArray]:
        """The score of a picture before smoothing, how unusual each place is, and the same without lessons.

        frame: says which places are not scored
        """
        if isinstance(memory, Pictures):
            distance, learned = self._whole(frame, memory, picture)
            places, taught = learned, self._lessons.whole(memory, picture, hour) if self._lessons else math.inf
            if taught < distance:
                distance, places = taught, learned * np.float32(taught / distance)
            return distance, places, learned
        if isinstance(memory, States):
            learned = memory.compare(colour_differences(picture))[0]
        else:
            assert patch is not None
            learned = memory.compare(patch)
        places = self._lessons.places(memory, picture, patch, learned, hour) if self._lessons else learned
        if frame is not None:
            learned, places = (scored_places(frame, each, self.typical, least=0.0) for each in (learned, places))
        return top_mean(places), places, learned

    @property
    def origin(self) -> Scene:
        """See Detector."""
        return self._origin

    def taught(self, lessons: Sequence[Lesson]) -> Scene:
        """See Detector. Pictures of the event count as learned: all of them, or at the places of the event."""
        pictures = TaughtPictures(lessons)
        if not pictures:
            return self._origin
        other = copy.copy(self._origin)
        other._lessons = pictures
        return other

    def again(self, score: float, traits: Traits, hour: float | None) -> tuple[float, Bools | None]:
        """See Detector. Where no lesson matters, the score is what it was."""
        memory = self._memories.get(_REGIMES[int(traits["regime"][0])])
        patch = traits.get("patch")
        fits = memory is not None and traits["picture"].shape == (ROWS, COLUMNS, 3)
        if not self._lessons or memory is None or not fits:
            return score, None
        if isinstance(memory, Patches) and (patch is None or patch.shape[::-1] != memory.size):
            return score, None
        raw = self._compared(memory, traits["picture"].astype(np.float32), patch, hour, None)[0]
        return min(score, raw), None

    def _whole(self, frame: Frame | None, memory: Pictures, picture: FloatArray) -> tuple[float, FloatArray]:
        """The distance of a whole picture and its blocks, by the rules of its places: blocks count by what they get."""
        if frame is None or frame.places is None:
            return memory.compare(picture)
        distance, blocks = memory.compare(picture, frame.places.left_out(*picture.shape[:2]))
        ruled = scored_places(frame, blocks, self.typical, least=0.0)
        whole = float(np.square(blocks).sum())
        return (distance * math.sqrt(float(np.square(ruled).sum()) / whole) if whole > 0 else distance), ruled

    def settings(self) -> dict[str, Any]:
        """The fields of SceneSettings."""
        return self._settings.model_dump()

    def tensors(self) -> Tensors:
        """The parts of ``States`` or ``Patches`` of each learned regime, with names such as ``colour.exemplars``.

        Those of ``Pictures`` belong to all regimes: ``exemplars`` and ``unit``.
        """
        found: Tensors = {}
        for regime, memory in self._memories.items():
            if isinstance(memory, Pictures):
                return {"exemplars": memory.exemplars, "unit": np.array([memory.unit], np.float32)}
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
        """Build from stored parts. Raises ModelError if a part is missing, unknown, not finite or has a wrong shape."""
        given = read_settings(cls.name, SceneSettings, settings)
        grid = (given.rows, given.columns)
        if given.kind != "patches" and grid != (ROWS, COLUMNS):
            raise ModelError(f"the scene of this model has {grid} places instead of {(ROWS, COLUMNS)}; train it again")
        expected: dict[str, tuple[tuple[int, ...], Any]] = {}
        learned = {regime: n for regime, n in zip(_REGIMES, given.exemplars, strict=True) if n > 0}
        if given.kind == "pictures":
            if given.pictures < NEIGHBOURS or not learned:
                raise ModelError("the scene of this model holds too few pictures; train it again")
            expected = {"exemplars": ((given.pictures, *grid, 3), np.float16), "unit": ((1,), np.float32)}
        for regime, n in learned.items() if given.kind != "pictures" else ():
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
            if name.endswith(("deviation", "unit", "scale")) and tensor.min() <= 0:
                raise ModelError(f"'{name}' of scene in this model is not above 0; train it again")

        def part(regime: Regime, name: str) -> NDArray[Any]:
            return tensors[f"{regime}.{name}"]

        if given.kind == "pictures":
            pictures = Pictures(tensors["exemplars"], float(tensors["unit"][0]))
            return cls(given, dict.fromkeys(learned, pictures))
        if given.kind == "patches":
            return cls(given, {r: Patches(part(r, "exemplars"), part(r, "scale")) for r in learned})
        states = {
            r: States(part(r, "exemplars"), part(r, "time_s"), part(r, "deviation"), float(part(r, "unit")[0]))
            for r in learned
        }
        return cls(given, states)


def _once_a_day(held_out: HeldOut, name: str) -> float:
    """The score that a regime's pictures exceed once per day in parts of the footage not learned; at least 1."""
    try:
        return max(fit_tail(held_out, name, SmoothingSettings().smoother).scale(name, 1.0).threshold, 1.0)
    except ModelError:  # the footage does not vary at all
        return 1.0


def _traits(regime: Regime, picture: FloatArray, patch: Image | None, places: FloatArray) -> Traits:
    found: Traits = {
        "regime": np.array([_REGIMES.index(regime)], np.uint8),
        "picture": picture.astype(np.float16),
        "places": places.astype(np.float16),
    }
    return found if patch is None else {**found, "patch": patch}


def _reasons(score: float, regime: Regime) -> tuple[Reason, ...]:
    if score <= 1:
        return ()
    return (Reason(f"distance from all {regime} pictures learned", score, 1.0, TIMES_USUAL),)
