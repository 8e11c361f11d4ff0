"""The doctor takes the rate and the clock of the run: which detectors can judge what a camera sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from monitor.app.config import MonitorConfig
from monitor.app.doctor.facts import Request
from monitor.app.doctor.finding_report import ModelFacts, State
from monitor.app.doctor.model_check import check_model
from monitor.app.doctor.rate_check import silent_detectors, too_slow
from monitor.app.doctor.rhythm import Arrival, rhythm
from monitor.app.doctor.verdict import judge_stream
from monitor.detector.base import Observation, nan_detection
from monitor.testing.fakes import Brightness, brightness_model
from monitor.types import Detection
from tests.helpers.examined import DEMO_MODEL, GOOD


class Flow(Brightness):
    """Judges a frame if the one before is at most this old, seconds."""

    name = "flow"

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        found = []
        for seen, detection in zip(batch, super().score(batch), strict=True):
            last_s = seen.stream[1] if len(seen.stream) > 1 else -1e9
            seen.stream[1:] = [seen.frame.time_s]
            found.append(detection if seen.frame.time_s - last_s <= self._most_s else nan_detection())
        return found


@pytest.mark.parametrize(("step_s", "silent"), [(0.04, ()), (0.1, ()), (0.5, ()), (1.0, ("flow",)), (2.0, ("flow",))])
def test_detectors_that_cannot_judge_at_this_rate_are_found_by_trying(step_s: float, silent: tuple[str, ...]) -> None:
    model = replace(brightness_model(), detectors=(Brightness(), Flow(0.6)))
    assert silent_detectors(model, (64, 36), step_s) == silent


def test_the_demo_model_judges_from_half_a_frame_per_second_on() -> None:
    finding = check_model(DEMO_MODEL, (320, 180), MonitorConfig(analysis_fps=10.0), "cpu", {"slow": 2.0, "fast": 0.1})
    assert isinstance(finding.facts, ModelFacts)
    assert finding.facts.silent == {"slow": (), "fast": ()}


def test_a_camera_that_no_detector_can_judge_is_a_problem() -> None:
    slow = partial(too_slow, "cam", 1.0)
    none = slow(["flow"], ["flow"])
    assert none is not None
    assert (none.state, none.found) == (
        State.PROBLEM,
        "its frames are analysed every 1.0 s: no detector of its model can judge them",
    )
    assert "analysis_fps to 5 or more" in none.mend
    some = slow(["flow"], ["flow", "scene"])
    assert some is not None
    assert (some.state, some.found[-25:]) == (State.WARNING, "s: flow cannot judge them")
    size = slow([], ["motion"])
    assert size is not None
    assert "only the size and the place" in size.found
    assert slow([], ["scene"]) is too_slow("cam", 0.1, [], ["motion"]) is None


def _arrivals(fps: float, burst: int, pts_fps: float | None, seconds: float = 5.5) -> list[Arrival]:
    return [
        Arrival(n // burst * burst / fps + n % burst * 1e-3, None if pts_fps is None else n / pts_fps, key=True)
        for n in range(round(seconds * fps))
    ]


@pytest.mark.parametrize("pts_fps", [None, 10.0, 25.0])
@pytest.mark.parametrize("burst", [1, 10, 20])
def test_bursts_are_measured_as_a_run_takes_them(burst: int, pts_fps: float | None) -> None:
    beat = rhythm(_arrivals(10.0, burst, pts_fps), 25.0)
    assert beat.step_s == pytest.approx(0.1, rel=0.1)
    assert beat.longest_step_s is not None
    assert beat.longest_step_s < 0.5
    finding = judge_stream(
        "cam",
        replace(GOOD, fps=10.0, claimed_fps=10.0, longest_wait_s=2.0, longest_step_s=beat.longest_step_s),
        Request("url", "rtsp://x/", 5.0, 25.0, 5.0, 4.0, 1.0, 20.0),
        10.0,
    )
    assert "gaps" not in finding.mend


def test_slow_frames_and_real_gaps_stay_what_they_are() -> None:
    slow = rhythm(_arrivals(1.0, 1, None, 8.0), 25.0)
    assert slow.step_s == pytest.approx(1.0)
    gappy = [Arrival(at, at, key=True) for at in [n / 10 for n in range(20)] + [4 + n / 10 for n in range(20)]]
    assert (rhythm(gappy, 10.0).longest_step_s or 2.1) > 2
