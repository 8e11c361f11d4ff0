"""Static age: finds an unusual object that has not moved for a while, such as a bag left behind.

If a pixel is outside its trained range and keeps its value, its age increases. If the pixel or a neighbour changes, it
loses some of its age. In its normal range it soon loses all of it. A connected region of old pixels of a minimum size
is an unmoved object (or the place of a missing one). People who stand still sway and fidget, so their age hardly
increases. But some people stand very still, so the score is the age above the highest age in training. Only an object
that arrives while the stream is watched can be left behind. So a pixel must also differ from what it showed before. As
a result, different light, a slightly moved camera, and objects that were there at the start of the stream do not count.
After five minutes an object that stays belongs to the scene: by then its alarm has told everything that it can tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from monitor.detector.base import Detector, Observation, Paced, Precision, Tensors, nan_detection, scored_places
from monitor.detector.frontend import fast_median
from monitor.detector.grey_pictures import EvenSample, Stretch, grey_pictures
from monitor.detector.stored import check_tensors, read_settings
from monitor.states import Reason
from monitor.types import Detection, FloatArray, Frame, Image

_LEAST_SAME = 4.0  # grey levels: a swaying person changes a pixel more, the noise of a good camera less
_LIGHT_GRID = 16  # side of the squares in which the light is compared with the trained light, px
_HALF_LIFE_S = 0.12  # half-life of the age of a pixel that looks normal again
_MOST_SINGLE, _MOST_LASTING = 1500, 6000  # maximum number of pictures to learn from: single, and in stretches
_EVERY_S = 0.2  # ages do not matter on a shorter time scale
_STRETCH_S, _STEP_S = 60.0, 0.19  # length of a stretch, and minimum distance between its pictures
_NOISE_PAIRS, _MOST_NOISE = 200, 12  # pairs of pictures to measure the noise; above this, grey levels, it is motion
_ARRIVAL = 12.0  # grey levels by which a pixel must differ from what it showed before an object arrived
_SETTLING_S = 5.0  # time constant with which a pixel's own background follows the picture
_SQUARE = np.ones((3, 3), np.uint8)
_LEAST_SHOWN_S, _TIMES_AS_LONG = 60.0, 2.0  # minimum length of useful held-out clips: see shown_by
_BELONGS_S = 300.0  # an object that is older than usual by this much belongs to the scene
_LONGEST_STEP_S = 2.5  # a pause in the stream adds at most this to an age: one frame in two seconds is no pause


class StaticSettings(BaseModel):
    """Settings of ``StaticAge``. width, height: size of the small grey picture, px."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: int = Field(ge=16, le=1024, multiple_of=_LIGHT_GRID)
    height: int = Field(ge=16, le=1024, multiple_of=_LIGHT_GRID)
    margin: float = Field(
        default=8.0, gt=0, le=255, description="grey levels beyond the trained range that are still normal"
    )
    same: float = Field(
        default=_LEAST_SAME, gt=0, le=255, description="an unmoved pixel changes by at most this, grey levels"
    )
    min_area: int = Field(default=14, ge=1, le=2**20, description="minimum size of an object, px of the small picture")
    min_age_s: float = Field(default=1.0, gt=0, le=1e6, description="minimum age of an old pixel, seconds")
    usual_age_s: float = Field(ge=0, le=1e9, description="highest age in the training footage, seconds")
    alarm_s: float = Field(
        default=3.0, gt=0, le=1e6, description="minimum age above the usual age for an alarm, seconds"
    )


@dataclass(slots=True, eq=False)
class _Stream:
    """The state of one camera: the values of its pixels and their ages.

    time_s  time of the last frame, seconds
    value   (h, w) float32: the last unmoved value of each pixel, grey levels
    own     (h, w) float32: the pixel's own background, its value without a new object, grey levels
    age     (h, w) float32: age of each pixel, seconds
    paced   the last result
    """

    time_s: float | None
    value: FloatArray
    own: FloatArray
    age: FloatArray
    paced: Paced


class StaticAge(Detector):
    """Finds objects that stay in an unusual place. A high score is abnormal.

    low, high  (height, width) uint8: trained range of each pixel, grey levels
    middle     (height, width) uint8: trained median, grey levels

    The score is the age of the oldest object minus the highest age in training, seconds; at least 0.
    """

    name: ClassVar[str] = "static"
    small: ClassVar[bool] = True

    def __init__(self, settings: StaticSettings, low: Image, middle: Image, high: Image) -> None:
        self._settings, self._low, self._middle, self._high = settings, low, middle, high
        self._floor = low.astype(np.float32) - settings.margin
        self._ceiling = high.astype(np.float32) + settings.margin
        self._empty = middle.astype(np.float32)
        self.min_threshold = settings.alarm_s
        self.usual = min(settings.min_age_s, settings.alarm_s / 2)

    @classmethod
    def fit(cls, clips: Iterable[Iterable[Frame]]) -> Self:
        """Learn each pixel's normal range from clips of normal footage, each in order of time.

        Each clip is read once. At most 1,500 single pictures (14 KB each) are kept for the range, and 6,000 pictures in
        stretches of one minute for the usual age. For longer footage, both are spread evenly over it. Raises UsageError
        if there are too few frames.
        """
        single, lasting = EvenSample(_MOST_SINGLE, 0.0), EvenSample(_MOST_LASTING, _STRETCH_S, _STEP_S)
        for clip, time_s, grey in grey_pictures(clips, cls.name, multiple=_LIGHT_GRID):
            single.add(clip, time_s, grey)
            lasting.add(clip, time_s, grey)
        greys = np.array([grey for stretch in single.stretches() for _, grey in stretch])
        (middle,) = _quantiles(greys, 0.5)
        level = np.array([_relight(grey, middle) for grey in greys])
        low, middle, high = _quantiles(level, 0.05, 0.5, 0.95)
        # In some places people cover the ground for more than 5% of the time; the ground itself varies less.
        (deviation,) = _quantiles(np.abs(level - middle), 0.5)
        spread = np.maximum(np.float32(1.4826) * deviation, np.float32(1.5))
        low, high = np.maximum(low, middle - 4 * spread), np.minimum(high, middle + 4 * spread)
        stretches = lasting.stretches()
        same = max(_LEAST_SAME, 4 * _noise(stretches))
        settings = StaticSettings(width=greys.shape[2], height=greys.shape[1], same=same, usual_age_s=0.0)
        fitted = cls(settings, *(np.clip(np.rint(level), 0, 255).astype(np.uint8) for level in (low, middle, high)))
        oldest = 0.0
        for stretch in stretches:
            state = fitted.new_stream()
            for time_s, grey in stretch:
                fitted._age(state, grey, time_s)
                oldest = max(oldest, fitted._oldest(state.age)[0])
        return cls(settings.model_copy(update={"usual_age_s": oldest}), fitted._low, fitted._middle, fitted._high)

    def shown_by(self, clip_s: float, threshold: float) -> bool:
        """See Detector.shown_by. An age cannot exceed the length of the clip, so the clip must be much longer.

        A clip of less than a minute is not useful either: each pixel shows only a small part of its normal range, and a
        quiet minute shows that nothing stays for long, which the next hour does not keep.
        """
        return clip_s >= max(_LEAST_SHOWN_S, _TIMES_AS_LONG * (self._settings.usual_age_s + threshold))

    def new_stream(self) -> _Stream:
        """A stream in which all ages are 0."""
        return _Stream(None, self._empty, self._empty, np.zeros_like(self._empty), Paced(_EVERY_S))

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """The anomaly map is each pixel's age above the usual age, seconds. The score of the first frame is NaN."""
        return [
            seen.stream.paced.tell(seen.frame.time_s, partial(self._look, seen.frame, seen.stream)) for seen in batch
        ]

    def _look(self, frame: Frame, stream: _Stream) -> Detection:
        first = stream.time_s is None
        self._age(stream, frame.small.grey((self._settings.width, self._settings.height)), frame.time_s)
        if first:
            stream.paced.again()
            return nan_detection()
        usual = self._settings.usual_age_s
        age = scored_places(frame, stream.age, usual, least=0.0)
        oldest, at = self._oldest(age)
        # A zone weighs the score. The reason says for how long the object has really been there.
        reasons = (Reason("unmoved object for", float(stream.age.flat[at]), usual, "s"),) if oldest > usual else ()
        return Detection(max(oldest - usual, 0.0), np.maximum(age - np.float32(usual), 0), reasons)

    def _age(self, stream: _Stream, grey: Image, time_s: float) -> None:
        """Increase or decrease the ages of a stream's pixels, according to the time since its last frame."""
        level = _relight(grey, self._empty)
        if stream.time_s is None:
            stream.time_s, stream.value, stream.own = time_s, level, level
            return
        step = min(time_s - stream.time_s, _LONGEST_STEP_S)
        away = level - stream.own
        foreign = ((level < self._floor) | (level > self._ceiling)) & (np.abs(away) > _ARRIVAL)
        stream.own = stream.own + away * (~foreign * np.float32(min(step / _SETTLING_S, 1.0)))
        same = np.abs(level - stream.value) <= self._settings.same
        swaying = cv2.dilate((foreign & ~same).astype(np.uint8), _SQUARE) > 0
        # The age of a covered pixel decreases twice as fast, so that many people who walk past never add up.
        change = np.where(swaying, np.float32(-2 * step), np.float32(step))
        forgotten = stream.age * np.float32(0.5 ** (step / _HALF_LIFE_S))
        stream.age = np.where(foreign, np.maximum(stream.age + change, np.float32(0)), forgotten)
        belongs = stream.age > self._settings.usual_age_s + _BELONGS_S
        if belongs.any():
            belongs = _objects(stream.age >= self._settings.min_age_s, belongs)
            stream.own, stream.age = np.where(belongs, level, stream.own), stream.age * ~belongs
        follow = same * np.float32(0.1)
        follow[stream.age < 0.05] = 1
        stream.value = stream.value + follow * (level - stream.value)
        stream.time_s = time_s

    def _oldest(self, age: FloatArray) -> tuple[float, int]:
        """The highest age that ``min_area`` pixels of one connected region have reached, seconds; 0 if no region.

        The second value is the number of a pixel of this age, row by row.
        """
        old = (age >= self._settings.min_age_s).astype(np.uint8)
        if not old.any():
            return 0.0, 0
        count, labels, stats, _ = cv2.connectedComponentsWithStats(old, connectivity=8)
        oldest, at, least = 0.0, 0, self._settings.min_area
        for label in range(1, count):
            if stats[label, cv2.CC_STAT_AREA] >= least:
                pixels = np.flatnonzero(labels == label)
                reached = int(pixels[np.argpartition(age.flat[pixels], -least)[-least]])
                if age.flat[reached] > oldest:
                    oldest, at = float(age.flat[reached]), reached
        return oldest, at

    def settings(self) -> dict[str, Any]:
        """The fields of StaticSettings."""
        return self._settings.model_dump()

    def tensors(self) -> Tensors:
        """The three arrays of the constructor, by their names."""
        return {"low": self._low, "middle": self._middle, "high": self._high}

    @classmethod
    def load(
        cls,
        settings: Mapping[str, Any],
        tensors: Mapping[str, NDArray[Any]],
        device: str,  # noqa: ARG003 - for detectors with a network
        precision: Precision = "auto",  # noqa: ARG003
    ) -> Self:
        """Build from stored parts. Raises ModelError if a part is missing, unknown, not finite or has a wrong shape."""
        given = read_settings(cls.name, StaticSettings, settings)
        shape = (given.height, given.width)
        expected: dict[str, tuple[tuple[int, ...], Any]] = dict.fromkeys(("low", "middle", "high"), (shape, np.uint8))
        check_tensors(cls.name, tensors, expected)
        return cls(given, *(tensors[name] for name in expected))


def _quantiles(pictures: NDArray[np.generic], *shares: float) -> list[FloatArray]:
    """For each share, 0..1, each pixel's quantile over the pictures, (n, h, w) grey levels: (h, w) float32.

    Equal to ``numpy.quantile``. Each pixel's values lie side by side and are sorted once, which is ten times as fast.
    """
    count, height, width = pictures.shape
    ordered = np.ascontiguousarray(pictures.reshape(count, -1).T, np.float32)
    ordered.sort(axis=1)
    found: list[FloatArray] = []
    for share in shares:
        below = int(share * (count - 1))
        part = share * (count - 1) - below
        lower = ordered[:, below].astype(np.float64)
        upper = ordered[:, min(below + 1, count - 1)].astype(np.float64)
        found.append((lower + part * (upper - lower)).reshape(height, width).astype(np.float32))
    return found


def _objects(old: NDArray[np.bool_], within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected regions of ``old`` pixels, (h, w), that have a pixel of ``within``: an object's edge is younger."""
    _, labels = cv2.connectedComponents(old.astype(np.uint8), connectivity=8)
    return np.isin(labels, np.unique(labels[within])) & old


def _noise(stretches: Iterable[Stretch]) -> float:
    """Standard deviation of the pictures' noise, grey levels, from differences of consecutive pictures in still places.

    Two normal samples with standard deviation s differ on average by 2 s / sqrt(pi).
    """
    pairs = [(before, now) for stretch in stretches for (_, before), (_, now) in pairwise(stretch)]
    some = [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(len(pairs), _NOISE_PAIRS)).astype(int)]
    differences = [cv2.absdiff(before, now) for before, now in some]
    still = [float(difference[difference <= _MOST_NOISE].mean()) for difference in differences]
    return float(np.median(still)) * math.sqrt(math.pi) / 2 if still else 0.0


def _relight(grey: Image, empty: FloatArray) -> FloatArray:
    """The picture in the trained light, (h, w) float32 grey levels: it divides out smooth differences of brightness.

    The light is compared in squares, by medians, so that a small object in a square has no effect.
    """
    height, width = grey.shape
    ratio = np.maximum(grey, 1).astype(np.float32) / np.maximum(empty, 1)
    squares = ratio.reshape(height // _LIGHT_GRID, _LIGHT_GRID, width // _LIGHT_GRID, _LIGHT_GRID)
    pixels = squares.transpose(1, 3, 0, 2).reshape(_LIGHT_GRID**2, -1)
    local = fast_median(pixels).reshape(squares.shape[0], squares.shape[2])
    whole = fast_median(local.ravel())
    local = np.clip(cv2.medianBlur(local, 3), 0.8 * whole, 1.25 * whole)
    return np.asarray(
        grey / np.maximum(cv2.resize(local, (width, height), interpolation=cv2.INTER_LINEAR), 0.05), dtype=np.float32
    )
