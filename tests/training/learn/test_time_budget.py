"""The budget of time: what fits stays, the most useful first, and each left-out detector is named."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.detector.motion.motion_detector import Motion
from monitor.detector.registry import REGISTRY
from monitor.errors import UsageError
from monitor.learning.footage import FootageSource
from monitor.model.model_store import load_model
from monitor.testing.fakes import Brightness
from monitor.types import Detection
from tests.helpers.moving_scenes import record_scene
from training.learn import time_budget
from training.learn.learn_model import LearnSettings, learn
from training.learn.learners import LEARNERS, Learner
from training.learn.normal_footage import Stretch, read_normal
from training.learn.pasted_clips import clip_pairs
from training.learn.time_budget import TimeBudget, ms_per_frame, usefulness, within
from training.progress import Report

QUIET = Report(quiet=True)


class Slow(Brightness):
    """Takes 3 ms per frame."""

    name = "slow"

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        until = time.perf_counter() + 0.003 * len(batch)
        while time.perf_counter() < until:
            pass
        return super().score(batch)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_scene(tmp_path_factory.mktemp("scene") / "yard", 1, seconds=20.0)


@pytest.fixture(scope="module")
def stretches(footage: Path) -> tuple[Stretch, ...]:
    return read_normal([FootageSource(footage)], QUIET).stretches


def test_the_most_useful_stay_and_what_still_fits_beside_them() -> None:
    ms = {"motion": 1.0, "scene": 2.0, "static": 0.5, "network": 5.0}
    useful = {"motion": 0.9, "scene": 0.6, "static": 0.5, "network": 0.8}
    assert within(ms, useful, 8.5) == ["motion", "network", "scene", "static"]
    assert within(ms, useful, 8.0) == ["motion", "network", "scene"], "the least useful one goes first"
    assert within(ms, useful, 6.6) == ["motion", "network", "static"], "a small one still fits"
    assert within(ms, useful, 4.0) == ["motion", "scene", "static"]
    assert within(ms, dict.fromkeys(ms, 0.5), 2.0) == ["static", "motion"], "of equal ones, the faster"
    assert within(ms, useful, 0.4) == []


def test_time_is_measured_per_frame(stretches: tuple[Stretch, ...]) -> None:
    slow_ms = ms_per_frame(Slow(), stretches[0])
    assert slow_ms >= 3.0
    assert ms_per_frame(Brightness(), stretches[0]) < slow_ms


def test_what_finds_abnormal_movement_is_more_useful_than_what_sees_only_pasting(
    stretches: tuple[Stretch, ...],
) -> None:
    pairs = clip_pairs(stretches, 0, 12)
    again = clip_pairs(stretches, 0, 12)
    assert len(pairs) == 12
    for pair, other in zip(pairs, again, strict=True):
        assert [f.time_s for f in pair[0]] == [f.time_s for f in pair[1]]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(pair[1], other[1], strict=True))
        assert any(not np.array_equal(a.image, b.image) for a, b in zip(*pair, strict=True))
    motion = Motion.fit(stretches, 0)
    assert usefulness(motion, pairs) > 0.7
    assert 0.2 < usefulness(Brightness(), pairs) < 0.7


def test_what_does_not_fit_is_left_out_and_said_once(
    stretches: tuple[Stretch, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time_budget, "usefulness", lambda detector, _: 0.9 if detector.name == "slow" else 0.5)
    monkeypatch.setattr(time_budget, "clip_pairs", lambda *_: ["pair"])
    detectors = [Brightness(), Slow()]
    assert TimeBudget(None, stretches, 0, QUIET).keep(detectors) == detectors
    assert TimeBudget(1000.0, stretches, 0, Report()).keep(detectors) == detectors
    assert "time per frame: brightness" in capsys.readouterr().err
    slow_ms = ms_per_frame(Slow(), stretches[0])
    monkeypatch.setattr(time_budget, "ms_per_frame", lambda detector, _: slow_ms if detector.name == "slow" else 1.0)
    budget = TimeBudget(slow_ms + 0.5, stretches, 0, Report())
    for _ in range(2):
        assert budget.keep(detectors) == [detectors[1]]
    said = capsys.readouterr().err
    assert said.count("'brightness' is left out: it takes 1 ms per frame, and finds synthetic anomalies") == 1
    assert "AUC of 0.50; slow use" in said
    with pytest.raises(
        UsageError, match=r"no detector fits into 0\.5 ms per frame: the fastest, 'brightness', takes 1 ms"
    ):
        TimeBudget(0.5, stretches, 0, QUIET).keep(detectors)


def test_where_nothing_moves_the_faster_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    still = read_normal([FootageSource(record_scene(tmp_path / "still", 3, 11.0, speed=0.0))], QUIET).stretches
    monkeypatch.setattr(time_budget, "ms_per_frame", lambda detector, _: 3.0 if detector.name == "slow" else 1.0)
    assert [d.name for d in TimeBudget(3.5, still, 0, Report()).keep([Slow(), Brightness()])] == ["brightness"]
    assert "faster detectors stay, because none can be judged here: nothing moves for" in capsys.readouterr().err


def test_a_network_that_does_not_fit_gives_no_second_version(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, kind, fast in (("slow", Slow, False), ("brightness", Brightness, True)):
        monkeypatch.setitem(REGISTRY, name, f"{kind.__module__}:{kind.__name__}")
        monkeypatch.setitem(LEARNERS, name, Learner(lambda *_, kind=kind: kind(), refit=fast))
    monkeypatch.setattr(time_budget, "clip_pairs", lambda stretches, seed: clip_pairs(stretches, seed, 2))
    monkeypatch.setattr(time_budget, "usefulness", lambda detector, _: 0.9 if detector.name == "brightness" else 0.5)
    monkeypatch.setattr(time_budget, "ms_per_frame", lambda detector, _: 3.0 if detector.name == "slow" else 1.0)
    settings = LearnSettings("door", tmp_path, ("brightness", "slow"), max_ms=2.0)
    (only,) = learn([FootageSource(footage)], ["f"], settings, Report())
    assert [d.name for d in load_model(only).detectors] == ["brightness"]
    assert "'slow' is left out: it takes 3 ms per frame" in capsys.readouterr().err
    assert not (tmp_path / "door/next").exists()
    with pytest.raises(UsageError, match="raise --max-ms"):
        learn([FootageSource(footage)], ["f"], LearnSettings("yard", tmp_path, ("brightness",), max_ms=0.01), QUIET)
    assert not (tmp_path / "yard").exists(), "nothing is written"
