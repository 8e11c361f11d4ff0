"""Normal footage in the form that True Sight 2 learns from: small grey frames, their times and backgrounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detector.true_sight2.clip_inputs import LEAST_SPAN_S, MOST_SPAN_S, SIZE, choose, follow, settled
from monitor.errors import UsageError
from monitor.types import FloatArray, Frame, Image

MOST_FRAMES = 20_000
LEAST_FRAMES = 20
_BLOCK_S = 10.0


@dataclass(frozen=True, eq=False)
class GreyClip:
    """Frames of one camera in order of time: (n,) seconds and (n, 96, 160) uint8."""

    times: NDArray[np.float64]
    frames: Image


class GreyFootage:
    """Clips with their backgrounds.

    background  (96, 160) float32 grey levels of the empty scene
    recent      per clip (n, 96, 160) uint8: for each frame, the background of the seconds before it
    """

    def __init__(self, clips: Sequence[GreyClip], background: FloatArray | None = None) -> None:
        self.clips = tuple(clips)
        self.background = empty_scene(self.clips) if background is None else background
        self.recent = [_recent(clip, self.background) for clip in self.clips]
        self._starts: dict[float, NDArray[np.int64]] = {}

    def starts(self, speed: float) -> NDArray[np.int64]:
        """(n, 2): clip and index of every frame with enough earlier frames at this speed, rounded to a half."""
        speed = _half(speed)
        if speed not in self._starts:
            found = [
                (c, i)
                for c, clip in enumerate(self.clips)
                for i in range(1, len(clip.times))
                if _earlier(clip.times, i, speed) is not None
            ]
            self._starts[speed] = np.array(found, np.int64).reshape(-1, 2)
        return self._starts[speed]

    def clip(self, clip: int, index: int, speed: float) -> tuple[Image, list[Image], list[float], FloatArray]:
        """A frame, the four earlier frames, their ages in seconds at ``speed``, and the recent background.

        Only for a frame that ``starts`` returns. Raises UsageError for any other.
        """
        speed = _half(speed)
        source = self.clips[clip]
        found = _earlier(source.times, index, speed)
        if found is None:
            raise UsageError(f"frame {index} of clip {clip} has too few earlier frames: choose a later frame")
        ages = [float(source.times[index] - source.times[i]) / speed for i in found]
        recent = self.recent[clip][index].astype(np.float32)
        return source.frames[index], [source.frames[i] for i in found], ages, recent


def _half(speed: float) -> float:
    return max(round(speed * 2) / 2, 1.0)


def _earlier(times: NDArray[np.float64], index: int, speed: float) -> list[int] | None:
    """Apply ``choose`` to the frames before this one, without those that are too old to be chosen."""
    first = int(np.searchsorted(times, times[index] - (MOST_SPAN_S + 0.1) * speed))
    found = choose(times[first:index], float(times[index]), speed)
    return None if found is None else [first + i for i in found]


def grey_footage(clips: Iterable[Sequence[Frame]], most_frames: int = MOST_FRAMES) -> list[GreyClip]:
    """Convert clips with frames of any size to small grey frames of 15 KB each.

    If there are more than ``most_frames`` frames, it drops every other block of ten seconds, as often as needed. Raises
    UsageError for fewer than 20 frames.
    """
    found: list[GreyClip] = []
    for clip in clips:
        if len(clip):
            frames = np.stack([frame.small.grey(SIZE) for frame in clip])
            found.append(GreyClip(np.array([frame.time_s for frame in clip]), frames))
        while sum(len(c.times) for c in found) > most_frames:
            found = _thinned(found)
    total = sum(len(clip.times) for clip in found)
    if total < LEAST_FRAMES:
        raise UsageError(
            f"true-sight-2 needs at least {LEAST_FRAMES} frames of normal footage, got {total}: give more footage"
        )
    return found


def _thinned(clips: Sequence[GreyClip]) -> list[GreyClip]:
    """Every other block of the clips; a block has ten seconds or less."""
    stretches: list[GreyClip] = []
    for clip in clips:
        block = ((clip.times - clip.times[0]) // _BLOCK_S).astype(int)
        stretches.extend(GreyClip(clip.times[block == b], clip.frames[block == b]) for b in np.unique(block))
    return stretches[::2]


def empty_scene(clips: Sequence[GreyClip], blocks: int = 64, per_block: int = 24) -> FloatArray:
    """(96, 160) grey levels of the scene without objects that come and go.

    A person who stands still in one clip is the median of that clip. So the median is first taken within stretches of
    the footage and then over the stretches. A pixel that was not still in a stretch gets a lower weight there.
    """
    stretches: list[Image] = []
    for clip in clips:
        parts = max(1, round(blocks * len(clip.times) / sum(len(c.times) for c in clips)))
        stretches.extend(part for part in np.array_split(clip.frames, parts) if len(part))
    medians, weights = [], []
    for part in stretches:
        some = part[np.linspace(0, len(part) - 1, min(len(part), per_block)).astype(int)]
        middle = np.median(some, axis=0)
        unrest = np.mean(np.abs(some.astype(np.float32) - middle), axis=0)
        medians.append(middle)
        weights.append(len(part) / (4.0 + unrest) ** 2)
    return _weighted_median(np.stack(medians).astype(np.float32), np.stack(weights).astype(np.float32))


def _weighted_median(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted median along the first axis."""
    order = np.argsort(values, axis=0, kind="stable")
    sums = np.cumsum(np.take_along_axis(weights, order, axis=0), axis=0)
    middle = (sums >= sums[-1] / 2).argmax(axis=0)
    chosen = np.take_along_axis(order, middle[None], axis=0)
    return np.asarray(np.take_along_axis(values, chosen, axis=0)[0], dtype=np.float32)


def _recent(clip: GreyClip, background: FloatArray) -> Image:
    """The recent background as in ClipStream. The first frames have too short a past, so they get the background."""
    out = np.empty_like(clip.frames)
    recent = background
    start = int(np.searchsorted(clip.times, clip.times[0] + LEAST_SPAN_S))
    for i, frame in enumerate(clip.frames):
        if i == start:
            recent = settled(list(clip.frames[: i + 1]), background)
        out[i] = np.rint(recent).astype(np.uint8)
        if i >= start:
            recent = follow(recent, frame, float(clip.times[i] - clip.times[i - 1]))
    return out
