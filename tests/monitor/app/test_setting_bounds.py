"""Every number of the settings has an upper bound, and a run with a setting at its bound ends as any other."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from monitor.app.config import MonitorConfig
from monitor.app.planning import _capture
from monitor.detector.motion.motion_settings import MotionSettings
from monitor.detector.scene.scene_detector import SceneSettings
from monitor.detector.static_detector import StaticSettings
from monitor.detector.true_sight.true_sight_detector import TrueSightSettings
from monitor.detector.true_sight2.true_sight2_detector import TrueSight2Settings
from monitor.errors import CaptureError
from monitor.live.watch import Watch
from monitor.model.model_store import Model, Provenance
from monitor.stream.picture_size import judge_size
from monitor.testing.fakes import LevelSource, brightness_model, fleet_of, provenance, watched_by
from monitor.testing.scripted import RecordingSink, Run, live, recorded, shots

HUGE: list[int | float] = [1e308, -1e308, 1e30, 10**400, -(10**400), math.inf, math.nan, 2**64]


def numbers(kind: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every setting that takes a number."""
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from numbers(field.annotation, (*path, name))
        elif re.search(r"\b(int|float|_Count|_Logit)\b", str(field.annotation)) or field.annotation in (int, float):
            yield (*path, name)


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return value  # type: ignore[no-any-return]


SETTINGS = sorted(numbers(MonitorConfig))


def test_the_settings_are_found() -> None:
    assert len(SETTINGS) >= 50
    assert {("capture", "backoff_min_s"), ("playback", "speed"), ("alert", "on"), ("queue", "capacity")} <= set(
        SETTINGS
    )


@pytest.mark.parametrize("path", SETTINGS, ids=".".join)
def test_every_setting_refuses_numbers_without_a_bound(path: tuple[str, ...]) -> None:
    for value in HUGE:
        with pytest.raises(ValidationError):
            MonitorConfig(**nested(path, value))


@given(st.sampled_from(SETTINGS), st.floats(allow_nan=True) | st.integers(-(10**20), 10**20))
def test_whatever_is_accepted_can_be_waited_for(path: tuple[str, ...], value: float) -> None:
    try:
        settings = MonitorConfig(**nested(path, value))
    except ValidationError:
        return
    capture = _capture(settings, max_frames=2)
    source = live([*shots(0.2), CaptureError("lost")], shots(0.2))
    for run in (Run(source, capture, RecordingSink(room=8)), Run(recorded(shots(0.2)), capture)):
        run.run()
        assert all(0 <= wait <= threading.TIMEOUT_MAX for wait in run.stop.waits)


DETECTORS: dict[type[BaseModel], dict[str, Any]] = {
    MotionSettings: {"width": 320, "height": 240},
    StaticSettings: {"width": 320, "height": 240, "usual_age_s": 1.0},
    SceneSettings: {
        "kind": "states",
        "exemplars": (1, 1, 1),
        "rows": 2,
        "columns": 2,
        "smooth_s": 1.0,
        "floor": 1.0,
    },
    TrueSightSettings: {"variant": "sound"},
    TrueSight2Settings: {},
}


@pytest.mark.parametrize("kind", DETECTORS, ids=lambda kind: kind.__name__)
def test_every_stored_setting_of_a_detector_has_a_bound(kind: type[BaseModel]) -> None:
    usual = DETECTORS[kind]
    try:
        kind(**usual)
    except ValidationError as error:
        pytest.fail(str(error))
    for name, field in kind.model_fields.items():
        count = 3 if "tuple" in str(field.annotation) else 1
        if re.search(r"int|float|_Count|_Logit", str(field.annotation)):
            for value in (10**400, math.inf, math.nan, -1e308):
                with pytest.raises(ValidationError):
                    kind(**{**usual, name: (value,) * count if count > 1 else value})


@pytest.mark.parametrize(
    "change",
    [
        {"notes": {"width": 10**400, "height": 1}},
        {"notes": {"width": 1, "height": -(10**400)}},
        {"notes": {"x": math.nan}},
        {"notes": {str(n): n for n in range(101)}},
        {"frames": 10**400},
        {"seed": 10**400},
    ],
    ids=lambda change: next(iter(change)),
)
def test_notes_of_a_model_have_bounds(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Provenance(**{**provenance().model_dump(), **change})


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_any_learned_size_can_be_compared(width: int, height: int) -> None:
    model = brightness_model()
    of = provenance().model_copy(update={"notes": {"width": width, "height": height}})
    card = model.card.model_copy(update={"provenance": of})
    judge_size(Model(card, model.detectors, model.held_out, model.hash).learned_size, (640, 360))


def test_a_model_with_an_impossible_size_costs_no_other_camera() -> None:
    model = brightness_model()
    of = provenance().model_copy(update={"notes": {"width": 10**400, "height": 1}})
    odd = Model(model.card.model_copy(update={"provenance": of}), model.detectors, model.held_out, model.hash)
    fleet = fleet_of(watched_by(LevelSource("odd", [25] * 9), odd), watched_by(LevelSource("b", [25] * 9)))
    report = Watch(fleet, []).run(threading.Event(), 20)
    assert [camera.analysed for camera in report.cameras] == [9, 9]
