"""Random numbers of a scene. Each part has its own generator with the same seed, so parts do not affect each other."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Part(IntEnum):
    """The part of the scene that uses the numbers. Changing a value changes the pictures."""

    PASSERS_BY = 1
    SCRIPT = 2
    LIGHT = 3
    NOISE = 4
    NOISE_SHIFT = 5


def random_numbers(seed: int, part: Part, *place: int) -> np.random.Generator:
    """A new generator for one part of the scene, and for one place within it: a cycle, a slot or a frame."""
    return np.random.default_rng([seed, part, *place])
