import gc
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.detector.base import Observation
from monitor.errors import CaptureError, RunError, SourceError, StageError
from monitor.judging.camera_monitor import Alert, Judgement
from monitor.judging.scorer import Scorer
from monitor.learning.coordinator import Learning
from monitor.live.camera_figures import CameraFigures
from monitor.live.capture import CaptureSettings
from monitor.live.fleet import Fleet
from monitor.live.frame_queue import QueueCounters
from monitor.live.pipeline import OBJECTS_OF_PYTHON, Pipeline
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.model.model_store import Model
from monitor.reports import CameraReport, RunReport
from monitor.sinks.score_record import Recorder
from monitor.sources.source import Reader, Source
from monitor.states import CameraState, Phase
from monitor.testing.fakes import (
    Brightness,
    LevelSource,
    brightness_model,
    fleet_of,
    frame,
    judgement,
    monitor_of,
    scored,
    watched_by,
)
from monitor.types import CaptureStatus, Detection, ScoredFrame

DEADLINE_S = 20
FAST = CaptureSettings(speed=None)
SCENE = [25] * 50 + [200] * 50 + [25] * 100


class Notes(Sink):
    def __init__(self) -> None:
        self.scores: list[Judgement] = []
        self.alerts: list[Alert] = []
        self.states: list[tuple[str, CameraState]] = []

    def score(self, judgement: Judgement) -> None:
        self.scores.append(judgement)

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002
        self.alerts.append(alert)

    def health(self, report: CameraReport) -> None:
        self.states.append((report.name, report.state))


def watch(
    sources: Sequence[Source], *sinks: Sink, capture: CaptureSettings = FAST, stop: threading.Event | None = None
) -> RunReport:
    fleet = fleet_of(*(watched_by(source, capture=capture) for source in sources))
    return Watch(fleet, sinks).run(stop or threading.Event(), DEADLINE_S)


def test_files_are_scored_whole_and_their_events_end_with_them() -> None:
    notes = Notes()
    report = watch([LevelSource("a", SCENE), LevelSource("b", [25] * 20 + [200] * 30)], notes)
    counted = {camera.name: (camera.analysed, camera.dropped, camera.events) for camera in report.cameras}
    assert counted == {"a": (200, 0, 1), "b": (50, 0, 1)}
    assert [a.event.phase for a in notes.alerts if a.camera == "a"] == ["start", "end"]
    assert [a.event.phase for a in notes.alerts if a.camera == "b"] == ["start", "end"], "open when the file ends"
    assert ("a", CameraState.ENDED) in notes.states
    assert [j.scored.frame.index for j in notes.scores if j.scored.frame.camera == "a"] == list(range(200))


def test_what_is_loaded_is_kept_from_searches_for_garbage_once_per_process() -> None:
    class Frozen(Sink):
        def __init__(self) -> None:
            self.objects = 0

        def tick(self, report: RunReport) -> None:  # noqa: ARG002
            self.objects = max(self.objects, gc.get_freeze_count())

    during = Frozen()
    gc.unfreeze()
    try:
        watch([LevelSource("a", [25] * 3)], during)
        assert during.objects > OBJECTS_OF_PYTHON > gc.get_freeze_count(), "only as long as it runs"
    finally:
        gc.freeze()
    before, again = gc.get_freeze_count(), Frozen()
    watch([LevelSource("a", [25] * 3)], again)
    assert before >= again.objects >= gc.get_freeze_count() > OBJECTS_OF_PYTHON, "the process has done it already"


def test_the_event_of_a_file_that_has_ended_ends_though_others_go_on() -> None:
    stop = threading.Event()

    class Until(Notes):
        def alert(self, alert: Alert, report: CameraReport) -> None:
            super().alert(alert, report)
            if alert.event.phase is Phase.END:
                stop.set()

    notes = Until()
    endless = replace(FAST, loop=True)
    ending = watched_by(LevelSource("a", [25] * 20 + [200] * 30))
    fleet = fleet_of(ending, watched_by(LevelSource("b", [25] * 100), capture=endless))
    Watch(fleet, [notes]).run(stop, DEADLINE_S)
    assert [(a.camera, a.event.phase) for a in notes.alerts] == [("a", Phase.START), ("a", Phase.END)]
    assert [j.scored.frame.index for j in notes.scores if j.scored.frame.camera == "a"] == list(range(50))
    assert stop.is_set(), "not only at the end of the run"


class LearningAtFirst(Learning):
    """Reports that every camera learns, until twenty frames are analysed."""

    def __init__(self) -> None:
        super().__init__((), lambda plan: pytest.fail(str(plan)))

    def amend(self, report: CameraReport) -> CameraReport:
        learns = report.state is CameraState.ONLINE and report.analysed < 20
        return replace(report, state=CameraState.LEARNING) if learns else report


def test_a_state_that_is_not_the_capture_s_own_has_a_beginning_of_its_own() -> None:
    source, times = LevelSource("a", [25] * 60), dict[CameraState, set[float]]()

    class Times(Sink):
        def tick(self, report: RunReport) -> None:
            for camera in report.cameras:
                times.setdefault(camera.state, set()).add(camera.since)

    fleet = fleet_of(watched_by(source, capture=CaptureSettings(speed=1.0)))
    Watch(fleet, [Times()], learning=LearningAtFirst()).run(threading.Event(), DEADLINE_S)
    (learns,), (online,) = times[CameraState.LEARNING], times[CameraState.ONLINE]
    assert online - learns > 0.5, "the time when watching starts, not when the camera was opened"


def test_a_file_that_cannot_be_played_as_fast_as_asked_is_overloaded() -> None:
    stop, details = threading.Event(), []

    class Until(Sink):
        def health(self, report: CameraReport) -> None:
            if report.state is CameraState.OVERLOADED:
                details.append(report.detail)
                stop.set()

    report = watch([LevelSource("a", [25] * 50)], Until(), capture=CaptureSettings(speed=1e6, loop=True), stop=stop)
    assert details == ["played more slowly than requested: lower analysis_fps or the speed"]
    assert report.cameras[0].dropped == 0


@pytest.mark.parametrize("other_speed", [40.0, 200.0])
def test_records_are_byte_identical_whatever_the_timing(tmp_path: Path, other_speed: float) -> None:
    records = []
    for number, speed in enumerate((None, other_speed)):
        paths = (tmp_path / f"scores{number}.jsonl", tmp_path / f"alerts{number}.jsonl")
        cameras = [LevelSource("a", SCENE), LevelSource("b", SCENE[30:])]
        with Recorder(*paths, sort=True) as recorder:
            watch(cameras, recorder, capture=CaptureSettings(speed=speed, analysis_fps=10))
        records.append([path.read_bytes() for path in paths])
    assert records[0] == records[1]
    scores, alerts = records[0]
    assert scores.count(b"\n") == 80 + 68 + 2, "one header per camera"
    assert alerts.count(b'"start"') == 2


class Broken(Brightness):
    """Cannot judge pictures above a level."""

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        if any(observation.frame.image[0, 0, 0] > 100 for observation in batch):
            raise ZeroDivisionError("rtsp://u:hunter2@host divided by zero")
        return super().score(batch)


def test_a_detector_that_fails_at_a_camera_leaves_only_its_frames_unjudged(caplog: pytest.LogCaptureFixture) -> None:
    model = brightness_model()
    broken = type(model)(model.card, (Broken(), Brightness()), model.held_out, model.hash)
    scorer = Scorer({"a": broken, "b": broken, "c": broken}, isolated=True)
    found: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for n in range(6):
        batch = [frame(n, level=200 if camera == "b" and n > 1 else 25, camera=camera) for camera in "abc"]
        for item in scorer.score(batch):
            found[item.frame.camera].append(item.detections[0].score)
            assert item.detections[1].score > 0, "another detector still judges it"
    assert found["a"] == found["c"] == [pytest.approx(25 / 255)] * 6
    assert [math.isnan(score) for score in found["b"]] == [False, False, True, True, True, True]
    assert len(caplog.records) == 1
    assert "b: 'brightness' fails at its pictures" in caplog.text
    assert "hunter2" not in caplog.text
    back = scorer.score([frame(9, camera="b")])[0]
    assert back.detections[0].score == pytest.approx(25 / 255), "it is judged again"
    with pytest.raises(ZeroDivisionError):
        Scorer({"b": broken}).score([frame(0, level=200, camera="b")])


def test_a_camera_at_fault_resets_the_streams_of_others_only_once() -> None:
    seen: list[tuple[str, int]] = []

    class Counting(Broken):
        def score(self, batch: Sequence[Observation]) -> list[Detection]:
            found = super().score(batch)
            seen.extend((o.frame.camera, o.stream[0]) for o in batch)
            return found

    model = brightness_model()
    counting = type(model)(model.card, (Counting(),), model.held_out, model.hash)
    scorer = Scorer({"a": counting, "b": counting}, isolated=True)
    for n in range(4):
        scorer.score([frame(n, level=200 if n else 25, camera="b"), frame(n, camera="a")])
    assert [count for camera, count in seen if camera == "a"] == [1, 1, 2, 3]


def test_a_run_goes_on_without_the_camera_that_a_detector_fails_at() -> None:
    model = brightness_model()
    broken = type(model)(model.card, (Broken(),), model.held_out, model.hash)
    report = watch_with(broken, LevelSource("bad", [200] * 50), LevelSource("good", [25] * 50))
    assert {camera.name: camera.analysed for camera in report.cameras} == {"bad": 50, "good": 50}
    assert {camera.name: math.isnan(camera.score) for camera in report.cameras} == {"bad": True, "good": False}


def watch_with(model: Model, *sources: Source) -> RunReport:
    fleet = fleet_of(*(watched_by(source, model) for source in sources))
    return Watch(fleet, []).run(threading.Event(), DEADLINE_S)


def test_a_camera_that_cannot_be_judged_is_shown_and_the_others_are_judged() -> None:
    bad, good = watched_by(LevelSource("bad", [25] * 50)), watched_by(LevelSource("good", [25] * 50))
    update = bad.monitor.update  # type: ignore[union-attr]

    def failing(item: ScoredFrame) -> Judgement:
        if item.frame.index < 49:
            raise ValueError("scores must come in order of time")
        return update(item)

    bad.monitor.update = failing  # type: ignore[union-attr,method-assign]
    notes = Notes()
    Watch(fleet_of(bad, good), [notes]).run(threading.Event(), DEADLINE_S)
    judged = [judgement.scored.frame.camera for judgement in notes.scores]
    assert (judged.count("good"), judged.count("bad")) == (50, 1)


def test_a_fault_of_judging_is_the_camera_s_state_until_it_is_judged_again() -> None:
    figures, monitor = CameraFigures(), monitor_of("cam")
    status = CaptureStatus(CameraState.ONLINE, 0.0)
    figures.fault = "its frames cannot be judged"
    shown = figures.report("cam", "x", status, QueueCounters(), monitor, 1.0)
    assert (shown.state, shown.detail) == (CameraState.UNSCORED, "its frames cannot be judged")
    figures.judged(judgement(scored(0.0), 0.5))
    assert figures.report("cam", "x", status, QueueCounters(), monitor, 1.0).state is CameraState.ONLINE


def test_an_error_in_the_worker_stops_a_waiting_reader_and_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    source = LevelSource("a", [25] * 10_000)
    fleet = Fleet(Pipeline(cpu_fallback=False), [watched_by(source, on_a_failing_gpu())])
    with pytest.raises(RunError, match="cuda:0 has failed"):
        Watch(fleet, []).run(threading.Event(), DEADLINE_S)
    monkeypatch.setattr(Scorer, "score", lambda *_: 1 / 0)
    with pytest.raises(StageError, match="the inference thread failed: ZeroDivisionError"):
        Watch(fleet_of(watched_by(source)), []).run(threading.Event(), DEADLINE_S)
    assert not [t.name for t in threading.enumerate() if t.name in ("inference", "capture a")]


class VanishingFile(LevelSource):
    def open(self) -> Reader:
        raise SourceError("no such file or folder: gone.mp4")


def test_an_error_of_a_file_ends_that_file_with_its_own_sentence_and_no_other() -> None:
    notes = Notes()
    watch([VanishingFile("a", []), LevelSource("b", [25] * 10)], notes)
    assert ("a", CameraState.FAILED) in notes.states
    assert ("b", CameraState.ENDED) in notes.states
    assert len(notes.scores) == 10


class DeadCamera(LevelSource):
    """Can never be reached. Sets ``tried`` when the monitor has tried twice."""

    def __init__(self, name: str) -> None:
        super().__init__(name, [], live=True)
        self.attempts = 0
        self.tried = threading.Event()

    def open(self) -> Reader:
        self.attempts += 1
        if self.attempts >= 2:
            self.tried.set()
        raise CaptureError("cannot be reached")


def test_one_dead_camera_does_not_stop_another() -> None:
    dead, notes, stop = DeadCamera("dead"), Notes(), threading.Event()

    class StopWhenTried(Sink):
        def tick(self, report: RunReport) -> None:
            alive = next(camera for camera in report.cameras if camera.name == "alive")
            if dead.tried.is_set() and alive.state is CameraState.ENDED and alive.analysed == len(SCENE):
                stop.set()

    capture = CaptureSettings(speed=None, backoff_min_s=0.01, backoff_max_s=0.02)
    report = watch([dead, LevelSource("alive", SCENE)], notes, StopWhenTried(), capture=capture, stop=stop)
    assert stop.is_set()
    assert {c.name: c.analysed for c in report.cameras} == {"dead": 0, "alive": 200}
    assert ("dead", CameraState.OFFLINE) in notes.states


def test_stopping_ends_every_thread_soon_and_closes_open_events() -> None:
    notes, stop = Notes(), threading.Event()

    class StopInTheEvent(Sink):
        def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002
            stop.set()

    started = time.monotonic()
    watch([LevelSource("a", [25] * 50 + [200] * 100_000)], notes, StopInTheEvent(), stop=stop)
    assert [a.event.phase for a in notes.alerts] == ["start", "end"]
    assert time.monotonic() - started < DEADLINE_S / 2
    assert not [t.name for t in threading.enumerate() if t.name in ("inference", "capture a")]


def test_a_scorer_starts_new_streams_at_a_new_segment_and_keeps_cameras_apart() -> None:
    seen: list[tuple[str, int]] = []

    class Counting(Brightness):
        def score(self, batch: Sequence[Observation]) -> list[Detection]:
            found = super().score(batch)
            seen.extend((o.frame.camera, o.stream[0]) for o in batch)
            return found

    model = brightness_model()
    counting = type(model)(model.card, (Counting(),), model.held_out, model.hash)
    scorer = Scorer({"a": counting, "b": counting})
    scorer.score([frame(0, camera="a"), frame(0, camera="b")])
    scorer.score([frame(1, camera="a"), frame(1, camera="b", segment=1)])
    assert seen == [("a", 1), ("b", 1), ("a", 2), ("b", 1)]


class FailingGpu(Brightness):
    """The device fails after three frames."""

    device = "cuda:0"

    def __init__(self) -> None:
        self.left = 3

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        if self.left <= 0:
            raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore lines of advice")
        self.left -= len(batch)
        return super().score(batch)

    def on_cpu(self) -> Brightness:
        return Brightness()


def on_a_failing_gpu() -> Model:
    model = brightness_model()
    return Model(model.card, (FailingGpu(),), model.held_out, model.hash)


def test_a_gpu_that_fails_hands_over_to_the_cpu_and_no_frame_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    scorer = Scorer({"cam": on_a_failing_gpu()})
    scores = [scorer.score([frame(i)])[0].detections[0].score for i in range(10)]
    assert scores == [pytest.approx(25 / 255)] * 10
    assert [record.getMessage() for record in caplog.records] == [
        "cuda:0 has failed (CUDA error: an illegal memory access was encountered): "
        "'brightness' continues on the CPU, more slowly"
    ]


def test_without_leave_to_fall_back_a_failing_gpu_ends_the_run_with_its_reason() -> None:
    scorer = Scorer({"cam": on_a_failing_gpu()}, cpu_fallback=False)
    scorer.score([frame(i) for i in range(3)])
    with pytest.raises(RunError, match=r"cuda:0 has failed \(CUDA error.*--device cpu"):
        scorer.score([frame(3)])
