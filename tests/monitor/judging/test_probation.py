"""A new version of a model beside the version before it: each counts its own alarms on the same frames."""

from dataclasses import replace

import pytest

from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.probation import Probation, most_expected
from monitor.scores.calibration import DAY_S
from monitor.scores.smoothing import SmoothingSettings
from monitor.testing.fakes import brightness_model, brightness_scale, scored

CALM, ODD = 25, 60  # grey levels: usual, and between the thresholds of the two versions
NEW = brightness_model(level=0.04, digit="1")


def monitor(level: float) -> CameraMonitor:
    settings = AlertSettings(cooldown_s=0)
    return CameraMonitor("cam", brightness_scale(brightness_model(level)), SmoothingSettings(), settings)


def episodes(count: int, level: int, calm: int = 10) -> list[int]:
    return ([calm] * 30 + [level] * 15 + [calm] * 15) * count


def played(new_level: float, before_level: float, levels: list[int], spare: int = 0) -> Probation:
    new = monitor(new_level)
    probation = Probation(monitor(before_level), new.scale.names, spare)
    for number, level in enumerate(levels):
        probation.update(new.update(scored(number / 10, level)))
    return probation


def test_a_version_that_raises_alarms_where_the_one_before_is_silent_is_worse() -> None:
    probation = played(0.04, 0.3, episodes(3, ODD))
    assert (probation.alarms, probation.alarms_before) == (3, 0)
    assert probation.worse
    assert not played(0.04, 0.3, episodes(3, ODD), spare=3).worse, "three may be real"


@pytest.mark.parametrize(("new", "before"), [(0.04, 0.04), (0.3, 0.04)])
def test_a_version_that_raises_no_more_alarms_is_not_worse(new: float, before: float) -> None:
    probation = played(new, before, episodes(3, ODD))
    assert probation.alarms_before == 3
    assert not probation.worse


def test_time_is_counted_without_gaps() -> None:
    new = monitor(0.1)
    probation = Probation(monitor(0.1), new.scale.names)
    for time_s, segment in ((0.0, 0), (1.0, 0), (500.0, 0), (501.0, 1), (502.0, 1)):
        probation.update(new.update(scored(time_s, CALM, segment)))
    assert probation.watched_s == pytest.approx(2.0)


def test_each_judges_by_its_own_detectors() -> None:
    new = monitor(0.04)
    probation = Probation(monitor(0.3), ("other", "brightness"))
    judgement = new.update(scored(0.0, ODD))
    other = replace(judgement.scored.detections[0], score=9.0)
    both = replace(judgement.scored, detections=(other, *judgement.scored.detections))
    for number in range(30):
        frame = replace(both.frame, time_s=number / 10)
        probation.update(replace(judgement, scored=replace(both, frame=frame)))
    assert probation.alarms_before == 0, "the score of the other detector does not count"
    with pytest.raises(ValueError, match="lacks brightness"):
        Probation(monitor(0.3), ("other",))


def test_the_budget_explains_some_alarms() -> None:
    assert most_expected(1.0, 600.0) == 0
    assert most_expected(1.0, DAY_S) == 3, "the 95 % quantile of the Poisson distribution with mean 1"
    assert most_expected(144.0, 600.0) == 3
    assert most_expected(1e9, DAY_S) == 10_000
