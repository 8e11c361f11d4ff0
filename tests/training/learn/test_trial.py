"""A better version is used only if it raises no more alarms than the version in use."""

from pathlib import Path

import numpy as np
import pytest

from monitor.detector.base import Detector
from monitor.detector.registry import REGISTRY
from monitor.learning.footage import FootageSource, FootageWriter
from monitor.testing.fakes import Brightness, brightness_model, picture
from training.learn import learn_model
from training.learn.learn_model import LearnSettings, learn
from training.learn.learners import LEARNERS, Learner
from training.learn.normal_footage import Normal, read_normal
from training.learn.trial import why_worse
from training.progress import Report

QUIET = Report(quiet=True)
CALM, ODD = 10, 60
BEFORE, WILD = brightness_model(level=0.3), brightness_model(level=0.04, digit="1")


class Other(Brightness):
    """Another detector of brightness."""

    name = "other"


def record(folder: Path, levels: list[int]) -> Path:
    writer = FootageWriter(folder, "door", (32, 24), 10.0)
    rng = np.random.default_rng(0)
    for number, level in enumerate(levels):
        writer.add(number / 10, picture(level) + rng.integers(0, 3, (24, 32, 3), np.uint8))
    return folder


def normal(folder: Path, levels: list[int]) -> Normal:
    return read_normal([FootageSource(record(folder, levels))], QUIET)


def test_alarms_in_the_footage_that_it_learned_from_are_held_against_it(tmp_path: Path) -> None:
    stretches = normal(tmp_path / "f", [CALM] * 30 + [ODD] * 15 + [CALM] * 55).stretches
    why = why_worse(BEFORE, WILD, stretches, QUIET, false_alarms_per_day=1.0)
    assert why == "in 10 s of the footage that it learned from, it raised 1 alarm, the version before it 0"
    assert why_worse(WILD, WILD, stretches, QUIET, false_alarms_per_day=1.0) is None


def test_two_alarms_more_in_what_was_watched_meanwhile_are_held_against_it(tmp_path: Path) -> None:
    stretches = normal(tmp_path / "f", [CALM] * 60).stretches
    pause = [CALM] * 400
    watched = record(tmp_path / "watched", (([CALM] * 30) + [ODD] * 15 + pause) * 2)
    why = why_worse(BEFORE, WILD, stretches, QUIET, false_alarms_per_day=1.0, watched=watched)
    assert why is not None
    assert "of what was watched meanwhile, it raised 2 alarms, the version before it 0" in why
    once = record(tmp_path / "once", [CALM] * 30 + [ODD] * 15 + [CALM] * 40)
    for folder in (once, tmp_path / "missing"):
        assert why_worse(BEFORE, WILD, stretches, QUIET, false_alarms_per_day=1.0, watched=folder) is None


@pytest.mark.parametrize("worse", [None, "it raised 18 alarms"])
def test_a_worse_version_is_said_and_not_used(
    worse: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fit(clips: object, seed: int, device: str, report: Report) -> Detector:  # noqa: ARG001
        return Brightness()

    def fit_other(clips: object, seed: int, device: str, report: Report) -> Detector:  # noqa: ARG001
        return Other()

    monkeypatch.setitem(REGISTRY, "brightness", "monitor.testing.fakes:Brightness")
    monkeypatch.setitem(REGISTRY, "other", f"{__name__}:Other")
    monkeypatch.setitem(LEARNERS, "brightness", Learner(fit))
    monkeypatch.setitem(LEARNERS, "other", Learner(fit_other, refit=False))
    monkeypatch.setattr(learn_model, "why_worse", lambda *_, **__: worse)
    footage = record(tmp_path / "footage", [CALM, ODD] * 100)
    settings = LearnSettings("door", tmp_path / "models", ("brightness", "other"))
    written = learn([FootageSource(footage)], ["f"], settings, Report())
    assert [folder.name for folder in written] == (["v0001", "v0002"] if worse is None else ["v0001"])
    assert sorted(p.name for p in settings.folder.iterdir()) == [folder.name for folder in written]
    said = "warning: the version with other is not used: it raised 18 alarms"
    assert (said in capsys.readouterr().err) is (worse is not None)
