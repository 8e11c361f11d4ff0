"""Cell motion memory: compares the motion at each place with the training motion there. Nearest neighbours, no network.

The picture, 160 px wide, is divided into cells of 16 px, 8 px apart. Sixteen features describe the motion in each cell.
The score of a cell is the distance of its features to the nearest exemplars from normal footage of the same place, in
units of the distance in held-out normal footage there. Speed and size, in units of their usual values, are combined
with the distance as a Euclidean norm. The reason: slower or smaller objects are as far from an exemplar as faster or
larger ones, but the latter matter more. The detector responds to speed, direction and size of moving objects, and
ignores everything that stands still.

Where hours were learned by day and by infrared light, each has exemplars of its own: who walks through a room at night
does what is usual there by day. Then speed and size have no extra weight: in hours of footage, exemplars show how fast
and how large things are at each place, and ratios to a usual value have a heavy tail.

Where only minutes were learned, speeds count in units of what is usual in a row of cells (``usual_pace.py``), because
things far from the camera move fewer pixels. And the score is that of 2x2 neighbouring cells: one thing, not all.

If frames are more than 0.6 s apart, nothing can be followed from one to the next. Then only the size of what moves is
compared, at its place. A detector that has learned from such frames compares all frames in this way.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from monitor.detector.base import Detector, Observation, Precision, Tensors, nan_detection, scored_places
from monitor.detector.frontend import BINS, FrontEnd, View
from monitor.detector.grey_pictures import EvenSample, grey_pictures
from monitor.detector.lessons import Lesson, hour_of
from monitor.detector.motion.cells import (
    AREA,
    AREA_FEATURE,
    FEATURES,
    SPEED,
    TERMS,
    Cells,
    measure,
    over_usual,
    reasons,
)
from monitor.detector.motion.exemplars import ExemplarMemory, cell_scale, chosen_exemplars
from monitor.detector.motion.motion_settings import MotionSettings
from monitor.detector.motion.taught_cells import TaughtCells
from monitor.detector.motion.usual_pace import feature_factors, neighbours_mean, term_factors, usual_pace
from monitor.detector.stored import check_tensors, read_settings
from monitor.errors import ModelError, UsageError
from monitor.stream.regimes import Regime, regime_of, small_picture
from monitor.types import Bools, Detection, FloatArray, Frame, Image, Traits

_MOST_PICTURES, _STRETCH_S = 3000, 3.0  # maximum number of pictures to learn from, and length of their stretches
_BACKGROUND_PICTURES = 300
_FOLDS = 4  # quarters of the footage; the scale comes from distances to the exemplars of the other three quarters
_EARLIER_FEATURES = 13
_OF_FLOW = BINS + 5  # number of features, the first ones, that come from optical flow
_SPEED_WEIGHT, _AREA_WEIGHT = 1.0, 0.5
_WHOLE_TOP_CELLS = 3
_MOST_TRAITS, _TOLD = 48, 0.8  # cells of a frame that are kept for lessons, and their least score
_TOLERANCE = 0.7
"""What is taught must be nearer than what is learned: all unusual cells of an event are taught, and most of them are
not what people meant. See docs/teaching.md for what other values give."""


class MotionStream(FrontEnd):
    """The state of one camera: the front end, and whether its pictures are infrared.

    light  False: the regime of the pictures does not matter
    """

    def __init__(self, background: Image, *, slow: bool, light: bool) -> None:
        super().__init__(background, slow=slow)
        self._light = light
        self._regime: Regime | None = None

    @property
    def part(self) -> int:
        """0 for a picture in colour, 1 for infrared and for one without light."""
        return int(self._regime not in (None, Regime.COLOUR))

    def update(self, frame: Frame) -> View | None:
        """Like ``FrontEnd.update``."""
        if self._light:
            self.light(small_picture(frame.small.sample))
        return super().update(frame)

    def light(self, picture: FloatArray) -> Regime:
        """Take the light of the next picture: (8, 16, 3), see ``small_picture``. Returns its regime."""
        self._regime = regime_of(picture, self._regime)
        return self._regime


class Motion(Detector):
    """Scores the motion in every cell by its distance to the training motion there. A high score is abnormal.

    exemplars   (rows, columns, n, 16) float16, features divided by their deviation
    deviation   (16,) float32, standard deviation of the features in training
    scale       (rows, columns) float32, > 0: the 98th percentile of the distance in held-out normal footage
    usual       (rows, columns, 12) float16: 99th percentile of the reasons' terms in training
    background  (height, width) uint8: median of the training footage
    pace        (rows,) float32, > 0: usual speed of each row, see ``usual_pace.py``; None: the same everywhere
    unit        (16,) float32, > 0: like ``deviation``, of features that were divided by the pace; None without one

    If there is a pace, exemplars are divided by it and by ``unit``. Then ``deviation`` is for a memory that grows:
    it has no pace.

    With ``infrared``, exemplars, scale and usual have twice as many rows: those of infrared pictures come last.

    The score is 1 to 1.4 for motion that is as unusual as the most unusual 2% of normal motion; 0 if nothing moves.
    """

    name: ClassVar[str] = "motion"
    small: ClassVar[bool] = True
    sees: ClassVar[str] = "movement"

    def __init__(
        self,
        settings: MotionSettings,
        exemplars: NDArray[np.float16],
        deviation: FloatArray,
        scale: FloatArray,
        usual: NDArray[np.float16],
        background: Image,
        pace: FloatArray | None = None,
        unit: FloatArray | None = None,
    ) -> None:
        self._pace, self._unit = pace, unit
        rows, columns = settings.cells
        by_row = np.ones(rows, np.float32) if pace is None else pace
        parts = settings.places[0] // rows
        units = feature_factors(by_row) * (deviation if unit is None else unit)
        self._units: FloatArray = np.repeat(units, columns, axis=0).astype(np.float32)
        self._paces = np.tile(np.repeat(term_factors(by_row), columns, axis=0), (parts, 1))
        self._settings, self._exemplars, self._deviation, self._usual = settings, exemplars, deviation, usual
        self._scale, self._background = scale, background
        self._usual_terms = usual.astype(np.float32)
        self._usual_paced = self._usual_terms.reshape(-1, len(TERMS)) / self._paces
        by_cell = exemplars.astype(np.float32).reshape(-1, *exemplars.shape[2:])
        self._memory = ExemplarMemory(by_cell, settings.neighbours, spaced=settings.spacing)
        self._area_memory = self._memory.only(AREA_FEATURE)
        self._origin: Motion = self
        self._lessons: TaughtCells | None = None
        # Learned from frames that were too far apart for optical flow: no exemplar has any.
        self._slow = not exemplars[..., :_OF_FLOW].any()

    @classmethod
    def fit(cls, clips: Iterable[Iterable[Frame]], seed: int = 0, *, perspective: bool = True) -> Self:
        """Learn from clips of normal footage, each in order of time, best at 8 to 12 frames per second.

        From less than 1.7 frames per second on, it learns sizes only, see the module.

        perspective: False for a sample of long footage, all of which is learned from later (``whole_motion.py``)

        Each clip is read once. At most 3,000 pictures (14 KB each) are kept: stretches of 3 s, spread evenly over
        longer footage. The scale is cross-fitted: each quarter of the footage is scored with the exemplars of the other
        three quarters. So a few short clips are enough. Raises UsageError if there are too few frames.
        """
        footage = EvenSample(_MOST_PICTURES, _STRETCH_S)
        for clip, time_s, grey in grey_pictures(clips, cls.name):
            footage.add(clip, time_s, grey)
        stretches = footage.stretches()
        greys = [grey for stretch in stretches for _, grey in stretch]
        height, width = greys[0].shape
        settings = MotionSettings(
            width=width,
            height=height,
            speed_weight=_SPEED_WEIGHT,
            area_weight=_AREA_WEIGHT,
            neighbours_only=perspective,
        )
        chosen = np.linspace(0, len(greys) - 1, min(len(greys), _BACKGROUND_PICTURES)).astype(int)
        background = np.median([greys[i] for i in chosen], axis=0).astype(np.uint8)
        seen: list[Cells] = []
        slow: list[Cells] = []  # of frames that are too far apart for optical flow
        for stretch in stretches:
            front_end = FrontEnd(background)
            views = (front_end.update_grey(grey, time_s) for time_s, grey in stretch)
            for view in views:
                if view is not None:
                    (seen if view.followed else slow).append(measure(view))
        if len(seen) < _FOLDS:
            seen = slow
        if len(seen) < _FOLDS:
            raise UsageError("the clips for motion are too short or have too few frames per second; give longer ones")
        return cls._learn(settings, background, seen, np.random.default_rng(seed))

    @classmethod
    def _learn(cls, settings: MotionSettings, background: Image, seen: list[Cells], rng: np.random.Generator) -> Self:
        features = np.stack([cells.features for cells in seen])  # (frames, rows, columns, 16)
        terms = np.stack([cells.terms for cells in seen])
        active = np.stack([settings.active(cells) for cells in seen])
        if not active.any():
            raise UsageError("nothing moves in the normal footage for motion; give footage with its usual traffic")
        deviation = _deviation(features[active])
        pace = unit = None
        by_row = np.ones(len(active[0]), np.float32)
        if settings.neighbours_only:
            pace = by_row = usual_pace(terms, active)
            features /= feature_factors(pace)[:, None]
            unit = _deviation(features[active])
        terms /= term_factors(by_row)[:, None]
        features /= deviation if unit is None else unit
        everything = np.arange(len(seen))

        def taught(frames: NDArray[np.intp]) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
            exemplars, usual = chosen_exemplars(settings, features[frames], terms[frames], active[frames], rng)
            return exemplars, (usual * term_factors(by_row)[:, None]).astype(np.float16)

        unscaled = np.ones(settings.cells, np.float32)
        distances: list[FloatArray] = []
        for fold in np.array_split(everything, _FOLDS):
            exemplars, usual = taught(np.setdiff1d(everything, fold))
            others = cls(settings, exemplars, deviation, unscaled, usual, background, pace, unit)
            distances.extend(others._distances(seen[i]) for i in fold)
        exemplars, usual = taught(everything)
        by_cell = np.stack(distances).reshape(len(distances), -1)
        scale = cell_scale([own[own > 0] for own in by_cell.T]).reshape(settings.cells)
        return cls(settings, exemplars, deviation, scale, usual, background, pace, unit)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of cells."""
        return self._settings.cells

    @property
    def picture_size(self) -> tuple[int, int]:
        """(width, height) of the grey picture that it looks at, px."""
        return self._settings.width, self._settings.height

    @property
    def slow(self) -> bool:
        """True if it has learned from frames that were too far apart for optical flow: it compares sizes only."""
        return self._slow

    @property
    def background(self) -> Image:
        """(height, width) uint8."""
        return self._background

    @property
    def exemplars(self) -> NDArray[np.float16]:
        """(rows, columns, n, 16), see the class; a row of zeros says that nothing moves."""
        return self._exemplars

    @property
    def deviation(self) -> FloatArray:
        """(16,) float32, the unit of each feature for a memory without perspective."""
        return self._deviation

    def comparable(self, view: View) -> Cells:
        """The cells of a view, reduced to what can be compared with the exemplars."""
        cells = measure(view)
        return cells if view.followed or self._slow else cells.area_only()

    def active(self, cells: Cells) -> NDArray[np.intp]:
        """The numbers of the cells to score, row by row; those of infrared pictures are not counted on."""
        return np.flatnonzero(self._settings.active(cells))

    def covering(
        self, exemplars: NDArray[np.float16], scale: FloatArray, usual: NDArray[np.float16], *, infrared: bool
    ) -> Motion:
        """A detector with the same background and units, but with exemplars that cover all footage.

        The arrays are those of the constructor.
        """
        changes = {
            "exemplars": exemplars.shape[2],
            "spacing": False,
            "infrared": infrared,
            "speed_weight": 0.0,
            "area_weight": 0.0,
            "top_cells": _WHOLE_TOP_CELLS,
            "neighbours_only": False,
        }
        settings = self._settings.model_copy(update=changes)
        return Motion(settings, exemplars, self._deviation, scale, usual, self._background)

    def new_stream(self) -> MotionStream:
        """A front end with the trained background."""
        return self.stream(light=self._settings.infrared)

    def stream(self, *, light: bool) -> MotionStream:
        """Like ``new_stream``; light: whether it tells infrared pictures from others."""
        return MotionStream(self._background, slow=self._slow, light=light)

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """The score is the mean of the highest cells, NaN for a stream's first frame. Map: (rows, columns) of cells."""
        return [self._score_one(observation) for observation in batch]

    def _score_one(self, observation: Observation) -> Detection:
        view = observation.stream.update(observation.frame)
        if view is None:
            return nan_detection()
        cells = self.comparable(view)
        part = observation.stream.part if self._settings.infrared else 0
        learned = self._cell_scores(cells, part)
        places, excused = learned, None
        if self._lessons is not None:
            hour = hour_of(observation.frame)
            places, excused = self._with_lessons(self._lessons, cells, learned, hour, part)
        scores = scored_places(observation.frame, places, self.typical, least=0.0)
        score = self._pooled(scores)
        strongest = np.unravel_index(int(scores.argmax()), scores.shape)
        traits = self._traits(cells, scored_places(observation.frame, learned, self.typical, least=0.0), part)
        if scores[strongest] <= 1:
            return Detection(score, scores, traits=traits, excused=excused)
        zoom = observation.frame.image.shape[1] / self._settings.width
        why = reasons(cells.terms[strongest], self._usual_terms[self._rows(part)][strongest], zoom)
        return Detection(score, scores, why, traits, excused)

    def _pooled(self, scores: FloatArray) -> float:
        """The score of a frame from those of its cells, (rows, columns)."""
        if self._settings.neighbours_only:
            return float(neighbours_mean(scores).max())
        return float(np.sort(scores, axis=None)[-self._settings.top_cells :].mean())

    @property
    def origin(self) -> Motion:
        """See Detector."""
        return self._origin

    def taught(self, lessons: Sequence[Lesson]) -> Motion:
        """See Detector. A cell is judged by what was learned, or by what was taught there if it is more like that."""
        if not any(lesson.of(self.name) for lesson in lessons):
            return self._origin
        other = copy.copy(self._origin)
        other._lessons = TaughtCells(lessons, self.grid, self._units)
        return other

    def again(self, score: float, traits: Traits, hour: float | None) -> tuple[float, Bools | None]:
        """See Detector: the score of the cells that are kept."""
        if tuple(traits["grid"].tolist()) != self.grid:
            return score, None
        where = traits["cells"].astype(np.intp)
        features = traits["features"].astype(np.float32) / self._units[where]
        terms = traits["terms"].astype(np.float32)
        only_area = bool(traits["only_area"][0])
        part = int(traits["part"][0]) if self._settings.infrared and "part" in traits else 0
        places = where + part * math.prod(self.grid)
        found = self._compared(places, features, only_area=only_area)
        scores = self._with_size(found, terms, places)
        excused = None
        if self._lessons is not None:
            scores, known = self._by_lessons(
                self._lessons, where, features, terms, scores, hour, part, only_area=only_area
            )
            excused = np.zeros(self.grid, bool)
            excused.ravel()[where[known]] = True
        everywhere = np.zeros(self.grid, np.float32)
        everywhere.ravel()[where] = scores
        return self._pooled(everywhere), excused

    def _traits(self, cells: Cells, scores: FloatArray, part: int) -> Traits | None:
        """The cells that are unusual, most unusual first; None if none is."""
        flat = scores.ravel()
        if not flat.max() > 1:
            return None
        order = np.argsort(-flat, kind="stable")[:_MOST_TRAITS]
        where = order[flat[order] > _TOLD]
        terms = cells.terms.reshape(-1, len(TERMS))[where]
        places = where + part * math.prod(self.grid)
        return {
            "grid": np.array(self.grid, np.int16),
            "cells": where.astype(np.int16),
            "features": cells.features.reshape(-1, FEATURES)[where].astype(np.float16),
            "terms": terms.astype(np.float16),
            "ratios": self._ratios(terms, places)[:, BINS:].astype(np.float16),
            "scores": flat[where].astype(np.float16),
            "only_area": np.array([cells.only_area], np.uint8),
            "part": np.array([part], np.uint8),
        }

    def _with_lessons(
        self, lessons: TaughtCells, cells: Cells, learned: FloatArray, hour: float | None, part: int
    ) -> tuple[FloatArray, Bools | None]:
        """The scores of all cells, (rows, columns), and those that a lesson knows as normal; None if none does."""
        unusual = np.flatnonzero(learned.ravel() > _TOLD)
        if not len(unusual):
            return learned, None
        features = cells.features.reshape(-1, FEATURES)[unusual] / self._units[unusual]
        terms = cells.terms.reshape(-1, len(TERMS))[unusual]
        found, known = self._by_lessons(
            lessons, unusual, features, terms, learned.ravel()[unusual], hour, part, only_area=cells.only_area
        )
        scores, excused = learned.copy(), np.zeros(learned.shape, bool)
        scores.ravel()[unusual] = found
        excused.ravel()[unusual[known]] = True
        return scores, excused if known.any() else None

    def _by_lessons(
        self,
        lessons: TaughtCells,
        where: NDArray[np.intp],
        features: FloatArray,
        terms: FloatArray,
        learned: FloatArray,
        hour: float | None,
        part: int,
        *,
        only_area: bool,
    ) -> tuple[FloatArray, Bools]:
        """The scores of some cells (k,) by what was learned or taught, and whether a lesson knows each as normal."""
        distance, taught_terms = lessons.nearest(where, features, hour, only=AREA_FEATURE if only_area else None)
        known, places = np.isfinite(distance), where + part * math.prod(self.grid)
        units = np.where(known, distance, 0.0) / (_TOLERANCE * self._scale.ravel()[places])
        usual = np.maximum(self._usual_terms.reshape(-1, len(TERMS))[places], taught_terms)
        by_lesson = self._with_size(np.maximum(units, 1e-6).astype(np.float32), terms, places, usual)
        # As for what was learned: up to the usual, speed and size say nothing against a cell.
        scores = np.where(known, np.minimum(learned, by_lesson), learned).astype(np.float32)
        return scores, known & (units < 1) & (by_lesson < learned)

    def score_of(self, cells: NDArray[np.integer], distances: FloatArray, terms: NDArray[np.floating]) -> float:
        """The score of a frame from its active cells.

        cells      (n,) their numbers; with ``infrared``, those of infrared pictures are counted on
        distances  (n,) float32, to the nearest exemplars, not divided by the scale
        terms      (n, 12)
        """
        scores = self._with_size(distances / self._scale.ravel()[cells], terms, cells)
        return float(np.sort(scores)[-self._settings.top_cells :].sum() / self._settings.top_cells)

    def _cell_scores(self, cells: Cells, part: int = 0) -> FloatArray:
        """The scores of all cells, (rows, columns) float32; 0 for one without motion. part: see MotionStream."""
        places = np.arange(math.prod(self.grid)) + part * math.prod(self.grid)
        found = self._with_size(self._distances(cells, part).ravel(), cells.terms.reshape(-1, len(TERMS)), places)
        return found.reshape(self.grid)

    def _rows(self, part: int) -> slice:
        """The rows of the exemplars that pictures of this part are compared with."""
        rows = self._settings.cells[0]
        return slice(part * rows, (part + 1) * rows)

    def _with_size(
        self,
        distances: FloatArray,
        terms: NDArray[np.floating],
        places: NDArray[np.integer],
        usual: FloatArray | None = None,
    ) -> FloatArray:
        """Distances of cells (k,) in units of their scale, combined with speed and size.

        terms   (k, 12)
        places  (k,) numbers of the cells; with ``infrared``, those of infrared pictures are counted on
        usual   (k, 12), if they are not those of the places
        """
        ratios = self._ratios(terms, places, usual)
        speed, area = self._settings.speed_weight * ratios[:, SPEED], self._settings.area_weight * ratios[:, AREA]
        return np.where(distances > 0, np.sqrt(np.square(distances) + np.square(speed) + np.square(area)), distances)

    def _ratios(
        self, terms: NDArray[np.floating], places: NDArray[np.integer], usual: FloatArray | None = None
    ) -> FloatArray:
        """Terms (k, 12) in units of their usual values, (k, 12) float32."""
        paces = self._paces[places]
        known = self._usual_paced[places] if usual is None else usual / paces
        return over_usual(np.asarray(terms, np.float32) / paces, known)

    def _distances(self, cells: Cells, part: int = 0) -> FloatArray:
        """Distances to the exemplars divided by the scale, (rows, columns) float32; 0 for a cell without motion."""
        rows, columns = self._settings.cells
        scores = np.zeros(rows * columns, np.float32)
        active = self.active(cells)
        if len(active):
            features = cells.features.reshape(-1, FEATURES)[active] / self._units[active]
            scores[active] = self._compared(active + part * len(scores), features, only_area=cells.only_area)
        return scores.reshape(rows, columns)

    def _compared(self, places: NDArray[np.intp], features: FloatArray, *, only_area: bool) -> FloatArray:
        """Distances of features (k, 16) to the exemplars of their places, divided by the scale: (k,) float32."""
        if only_area:
            found = self._area_memory.distances(places, features[:, AREA_FEATURE : AREA_FEATURE + 1])
        else:
            found = self._memory.distances(places, features)
        return np.asarray(found / self._scale.ravel()[places], np.float32)

    def settings(self) -> dict[str, Any]:
        """The fields of MotionSettings."""
        return self._settings.model_dump()

    def tensors(self) -> Tensors:
        """The arrays of the constructor, by their names."""
        found: Tensors = {
            "exemplars": self._exemplars,
            "deviation": self._deviation,
            "scale": self._scale,
            "usual": self._usual,
            "background": self._background,
        }
        return found if self._pace is None or self._unit is None else {**found, "pace": self._pace, "unit": self._unit}

    @classmethod
    def load(
        cls,
        settings: Mapping[str, Any],
        tensors: Mapping[str, NDArray[Any]],
        device: str,  # noqa: ARG003 - for detectors with a network
        precision: Precision = "auto",  # noqa: ARG003
    ) -> Self:
        """Build from stored parts. Raises ModelError if a part is missing, unknown, not finite or has a wrong shape."""
        given = read_settings(cls.name, MotionSettings, settings)
        rows, columns = given.places
        if "deviation" in tensors and tensors["deviation"].shape == (_EARLIER_FEATURES,):
            raise ModelError(
                "its motion detector is from an earlier version, which did not follow objects: learn the camera again"
            )
        expected: dict[str, tuple[tuple[int, ...], Any]] = {
            "exemplars": ((rows, columns, given.exemplars, FEATURES), np.float16),
            "deviation": ((FEATURES,), np.float32),
            "scale": ((rows, columns), np.float32),
            "usual": ((rows, columns, len(TERMS)), np.float16),
            "background": ((given.height, given.width), np.uint8),
        }
        if given.neighbours_only:
            expected |= {"pace": ((given.cells[0],), np.float32), "unit": ((FEATURES,), np.float32)}
        check_tensors(cls.name, tensors, expected)
        if min(tensors[name].min() for name in ("scale", "deviation", "pace", "unit") if name in expected) <= 0:
            raise ModelError("a scale of motion in this model is not above 0; train it again")
        return cls(given, *(tensors[name] for name in expected))


def _deviation(features: FloatArray) -> FloatArray:
    """The unit of each feature, (16,) float32, from those of active cells (n, 16)."""
    deviation: FloatArray = np.maximum(features.std(axis=0), 1e-3).astype(np.float32)
    # A direction that is rare everywhere would have almost no deviation. Then every stray pixel would score high.
    deviation[:BINS] = np.maximum(deviation[:BINS], 0.5 * deviation[:BINS].max())
    return deviation
