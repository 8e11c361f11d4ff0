"""Checks of the promises of ``monitor.live.sink`` to the main loop. Every sink passes them. Use them for your own sink.

    @pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
    def test_my_sink(check: SinkCheck) -> None:
        with MySink() as sink:
            check(sink)

Each check calls the sink in the same order as the main loop. It raises AssertionError with one sentence if the sink
breaks a promise. An exception of the sink itself is a broken promise, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.live.sink import Sink
from monitor.reports import CameraReport, Progress, RunReport
from monitor.states import CameraState, Phase
from monitor.testing.fakes import brightness_model, monitor_of, picture
from monitor.types import Detection, Frame, Health, ScoredFrame

SinkCheck = Callable[[Sink], None]

_CALM, _BRIGHT = 25, 200


def report_of(name: str, state: CameraState = CameraState.ONLINE, detail: str = "", **changes: object) -> CameraReport:
    """A report of a camera without problems. changes: other values for fields of the report."""
    plain = CameraReport(
        name=name,
        source="rtsp://host/path",
        state=state,
        since=0.0,
        detail=detail,
        score=0.3,
        alarmed=False,
        history=(0.1, None, 1.2),
        fps_in=25.0,
        fps_analysed=10.0,
        age_p50_s=0.012,
        age_p99_s=0.145,
        frames_in=1000,
        analysed=400,
        dropped=0,
        reconnects=0,
        stalls=0,
        missing=0,
        unreadable=0,
        events=0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def play(sink: Sink, monitor: CameraMonitor, seconds: Sequence[int], segment: int = 0) -> list[Alert]:
    """Judge one second of frames per grey level and call the sink like the main loop. Returns the alerts."""
    raised: list[Alert] = []
    for number, level in enumerate(level for level in seconds for _ in range(10)):
        image = picture(level)
        image.flags.writeable = False
        time_s = segment * 1000 + number / 10
        frame = Frame(monitor.camera, number, time_s, image, segment, wall_time=1e9 + time_s, media_s=time_s)
        grey = image.mean(axis=2)
        found = Detection(float(grey.mean()) / 255, grey.astype(np.float32))
        judgement = monitor.update(ScoredFrame(frame, (found,), 0.0))
        _tell(sink, judgement)
        raised.extend(judgement.alerts)
    for alert in monitor.close():
        sink.alert(alert, report_of(monitor.camera))
        raised.append(alert)
    return raised


def check_a_whole_run(sink: Sink) -> None:
    """A camera joins, has an event with start, updates and end, and the run ends."""
    monitor = monitor_of("door")
    sink.added(monitor)
    sink.health(report_of("door"))
    raised = play(sink, monitor, [_CALM] * 3 + [_BRIGHT] * 4 + [_CALM] * 4)
    assert {alert.event.phase for alert in raised} >= {Phase.START, Phase.END}, "the check raised no whole event"
    sink.tick(RunReport(10.0, 3, (report_of("door", alarmed=True, events=1),)))
    sink.health(report_of("door", CameraState.ENDED))
    sink.tick(RunReport(11.0, 0, (report_of("door", CameraState.ENDED, events=1),)))


def check_every_state(sink: Sink) -> None:
    """A camera may be in any state, with or without a detail, and it may learn."""
    for state in CameraState:
        for detail in ("", "a reason with an é, a [bracket] and a % sign"):
            sink.health(report_of("door", state, detail))
            sink.tick(RunReport(1.0, 0, (report_of("door", state, detail, progress=Progress(0.5, "learning", 12.0)),)))


def check_no_score_yet(sink: Sink) -> None:
    """Scores are NaN while no detector can judge; some figures are None before the first frame."""
    monitor = monitor_of("door")
    sink.added(monitor)
    blind = Frame("door", 0, 0.0, picture(_CALM), health=Health(CameraState.DARK, "black", scored=False))
    _tell(sink, monitor.update(ScoredFrame(blind, (Detection(math.nan),), 0.0)))
    nothing = report_of("door", score=math.nan, history=(), age_p50_s=None, age_p99_s=None, analysed=0)
    sink.tick(RunReport(0.0, 0, (nothing,)))


def check_no_camera(sink: Sink) -> None:
    """A run may have no camera for a while, and then many."""
    sink.tick(RunReport(0.0, 0, ()))
    sink.tick(RunReport(0.1, 0, tuple(report_of(f"camera-{number}") for number in range(70))))
    sink.tick(RunReport(0.2, 0, ()))


def check_a_camera_comes_back(sink: Sink) -> None:
    """A camera is removed, and another one of the same name is added, with another model and other segments."""
    sink.removed("never-seen")
    for number, model in enumerate((brightness_model(), replace(brightness_model(), hash="1" * 64))):
        monitor = monitor_of("door", model)
        sink.added(monitor)
        play(sink, monitor, [_CALM] * 3 + [_BRIGHT] * 2, segment=number * 1_000_000)
        sink.health(report_of("door", CameraState.ENDED, "removed"))
        sink.removed("door")
        sink.tick(RunReport(1.0, 0, ()))


def check_another_model_in_mid_stream(sink: Sink) -> None:
    """A camera gets another model while it is watched: the numbering of its events continues."""
    first, second = monitor_of("door"), monitor_of("door", replace(brightness_model(), hash="1" * 64))
    sink.added(first)
    play(sink, first, [_CALM] * 3 + [_BRIGHT] * 2)
    second.count_from(first.events)
    sink.added(second)
    raised = play(sink, second, [_CALM] * 3 + [_BRIGHT] * 2, segment=1)
    assert {alert.event.number for alert in raised} == {2}, "the check numbered its events wrongly"


def check_frames_are_not_changed(sink: Sink) -> None:
    """A sink does not write to frames, because it shares them with other sinks."""
    monitor = monitor_of("door")
    sink.added(monitor)
    play(sink, monitor, [_CALM] * 2 + [_BRIGHT] * 2)  # read-only frames: a write raises


SINK_CHECKS: tuple[SinkCheck, ...] = (
    check_a_whole_run,
    check_every_state,
    check_no_score_yet,
    check_no_camera,
    check_a_camera_comes_back,
    check_another_model_in_mid_stream,
    check_frames_are_not_changed,
)
"""All checks. Use a new sink for each check."""


def _tell(sink: Sink, judgement: Judgement) -> None:
    sink.frame(judgement.scored)
    sink.score(judgement)
    for alert in judgement.alerts:
        sink.alert(alert, report_of(judgement.scored.frame.camera, alarmed=True))
