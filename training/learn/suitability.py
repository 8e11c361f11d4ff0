"""Checks that a camera can learn what is normal from some footage; if not, an error says why in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from monitor.errors import UsageError
from monitor.learning.learning_plan import LEAST_LEARNING_S
from monitor.text.durations import in_words
from monitor.text.wording import listed
from monitor.types import FloatArray
from training.learn.normal_footage import Normal, Stretch, left_out

_SAMPLES = 25  # frames checked per source
_THUMBNAIL = (80, 44)
_EQUAL = 3  # frames that differ by at most this many grey levels count as equal; covers compression noise
_SAME_SCENE = 0.2  # two files with a higher correlation show the same scene, even in different light


def check_suitable(normal: Normal) -> None:
    """Raise UsageError if the footage is too short, never changes, or shows several scenes."""
    length_s = normal.footage_s
    if normal.frames == 1 or not normal.stretches:
        raise UsageError("the footage contains only one frame: give at least 10 min of normal footage of the camera")
    if round(length_s) < LEAST_LEARNING_S and normal.unscored:
        raise UsageError(
            f"only {length_s:.1f} s of this footage are suitable for learning ({left_out(normal.unscored)} left out): "
            "give at least 10 min of footage that shows the scene and in which something moves"
        )
    if round(length_s) < LEAST_LEARNING_S:  # rounded, because ten seconds of frames last one frame less than 10 s
        raise UsageError(
            f"{length_s:.1f} s of footage are too short to learn from: give at least 10 min of normal footage of the "
            f"camera (the minimum is {LEAST_LEARNING_S:.0f} s)"
        )
    by_source: dict[int, list[Stretch]] = {}
    for stretch in normal.stretches:
        by_source.setdefault(stretch.source, []).append(stretch)
    looks = {number: _look(stretches) for number, stretches in by_source.items()}
    everything = np.concatenate(list(looks.values()))
    if np.ptp(everything, axis=0).max() <= _EQUAL:
        raise UsageError(
            f"all frames of these {in_words(length_s)} are equal, so the camera was frozen or covered: give footage in "
            "which something moves"
        )
    odd = odd_scenes([_usual(look) for look in looks.values()])
    if odd:
        labels = [normal.sources[number].label for number in looks]
        named = listed([labels[i] for i in odd], 3)
        raise UsageError(
            f"{named} shows a different scene than the rest of the footage: learn each camera from its own footage"
        )


def odd_scenes(usual: Sequence[FloatArray]) -> list[int]:
    """Numbers of the sources that do not show the scene of the majority.

    usual: the usual picture of each source, high-pass filtered, any shape. Sources belong together if they correlate,
    directly or through other sources. For example, day and night of one camera are connected through dusk.
    """
    flat = np.stack([picture.ravel() for picture in usual]).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    alike = flat @ flat.T >= _SAME_SCENE
    scene = list(range(len(usual)))
    for i in range(len(usual)):
        for j in range(i):
            if alike[i, j] and scene[i] != scene[j]:
                scene = [scene[j] if s == scene[i] else s for s in scene]
    largest = max(scene, key=lambda s: (scene.count(s), -scene.index(s)))
    return [i for i, s in enumerate(scene) if s != largest]


def _look(stretches: Sequence[Stretch]) -> FloatArray:
    """Some frames of a source as small grey pictures, (n, 44, 80) float32."""
    total = sum(len(stretch) for stretch in stretches)
    numbers = np.unique(np.linspace(0, total - 1, min(total, _SAMPLES)).round().astype(int))
    starts = np.cumsum([0, *(len(stretch) for stretch in stretches)])
    pictures = []
    for number in numbers:
        at = int(np.searchsorted(starts, number, side="right")) - 1
        grey = cv2.cvtColor(stretches[at][int(number - starts[at])].image, cv2.COLOR_BGR2GRAY)
        pictures.append(cv2.resize(grey, _THUMBNAIL, interpolation=cv2.INTER_AREA))
    return np.stack(pictures).astype(np.float32)


def _usual(look: FloatArray) -> FloatArray:
    """The static content of a source: the median frame minus its own blur, so that light has no influence."""
    median = np.median(look, axis=0).astype(np.float32)
    return np.asarray(median - cv2.GaussianBlur(median, (0, 0), 3.0), dtype=np.float32)
