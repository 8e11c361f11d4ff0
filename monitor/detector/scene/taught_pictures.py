"""Pictures of events that people judged normal: how unusual a picture is when they count as learned, too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.detector.lessons import Lesson
from monitor.detector.scene.patches import Patches, textures
from monitor.detector.scene.picture_memory import Pictures
from monitor.detector.scene.scene_states import States, colour_differences
from monitor.types import Bools, FloatArray, Image, Traits

MOST_PICTURES = 6
"""Pictures of an event that are compared, evenly spread over it."""
_TOLERANCE = 1.5  # what is taught once stands for more than what is learned from many examples of it
_UNUSUAL = 1.0  # the places of the event: those whose score was above this


class TaughtPictures:
    """The pictures of the lessons of one camera."""

    def __init__(self, lessons: Sequence[Lesson]) -> None:
        self._known: list[tuple[Lesson, Traits]] = []
        for lesson in lessons:
            own = lesson.of("scene")
            chosen = np.linspace(0, len(own) - 1, min(len(own), MOST_PICTURES)).astype(int)
            self._known += [(lesson, own[i]) for i in chosen]

    def __bool__(self) -> bool:
        return bool(self._known)

    def whole(self, memory: Pictures, picture: FloatArray, hour: float | None) -> float:
        """The distance of a picture (rows, columns, 3) from the nearest taught one, in units; infinite without one."""
        found = [
            float(np.sqrt(np.square(picture - traits["picture"].astype(np.float32)).sum()))
            for lesson, traits in self._known
            if lesson.holds_at(hour) and traits["picture"].shape == picture.shape
        ]
        return min(found, default=np.inf) / (_TOLERANCE * memory.unit)

    def places(
        self,
        memory: States | Patches,
        picture: FloatArray,
        patch: Image | None,
        learned: FloatArray,
        hour: float | None,
    ) -> FloatArray:
        """How unusual each place is, (rows, columns): as learned, or less where it is like a taught picture.

        picture  (rows, columns, 3) BGR; patch: the grey picture that ``Patches`` compares
        """
        places = learned
        for lesson, traits in self._known:
            if not lesson.holds_at(hour):
                continue
            found = _compared(memory, picture, patch, traits)
            if found is not None and found.shape == places.shape:
                where = np.ones(places.shape, bool) if lesson.everywhere else _grown(_places(traits, places.shape))
                places = np.where(where, np.minimum(places, found / np.float32(_TOLERANCE)), places)
        return places


def _compared(memory: States | Patches, picture: FloatArray, patch: Image | None, traits: Traits) -> FloatArray | None:
    """How unusual each place is beside one taught picture; None if that is of another kind or size."""
    if isinstance(memory, States):
        if traits["picture"].shape != picture.shape:
            return None
        taught, now = (colour_differences(each.astype(np.float32)) for each in (traits["picture"], picture))
        difference = np.square((now - taught) / memory.deviation).sum(axis=2)
        return np.asarray(np.sqrt(difference) / np.float32(memory.unit), np.float32)
    if patch is None or "patch" not in traits or traits["patch"].shape != patch.shape:
        return None
    taught, now = (textures(each[None])[0] for each in (traits["patch"], patch))
    return np.asarray(np.sqrt(np.square(now - taught).sum(axis=2)) / memory.scale, np.float32)


def _places(traits: Traits, shape: tuple[int, ...]) -> Bools:
    """Where the event was; everywhere if that is not known for this grid."""
    places = traits["places"]
    return np.asarray(places > _UNUSUAL, np.bool_) if places.shape == shape else np.ones(shape, bool)


def _grown(where: Bools) -> Bools:
    """The places and those beside them."""
    padded = np.pad(where, 1)
    rows, columns = where.shape
    shifted = [padded[r : r + rows, c : c + columns] for r in range(3) for c in range(3)]
    return np.asarray(np.logical_or.reduce(shifted), np.bool_)
