"""Grey pictures of the footage to learn from.

The footage is read once and thinned evenly, so that hours of footage need no more memory than minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from monitor.detector.frontend import analysis_size
from monitor.errors import UsageError
from monitor.types import Frame, Image

Stretch = list[tuple[float, Image]]
"""Consecutive pictures: (time_s, (h, w) uint8 grey), in order of time."""

_MIN_FRAMES = 20


def grey_pictures(
    clips: Iterable[Iterable[Frame]], detector: str, target: int = 160, multiple: int = 8
) -> Iterator[tuple[int, float, Image]]:
    """Yields the pictures that a detector learns from: (number of the clip, time_s, (h, w) uint8 grey picture).

    The first frame sets the size of all pictures: near ``target`` px wide, both sides multiples of ``multiple``. At the
    end it raises UsageError if there were fewer than 20 frames.
    """
    frames = 0
    size = (0, 0)
    for number, clip in enumerate(clips):
        for frame in clip:
            if not frames:
                size = analysis_size(frame.image.shape[1], frame.image.shape[0], target, multiple)
            frames += 1
            yield number, frame.time_s, frame.small.grey(size)
    if frames < _MIN_FRAMES:
        raise UsageError(
            f"{detector} needs at least {_MIN_FRAMES} frames of normal footage to learn from, got {frames}; give more"
        )


class EvenSample:
    """Keeps whole stretches of footage, spread evenly over everything added, in bounded memory.

    most       maximum number of pictures; above it, every second stretch is dropped, also among later stretches
    stretch_s  length of a stretch, seconds; the end of a clip also ends a stretch
    step_s     minimum distance between pictures, seconds; pictures that follow sooner are left out

    So for long footage it keeps between half of ``most`` and ``most`` pictures, and for short footage all pictures.
    """

    def __init__(self, most: int, stretch_s: float, step_s: float = 0.0) -> None:
        self._most, self._stretch_s, self._step_s = most, stretch_s, step_s
        self._kept: list[tuple[int, int, Stretch]] = []  # (number of the stretch, number of the clip, pictures)
        self._every, self._number, self._pictures = 1, -1, 0
        self._clip, self._started_s, self._last_s = -1, 0.0, 0.0

    def add(self, clip: int, time_s: float, grey: Image) -> None:
        """Add the next picture. Clips must come one after the other, pictures of a clip in order of time."""
        anew = clip != self._clip
        if not anew and time_s - self._last_s < self._step_s:
            return
        if anew or time_s - self._started_s >= self._stretch_s:
            self._clip, self._started_s = clip, time_s
            self._number += 1
            if self._number % self._every == 0:
                self._kept.append((self._number, clip, []))
        self._last_s = time_s
        if self._number % self._every == 0:
            self._kept[-1][2].append((time_s, grey))
            self._pictures += 1
        while self._pictures > self._most and len(self._kept) > 1:
            self._every *= 2
            self._kept = [kept for kept in self._kept if kept[0] % self._every == 0]
            self._pictures = sum(len(pictures) for _, _, pictures in self._kept)

    def stretches(self) -> list[Stretch]:
        """The kept stretches, in order. Consecutive stretches of the same clip are joined."""
        joined: list[Stretch] = []
        before = (-2, -1)
        for number, clip, pictures in self._kept:
            if before == (number - 1, clip):
                joined[-1].extend(pictures)
            else:
                joined.append(list(pictures))
            before = (number, clip)
        return joined
