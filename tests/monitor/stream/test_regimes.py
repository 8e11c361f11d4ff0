"""Regimes and switches of light: distinguished from objects in the scene, and over within seconds."""

import numpy as np
import pytest

from monitor.stream.regimes import LightWatch, Regime, changed_share, regime_of, small_picture
from monitor.types import FloatArray, Image

RATE = 5.0
_ROOM = np.kron(np.random.default_rng(3).integers(60, 190, (18, 32, 3)), np.ones((10, 10, 1))).astype(np.uint8)


def _grey(image: Image) -> Image:
    return np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)


def _lit(gain: float) -> FloatArray:
    return small_picture(np.clip(_ROOM * gain, 0, 255).astype(np.uint8))


def test_a_small_picture_holds_the_means_of_its_blocks() -> None:
    expected = _ROOM[:176].reshape(8, 22, 16, 20, 3).mean(axis=(1, 3))
    assert small_picture(_ROOM[:176]) == pytest.approx(expected, abs=0.5)
    assert small_picture(_ROOM[:8, :16]).shape == (8, 16, 3)
    assert small_picture(np.full((5, 7, 3), 9, np.uint8)) == pytest.approx(np.full((8, 16, 3), 9.0))


def test_colour_infrared_and_dark_are_told_apart() -> None:
    assert regime_of(small_picture(_ROOM)) is Regime.COLOUR
    assert regime_of(small_picture(_grey(_ROOM))) is Regime.GREY
    assert regime_of(small_picture(_ROOM // 16)) is Regime.DARK


def test_a_picture_near_the_limit_stays_in_its_regime() -> None:
    picture = small_picture(_grey(_ROOM))
    picture[..., 2] += 2.2
    assert regime_of(picture, Regime.GREY) is Regime.GREY
    assert regime_of(picture, Regime.COLOUR) is Regime.COLOUR
    assert regime_of(picture + np.array([0, 0, 4], np.float32), Regime.GREY) is Regime.COLOUR


def test_light_changes_the_whole_picture_and_an_object_does_not() -> None:
    crossed = _ROOM.copy()
    crossed[:, 100:260] = 20
    assert changed_share(_lit(1.0), _lit(0.6)) > 0.85
    assert changed_share(_lit(1.0), small_picture(crossed)) < 0.85
    assert 0.4 < changed_share(_lit(1.0), small_picture(crossed)) < 0.6
    assert changed_share(_lit(1.0), _lit(1.0)) == 0


def test_after_a_switch_the_light_settles_within_seconds() -> None:
    watch = LightWatch()
    lights = [watch.update(i / RATE, _lit(1.0 if i < 50 else 0.5)) for i in range(150)]
    assert [i for i, light in enumerate(lights) if light.switched] == list(range(50, 55))
    settling = [i / RATE for i, light in enumerate(lights) if light.settling]
    assert settling[0] == 10
    assert 15 <= settling[-1] <= 16


def test_the_hold_lasts_while_the_exposure_still_moves() -> None:
    watch = LightWatch()
    gains = [1.0] * 50 + [0.3 + 0.02 * i for i in range(35)] + [1.0] * 65
    settling = [watch.update(i / RATE, _lit(gain)).settling for i, gain in enumerate(gains)]
    assert all(settling[50:105])
    assert not any(settling[120:])


def test_a_change_of_regime_is_a_switch_even_where_the_brightness_stays() -> None:
    watch = LightWatch()
    pictures = [_lit(1.0)] * 20 + [small_picture(_grey(_ROOM))] * 20
    lights = [watch.update(i / RATE, picture) for i, picture in enumerate(pictures)]
    assert lights[20].regime is Regime.GREY
    assert [i for i, light in enumerate(lights) if light.settling] == list(range(20, 40))


def test_a_flicker_without_end_does_not_hide_the_scene() -> None:
    watch = LightWatch()
    settling = [watch.update(i / RATE, _lit(1.0 if i % 10 < 5 else 0.5)).settling for i in range(600)]
    assert 0.4 < np.mean(settling) < 0.6
    assert max(map(len, "".join("x" if held else " " for held in settling).split())) <= 20 * RATE + 1


@pytest.mark.parametrize(("flash_s", "every_s"), [(0.2, 2.6), (0.2, 6.0), (0.6, 5.0)])
def test_a_flash_costs_its_own_time_and_half_a_second(flash_s: float, every_s: float) -> None:
    watch = LightWatch()
    times = [i / RATE for i in range(600)]
    flash = [(time_s + 3.0) % every_s < flash_s - 1e-6 for time_s in times]
    settling = [watch.update(t, _lit(1.2 if f else 1.0)).settling for t, f in zip(times, flash, strict=True)]
    assert sum(settling) >= sum(flash) / 2
    assert max(map(len, "".join("x" if held else " " for held in settling).split())) <= (flash_s + 0.5) * RATE


def test_a_stream_that_begins_with_a_flash_has_no_switch() -> None:
    watch = LightWatch()
    assert not any(watch.update(i / RATE, _lit(0.5 if i == 0 else 1.0)).settling for i in range(50))


def test_a_gap_is_no_switch() -> None:
    watch = LightWatch()
    watch.update(0.0, _lit(1.0))
    watch.reset()
    light = watch.update(0.2, _lit(0.5))
    assert not light.switched
    assert not light.settling
