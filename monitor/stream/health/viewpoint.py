"""A camera's usual views, learned from normal footage: the reference for its health checks.

A camera may have several usual views: by day, in infrared, with the lamps on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.errors import ModelError, UsageError
from monitor.stream.health.health_view import SIZE, Look, detail_of, has_colour
from monitor.stream.health.orientation import Flip, find_flip, views_flipped
from monitor.stream.health.quality import noise, sharpness
from monitor.types import FloatArray, Frame

_CHUNK_S = 20.0  # long enough that people who walk past do not appear in the median
_LOOKS = 25  # maximum number of frames used per chunk
_SAME_VIEW = 0.7  # two chunks show the same view if their medians correlate at least this much
_VIEWS = 8  # maximum number of usual views; the most frequent ones are kept
_MARGIN = 0.1


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """A camera's V usual views, the most frequent first.

    thumbnails  (V, 45, 80, 3) uint8 BGR: the median picture, without people
    likeness    (V,) float32: median correlation of normal frames with their view, see ``health_view.detail_of``; 0..1
    sharpness   (V,) float32: median of ``quality.sharpness``
    noise       (V,) float32: median of ``quality.noise``, grey levels
    """

    thumbnails: NDArray[np.uint8]
    likeness: FloatArray
    sharpness: FloatArray
    noise: FloatArray

    def __len__(self) -> int:
        return len(self.thumbnails)

    @classmethod
    def learn(cls, clips: Iterable[Sequence[Frame]]) -> Viewpoint:
        """Learn from normal footage of one camera, in order of time within each clip. Only thumbnails are kept.

        Raises UsageError if there is no frame.
        """
        chunks = [_Chunk.of(looks) for clip in clips for looks in _chunked(clip)]
        if not chunks:
            raise UsageError("the camera's viewpoint cannot be learned without frames: give normal footage")
        groups: list[list[_Chunk]] = []
        for chunk in chunks:
            alike = [float(chunk.detail @ group[0].detail) for group in groups]
            # Pictures without detail, such as a dark room, count as the same view as well.
            empty = [not chunk.detail.any() and not group[0].detail.any() for group in groups]
            best = max(range(len(groups)), key=lambda i: (empty[i], alike[i]), default=None)
            if best is not None and (empty[best] or alike[best] >= _SAME_VIEW):
                groups[best].append(chunk)
            else:
                groups.append([chunk])
        groups.sort(key=lambda group: -sum(chunk.frames for chunk in group))
        views = [_Chunk.joined(group) for group in groups]
        upright: list[_Chunk] = []
        for view in views:
            if len(upright) < _VIEWS and not _is_flipped(view, upright):
                upright.append(view)
        return cls(
            np.stack([view.thumbnail for view in upright]),
            np.array([view.likeness for view in upright], np.float32),
            np.array([view.sharpness for view in upright], np.float32),
            np.array([view.noise for view in upright], np.float32),
        )

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The arrays that are stored in a model folder."""
        return {name: getattr(self, name) for name in _TENSORS}

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[Any]]) -> Viewpoint:
        """The inverse of ``tensors``. Raises ModelError for arrays that ``tensors`` cannot have returned."""
        if set(tensors) != set(_TENSORS):
            raise ModelError(f"its viewpoint holds {sorted(tensors)} instead of {sorted(_TENSORS)}")
        views = tensors["thumbnails"].shape[:1]
        for name, (kind, shape) in _TENSORS.items():
            array = tensors[name]
            if array.dtype != kind or array.shape != views + shape or not array.size:
                raise ModelError(f"its viewpoint's {name} are {array.dtype} {array.shape}, not the expected ones")
            if not np.isfinite(array).all():
                raise ModelError(f"its viewpoint's {name} are not all finite")
        return cls(**tensors)


_TENSORS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "thumbnails": (np.uint8, (SIZE[1], SIZE[0], 3)),
    "likeness": (np.float32, ()),
    "sharpness": (np.float32, ()),
    "noise": (np.float32, ()),
}


class Views:
    """A viewpoint, prepared for comparison with frames."""

    def __init__(self, viewpoint: Viewpoint) -> None:
        self.viewpoint = viewpoint
        self.details = np.stack([detail_of(_grey(picture)) for picture in viewpoint.thumbnails])
        self._flipped = views_flipped(self.details, SIZE)
        self._colour = np.array([has_colour(picture) for picture in viewpoint.thumbnails])

    def compare(self, look: Look) -> FloatArray:
        """A frame's correlation with each view in each orientation, (4, V) float32, -1..1."""
        return np.asarray(self._flipped @ look.detail, np.float32)

    def flip(self, likeness: FloatArray, margin: float) -> Flip:
        """How a frame is flipped. likeness: the result of ``compare`` for this frame."""
        return find_flip(likeness, self.viewpoint.likeness, margin)

    def nearest(self, look: Look, likeness: FloatArray) -> int | None:
        """The index of the most similar view that is in colour if the frame is; None if there is no such view.

        likeness  (V,) float32, correlations of the upright frame
        """
        candidates = np.flatnonzero(self._colour == look.colour)
        return int(candidates[likeness[candidates].argmax()]) if candidates.size else None


@dataclass(frozen=True, eq=False)
class _Chunk:
    """The median of a few seconds of footage, or of many such chunks that show the same view."""

    thumbnail: NDArray[np.uint8]
    detail: FloatArray
    likeness: float
    sharpness: float
    noise: float
    frames: int

    @classmethod
    def of(cls, looks: Sequence[Look]) -> _Chunk:
        thumbnail = np.median([look.thumbnail for look in looks], axis=0).astype(np.uint8)
        detail = detail_of(_grey(thumbnail))
        measured = [(float(look.detail @ detail), sharpness(look.grey), noise(look.grey)) for look in looks]
        likeness, sharp, noisy = (float(value) for value in np.median(measured, axis=0))
        return cls(thumbnail, detail, likeness, sharp, noisy, len(looks))

    @classmethod
    def joined(cls, chunks: Sequence[_Chunk]) -> _Chunk:
        thumbnail = np.median([chunk.thumbnail for chunk in chunks], axis=0).astype(np.uint8)
        detail = detail_of(_grey(thumbnail))
        return cls(
            thumbnail,
            detail,
            float(np.median([chunk.likeness * max(float(chunk.detail @ detail), 0.0) for chunk in chunks])),
            float(np.median([chunk.sharpness for chunk in chunks])),
            float(np.median([chunk.noise for chunk in chunks])),
            sum(chunk.frames for chunk in chunks),
        )


def _is_flipped(view: _Chunk, others: Sequence[_Chunk]) -> bool:
    """Whether a view is a flipped version of another. Corrupted footage must not make a flipped view usual."""
    if not others:
        return False
    likeness = views_flipped(np.stack([other.detail for other in others]), SIZE) @ view.detail
    usual = np.array([other.likeness for other in others], np.float32)
    return find_flip(np.asarray(likeness, np.float32), usual, _MARGIN) is not Flip.NONE


def _chunked(clip: Sequence[Frame]) -> Iterator[list[Look]]:
    """Yields, for each 20 s of a clip, evenly spread frames; frames with and without colour are separate lists."""
    start = 0
    while start < len(clip):
        end = start + 1
        while end < len(clip) and clip[end].time_s - clip[start].time_s < _CHUNK_S:
            end += 1
        step = max(1, -(-(end - start) // _LOOKS))
        looks = [Look.of(clip[i].image) for i in range(start, end, step)]
        for colour in (True, False):
            if part := [look for look in looks if look.colour is colour]:
                yield part
        start = end


def _grey(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(thumbnail, cv2.COLOR_BGR2GRAY), np.uint8)
