"""Reads normal footage of many scenes in the form that the pre-training needs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from monitor.errors import UsageError
from monitor.sources.source import Source
from monitor.text.durations import in_words
from monitor.types import FloatArray
from training.learn.grey_footage import GreyClip, GreyFootage, grey_footage
from training.learn.normal_footage import Normal, read_normal
from training.learn.pretrained_weights import SceneEntry
from training.learn.suitability import check_suitable, odd_scenes
from training.learn.synthetic_anomalies import AnomalyMaker
from training.progress import Report
from training.provenance import names_of_footage
from training.recordings import recorded_sources

MOST_FRAMES = 40_000
"""Frames of all scenes together that are kept, 30 KB each; every scene may keep 200."""
LEAST_SCENES = 2
_LEAST_OBJECTS = 10
"""Fewer moving objects in a scene do not show what is normal there."""


@dataclass(frozen=True, eq=False)
class PretrainingScene:
    """A scene: what makes its samples, and what the provenance says of it."""

    maker: AnomalyMaker
    entry: SceneEntry
    look: FloatArray


def read_scenes(
    paths: Sequence[str], report: Report, *, seed: int, analysis_fps: float, fps: float
) -> list[PretrainingScene]:
    """Read each path, a folder or a video, as a scene. What cannot teach is reported with the reason, and left out.

    analysis_fps  frames per second that are learned from; fps: frames per second of folders of images

    Raises SourceError for a path without footage, and UsageError if fewer than two different scenes are left.
    """
    opened = [recorded_sources([path], "training_videos", fps) for path in paths]  # a wrong path is told at once
    if len(paths) < LEAST_SCENES:
        raise UsageError(_one_scene("one path is one scene"))
    names = names_of_footage(paths)
    scenes: dict[str, PretrainingScene] = {}
    most = max(200, MOST_FRAMES // len(paths))
    why = ""
    for name, sources in zip(names, opened, strict=True):
        try:
            scene = _read_scene(name, sources, report, (seed, len(scenes)), most, analysis_fps)
        except UsageError as error:
            why = f"'{name}' is left out: {error}"
            report.say(f"warning: {why}")
            continue
        before = scenes.setdefault(scene.entry.sha256, scene)
        if before is not scene:
            why = f"'{name}' is left out: it has the same frames as '{before.entry.name}'"
            report.say(f"warning: {why}")
    found = list(scenes.values())
    if len(found) < LEAST_SCENES:
        raise UsageError(_one_scene(why))
    if not odd_scenes([scene.look for scene in found]):
        raise UsageError(_one_scene("all of this footage shows the same scene"))
    return found


def _one_scene(why: str) -> str:
    return (
        f"pre-training needs at least two different scenes in which something moves ({why}): repeat --data, once for "
        "each scene; a single camera is learned with `learn`"
    )


def _read_scene(
    name: str, sources: Sequence[Source], report: Report, seed: tuple[int, int], most: int, analysis_fps: float
) -> PretrainingScene:
    """Raises UsageError for a scene that cannot teach."""
    normal = read_normal(sources, report, analysis_fps=analysis_fps)
    check_suitable(normal)
    clips = grey_footage(normal.stretches, most)
    footage = GreyFootage(clips)
    maker = AnomalyMaker(footage, np.random.default_rng(seed))
    if len(maker.objects) < _LEAST_OBJECTS:
        raise UsageError(f"nothing moves for long enough in these {in_words(normal.footage_s)}")
    frames = sum(len(clip.times) for clip in clips)
    report.say(f"scene '{name}': {_length(normal)}, {frames} frames used, {len(maker.objects)} moving objects")
    smoothed = cv2.GaussianBlur(footage.background, (0, 0), 3.0)
    look = np.asarray(footage.background - smoothed, np.float32)
    return PretrainingScene(maker, SceneEntry(name=name, sha256=_digest(clips), frames=frames), look)


def _length(normal: Normal) -> str:
    return f"{in_words(normal.footage_s)} of {normal.size[0]}x{normal.size[1]}"


def _digest(clips: Sequence[GreyClip]) -> str:
    found = hashlib.sha256()
    for clip in clips:
        found.update(np.ascontiguousarray(clip.times).tobytes())
        found.update(np.ascontiguousarray(clip.frames).tobytes())
    return found.hexdigest()
