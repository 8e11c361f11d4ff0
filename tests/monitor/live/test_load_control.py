"""What live cameras give up on a machine that cannot keep up. The machine is a model of one, of cores and costs."""

from __future__ import annotations

from itertools import pairwise
from statistics import mode

import pytest

from monitor.live.load_control import LEVELS, Load, LoadControl

RATE, FPS = 10.0, 25.0
ANALYSE_S, DECODE_S, CORES = 0.0062, 0.0021, 2.0
MOST = round(CORES / (RATE * ANALYSE_S + FPS * DECODE_S))
"""Cameras that the machine can just watch."""


class Machine:
    """Two cores, and what the control measures of them."""

    def __init__(self, cameras: int) -> None:
        self.cameras = cameras
        self.control = LoadControl()
        self.levels = [0]

    @property
    def wanted(self) -> float:
        """Cores that the present level needs."""
        relief = LEVELS[self.control.level]
        per_camera = relief.decoded * (relief.rate * RATE * ANALYSE_S + FPS * DECODE_S)
        return self.cameras * per_camera

    @property
    def analysed(self) -> float:
        """Frames analysed per second, all cameras together; nothing is left if decoding alone takes all."""
        relief = LEVELS[self.control.level]
        asked = self.cameras * relief.decoded * relief.rate * RATE
        return asked if self.wanted <= CORES else 0.3 * asked

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            share = self.wanted / CORES
            # Each decoder needs little, but waits for a core the longer, the busier the cores are.
            decoding = FPS * DECODE_S * LEVELS[self.control.level].decoded
            idle = 1.0 - decoding / (1.0 - share**2) if share < 1.0 else 0.0
            dropped = round(self.analysed * 0.5) if share > 1.05 else 0
            load = Load(
                arrived=round(self.analysed),
                dropped=dropped,
                waited_s=0.5 if share > 1.0 else 0.02,
                scoring=min(1.0, 0.6 * share),
                idle=max(0.0, idle),
            )
            self.levels.append(self.control.update(float(len(self.levels)), load))


@pytest.mark.parametrize("times", [1.2, 1.5, 2.0, 3.0, 4.0])
def test_with_too_many_cameras_the_machine_does_most_of_what_it_can(times: float) -> None:
    machine = Machine(round(times * MOST))
    machine.run(120)
    machine.control.level = mode(machine.levels[40:])  # it may just be trying the level above
    assert machine.wanted <= CORES
    least = 0.8 if times <= 2.0 else 0.6
    assert machine.analysed >= least * MOST * RATE


def test_a_machine_that_keeps_up_gives_up_nothing() -> None:
    machine = Machine(MOST * 4 // 5)
    machine.run(600)
    assert set(machine.levels) == {0}


@pytest.mark.parametrize("times", [1.3, 2.0, 3.3])
def test_it_does_not_swing(times: float) -> None:
    machine = Machine(round(times * MOST))
    machine.run(300)
    before = len(machine.levels)
    machine.run(600)
    later = machine.levels[before - 1 :]
    changes = sum(a != b for a, b in pairwise(later))
    assert changes <= 6
    assert max(later) - min(later) <= 1


def test_it_is_over_when_the_load_is() -> None:
    machine = Machine(2 * MOST)
    machine.run(120)
    assert machine.control.level > 0
    machine.cameras = MOST // 3
    machine.run(400)
    assert machine.control.level == 0


def test_a_moment_of_load_changes_nothing() -> None:
    control = LoadControl()
    busy, quiet = Load(10, 0, 0.3, 0.9, 0.02), Load(10, 0, 0.0, 0.3, 0.8)
    for second in range(60):
        control.update(float(second), busy if second % 10 == 0 else quiet)
    assert control.level == 0


def test_each_level_gives_up_more_and_says_so_in_words() -> None:
    assert LEVELS[0].said == ""
    for lower, higher in pairwise(LEVELS):
        assert higher.rate * higher.decoded < lower.rate * lower.decoded
        assert higher.decoded <= lower.decoded
    assert LEVELS[1].said.startswith("fewer frames are analysed: this machine is too busy")
    assert LEVELS[-1].said.startswith("fewer frames are decoded and analysed: ")
    assert len({level.said for level in LEVELS}) == 3, "a step within an overload is no news"
