"""The report on a camera: frames that no detector judges are no watching, and are said and counted."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from monitor.app.outcome import Outcome
from monitor.detector.base import Observation, nan_detection
from monitor.judging.camera_monitor import Alert, Judgement
from monitor.live.camera_figures import CameraFigures
from monitor.live.capture import CaptureSettings
from monitor.live.frame_queue import QueueCounters
from monitor.live.load_control import LEVELS
from monitor.live.watch import Watch
from monitor.reports import CameraReport, RunReport
from monitor.states import AlertEvent, CameraState, Phase
from monitor.testing.fakes import (
    Brightness,
    Shown,
    ShownSource,
    brightness_model,
    brightness_scale,
    fleet_of,
    monitor_of,
    picture,
    scored,
    watched_by,
)
from monitor.types import CaptureStatus, Detection, Health


class Sometimes(Brightness):
    """Judges the frames at these times, in stream seconds."""

    def __init__(self, judges: Callable[[float], bool]) -> None:
        self._judges = judges

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        found = super().score(batch)
        return [d if self._judges(o.frame.time_s) else nan_detection() for d, o in zip(found, batch, strict=True)]


def _judged(figures: CameraFigures, time_s: float, score: float) -> None:
    figures.judged(Judgement(scored(time_s), score, (), brightness_scale(), (score,)))


def _report(figures: CameraFigures, status: CaptureStatus) -> CameraReport:
    return figures.report("cam", "test", status, QueueCounters(), None, 100.0)


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (CameraState.ONLINE, CameraState.UNSCORED),
        (CameraState.MOVED, CameraState.UNSCORED),
        (CameraState.NOISY, CameraState.UNSCORED),
        (CameraState.OFFLINE, CameraState.OFFLINE),
        (CameraState.STALLED, CameraState.STALLED),
        (CameraState.DARK, CameraState.DARK),
        (CameraState.MISFIT, CameraState.MISFIT),
        (CameraState.LEARNING, CameraState.LEARNING),
    ],
)
def test_a_camera_that_no_detector_judges_is_unscored_not_online(state: CameraState, shown: CameraState) -> None:
    figures = CameraFigures()
    for number in range(12):
        _judged(figures, number * 1.0, math.nan)
    report = _report(figures, CaptureStatus(state, detail="and this"))
    assert report.state is shown
    assert math.isnan(report.score)
    if shown is CameraState.UNSCORED:
        assert report.detail.startswith("no detector can judge its frames: frames are analysed 1.0 s apart")
        assert report.detail.endswith("; and this")
        assert report.unscored_s == pytest.approx(11)
    _judged(figures, 12.0, 0.1)
    assert _report(figures, CaptureStatus(CameraState.ONLINE)).state is CameraState.ONLINE


def test_frames_that_wait_and_are_never_scored_are_said_although_the_camera_is_sound() -> None:
    """A device that hangs. A camera without waiting frames, or with frames taken now and then, does not."""
    figures, online = CameraFigures(), CaptureStatus(CameraState.ONLINE)
    _judged(figures, 0.0, 0.1)

    def state(now: float, waiting: int, taken: int) -> CameraState:
        return figures.report("cam", "test", online, QueueCounters(taken=taken, waiting=waiting), None, now).state

    assert [state(now, 0, 1) for now in (0.0, 50.0)] == [CameraState.ONLINE] * 2
    assert [state(now, 4, round(now)) for now in (50.1, 59.0, 68.0)] == [CameraState.ONLINE] * 3
    assert [state(now, 4, 68) for now in (68.1, 77.0)] == [CameraState.ONLINE] * 2
    assert state(78.5, 4, 68) is CameraState.UNSCORED
    assert math.isnan(figures.report("cam", "test", online, QueueCounters(taken=68, waiting=4), None, 79.0).score)
    assert state(79.0, 3, 69) is CameraState.ONLINE


def _ended(judges: Callable[[float], bool], step_s: float, seconds: float) -> CameraReport:
    """The last report on a file."""
    shown = [Shown(number * step_s, picture(20 + number % 9)) for number in range(round(seconds / step_s))]
    model = replace(brightness_model(), detectors=(Sometimes(judges),))
    camera = watched_by(ShownSource(shown, 1 / step_s), model, CaptureSettings(speed=None))
    run = Watch(fleet_of(camera), []).run(threading.Event(), 30.0)
    (report,) = run.cameras
    assert report.state is CameraState.ENDED
    return report


def test_a_pause_is_no_time_in_which_the_monitor_failed_to_judge() -> None:
    shown = [Shown(number / 10, picture(20 + number % 9)) for number in range(900)]
    camera = watched_by(ShownSource(shown, 10), capture=CaptureSettings(speed=None, paused=True))
    (report,) = Watch(fleet_of(camera), []).run(threading.Event(), 30.0).cameras
    assert (report.to_judge, report.judged, report.unwatched, report.watched_s) == (0, 0, False, 0.0)
    assert _problems(report) == []


def _problems(report: CameraReport, *, stopped: bool = False) -> list[str]:
    return Outcome(RunReport(1.0, 0, (report,)), stopped).problems()


def test_a_file_without_any_judgement_has_failed_and_says_why() -> None:
    report = _ended(lambda _: False, 1.0, 30.0)
    (problem,) = _problems(report)
    assert problem.startswith("no frame was scored for shown (no detector could judge its frames: frames are analysed ")
    (problem,) = _problems(_ended(lambda _: False, 0.1, 0.5))
    assert "there are too few of them" in problem


def test_damaged_frames_without_a_state_of_their_own_are_told() -> None:
    figures = CameraFigures()
    damaged = scored(0.0)
    damaged = replace(damaged, frame=replace(damaged.frame, health=Health(scored=False)))
    figures.judged(Judgement(damaged, math.nan, (), brightness_scale(), (math.nan,)))
    report = _report(figures, CaptureStatus(CameraState.ONLINE))
    assert report.unjudged == "their pictures are damaged, or change as a whole"


@pytest.mark.parametrize("count", [3, 10, 11, 70])
def test_a_failure_of_many_cameras_names_some_of_them(count: int) -> None:
    report = _ended(lambda _: False, 1.0, 30.0)
    for one in (
        report,
        replace(report, unscored="", state=CameraState.FAILED, detail="it is damaged"),
        replace(report, unscored="", unscored_s=20.0, judged=9, to_judge=10),
        replace(report, unscored="", unscored_s=0.0, judged=1, to_judge=10),
        replace(report, state=CameraState.ONLINE, frames_in=0, detail="it is silent"),
    ):
        cameras = tuple(replace(one, name=f"c{number}!", source=f"/f/{number}.mp4") for number in range(count))
        said = " ".join(Outcome(RunReport(1.0, 0, cameras), stopped=False).problems())
        assert [f"c{number}!" in said for number in range(count)] == [number < 10 for number in range(count)]
        assert ("others" in said) is (count > 11)
        assert ("and 1 other" in said) is (count == 11)
        assert len(said) < 2500
        assert "/f/12.mp4" not in said


def test_a_file_of_which_a_part_was_not_judged_has_failed() -> None:
    report = _ended(lambda time_s: time_s < 40.0, 0.2, 60.0)
    assert report.unscored_s == pytest.approx(20, abs=0.5)
    (problem,) = _problems(report)
    assert problem.startswith("no detector could judge 20 s of the 1 min of shown: run `")


@pytest.mark.parametrize(
    ("judges", "step_s", "seconds", "why"),
    [
        (lambda at: at > 0.35, 0.1, 3.0, "detectors need some frames first, at the start of a stream and after a gap"),
        (lambda at: not 1 < at < 2, 0.1, 3.0, "no detector could judge the picture for a moment"),
        (
            lambda at: at < 1,
            1.0,
            30.0,
            "no detector could judge them: frames are analysed 1.0 s apart: raise the camera's",
        ),
        (lambda at: at < 1, 0.1, 30.0, "no detector could judge them: the picture or its light is not of the kind"),
        (lambda _: True, 0.1, 3.0, ""),
    ],
)
def test_why_frames_were_not_judged_is_a_whole_sentence(
    judges: Callable[[float], bool], step_s: float, seconds: float, why: str
) -> None:
    report = _ended(judges, step_s, seconds)
    assert report.unjudged.startswith(why)
    assert bool(report.unjudged) is bool(why)
    assert not report.unjudged.endswith("its frames")


def test_a_moment_without_judgement_is_no_failure() -> None:
    assert _problems(_ended(lambda time_s: not 10 <= time_s < 14, 0.2, 60.0)) == []
    assert _problems(_ended(lambda time_s: time_s > 1.0, 0.2, 60.0)) == []


def test_what_the_user_stopped_at_its_start_is_no_failure() -> None:
    report = replace(_ended(lambda _: False, 0.1, 2.0), state=CameraState.ENDED)
    assert _problems(report, stopped=True) == []
    assert _problems(report) != []


def test_a_live_camera_that_was_never_judged_has_failed_at_the_end_of_the_duration() -> None:
    report = replace(_ended(lambda _: False, 1.0, 30.0), state=CameraState.UNSCORED)
    assert _problems(report) != []
    assert _problems(replace(report, state=CameraState.ONLINE, unscored="", unscored_s=0.0, to_judge=0)) == []


def _watch_dark(judged: Callable[[float], bool], seconds: int) -> tuple[CameraFigures, list[CameraReport]]:
    """A report each second on a camera whose picture is dark, unless a frame is judged."""
    figures, reports = CameraFigures(), []
    dark = Health(CameraState.DARK, "the picture is black", scored=False)
    for number in range(seconds):
        good = judged(float(number))
        frame = replace(scored(float(number)).frame, health=Health() if good else dark)
        score = 0.1 if good else math.nan
        shown = replace(scored(float(number)), frame=frame)
        figures.judged(Judgement(shown, score, (), brightness_scale(), (score,)))
        health = frame.health
        reports.append(_report(figures, CaptureStatus(health.state, detail=health.detail)))
    return figures, reports


def test_a_camera_of_which_nothing_was_judged_for_a_minute_says_so_whatever_the_reason() -> None:
    _, reports = _watch_dark(lambda time_s: time_s < 5 or time_s >= 100, 110)
    assert [report.unwatched for report in reports].index(True) in range(61, 66)
    assert {report.state for report in reports[5:100]} == {CameraState.DARK}
    assert reports[99].detail == "nearly nothing has been judged for a minute: the picture is black"
    assert "minute" not in reports[50].detail
    assert not reports[101].unwatched
    assert reports[101].state is CameraState.ONLINE


def test_a_frame_that_is_judged_now_and_then_is_no_watching() -> None:
    _, reports = _watch_dark(lambda time_s: time_s % 30 == 0 and time_s > 0, 100)
    assert reports[95].unwatched


def test_a_run_of_which_only_a_small_part_was_judged_has_failed_and_names_the_cause() -> None:
    _, reports = _watch_dark(lambda time_s: time_s < 10, 100)
    ended = replace(reports[-1], state=CameraState.ENDED, frames_in=100, analysed=100)
    (problem,) = _problems(ended)
    assert problem == "only a small part was judged: 10 of 100 frames of cam (the picture is black)"
    assert _problems(ended, stopped=True) == [problem]
    assert _problems(replace(ended, state=CameraState.DARK), stopped=True) == []
    assert _problems(replace(ended, judged=30)) == []


def test_a_run_that_analysed_next_to_nothing_has_failed() -> None:
    figures = CameraFigures()
    _judged(figures, 0.0, 0.1)
    ended = replace(_report(figures, CaptureStatus(CameraState.ENDED)), frames_in=120, analysed=1)
    (problem,) = _problems(ended)
    assert problem.endswith("1 of 120 frames of cam; raise analysis_fps")


@pytest.mark.parametrize("frames", [1, 2])
def test_a_file_of_one_or_two_frames_has_failed(frames: int) -> None:
    figures = CameraFigures()
    _judged(figures, 0.0, 0.1)
    ended = replace(_report(figures, CaptureStatus(CameraState.ENDED)), frames_in=frames, analysed=frames)
    (problem,) = _problems(ended)
    assert problem.startswith(f"too few frames came to watch anything: {frames} frame")
    assert problem.endswith(" of cam; give a longer video, or more images")
    assert _problems(ended, stopped=True) == []


def test_frames_that_are_not_scored_are_not_judged_even_if_the_smoothed_score_lasts_over_them() -> None:
    """A white picture in every fifth frame: the median of the frames around it is a score all the same."""
    figures, white = CameraFigures(), Health(CameraState.DARK, "the picture is white", scored=False)
    for number in range(20):
        shown = scored(number / 10)
        if number % 5 == 4:
            shown = replace(shown, frame=replace(shown.frame, health=white))
        figures.judged(Judgement(shown, 0.1, (), brightness_scale(), (0.1,)))
    report = _report(figures, CaptureStatus(CameraState.ONLINE))
    assert (report.judged, report.to_judge, report.unjudged) == (16, 20, "the picture is white")


@pytest.mark.parametrize("step_s", [2.0, 1.0, 0.625, 0.1, 1 / 60])
def test_frames_of_any_rate_are_judged_by_detectors_that_can(step_s: float) -> None:
    report = _ended(lambda _: True, step_s, max(10.0, 12 * step_s))
    assert (report.unscored, report.unscored_s) == ("", 0.0)
    assert not np.isnan(report.score)


def _alarm(figures: CameraFigures, number: int, time_s: float, *, notify: bool = True, early: bool = False) -> None:
    event = AlertEvent(number, Phase.START, time_s, None, 1.2, 1.2, time_s, notify=notify)
    alert = Alert("cam", event, 0.0, None, 0.0, scored(time_s), (), (), brightness_scale(), early=early)
    figures.judged(Judgement(scored(time_s), 1.2, (alert,), brightness_scale(), (1.2,)))


def test_early_alarms_are_allowed_in_addition_to_the_promise() -> None:
    figures, monitor = CameraFigures(), monitor_of("cam")
    for number in range(1, 30):
        _alarm(figures, number, float(number), early=True)
    report = figures.report("cam", "test", CaptureStatus(CameraState.ONLINE, 0.0), QueueCounters(), monitor, 100.0)
    assert report.promise is not None
    assert report.promise.alarms == 0
    assert report.state is CameraState.ONLINE
    _alarm(figures, 29, 30.0)  # it got worse: any camera would raise it
    report = figures.report("cam", "test", CaptureStatus(CameraState.ONLINE, 0.0), QueueCounters(), monitor, 101.0)
    assert report.promise is not None
    assert report.promise.alarms == 1


def test_alarms_that_people_are_notified_of_count_beside_the_time_watched() -> None:
    figures, monitor = CameraFigures(), monitor_of("cam")
    for number in range(60):
        _judged(figures, number / 10, 0.1)
    _alarm(figures, 1, 6.0)
    _alarm(figures, 1, 6.1)  # the same event
    _alarm(figures, 2, 6.2, notify=False)
    report = figures.report("cam", "test", CaptureStatus(CameraState.ONLINE, 0.0), QueueCounters(), monitor, 100.0)
    assert report.promise is not None
    assert report.promise.alarms == 1
    assert report.promise.watched_s == pytest.approx(6.2)
    assert report.state is CameraState.ONLINE
    for number in range(3, 9):
        _alarm(figures, number, 4.0 + number)
    over = figures.report("cam", "test", CaptureStatus(CameraState.ONLINE, 0.0), QueueCounters(), monitor, 100.0)
    assert over.state is CameraState.OVER_BUDGET
    assert "promised 1: the threshold does not hold what it promises here" in over.detail


def test_the_time_in_which_nobody_watched_a_live_camera_is_counted_and_that_of_a_file_is_not() -> None:
    for live in (True, False):
        figures, monitor = CameraFigures(live=live), monitor_of("cam")
        for second in range(120):
            if not 40 <= second < 70:
                judged = replace(scored(float(second)), scored_at=1000.0 + second)
                figures.judged(Judgement(judged, 0.2, (), brightness_scale(), (0.2,)))
            status = CaptureStatus(CameraState.ONLINE)
            report = figures.report("cam", "test", status, QueueCounters(), monitor, 1000.0 + second + 0.5)
        assert report.promise is not None
        assert report.promise.counted_blind_s == pytest.approx(31.0 if live else 0.0)


def test_a_frame_that_no_detector_judges_is_not_watched() -> None:
    figures, monitor = CameraFigures(live=True), monitor_of("cam")
    for second in range(21):
        judged = replace(scored(float(second)), scored_at=float(second))
        figures.judged(Judgement(judged, math.nan, (), brightness_scale(), (math.nan,)))
        report = figures.report("cam", "t", CaptureStatus(), QueueCounters(), monitor, float(second))
    assert report.promise is not None
    assert report.promise.watched_share == pytest.approx(0.0, abs=0.3)
    assert report.promise.blind_s == pytest.approx(20.0)


def test_what_a_camera_gives_up_is_its_state_and_dropped_frames_change_nothing_about_that() -> None:
    figures, monitor = CameraFigures(live=True), monitor_of("cam")
    told = []
    for second in range(30):
        relief = LEVELS[4 if second < 10 else 6 if second < 20 else 0].said
        queue = QueueCounters(put=10 * second, dropped_full=min(15, second))
        status = CaptureStatus(CameraState.ONLINE)
        report = figures.report("cam", "t", status, queue, monitor, float(second), relief=relief)
        if figures.changed(report, float(second)):
            told.append((report.state, report.detail.partition(":")[0]))
    assert told == [
        (CameraState.OVERLOADED, "fewer frames are decoded and analysed"),
        (CameraState.ONLINE, ""),
    ]


def test_the_budget_is_known_before_the_camera_is_open() -> None:
    monitor = monitor_of("cam")
    monitor.scale = monitor.scale.with_budget(100.0)
    status = CaptureStatus(CameraState.CONNECTING)
    report = CameraFigures().report("cam", "test", status, QueueCounters(), monitor, 100.0)
    assert report.promise is not None
    assert report.promise.promised_per_day == 100.0


def test_a_camera_over_its_budget_is_reported_with_each_alarm_and_not_with_each_second() -> None:
    figures, monitor = CameraFigures(), monitor_of("cam")
    told = []
    for number in range(400):
        if number % 50 == 25:
            _alarm(figures, 1 + number // 50, number / 2)
        else:
            _judged(figures, number / 2, 0.1)
        status = CaptureStatus(CameraState.ONLINE, 0.0)
        report = figures.report("cam", "test", status, QueueCounters(), monitor, 100.0 + number)
        if figures.changed(report, 100.0 + number):
            told.append((number, report.state))
    assert told[0] == (0, CameraState.ONLINE)
    assert len(told) >= 4
    assert all(number % 50 == 25 and state is CameraState.OVER_BUDGET for number, state in told[1:])


def test_the_promise_says_what_the_threshold_can_confirm() -> None:
    monitor = monitor_of("cam")
    report = CameraFigures().report("cam", "test", CaptureStatus(CameraState.ONLINE), QueueCounters(), monitor, 100.0)
    assert report.promise is not None
    assert report.promise.supported_per_day == monitor.scale.supported_per_day
