"""Random numbers of a scene: every part draws its own from the one seed, so that none disturbs another."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Part(IntEnum):
    """What the numbers are for. Another value gives other pictures."""

    PASSERS_BY = 1
    SCRIPT = 2
    LIGHT = 3
    NOISE = 4
    NOISE_SHIFT = 5


def random_numbers(seed: int, part: Part, *place: int) -> np.random.Generator:
    """A fresh generator for one part of the scene, and one place in it: a cycle, a slot, a frame."""
    return np.random.default_rng([seed, part, *place])
