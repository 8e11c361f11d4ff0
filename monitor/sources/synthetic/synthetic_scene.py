"""The synthetic street as a source of frames."""

from __future__ import annotations

import math
from functools import partial

import cv2
import numpy as np

from monitor.errors import SourceError
from monitor.sources.source import Position, Reader, Source
from monitor.sources.synthetic.light import cast_shadows, expose, light_at
from monitor.sources.synthetic.script import CYCLE_S, Episode, script
from monitor.sources.synthetic.street import empty_street
from monitor.sources.synthetic.walks import passers_by
from monitor.types import Image

FPS = 25.0
"""Frames per second."""


class SyntheticScene(Source):
    """The street as a source that lasts ``duration_s`` seconds, at 640x360 px and 25 frames per second.

    abnormal  True adds the script of five abnormal episodes per 90 s; False gives normal footage only
    """

    live = False

    def __init__(self, name: str = "demo", seed: int = 7, duration_s: float = 90.0, abnormal: bool = True) -> None:
        if not 0 < duration_s < math.inf:
            raise SourceError(f"a synthetic scene must last more than 0 s, got {duration_s}; give a longer duration")
        if seed < 0:
            raise SourceError(f"a synthetic scene's seed must be 0 or more, got {seed}; give another seed")
        super().__init__(name, f"synthetic street, seed {seed}")
        self.seed, self.duration_s, self.abnormal = seed, duration_s, abnormal
        self.frames = max(1, round(duration_s * FPS))
        cycles = math.ceil(duration_s / CYCLE_S) if abnormal else 0
        scripted = [act for cycle in range(cycles) for act in script(seed, cycle)]
        self._acts = [act for act in scripted if act.episode.ended_s <= duration_s]

    @property
    def truth(self) -> tuple[Episode, ...]:
        """The abnormal episodes that end within the duration, in order of time; empty for normal footage."""
        return tuple(act.episode for act in self._acts)

    def open(self) -> Reader:
        """Open at the first frame. ``retrieve`` draws a frame, which takes about 3 ms."""
        return _SceneReader(self)

    def render(self, index: int) -> Image:
        """Draw frame ``index`` (0-based): (360, 640, 3) uint8 BGR. The bytes do not depend on frames drawn before."""
        t = index / FPS
        street, light = empty_street(), light_at(self.seed, t)
        actors = [*passers_by(self.seed, t), *(actor for act in self._acts for actor in act.actors(t))]
        sky = cv2.addWeighted(street.sunny, light.sun, street.overcast, 1.0 - light.sun, 0.0)
        canvas = np.asarray(sky, dtype=np.uint8)
        cast_shadows(canvas, actors, light.sun)
        empty = canvas.copy()
        things = [(actor.y, actor.draw) for actor in actors]
        things += [(cover.y, partial(cover.restore, empty)) for cover in street.covers]
        for _, draw in sorted(things, key=lambda thing: thing[0]):
            draw(canvas)
        return expose(canvas, self.seed, index, light)


class _SceneReader(Reader):
    fps = FPS

    def __init__(self, scene: SyntheticScene) -> None:
        self._scene, self._index = scene, -1

    def grab(self) -> Position | None:
        if self._index + 1 >= self._scene.frames:
            return None
        self._index += 1
        return Position(self._index, self._index / FPS)

    def retrieve(self) -> Image | None:
        return self._scene.render(self._index)
