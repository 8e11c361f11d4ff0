"""A camera without a model: its frames are recorded, a process learns from them, and then it is watched."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from monitor.app.config import MonitorConfig
from monitor.app.demo import DemoStreet
from monitor.app.models_in_use import ModelsInUse
from monitor.app.planning import find_sources, learned, plan_cameras
from monitor.errors import ConfigError, UsageError
from monitor.judging.camera_monitor import CameraMonitor
from monitor.learning.coordinator import Learning
from monitor.learning.footage import FootageSource, recorded_s
from monitor.learning.footage_recorder import FootageRecorder
from monitor.learning.hold import Hold
from monitor.learning.learning_plan import LearningPlan
from monitor.model.model_store import Model, load_model
from monitor.model.unlearned import unlearned_model
from monitor.reports import CameraReport, Progress, RunReport
from monitor.sinks.log_sink import LogSink
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.sources.video import VideoSource
from monitor.states import CameraState
from monitor.stream.picture_size import judge_size
from monitor.testing.faulty_camera import FaultyCamera
from monitor.text.commands import python_command
from monitor.text.durations import in_words, parse_duration
from monitor.types import Frame, Health, ScoredFrame
from tests.helpers.commands import Finished, monitor
from tests.helpers.normal_street import SIZE, record_street, street
from tests.places import ROOT
from training.learn.learn_model import LearnSettings, learn
from training.progress import Report


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "street.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, SIZE)
    for number in range(180):
        writer.write(street(number / 10))
    writer.release()
    return path


def run(folder: Path, *arguments: str | Path, config: str = "") -> Finished:
    # Decoders of their own and each second frame would only take time.
    light = "analysis_fps = 5\n[capture]\nisolation = 'thread'\n"
    (folder / "c.toml").write_text(f'detectors = ["static"]\n{light}{config}[publish]\nenabled = false\n')
    return monitor(*arguments, "--config", "c.toml", "--state", ".", "--headless", cwd=folder)


def test_a_file_is_learned_from_at_once_and_its_rest_watched(video: Path, tmp_path: Path) -> None:
    result = run(tmp_path, f"door={video}", "--learn", "12s", "--speed", "4")
    assert result.returncode == 0, result.stderr
    assert "door: learns what is normal from the first 12 s of the file, then watches the rest" in result.stderr
    assert "watched with the model that it has learned" in result.stderr
    assert "door: first score" in result.stderr
    model = load_model(tmp_path / "models/door")
    assert [d.name for d in model.detectors] == ["static"]
    assert (model.provenance.notes["width"], model.provenance.notes["height"]) == SIZE
    assert not (tmp_path / "models/door/footage").exists(), "the recording is deleted"
    again = run(tmp_path, f"door={video}", "--speed", "max")
    assert "learns" not in again.stderr
    assert "door: first score" in again.stderr


def test_a_model_that_another_monitor_learns_is_refused(video: Path, tmp_path: Path) -> None:
    other = ModelsInUse()
    other.take([VideoSource(video, "door")], MonitorConfig().model_copy(update={"models_folder": tmp_path / "models"}))
    refused = run(tmp_path, f"door={video}", "--learn", "12s")
    other.close()
    assert refused.returncode == 2
    assert "the model of 'door' in" in refused.stderr
    assert "is in use by another monitor" in refused.stderr
    assert not (tmp_path / "models/door").exists()


def test_what_speaks_against_the_footage_reaches_the_user(tmp_path: Path) -> None:
    path = tmp_path / "frozen.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, SIZE)
    for _ in range(150):
        writer.write(street(1.0))
    writer.release()
    result = run(tmp_path, path, "--learn", "12s", config="[health]\nenabled = false\n")
    assert result.returncode == 1
    assert "nothing could be learned: all frames of these 12 s are equal" in result.stderr
    assert "-m training learn models/frozen/footage --name frozen --models models`; to record again" in result.stderr
    assert recorded_s(tmp_path / "models/frozen/footage") == pytest.approx(11.9, abs=0.15)


def test_a_file_that_is_too_short_says_so_once(video: Path, tmp_path: Path) -> None:
    result = run(tmp_path, f"door={video}", "--learn", "30s")
    assert result.returncode == 1
    assert result.stderr.count("18 s of it are shorter than the 30 s to learn from: give --learn a shorter time") == 1
    assert result.stderr.splitlines()[-1].endswith("could not be watched to the end: door (see the reason above)")
    assert not (tmp_path / "models/door").exists()


def test_of_a_file_shorter_than_the_least_no_shorter_time_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "short.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, SIZE)
    for number in range(30):
        writer.write(street(number / 10))
    writer.release()
    result = run(tmp_path, path)
    assert result.returncode == 1
    assert "3 s of it are too little to learn from (more than 10 s are needed): learn from longer" in result.stderr
    assert "--learn" not in result.stderr


def test_of_a_looped_file_nothing_is_learned_twice(video: Path, tmp_path: Path) -> None:
    result = run(tmp_path, f"door={video}", "--learn", "30s", "--loop", "--speed", "max", "--max-frames", "400")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("door: the file is 18 s long, less than the 30 s to learn from") == 1
    assert load_model(tmp_path / "models/door").provenance.notes["footage_s"] == pytest.approx(18, abs=0.3)
    assert "door: first score" in result.stderr


def frame(time_s: float, segment: int = 0) -> Frame:
    return Frame("door", round(time_s * 10), time_s, street(time_s), segment)


def test_a_live_camera_goes_on_with_what_it_recorded_before(tmp_path: Path) -> None:
    first = FootageRecorder(tmp_path / "footage", "door", 30.0, fps=10.0, live=False)
    for number in range(60):
        first.take(frame(number / 10))
    first.close()
    second = FootageRecorder(tmp_path / "footage", "door", 8.0, fps=10.0, live=True)
    assert second.seen_s == pytest.approx(5.9)
    for number in range(25):
        second.take(frame(100 + number / 10))
    second.close()
    assert second.done
    with FootageSource(tmp_path / "footage").open() as reader:
        times = []
        while (position := reader.grab()) is not None:
            times.append(position.time_s)
    assert times[59] == pytest.approx(5.9)
    assert times[60] == pytest.approx(15.9), "a gap, so that the two frames are not compared"


def test_pictures_that_are_not_worth_scoring_and_gaps_count_for_nothing(tmp_path: Path) -> None:
    recorder = FootageRecorder(tmp_path / "footage", "door", 30.0, fps=10.0, live=False)
    recorder.take(frame(0.0))
    recorder.take(frame(0.5))
    recorder.take(replace(frame(0.6), health=Health(CameraState.DARK, "black", scored=False)))
    recorder.take(frame(0.7))
    recorder.take(frame(0.8, segment=1))
    recorder.take(frame(9.0, segment=2))
    recorder.take(frame(9.25, segment=2))
    recorder.take(frame(14.25, segment=2))
    recorder.close()
    assert recorder.seen_s == pytest.approx(5.75), "a slow camera has no gaps, although its frames are seconds apart"


def test_a_long_recording_is_thinned_to_what_the_disk_is_meant_to_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.learning.footage_recorder.MAX_PICTURES", 60)
    monkeypatch.setattr("monitor.learning.footage_recorder._PART_S", 2.0)
    recorder = FootageRecorder(tmp_path / "footage", "door", 18.0, fps=10.0, live=False)
    for number in range(200):
        recorder.take(frame(number / 10))
    recorder.close()
    assert recorder.done
    count = sum(1 for _ in (tmp_path / "footage").glob("*/*.jpg"))
    assert 50 <= count <= 80


def test_a_disk_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "footage").write_text("in the way")
    recorder = FootageRecorder(tmp_path / "footage", "door", 30.0, fps=10.0, live=True)
    recorder.take(frame(0.0))
    recorder.close()
    folder = tmp_path / "footage"
    assert recorder.error == f"cannot record to {folder}: {folder} is not a folder"


def test_a_held_file_runs_ahead_and_waits_for_its_model() -> None:
    hold, stop = Hold(2.0), threading.Event()
    assert all(hold.admit(-5.0 + t, stop) for t in (0.0, 1.0, 1.9))
    assert not hold.reached
    hold.release()
    assert hold.admit(-3.0, stop), "the first frame after it is due at once"
    assert hold.reached
    assert not hold.admit(-2.9, stop), "from then on at the rate of the file"
    looped = Hold(2.0)
    looped.release()
    assert looped.admit(0.0, stop)
    looped.begin_again()
    assert looped.admit(1.0, stop)
    assert looped.reached, "all of it has passed"
    waiting = Hold(0.0)
    stop.set()
    assert waiting.admit(0.0, stop), "a stop ends the wait"


def test_what_an_interrupted_run_had_not_learned_is_learned_by_the_next(video: Path, tmp_path: Path) -> None:
    recorder = FootageRecorder(tmp_path / "models/door/footage", "door", 30.0, fps=5.0, live=False)
    for number in range(60):
        recorder.take(frame(number / 5))
    recorder.close()
    for learned_from in (tmp_path / "models/door/footage", video):
        settings = LearnSettings("door", tmp_path / "models", ("static",))
        learn([FootageSource(tmp_path / "models/door/footage")], [str(learned_from)], settings, Report(quiet=True))
        config = MonitorConfig(models_folder=tmp_path / "models", device="cpu")
        plan = plan_cameras(find_sources([f"door={video}"], config), config, None)[0].learning
        if learned_from == video:
            assert plan is None, "its model has since learned from other footage"
            continue
        assert plan is not None
        assert (plan.resumed, plan.hold) == (True, None)
        assert "true-sight-2" in plan.detectors
        fast_only = MonitorConfig(models_folder=tmp_path / "models", device="cpu", detectors=("static",))
        assert plan_cameras(find_sources([f"door={video}"], fast_only), fast_only, None)[0].learning is None
        kept = config.model_copy(update={"learning": config.learning.model_copy(update={"keep_footage": True})})
        assert plan_cameras(find_sources([f"door={video}"], kept), kept, None)[0].learning is None
        check_resumed(replace(plan, detectors=("static",)), config)  # a network takes minutes


def check_resumed(plan: LearningPlan, config: MonitorConfig) -> None:
    footage = plan.footage
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "models/door"
        shutil.copytree(plan.folder, copy)
        plan = replace(plan, folder=copy)
        interrupted = Learning((plan,), lambda plan: learned(plan, config))
        interrupted.tick(lambda _: CameraState.ONLINE, lambda *_: None)
        (told,) = interrupted.close()
        by_hand = python_command(f"-m training learn {plan.footage} --name door --models {copy.parent}")
        assert told.endswith(f"learn it now: `{by_hand}`")
        learning = Learning((plan,), lambda plan: learned(plan, config))
        assert not learning.without_model("door"), "it is already watched"
        assert learning.amend(report(CameraState.ONLINE)).state is CameraState.ONLINE
        adopted: list[str] = []
        deadline = time.monotonic() + 90
        while plan.footage.exists() and time.monotonic() < deadline:
            learning.tick(lambda _: CameraState.ONLINE, lambda name, _model, _monitor: adopted.append(name))
            threading.Event().wait(0.05)
        assert adopted == ["door"]
        assert not plan.footage.exists(), "all detectors have learned from it"
        assert len(list(copy.glob("v*"))) == 2
        learning.close()
    assert footage.exists()


def report(state: CameraState) -> CameraReport:
    return CameraReport("door", "x", state, 0.0, "", np.nan, False, (), 0.0, 0.0, None, None, 0, 0, 0, 0, 0, 0, 0, 0)


def never(plan: LearningPlan) -> tuple[Model, CameraMonitor]:
    raise AssertionError(plan)


def test_a_camera_that_learns_says_so_in_words_that_seldom_change(tmp_path: Path) -> None:
    learning = Learning((LearningPlan("door", "door", tmp_path / "door", 600.0, ("static",)),), never)
    details = []
    for number in range(90):
        learning.take(ScoredFrame(frame(float(number)), (), 0.0))
        shown = learning.amend(report(CameraState.ONLINE))
        assert shown.state is CameraState.LEARNING
        details.append(shown.detail)
    assert sorted(set(details)) == [f"recording normal footage, {n} min still to record" for n in (10, 9)]
    to_come = Progress(600 / 660 * (89 / 600), "recording normal footage", 600.0 - 89.0, left_of="recording")
    assert shown.progress == to_come, "one minute of learning follows"
    assert str(shown.progress) == "13 % of all, about 8.5 min of recording left: recording normal footage"
    offline = learning.amend(report(CameraState.OFFLINE))
    assert (offline.state, offline.progress) == (CameraState.OFFLINE, None), "a fault has priority"
    learning.close()
    assert recorded_s(tmp_path / "door/footage") == pytest.approx(89)


def test_a_detector_that_does_not_learn_from_a_camera_is_told_before_anything_is_recorded(tmp_path: Path) -> None:
    config = MonitorConfig(detectors=("motion", "true-sight"), models_folder=tmp_path)
    sources = find_sources(["door=rtsp://127.0.0.1:9/x"], config)
    with pytest.raises(ConfigError, match="'true-sight' cannot be learned from a camera, and door has no model"):
        plan_cameras(sources, config, None)
    assert not list(tmp_path.iterdir())


def test_an_overload_says_which_camera_learns_beside_it(tmp_path: Path) -> None:
    learning = Learning((LearningPlan("door", "door", tmp_path / "door", 60.0, ("static",), resumed=True),), never)
    dropping = replace(report(CameraState.OVERLOADED), name="yard", detail="frames are dropped")
    assert learning.amend(dropping) == dropping, "learning has not started"
    learning.tick(lambda _: CameraState.ONLINE, lambda *_: None)  # starts the process that learns
    assert learning.amend(dropping).detail == "frames are dropped; door learns at the same time, which ends by itself"
    learning.close()
    assert learning.amend(dropping) == dropping


def test_a_run_that_ends_right_after_the_last_version_leaves_nothing_to_learn(tmp_path: Path) -> None:
    footage = record_street(tmp_path / "door/footage", 20.0)
    plan = LearningPlan("door", "door", tmp_path / "door", 20.0, ("static",), resumed=True)
    learning = Learning((plan,), lambda plan: learned(plan, MonitorConfig(models_folder=tmp_path, device="cpu")))
    adopted: list[str] = []
    deadline = time.monotonic() + 90
    while not adopted and time.monotonic() < deadline:
        learning.tick(lambda _: CameraState.ONLINE, lambda name, _model, _monitor: adopted.append(name))
        threading.Event().wait(0.05)
    assert (adopted, learning.close()) == (["door"], [])
    assert not footage.exists()


def test_how_long_a_file_still_takes_is_told_from_how_long_it_took(tmp_path: Path) -> None:
    now = [100.0]
    hold = Hold(30.0)
    plan = LearningPlan("door", "door", tmp_path / "door", 30.0, ("static",), hold)
    learning = Learning((plan,), never, lambda: now[0])
    shares = []
    for number in range(31):
        now[0] += 0.5
        learning.take(ScoredFrame(frame(float(number)), (), 0.0))
        progress = learning.amend(report(CameraState.ONLINE)).progress
        assert progress is not None
        shares.append(progress.fraction)
        if number == 1:
            assert str(progress) == "1 % of all: reading the first 30 s to learn what is normal"
        if number == 15:
            assert str(progress).startswith("12 % of all, about 8 s of reading left: reading the first 30 s")
    assert shares == sorted(shares)
    learning.close()


def test_an_interrupted_learning_of_a_file_is_told_when_it_begins_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "monitor")
    for _ in range(2):
        learning = Learning((LearningPlan("door", "door", tmp_path / "door", 30.0, ("static",), Hold(30.0)),), never)
        learning.take(ScoredFrame(frame(0.0), (), 0.0))
        learning.take(ScoredFrame(frame(0.1), (), 0.0))
        learning.close()
    begins = "learns what is normal from the first 30 s of the file, then watches the rest"
    stopped = "door: stopped before it had learned: the next run reads the file again"
    again = f"door: the last run ended before it had learned: reads the file again, {begins}"
    assert caplog.messages == [f"door: {begins}", stopped, again, stopped]


def test_log_lines_say_how_far_learning_is_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "monitor")
    sink = LogSink(every_s=1.0)

    def tell(elapsed_s: float, fraction: float, text: str = "reading") -> int:
        caplog.clear()
        learner = replace(report(CameraState.LEARNING), progress=Progress(fraction, text, 20.0), detail=f"{fraction}")
        sink.health(learner)
        sink.tick(RunReport(elapsed_s, 0, (learner,)))
        return len(caplog.messages)

    assert tell(0.0, 0.0) == 2, "the state and the progress"
    assert tell(5.0, 0.08) == 0
    assert tell(6.0, 0.11) == 1
    assert caplog.messages == ["door: 11 % of all, about 20 s left: reading"]
    assert tell(7.0, 0.35) == 0, "not more often than every few seconds"
    assert tell(9.5, 0.36) == 1
    assert tell(38.0, 0.37) == 0
    assert tell(40.0, 0.37) == 1, "at least every 30 s"
    assert tell(44.0, 0.02, "learning on") == 1, "a new progress of another total"


@pytest.mark.parametrize(
    ("now", "state", "words"),
    [
        ((640, 360), "online", ""),
        ((1280, 720), "online", "scaled"),
        ((640, 480), "misfit", "another shape are not scored; give another model with --model"),
    ],
)
def test_a_picture_of_another_size_than_learned(now: tuple[int, int], state: str, words: str) -> None:
    health = judge_size((640, 360), now)
    assert (health.state, health.scored) == (state, state == "online")
    assert words in health.detail
    assert judge_size(None, now) == Health()


def test_a_camera_without_a_model_is_judged_by_nothing() -> None:
    model = unlearned_model()
    assert model.detectors == ()
    assert model.id == "none yet@"


def test_the_demo_shows_its_minute_once_before_the_scene() -> None:
    source = DemoStreet(SyntheticScene(duration_s=2.0), learned_s=1.0)
    scene = [0.04 * number for number in range(50)]
    for expected in ([*(t - 3.0 for t in scene[:25]), *scene], scene):
        found: list[float] = []
        with source.open() as reader:
            while (position := reader.grab()) is not None:
                assert position.index == len(found)
                found.append(position.time_s)
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("45", 45), ("2 h", 7200)])
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10x", "-5m", "0s", "m"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(UsageError, match="write 90s, 10m or 2h"):
        parse_duration(text)


def test_lengths_in_words() -> None:
    assert [in_words(s) for s in (12.3, 59.7, 600, 5400)] == ["12 s", "1 min", "10 min", "1.5 h"]


@pytest.mark.timeout(120)
def test_what_was_not_learned_in_full_is_said_when_the_dashboard_is_gone(tmp_path: Path) -> None:
    in_a_terminal = (sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)")
    with FaultyCamera() as camera:
        command = (sys.executable, ROOT / "run_monitor.py", f"door={camera.url}", "--no-publish", "--max-frames", "12")
        result = subprocess.run(
            [*in_a_terminal, *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            stdin=subprocess.DEVNULL,
        )
    assert result.returncode == 0, result.stdout
    _, live_view, after = result.stdout.rpartition("\x1b[?1049l")
    assert live_view
    assert re.search(r"door: \d s of normal footage are kept, and the next run continues the recording", after)


@pytest.mark.timeout(300)
def test_a_live_camera_is_learned_and_watched_without_being_opened_again(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        'detectors = ["static"]\nanalysis_fps = 5\n[capture]\nisolation = "thread"\n[publish]\nenabled = false\n'
    )
    with FaultyCamera() as camera:
        source = f"door={camera.url}"
        command = [sys.executable, str(ROOT / "run_monitor.py"), source, "--config", "c.toml", "--headless"]
        command += ["--state", "."]

        def until(line: str) -> tuple[str, str]:
            """Run until a line is logged, then press Ctrl-C. Returns the log and the output at the end."""
            process = subprocess.Popen(
                [*command, "--learn", "12s"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            assert process.stderr is not None
            log = ""
            while line not in log and (text := process.stderr.readline()):
                log += text
            process.send_signal(signal.SIGINT)
            out, rest = process.communicate(timeout=30)
            assert process.returncode == 0, log + rest
            return log + rest, out

        log, _ = until("door: learning (recording")
        assert "door: learns what is normal from the next 12 s, then watches" in log
        log, out = until("door: first score")
        assert "door: watched with the model that it has learned" in log
        row = next(line.split() for line in out.splitlines() if line.startswith("door"))
        assert row[-2] == "0", "no reconnect"
    assert load_model(tmp_path / "models/door").provenance.notes["width"] == 160
