"""Flashes: they cost the frames that they touch, and neither begin nor prolong a change of the whole picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from monitor.types import Image
from tests.monitor.stream.health.test_camera_health import (
    ONLINE,
    SCENE_CHANGE,
    Change,
    changes,
    darker,
    seconds,
    watched,
)


def white(image: Image) -> Image:
    return np.full_like(image, 255)


def brighter(image: Image) -> Image:
    return np.asarray(cv2.add(image, np.full_like(image, 60)), np.uint8)


@pytest.mark.parametrize("flash", [white, brighter])
@pytest.mark.parametrize(("first", "every", "frames"), [(0, 25, 1), (7, 12, 2)])
def test_flashes_cost_the_frames_that_they_touch(flash: Change, first: int, every: int, frames: int) -> None:
    pictures = seconds(12)
    flashes = {start + i for start in range(first, len(pictures), every) for i in range(frames)}
    for index in flashes & set(range(len(pictures))):
        pictures[index] = flash(pictures[index])
    unscored = {index for index, health in enumerate(watched(pictures)) if not health.scored}
    assert unscored - flashes <= set(range(first, first + frames + 4))  # the stream may begin with a flash


@pytest.mark.parametrize("flash", [white])
def test_a_flash_of_half_a_second_costs_less_than_a_second(flash: Change) -> None:
    pictures = seconds(12)
    flashes = {start + i for start in range(20, 120, 50) for i in range(5)}
    for index in flashes:
        pictures[index] = flash(pictures[index])
    unscored = [index for index, health in enumerate(watched(pictures)) if not health.scored]
    assert len(unscored) <= len(flashes) + 4 * 2


def test_flashes_while_a_change_of_light_settles_do_not_prolong_it() -> None:
    after = seconds(9, darker)
    for index in range(10, len(after), 25):
        after[index] = white(after[index])
    verdicts = watched([*seconds(5), *after])
    assert [state for state, _ in changes(verdicts)] == [ONLINE, SCENE_CHANGE, ONLINE]
    assert changes(verdicts)[2][1] < 8.8


def test_a_picture_that_was_white_has_not_got_its_colour_back() -> None:
    verdicts = watched([*seconds(1), *seconds(1.5, white), *seconds(6), *seconds(1.5, white), *seconds(4)])
    assert SCENE_CHANGE in {health.state for health in verdicts}
    assert not any("infrared" in health.detail for health in verdicts)
