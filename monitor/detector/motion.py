"""Cell motion memory: is this place's motion like anything seen here in training? (Nearest neighbours, no network.)

The picture is cut into cells of 32 px, 16 px apart. Thirteen features describe the motion in each, and a cell's score
is their distance to the nearest of a few exemplars from normal footage of the same place, in units of what held-out
normal footage gives there. It sees speed, direction and size of what moves, and nothing of what stands still.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from monitor.detector.base import Detector, Observation, Tensors, nan_detection
from monitor.detector.frontend import BINS, BLOCK, FrontEnd, View, analysis_size, to_grey
from monitor.errors import ModelError, UsageError
from monitor.types import Detection, FloatArray, Frame, Image, Reason

_BLOCKS, _STRIDE = 4, 2  # side and step of a cell, in blocks
_AREA = float((_BLOCKS * BLOCK) ** 2)  # px in a cell
_FEW = 20.0  # moving pixels below which their mean speed counts for less
FEATURES = BINS + 5
_DIRECTIONS = (
    "to the right", "to the lower right", "downwards", "to the lower left",
    "to the left", "to the upper left", "upwards", "to the upper right",
)  # fmt: skip
_TERMS = (*(f"movement {direction}" for direction in _DIRECTIONS), "speed", "moving area", "foreground area")
_HELD_OUT_SHARE = 0.25  # the end of each clip, kept back for the scale
_SCALE_QUANTILE = 0.98
_SCALE_PRIOR = 50  # samples' worth of the whole picture's scale in each cell's


class MotionSettings(BaseModel):
    """Settings of ``Motion``; width and height are those of the grey picture, px."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=32, multiple_of=16)
    height: int = Field(ge=32, multiple_of=16)
    exemplars: int = Field(default=96, ge=4)
    samples: int = Field(default=384, ge=4, description="most samples a cell's exemplars are chosen from")
    neighbours: int = Field(default=3, ge=1)
    top_cells: int = Field(default=5, ge=1, description="the frame's score is the mean of this many highest cells")
    min_moving: float = Field(default=0.02, gt=0, le=1, description="share of moving pixels that makes a cell active")
    min_changed: float = Field(default=0.5, gt=0, le=1, description="or share of changed ones, by whatever motion")

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of cells."""
        return tuple((side // BLOCK - _BLOCKS) // _STRIDE + 1 for side in (self.height, self.width))  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class _Cells:
    """Each cell's motion in one frame.

    features  (rows, columns, 13) float32
    terms     (rows, columns, 11) float32, those of the reasons
    moving    (rows, columns) float32, share of pixels
    changed   (rows, columns) float32, share of pixels
    """

    features: FloatArray
    terms: FloatArray
    moving: FloatArray
    changed: FloatArray

    def active(self, settings: MotionSettings) -> NDArray[np.bool_]:
        """(rows, columns): where to judge. What is too fast for the flow has changed all the same."""
        return (self.moving >= settings.min_moving) | (self.changed >= settings.min_changed)


class Motion(Detector):
    """Scores the motion of every cell by its distance to the motion seen there in training. High is abnormal.

    exemplars   (rows, columns, n, 13) float16, features over their deviation
    deviation   (13,) float32, standard deviation of the features in training
    scale       (rows, columns) float32, > 0: the 98th percentile of the distance in held-out normal footage
    usual       (rows, columns, 11) float16: 99th percentile of the reasons' terms in training
    background  (height, width) uint8: median of the training footage

    The score is about 1 where motion is as unusual as 2% of normal motion is; 0 where nothing moves.
    """

    name: ClassVar[str] = "motion"

    def __init__(
        self,
        settings: MotionSettings,
        exemplars: NDArray[np.float16],
        deviation: FloatArray,
        scale: FloatArray,
        usual: NDArray[np.float16],
        background: Image,
    ) -> None:
        self._settings, self._exemplars, self._deviation, self._usual = settings, exemplars, deviation, usual
        self._scale, self._background = scale, background
        self._memory = exemplars.astype(np.float32).reshape(-1, *exemplars.shape[2:])
        self._squares = np.square(self._memory).sum(axis=2)
        self._spacing = _spacing(self._memory, settings.neighbours)

    @classmethod
    def fit(cls, clips: Iterable[Sequence[Frame]], seed: int = 0) -> Self:
        """Learn from clips of normal footage, each in order of time, analysed at 8 to 12 frames a second.

        The last quarter of each clip sets the scale. Keeps the grey pictures (56 KB each) and features of all clips.
        Raises UsageError when there are too few frames.
        """
        streams, size = _grey_streams(clips)
        greys = [grey for stream in streams for _, grey in stream]
        if len(greys) < 20:
            raise UsageError(
                f"motion needs at least 20 frames of normal footage to learn from, got {len(greys)}; give more"
            )
        settings = MotionSettings(width=size[0], height=size[1])
        chosen = np.linspace(0, len(greys) - 1, min(len(greys), 300)).astype(int)
        background = np.median([greys[i] for i in chosen], axis=0).astype(np.uint8)
        training: list[_Cells] = []
        held_out: list[_Cells] = []
        for stream in streams:
            front_end, last = (
                FrontEnd(background),
                stream[0][0] + (1 - _HELD_OUT_SHARE) * (stream[-1][0] - stream[0][0]),
            )
            for time_s, grey in stream:
                view = front_end.update_grey(grey, time_s)
                if view is not None:
                    (training if time_s <= last else held_out).append(_cells(view))
        if not training or not held_out:
            raise UsageError("the clips for motion are too short or have too few frames a second; give longer ones")
        return cls._learn(settings, background, training, held_out, np.random.default_rng(seed))

    @classmethod
    def _learn(
        cls,
        settings: MotionSettings,
        background: Image,
        training: list[_Cells],
        held_out: list[_Cells],
        rng: np.random.Generator,
    ) -> Self:
        features = np.stack([cells.features for cells in training])  # (frames, rows, columns, 13)
        terms = np.stack([cells.terms for cells in training])
        active = np.stack([cells.active(settings) for cells in training])
        if not active.any():
            raise UsageError("nothing moves in the normal footage for motion; give footage with its usual traffic")
        deviation = np.maximum(features[active].std(axis=0), 1e-3).astype(np.float32)
        # A direction that is rare everywhere would have next to no deviation, and every stray pixel would be far off.
        deviation[:BINS] = np.maximum(deviation[:BINS], 0.5 * deviation[:BINS].max())
        rows, columns = settings.cells
        exemplars = np.zeros((rows, columns, settings.exemplars, FEATURES), np.float16)  # zero: nothing moves
        usual = np.zeros((rows, columns, len(_TERMS)), np.float16)
        for row, column in np.ndindex(rows, columns):
            near = np.s_[:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            samples = features[near][active[near]] / deviation
            if len(samples):
                usual[row, column] = np.quantile(terms[near][active[near]], 0.99, axis=0)
                samples = samples[rng.permutation(len(samples))[: settings.samples]]
                found = _k_centre(samples, settings.exemplars - 1)
                exemplars[row, column, 1 : 1 + len(found)] = found
        ones = np.ones((rows, columns), np.float32)
        raw = cls(settings, exemplars, deviation, ones, usual, background)
        distances = np.stack([raw._cell_scores(cells) for cells in held_out])
        everywhere = distances[distances > 0]
        if not len(everywhere):
            raise UsageError("nothing moves in the last quarter of the clips for motion; give longer footage")
        whole = np.quantile(everywhere, _SCALE_QUANTILE)
        scale = np.full((rows, columns), whole, np.float32)
        for row, column in np.ndindex(rows, columns):
            own = distances[:, row, column]
            own = own[own > 0]
            if len(own):
                quantile = np.quantile(own, _SCALE_QUANTILE)
                scale[row, column] = (len(own) * quantile + _SCALE_PRIOR * whole) / (len(own) + _SCALE_PRIOR)
        return cls(settings, exemplars, deviation, scale, usual, background)

    def new_stream(self) -> FrontEnd:
        """A front end with the trained background."""
        return FrontEnd(self._background)

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """Mean of the highest cells; the anomaly map is (rows, columns) of cells. NaN for a stream's first frame."""
        return [self._score_one(observation) for observation in batch]

    def _score_one(self, observation: Observation) -> Detection:
        view = observation.stream.update(observation.frame)
        if view is None:
            return nan_detection()
        cells = _cells(view)
        scores = self._cell_scores(cells)
        highest = np.sort(scores, axis=None)[-self._settings.top_cells :]
        strongest = np.unravel_index(int(scores.argmax()), scores.shape)
        reasons: tuple[Reason, ...] = ()
        if scores[strongest] > 1:
            zoom = observation.frame.image.shape[1] / self._settings.width
            reasons = _reasons(cells.terms[strongest], self._usual[strongest].astype(np.float32), zoom)
        return Detection(float(highest.mean()), scores, reasons)

    def _cell_scores(self, cells: _Cells) -> FloatArray:
        """(rows, columns) float32, 0 where a cell is still."""
        scores = np.zeros(self._scale.size, np.float32)
        active = np.flatnonzero(cells.active(self._settings))
        if len(active):
            x = cells.features.reshape(-1, FEATURES)[active] / self._deviation
            product = np.matmul(self._memory[active], x[:, :, None])[:, :, 0]
            squares = self._squares[active] - 2 * product + np.square(x).sum(axis=1)[:, None]
            nearest = np.argpartition(squares, self._settings.neighbours - 1, axis=1)[:, : self._settings.neighbours]
            distance = np.sqrt(np.maximum(np.take_along_axis(squares, nearest, axis=1), 0)).mean(axis=1)
            spacing = np.take_along_axis(self._spacing[active], nearest, axis=1).mean(axis=1)
            scores[active] = distance / np.sqrt(spacing) / self._scale.ravel()[active]
        return scores.reshape(self._scale.shape)

    def settings(self) -> dict[str, Any]:
        """The fields of MotionSettings."""
        return self._settings.model_dump()

    def tensors(self) -> Tensors:
        """The five arrays of the constructor, under their names."""
        return {
            "exemplars": self._exemplars,
            "deviation": self._deviation,
            "scale": self._scale,
            "usual": self._usual,
            "background": self._background,
        }

    @classmethod
    def load(cls, settings: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], device: str) -> Self:  # noqa: ARG003
        """Build from stored parts. Raises ModelError when one is missing, foreign, misshapen or not finite."""
        try:
            given = MotionSettings.model_validate(dict(settings))
        except ValidationError as error:
            raise ModelError(
                f"the settings of motion in this model cannot be used ({error.errors()[0]['msg']}); train it again"
            ) from error
        rows, columns = given.cells
        expected: dict[str, tuple[tuple[int, ...], Any]] = {
            "exemplars": ((rows, columns, given.exemplars, FEATURES), np.float16),
            "deviation": ((FEATURES,), np.float32),
            "scale": ((rows, columns), np.float32),
            "usual": ((rows, columns, len(_TERMS)), np.float16),
            "background": ((given.height, given.width), np.uint8),
        }
        check_tensors(cls.name, expected, tensors)
        if min(tensors["scale"].min(), tensors["deviation"].min()) <= 0:
            raise ModelError("a scale of motion in this model is not above 0; train it again")
        return cls(given, *(tensors[name] for name in expected))


def check_tensors(
    detector: str, expected: Mapping[str, tuple[tuple[int, ...], Any]], tensors: Mapping[str, NDArray[Any]]
) -> None:
    """Raise ModelError unless exactly the expected arrays (name -> shape, dtype) are there, and all finite."""
    if set(tensors) != set(expected):
        raise ModelError(
            f"{detector} needs the arrays {', '.join(expected)}, the model has {', '.join(sorted(tensors))}; "
            "train it again"
        )
    for name, (shape, dtype) in expected.items():
        array = tensors[name]
        if array.shape != shape or array.dtype != dtype:
            wanted = f"{shape} {np.dtype(dtype)}"
            raise ModelError(
                f"{name} of {detector} should be {wanted}, the model has {array.shape} {array.dtype}; train it again"
            )
        if not np.isfinite(array).all():
            raise ModelError(f"{name} of {detector} in this model holds values that are not finite; train it again")


def _grey_streams(clips: Iterable[Sequence[Frame]]) -> tuple[list[list[tuple[float, Image]]], tuple[int, int]]:
    """Each clip as (time, grey picture), and the (width, height) of analysis that the first frame's size asks for."""
    streams: list[list[tuple[float, Image]]] = []
    size = (0, 0)
    for clip in clips:
        if len(clip):
            if not streams:
                size = analysis_size(clip[0].image.shape[1], clip[0].image.shape[0])
            streams.append([(frame.time_s, to_grey(frame.image, size)) for frame in clip])
    return streams, size


def _cells(view: View) -> _Cells:
    blocks = np.dstack([view.flow, view.speed, view.speed2, view.change, view.foreground, view.moving, view.changed])
    half = blocks.reshape(blocks.shape[0] // 2, 2, blocks.shape[1] // 2, 2, -1).sum(axis=(1, 3))
    total = half[:-1, :-1] + half[:-1, 1:] + half[1:, :-1] + half[1:, 1:]  # (rows, columns, 14), sums over cells
    flow, (speed, speed2, change, foreground, moving, changed) = (
        total[..., :BINS],
        np.moveaxis(total[..., BINS:], -1, 0),
    )
    # Speeds of what moves, not sums over the cell, and no roots: a small thing that runs must stand out.
    mean, emphatic = speed / np.maximum(moving, _FEW), speed2 / np.maximum(speed, 1e-6)
    rest = [mean / 100, emphatic / 100, np.sqrt(change / (10 * _AREA)), foreground / _AREA, moving / _AREA]
    features = np.dstack([np.sqrt(flow / _AREA), *rest])
    share = flow / np.maximum(speed, 1e-6)[..., None]
    terms = np.dstack([share, mean, moving / _AREA, foreground / _AREA])
    return _Cells(
        features.astype(np.float32), terms.astype(np.float32), moving / np.float32(_AREA), changed / np.float32(_AREA)
    )


def _k_centre(samples: FloatArray, count: int) -> FloatArray:
    """Greedy k-centre: at most ``count`` samples, each the farthest from zero and all chosen before."""
    distance = np.square(samples).sum(axis=1)
    chosen: list[int] = []
    while len(chosen) < min(count, len(samples)) and distance.max() > 0:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.square(samples - samples[chosen[-1]]).sum(axis=1))
    return samples[chosen]


def _spacing(memory: FloatArray, neighbours: int) -> FloatArray:
    """Mean distance of each exemplar to its nearest others, (cells, n); no smaller than half of their median."""
    spacing = np.empty(memory.shape[:2], np.float32)
    for cell, points in enumerate(memory):
        squares = np.square(points).sum(axis=1)
        distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))
        np.fill_diagonal(distances, np.inf)
        spacing[cell] = np.partition(distances, neighbours - 1, axis=1)[:, :neighbours].mean(axis=1)
    positive = spacing[spacing > 1e-3]
    return np.maximum(spacing, 0.5 * np.median(positive) if len(positive) else 1.0).astype(np.float32)


def _reasons(terms: FloatArray, usual: FloatArray, zoom: float) -> tuple[Reason, ...]:
    """At most three terms above their usual value, strongest first; speed in px/s of the source frame."""
    floors = np.array([0.1] * BINS + [10.0, 0.1, 0.1], np.float32)  # below these a ratio says nothing
    excess = terms / np.maximum(usual, floors)
    found = []
    for i in np.argsort(-excess, kind="stable")[:3]:
        if excess[i] > 1.15:
            factor, unit = (zoom, "px/s") if _TERMS[i] == "speed" else (100.0, "%")
            found.append(Reason(_TERMS[i], float(terms[i]) * factor, float(usual[i]) * factor, unit))
    return tuple(found)
