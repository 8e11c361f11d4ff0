"""Appearance: compares the texture of what moves with the textures that moved at the same place before.

``motion`` sees how something moves, not what it is: a skater has a walker's speed. The picture, 240 px wide, is divided
into windows of 24 px, 8 px apart. Where something changes, the edges in a window are described (``descriptors.py``) and
compared with the nearest exemplars of normal footage there (``place_memory.py``). No network, nothing pre-trained.

The score adds to that of ``motion``. Its weight is earned: see ``Appearance.with_auc``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from monitor.detector.appearance.descriptors import BLOCK, LENGTH, changed_share, describe, grid
from monitor.detector.appearance.place_memory import Axes, PlaceMemory, Seen, learn_places
from monitor.detector.base import Detector, Observation, Precision, Tensors, nan_detection, scored_places
from monitor.detector.grey_pictures import EvenSample, Stretch, grey_pictures
from monitor.detector.stored import check_tensors, read_settings
from monitor.errors import ModelError, UsageError
from monitor.states import TIMES_USUAL, Reason
from monitor.types import Bools, Detection, FloatArray, Frame, Image

WIDTH = 240
"""Width of the grey picture, px."""
_MOST_PICTURES, _STRETCH_S = 3000, 3.0  # maximum number of pictures to learn from, and length of their stretches
_LEARN_STEP_S = 0.15  # the texture of what moves hardly changes in less time
_LEAST_LAG_S, _MOST_LAG_S = 0.07, 2.6  # age of the picture that shows what has changed: see frontend.py
_REPEATED = 2  # a picture that differs from the one before by at most this many grey levels everywhere repeats it
_FOLDS = 4  # quarters of the footage; the scale comes from distances to what the other three quarters know
_SCALE_QUANTILE = 0.98


class AppearanceSettings(BaseModel):
    """Settings of ``Appearance``. width, height: size of the grey picture, px."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: int = Field(ge=3 * BLOCK, le=1024, multiple_of=BLOCK)
    height: int = Field(ge=3 * BLOCK, le=1024, multiple_of=BLOCK)
    components: int = Field(default=32, ge=1, le=LENGTH)
    exemplars: int = Field(default=96, ge=4, le=10_000, description="maximum number of exemplars per place")
    neighbours: int = Field(default=3, ge=1, le=10_000)
    top_windows: int = Field(
        default=20, ge=1, le=10_000, description="the frame's score is the mean of this many highest windows"
    )
    min_changed: float = Field(default=0.15, gt=0, le=1, description="minimum share of changed pixels in a window")
    auc: float | None = Field(default=None, gt=0.5, le=1, description="AUC on synthetic anomalies; None: not measured")

    @field_validator("neighbours")
    @classmethod
    def _check_neighbours(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("exemplars", value):
            raise ValueError("there are fewer exemplars than that")
        return value

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of windows."""
        return grid(self.width, self.height)


class _Past(NamedTuple):
    time_s: float
    grey: Image


@dataclass(slots=True, eq=False)
class AppearanceStream:
    """The recent pictures of one camera, and the last result, which holds for a picture that is repeated."""

    past: deque[_Past] = field(default_factory=deque)
    said: Detection | None = None

    def earlier(self, time_s: float, grey: Image) -> Image | None:
        """The picture to compare the next one with; None if there is none of a suitable age."""
        while len(self.past) > 1 and time_s - self.past[1].time_s >= _LEAST_LAG_S:
            self.past.popleft()
        found = self.past[0] if self.past else None
        self.past.append(_Past(time_s, grey))
        usable = found is not None and _LEAST_LAG_S <= time_s - found.time_s <= _MOST_LAG_S
        return found.grey if found is not None and usable else None

    def repeats(self, grey: Image) -> bool:
        """Whether a picture is the same as the newest one."""
        return bool(self.past) and int(cv2.absdiff(grey, self.past[-1].grey).max()) <= _REPEATED


class Appearance(Detector):
    """Scores the texture of what moves by its distance to the textures learned at its place. High is abnormal.

    axes       mean (81,) and basis (81, d), see Axes
    exemplars  (rows, columns, n, d) float16
    counts     (rows, columns) int32, number of exemplars in use
    scale      (1,) float32, > 0: the 98th percentile of the distances in held-out normal footage

    A window scores 1 for a texture that is as unusual as the most unusual 2 % of normal ones, 0 if nothing moves there.
    """

    name: ClassVar[str] = "appearance"
    small: ClassVar[bool] = True
    sees: ClassVar[str] = "movement"

    def __init__(
        self,
        settings: AppearanceSettings,
        axes: Axes,
        exemplars: NDArray[np.float16],
        counts: NDArray[np.int32],
        scale: FloatArray,
    ) -> None:
        self._settings, self._axes = settings, axes
        self._exemplars, self._counts, self._scale = exemplars, counts, scale
        by_place = exemplars.astype(np.float32).reshape(-1, *exemplars.shape[2:])
        self._memory = PlaceMemory(by_place, counts.ravel(), settings.neighbours)
        # The Gini coefficient, squared, as for true-sight-2: synthetic anomalies are easier to find than real ones.
        if settings.auc is not None:
            self.trust = (2 * settings.auc - 1) ** 2

    @classmethod
    def fit(cls, clips: Iterable[Iterable[Frame]], seed: int = 0) -> Self:
        """Learn from clips of normal footage, each in order of time.

        Each clip is read once. At most 3,000 pictures (up to 38 KB each) are kept: stretches of 3 s, spread evenly over
        longer footage. Raises UsageError if there are too few frames, or if nothing moves.
        """
        footage = EvenSample(_MOST_PICTURES, _STRETCH_S, _LEARN_STEP_S)
        for clip, time_s, grey in grey_pictures(clips, cls.name, WIDTH):
            footage.add(clip, time_s, grey)
        return cls.fit_grey(footage.stretches(), seed)

    @classmethod
    def fit_grey(cls, stretches: Sequence[Stretch], seed: int = 0) -> Self:
        """Like ``fit``, from grey pictures of one size, both sides multiples of 8 px."""
        height, width = stretches[0][0][1].shape
        settings = AppearanceSettings(width=width, height=height)
        seen = list(_seen(settings, stretches))
        if sum(len(frame.windows) for frame in seen) < _FOLDS:
            raise UsageError("nothing moves in the normal footage for appearance; give footage with its usual traffic")
        everything = np.concatenate([frame.descriptors for frame in seen])
        axes = Axes.of(everything.astype(np.float32), settings.components, np.random.default_rng(seed))
        coverage = learn_places(seen, axes, settings.grid, settings.exemplars)
        exemplars = coverage.points.astype(np.float16).reshape(*settings.grid, *coverage.points.shape[1:])
        counts = coverage.counts.astype(np.int32).reshape(settings.grid)
        unscaled = cls(settings, axes, exemplars, counts, np.ones(1, np.float32))
        distances = [
            unscaled._memory.distances(frame.windows, axes.reduce(frame.descriptors), coverage.only_of(frame.block))
            for frame in seen
        ]
        scale = max(float(np.quantile(np.concatenate(distances), _SCALE_QUANTILE)), 1e-3)
        return cls(settings, axes, exemplars, counts, np.array([scale], np.float32))

    def with_auc(self, auc: float) -> Self:
        """A copy with a known AUC on synthetic anomalies, which gives its weight beside other detectors."""
        settings = self._settings.model_copy(update={"auc": auc})
        return type(self)(settings, self._axes, self._exemplars, self._counts, self._scale)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the grey picture that it looks at, px."""
        return self._settings.width, self._settings.height

    def new_stream(self) -> AppearanceStream:
        """A stream without earlier pictures."""
        return AppearanceStream()

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """The score is the mean of the highest windows, NaN for a stream's first frame. Map: (rows, columns)."""
        return [self._score_one(observation) for observation in batch]

    def _score_one(self, observation: Observation) -> Detection:
        frame = observation.frame
        stream: AppearanceStream = observation.stream
        grey = frame.small.grey(self.size)
        if stream.said is not None and stream.said.score > 0 and stream.repeats(grey):
            return stream.said
        earlier = stream.earlier(frame.time_s, grey)
        if earlier is None:
            stream.said = None
            return nan_detection()
        learned = self.look(grey, earlier)
        places = scored_places(frame, learned, self.typical, least=0.0)
        stream.said = self._detection(places)
        return stream.said

    def look(self, grey: Image, earlier: Image) -> FloatArray:
        """How unusual each window of a picture is, (rows, columns) float32; both pictures: (h, w) uint8."""
        found = np.zeros(self._settings.grid, np.float32)
        windows = _changed_windows(self._settings, grey, earlier)
        if len(windows):
            features = self._axes.reduce(describe(grey, windows))
            found.ravel()[windows] = self._memory.distances(windows, features) / self._scale[0]
        return found

    def pooled(self, places: FloatArray) -> float:
        """The score of a frame from its windows."""
        most = self._settings.top_windows
        return float(np.sort(places, axis=None)[-most:].sum() / most)

    def _detection(self, places: FloatArray) -> Detection:
        highest = float(places.max())
        why = (Reason("difference from what moved here before", highest, 1.0, TIMES_USUAL),) if highest > 1 else ()
        return Detection(self.pooled(places), places, why)

    def without(self, detection: Detection, excused: Bools) -> Detection:
        """See Detector."""
        heat = detection.anomaly_map
        if heat is None:
            return detection
        fine = cv2.resize(excused.astype(np.uint8), heat.shape[::-1], interpolation=cv2.INTER_NEAREST)
        left_out = cv2.dilate(fine, np.ones((3, 3), np.uint8)) > 0  # a window is wider than their distance
        if not left_out.any():
            return detection
        return self._detection(np.where(left_out, np.float32(0), heat))

    def settings(self) -> dict[str, Any]:
        """The fields of AppearanceSettings."""
        return self._settings.model_dump()

    def tensors(self) -> Tensors:
        """The arrays of the constructor, by their names."""
        return {
            "mean": self._axes.mean,
            "basis": self._axes.basis,
            "exemplars": self._exemplars,
            "counts": self._counts,
            "scale": self._scale,
        }

    @classmethod
    def load(
        cls,
        settings: Mapping[str, Any],
        tensors: Mapping[str, NDArray[Any]],
        device: str,  # noqa: ARG003 - for detectors with a network
        precision: Precision = "auto",  # noqa: ARG003
    ) -> Self:
        """Build from stored parts. Raises ModelError if a part is missing, unknown, not finite or has a wrong shape."""
        given = read_settings(cls.name, AppearanceSettings, settings)
        expected: dict[str, tuple[tuple[int, ...], Any]] = {
            "mean": ((LENGTH,), np.float32),
            "basis": ((LENGTH, given.components), np.float32),
            "exemplars": ((*given.grid, given.exemplars, given.components), np.float16),
            "counts": (given.grid, np.int32),
            "scale": ((1,), np.float32),
        }
        check_tensors(cls.name, tensors, expected)
        counts = tensors["counts"]
        if tensors["scale"].min() <= 0 or counts.min() < 0 or counts.max() > given.exemplars:
            raise ModelError("a scale or a count of appearance in this model is out of range; train it again")
        axes = Axes(tensors["mean"], tensors["basis"])
        return cls(given, axes, tensors["exemplars"], counts, tensors["scale"])


def _changed_windows(settings: AppearanceSettings, grey: Image, earlier: Image) -> NDArray[np.intp]:
    """(k,) the numbers of the windows in which something moves."""
    return np.flatnonzero(changed_share(grey, earlier) >= settings.min_changed)


def _seen(settings: AppearanceSettings, stretches: Sequence[Stretch]) -> Iterable[Seen]:
    """What moves in the pictures of some stretches. Each quarter of the footage is a block of time."""
    total, number = sum(len(stretch) for stretch in stretches), 0
    for stretch in stretches:
        stream = AppearanceStream()
        for time_s, grey in stretch:
            earlier = stream.earlier(time_s, grey)
            if earlier is not None:
                windows = _changed_windows(settings, grey, earlier)
                descriptors = describe(grey, windows).astype(np.float16) if len(windows) else np.zeros((0, LENGTH))
                yield Seen(number * _FOLDS // total, windows, descriptors)
            number += 1
