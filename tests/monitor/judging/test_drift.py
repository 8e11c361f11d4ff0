"""Drift is reported from days of scores: slowly, once per day, never for normal variation or for an alarm."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.detector.static_detector import StaticAge, StaticSettings
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.drift import Band, DriftWatch, ModelBands, learn_bands
from monitor.judging.fusion import ModelScale
from monitor.model.model_store import Model, load_model, save_model
from monitor.scores.held_out import HeldOut
from monitor.scores.lasting import Lasting
from monitor.scores.smoothing import SmoothingSettings
from monitor.stream.regimes import Regime
from monitor.testing.fakes import brightness_model, provenance, scored

HOUR = 3600


def _normal(seconds: int, level: float = 0.0, seed: int = 0) -> NDArray[np.float64]:
    """One score per second that varies by a few tenths within hours."""
    rng = np.random.default_rng(seed)
    slow = 0.15 * np.sin(np.arange(seconds) / 2500 + seed)
    return level + slow + rng.normal(0, 0.2, seconds)


@pytest.fixture(scope="module")
def bands() -> dict[Regime, Band]:
    seconds = 6 * HOUR
    clip = (np.arange(seconds) // 1800).astype(np.int32)
    regimes = [Regime.COLOUR] * (4 * HOUR) + [Regime.GREY] * (2 * HOUR)
    return learn_bands(np.arange(seconds, dtype=np.float64), clip, _normal(seconds), regimes)


def _said(watch: DriftWatch, scores: NDArray[np.float64], from_s: float = 0.0, **other: object) -> list[float]:
    regime = other.get("regime", Regime.COLOUR)
    assert isinstance(regime, Regime)
    alarmed = bool(other.get("alarmed", False))
    times = [from_s + i for i in range(len(scores))]
    return [t for t, s in zip(times, scores, strict=True) if watch.update(t, float(s), alarmed, regime)]


def test_another_normal_day_says_nothing(bands: dict[Regime, Band]) -> None:
    assert set(bands) == {Regime.COLOUR, Regime.GREY}
    assert 0.1 < bands[Regime.COLOUR].high < 0.6
    assert _said(DriftWatch(bands, tuple(bands)), _normal(24 * HOUR, seed=7)) == []


def test_scores_that_have_risen_for_an_hour_are_told_once_a_day(bands: dict[Regime, Band]) -> None:
    watch = DriftWatch(bands, tuple(bands))
    assert _said(watch, _normal(3 * HOUR)) == []
    said = _said(watch, _normal(26 * HOUR, level=0.7), from_s=3 * HOUR)
    assert len(said) == 2
    assert 3.5 * HOUR < said[0] < 4.5 * HOUR


def test_the_sentence_names_the_regime_and_both_figures(bands: dict[Regime, Band]) -> None:
    watch = DriftWatch(bands, tuple(bands))
    scores = _normal(3 * HOUR, level=0.7)
    found = [watch.update(float(t), float(s), False, Regime.GREY) for t, s in enumerate(scores)]
    sentence = next(text for text in found if text)
    assert "usual score of grey pictures is 0." in sentence
    assert f"at most {bands[Regime.GREY].high:.2f}" in sentence


def test_the_statistic_stands_still_while_alarmed_and_at_what_cannot_be_judged(bands: dict[Regime, Band]) -> None:
    watch = DriftWatch(bands, tuple(bands))
    for hour in range(12):  # 30 minutes of alarm, then 30 minutes without: never one continuous hour
        assert _said(watch, np.full(1800, 3.0), from_s=hour * HOUR, alarmed=True) == []
        assert _said(watch, _normal(1800), from_s=hour * HOUR + 1800) == []
    assert _said(watch, np.full(2 * HOUR, math.nan), from_s=12 * HOUR) == []


def test_an_alarm_without_end_puts_the_model_in_doubt(bands: dict[Regime, Band]) -> None:
    watch = DriftWatch(bands, tuple(bands))
    said = _said(watch, np.full(2 * HOUR, 3.0), alarmed=True)
    assert said == [pytest.approx(HOUR, abs=2)]


def test_a_regime_that_was_never_learned_is_told(bands: dict[Regime, Band]) -> None:
    watch = DriftWatch({Regime.COLOUR: bands[Regime.COLOUR]}, (Regime.COLOUR,))
    assert _said(watch, np.full(550, math.nan), regime=Regime.GREY) == []
    assert _said(watch, _normal(300), from_s=550) == []
    said = _said(watch, np.full(HOUR, math.nan), from_s=850, regime=Regime.GREY)
    assert said == [pytest.approx(1450, abs=2)]


def test_too_little_held_out_footage_gives_no_band() -> None:
    seconds = 1800
    clip = np.zeros(seconds, np.int32)
    times = np.arange(seconds, dtype=np.float64)
    assert learn_bands(times, clip, _normal(seconds), [Regime.COLOUR] * seconds) == {}


def _model(regime: Regime) -> Model:
    """One hour of held-out footage in one regime of light, in clips of one minute."""
    seconds = HOUR
    number = tuple(Regime).index(regime)
    scores = 0.1 + 0.01 * np.random.default_rng(0).standard_normal(seconds)
    clip = (np.arange(seconds) // 60).astype(np.int32)
    held_out = HeldOut(
        np.arange(seconds, dtype=np.float64), clip, {"brightness": scores}, np.full(seconds, number, np.int8)
    )
    return replace(brightness_model(), held_out=held_out)


def _advices(model: Model, level: int, seconds: int) -> list[str]:
    smoothing = SmoothingSettings()
    scale = ModelScale(model, 1.0, smoothing, Lasting(0.0))  # independent held-out scores never last
    watch = ModelBands(model, scale, smoothing).watch()
    monitor = CameraMonitor("cam", scale, smoothing, AlertSettings(), watch)
    judged = (monitor.update(scored(float(second), level)) for second in range(seconds))
    return [judgement.advice for judgement in judged if judgement.advice]


def test_a_camera_whose_usual_score_rises_is_to_be_learned_again() -> None:
    model = _model(Regime.GREY)
    assert _advices(model, 25, 2 * HOUR) == []
    advices = _advices(model, 33, 2 * HOUR)  # 0.13: three deviations higher, and well below the threshold
    assert len(advices) == 1
    assert "the usual score of grey pictures" in advices[0]


def test_light_that_was_not_learned_is_said() -> None:
    advices = _advices(_model(Regime.COLOUR), 25, 1200)
    assert len(advices) == 1
    assert "the picture has been grey for 10 minutes" in advices[0]


def test_the_light_of_held_out_footage_is_kept_with_the_model(tmp_path: Path) -> None:
    model = brightness_model()
    assert ModelBands(model, ModelScale(model, 1.0, SmoothingSettings()), SmoothingSettings()).watch() is None
    grey = np.zeros((32, 32), np.uint8)
    static = StaticAge(StaticSettings(width=32, height=32, usual_age_s=0.0), grey, grey, grey)
    held_out = replace(model.held_out, scores={"static": np.zeros(600)}, regime=np.full(600, 1, np.int8))
    save_model(tmp_path / "m", "m", [static], held_out, provenance())
    kept = load_model(tmp_path / "m").held_out.regime
    assert kept is not None
    assert set(kept.tolist()) == {1}
