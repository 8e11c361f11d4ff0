"""Decoding in a process of its own: the same frames, and a process that may crash, hang or be killed alone."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alerting import AlertSettings
from monitor.camera_monitor import CameraMonitor
from monitor.capture import Capture, CaptureSettings
from monitor.errors import CaptureError, MonitorError, SourceError, StallError
from monitor.fusion import ModelScale
from monitor.pipeline import Camera, Pipeline
from monitor.sink import RunReport, Sink
from monitor.smoothing import SmoothingSettings
from monitor.sources.base import Source
from monitor.sources.camera import CameraSource
from monitor.sources.decoder import Kind, Reply
from monitor.sources.folder import FolderSource
from monitor.sources.isolated import IsolatedReader, IsolatedSource, Isolation, isolate
from monitor.sources.video import VideoSource
from monitor.types import CameraState
from monitor.watch import Watch
from tests.captured import QUICK, captured, eventually
from tests.decoders import Break, NoiseSource, Plan, noise
from tests.fakes import SHARED_DATA, brightness_model
from tests.faults import Noted
from tests.footage import write_video
from tests.scripted import RecordingSink

CRASHES_DECODER = SHARED_DATA / "faults/crashes_decoder.avi"
ROOT = Path(__file__).resolve().parent.parent
FAST = CaptureSettings(speed=None)
ADVICE = (
    "the file may be damaged, or of a kind that this OpenCV cannot decode: convert it, for example with "
    "`ffmpeg -i IN OUT.mp4`"
)


def isolated(plan: Plan, *, live: bool = False, read_timeout_s: float = 5.0, secret: str = "") -> IsolatedSource:
    source = NoiseSource(plan, live=live, secret=secret)
    return IsolatedSource(source, open_timeout_s=5.0, read_timeout_s=read_timeout_s)


def alive(pid: int) -> bool:
    """Does a process run? One that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def grab_until_it_fails(reader: IsolatedReader) -> MonitorError:
    try:
        while reader.grab() is not None:
            pass
    except MonitorError as error:
        return error
    raise AssertionError("it did not fail")


# The same frames


def test_a_video_gives_the_same_frames_at_the_same_times(tmp_path: Path) -> None:
    video = VideoSource(write_video(tmp_path / "a.avi"))
    source = isolate(video, "process")
    source.check()
    with video.open() as direct, source.open() as reader:
        assert (reader.fps, source.name, source.label, source.live) == (direct.fps, "a", str(video.path), False)
        while (expected := direct.grab()) is not None:
            assert reader.grab() == expected
            np.testing.assert_array_equal(reader.retrieve(), direct.retrieve())
        assert reader.grab() is None


def test_several_frames_at_once_are_the_same_frames_though_their_places_are_held_for_long() -> None:
    with isolated(Plan(frames=60)).open() as reader:
        held = {}
        while (position := reader.grab()) is not None:
            image = reader.retrieve()
            if position.index % 3 == 0 or 20 <= position.index < 40:
                held[position.index] = image
        assert position is None
        assert reader.grab() is None
    assert len(held) == 33
    for index, image in held.items():
        np.testing.assert_array_equal(image, noise(index, 32, 24))


def test_a_reader_that_no_longer_wants_each_frame_passes_over_and_loses_none() -> None:
    with isolated(Plan(frames=50, fps=10.0)).open() as reader:
        seen = -1
        for due_s in [-math.inf] * 10 + [1.5, 1.6, 2.4, 2.4, 3.2, 3.2, 4.0]:
            position = reader.skip_to(due_s)
            assert position is not None
            assert position.index == seen + position.passed + 1
            np.testing.assert_array_equal(reader.retrieve(), noise(position.index, 32, 24))
            seen = position.index
    assert seen > 10


def test_pictures_that_are_not_wanted_are_stepped_over() -> None:
    with isolated(Plan()).open() as reader:
        for _ in range(8):
            position = reader.grab()
        assert position is not None
        assert position.index == 7
        np.testing.assert_array_equal(reader.retrieve(), noise(7, 32, 24))


def test_frames_before_a_time_are_passed_over_and_counted_and_the_last_is_given_out_in_any_case() -> None:
    with isolated(Plan(frames=12, fps=10.0)).open() as reader:
        found: list[tuple[int, int]] = []
        while (position := reader.skip_to(0.4 * len(found))) is not None:
            np.testing.assert_array_equal(reader.retrieve(), noise(position.index, 32, 24))
            found.append((position.index, position.passed))
    assert found == [(0, 0), (4, 3), (8, 3), (11, 2)]


def test_the_frames_analysed_and_the_counts_are_those_of_a_reader_that_passes_nothing_over() -> None:
    sampled = replace(FAST, analysis_fps=7.0, loop=True, max_frames=40)
    frames, statuses = [], []
    for source in (NoiseSource(Plan(frames=50, fps=25.0)), isolated(Plan(frames=50, fps=25.0))):
        sink = RecordingSink()
        capture = Capture(source, sink, sampled, threading.Event())
        capture.run()
        frames.append([(frame.index, frame.time_s, frame.segment) for frame in sink.frames])
        statuses.append((capture.status.frames_in, capture.status.missing))
    assert frames[0] == frames[1]
    assert statuses[0] == statuses[1]


def test_a_live_camera_is_sampled_by_its_decoder() -> None:
    with captured(isolated(Plan(fps=100.0), live=True), replace(QUICK, analysis_fps=10.0)) as (capture, sink):
        assert sink.more(8)
        indices, frames_in = [frame.index for frame in sink.frames], capture.status.frames_in
    assert min(b - a for a, b in pairwise(indices)) > 1, "not every frame is given out"
    assert frames_in >= indices[-1]


def test_pictures_of_changing_size_are_kept_when_the_next_one_comes() -> None:
    sizes = ((32, 24), (640, 480), (16, 8), (1920, 1080), (641, 479))
    with isolated(Plan(sizes)).open() as reader:
        images = [reader.retrieve() for _ in range(40) if reader.grab()]
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image, noise(index, *sizes[index % 5]))


def test_one_unreadable_frame_is_none_and_the_end_is_none() -> None:
    with isolated(Plan(frames=3, at=1, what=Break.UNREADABLE)).open() as reader:
        read = [reader.retrieve() is not None for _ in range(3) if reader.grab()]
        assert read == [True, False, True]
        assert reader.grab() is None


# Its failures


@pytest.mark.parametrize(
    ("what", "error", "sentence"),
    [
        (Break.ABORT, CaptureError, "test://noise: the decoder died (SIGABRT)"),
        (Break.SEGFAULT, CaptureError, "test://noise: the decoder died (SIGSEGV)"),
        (Break.EXIT, CaptureError, "test://noise: the decoder died (exit code 3)"),
        (Break.LOST, CaptureError, "the plug was pulled"),
        (Break.UNUSABLE, SourceError, "this is no video"),
        (Break.BUG, CaptureError, "ZeroDivisionError('rtsp://***@10.0.0.9/"),
    ],
)
def test_every_failure_is_one_sentence_whether_it_opens_or_reads(
    what: Break, error: type[MonitorError], sentence: str
) -> None:
    with isolated(Plan(at=3, what=what)).open() as reader:
        failure = grab_until_it_fails(reader)
        with pytest.raises(CaptureError):  # and does not heal
            reader.grab()
    assert type(failure) is error
    assert sentence in str(failure)
    with pytest.raises(error) as caught:
        isolated(Plan(fail_open=what)).open()
    assert sentence in str(caught.value)


def test_a_decoder_that_hangs_is_killed_at_the_deadline() -> None:
    with isolated(Plan(at=1, what=Break.HANG), read_timeout_s=0.2).open() as reader:
        reader.grab()
        started = time.monotonic()
        with pytest.raises(StallError, match=r"test://noise sent nothing for 0\.2 s and its decoder hung: it was kill"):
            reader.grab()
        assert time.monotonic() - started < 4.0
    assert not alive(reader.pid)


def test_a_file_that_kills_its_decoder_is_checked_without_harm() -> None:
    isolated(Plan(fail_open=Break.ABORT)).check()
    with pytest.raises(SourceError, match="this is no video"):
        isolated(Plan(fail_open=Break.UNUSABLE)).check()
    with pytest.raises(SourceError, match="no video that OpenCV can read"):
        isolated(Plan(frames=0)).check()
    isolated(Plan(fail_open=Break.UNUSABLE), live=True).check()


@given(st.binary(max_size=80))
def test_whatever_a_broken_decoder_says_is_a_reply_or_a_value_error(message: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert Reply.unpack(message).kind in Kind


def test_a_reply_survives_the_way() -> None:
    reply = Reply(
        Kind.IMAGE, index=2**40, time_s=1.5, passed=2, fps=25.0, offset=2**33, width=1920, height=1080, text="über"
    )
    assert Reply.unpack(reply.pack()) == reply


# Whose it is: no trace, no secret, no orphan


def test_the_child_is_small_and_shows_no_password() -> None:
    with isolated(Plan(), secret="hunter2").open() as reader:  # noqa: S106
        process = Path(f"/proc/{reader.pid}")
        assert "torch" not in (process / "maps").read_text()
        assert b"hunter2" not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        assert b"monitor.sources.decoder" in (process / "cmdline").read_bytes()
    assert not alive(reader.pid)


def test_nothing_is_left_behind_however_it_ends() -> None:
    # The memory has no name: once its descriptors are closed nothing of it is left.
    def left() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    isolated(Plan(frames=1)).check()
    before = left()
    for end in (None, signal.SIGKILL):
        with isolated(Plan()).open() as reader:
            assert reader.grab()
            assert reader.retrieve() is not None
            if end:
                os.kill(reader.pid, end)
                assert "the decoder died (SIGKILL)" in str(grab_until_it_fails(reader))
        reader.close()
        assert not alive(reader.pid)
    with pytest.raises(CaptureError):
        isolated(Plan(fail_open=Break.ABORT)).open()
    assert left() == before


HOLDER = """
from tests.decoders import Break, NoiseSource, Plan
from monitor.sources.isolated import IsolatedSource
reader = IsolatedSource(NoiseSource(Plan(at=2, what=Break.HANG)), open_timeout_s=5, read_timeout_s=60).open()
reader.grab(), reader.retrieve(), reader.grab()
print(reader.pid, flush=True)
reader.grab()
"""


def test_a_child_that_hangs_dies_with_its_killed_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
        assert parent.stderr.read() == ""  # the system's and Python's last words about leaks and the like
    assert eventually(lambda: not alive(child), within_s=5.0)


# In the capture loop


def test_a_decoder_that_is_killed_is_replaced_and_another_camera_never_notices() -> None:
    source = Noted(NoiseSource(Plan(), live=True), open_timeout_s=5.0, read_timeout_s=5.0)
    with (
        captured(source) as (capture, sink),
        captured(NoiseSource(Plan(), name="other", live=True)) as (bystander, steady),
    ):
        assert sink.more(5)
        assert steady.more(5)
        from_here = len(steady.frames)
        for segment in (1, 2):
            os.kill(source.pid, signal.SIGKILL)
            assert sink.segment(segment)
        seen = [frame.captured_at for frame in steady.frames[from_here:]]
        status, other = capture.status, bystander.status
    assert (status.state, status.reconnects, status.stalls) == (CameraState.ONLINE, 2, 0)
    assert other.reconnects == 0
    assert max(b - a for a, b in pairwise(seen)) < 1.0


def test_a_decoder_that_was_killed_says_nothing_against_its_file() -> None:
    with isolated(Plan()).open() as reader:
        assert reader.grab()
        os.kill(reader.pid, signal.SIGKILL)
        assert str(grab_until_it_fails(reader)) == "test://noise: the decoder died (SIGKILL)"


def test_a_live_camera_that_crashes_its_decoder_again_and_again_is_offline_for_that_reason() -> None:
    details = []
    with captured(isolated(Plan(at=2), live=True), replace(QUICK, backoff_min_s=0.05)) as (capture, sink):
        assert sink.segment(2)
        assert eventually(lambda: capture.status.state is CameraState.OFFLINE)
        details.append(capture.status.detail)
    assert details == ["test://noise: the decoder died (SIGABRT)"]


def play(source: Source, sink: RecordingSink) -> Capture:
    capture = Capture(source, sink, FAST, threading.Event())
    capture.run()
    return capture


def test_a_file_that_kills_its_decoder_has_failed_and_its_frames_so_far_count() -> None:
    sink = RecordingSink()
    status = play(isolated(Plan(at=3)), sink).status
    assert (status.state, status.detail) == (CameraState.FAILED, f"test://noise: the decoder died (SIGABRT); {ADVICE}")
    assert [frame.index for frame in sink.frames] == [0, 1, 2]
    assert sink.finished == ["noise"]


@pytest.mark.skipif(not CRASHES_DECODER.exists(), reason=f"no {CRASHES_DECODER}, a file that crashes decoders")
def test_the_file_that_corrupts_the_memory_of_every_process_that_reads_it_harms_no_other() -> None:
    source = isolate(VideoSource(CRASHES_DECODER, "crash"), "process")
    source.check()
    started = time.monotonic()
    status = play(source, RecordingSink()).status
    if status.state is CameraState.ENDED:  # once in a while the memory that it overwrites is no one's
        assert status.frames_in == 51
    else:
        assert status.state is CameraState.FAILED
        assert "crashes_decoder.avi: the decoder died (" in status.detail
    assert time.monotonic() - started < 10.0


def write_config(folder: Path, *sources: Path) -> Path:
    cameras = "".join(f"[cameras.{path.stem}]\nsource = '{path}'\n" for path in sources)
    config = folder / "cameras.toml"
    config.write_text(f"model = '{ROOT / 'monitor/assets/demo'}'\n{cameras}[capture]\nisolation = 'process'\n")
    return config


@pytest.mark.skipif(not CRASHES_DECODER.exists(), reason=f"no {CRASHES_DECODER}, a file that crashes decoders")
def test_a_whole_run_outlives_a_file_that_aborts_its_decoder(tmp_path: Path) -> None:
    config = write_config(tmp_path, CRASHES_DECODER, write_video(tmp_path / "sound.avi", frames=50))
    scores = tmp_path / "scores.jsonl"
    command: list[str | Path] = [
        sys.executable,
        ROOT / "run_monitor.py",
        "--config",
        config,
        "--no-publish",
        "--speed",
        "max",
    ]
    run = subprocess.run([*command, "--record-scores", scores], capture_output=True, text=True, timeout=60, check=False)
    if "crashes_decoder: ended" not in run.stderr:  # as above
        assert run.returncode == 1, run.stderr
        last = run.stderr.splitlines()[-1]
        assert last == "error: 1 of 2 sources could not be watched to the end: crashes_decoder (why: see above)"
        # By a signal, as a rule; but what a process still does whose memory was overwritten, nobody can say.
        assert run.stderr.count("the decoder died (") == 1
    assert "Traceback" not in run.stderr
    assert "malloc" not in run.stderr, "the decoder's last words stay its own"
    sound = [line for line in map(json.loads, scores.read_text().splitlines()) if line["camera"] == "sound"]
    assert sound[-1]["index"] >= 47


def test_a_pipeline_outlives_a_decoder_and_ends_at_once_though_another_hangs() -> None:
    model = brightness_model()
    plans = {
        "crash": Plan(at=5),
        "hang": Plan(at=5, what=Break.HANG),
        "sound": Plan(frames=40),
    }
    sources = [
        IsolatedSource(NoiseSource(plan, name=name), open_timeout_s=5.0, read_timeout_s=60.0)
        for name, plan in plans.items()
    ]
    scale = ModelScale(model, 1.0, SmoothingSettings())
    pipeline = Pipeline([Camera(source, model, FAST) for source in sources])
    monitors = {name: CameraMonitor(name, scale, SmoothingSettings(), AlertSettings()) for name in plans}
    stop = threading.Event()

    class UntilSoundHasEnded(Sink):
        ended_at = 0.0

        def tick(self, report: RunReport) -> None:
            states = {camera.name: camera.state for camera in report.cameras}
            hangs = next(camera.frames_in for camera in report.cameras if camera.name == "hang") == 5
            over = states["sound"] is CameraState.ENDED and states["crash"] is CameraState.FAILED
            if over and hangs and not stop.is_set():
                self.ended_at = time.monotonic()
                stop.set()

    until = UntilSoundHasEnded()
    report = Watch(pipeline, monitors, {source.name: source for source in sources}, [until]).run(stop, 30.0)
    assert 0.0 < time.monotonic() - until.ended_at < 1.5
    crash, hang, sound = report.cameras
    assert (crash.state, crash.detail, crash.frames_in) == (
        CameraState.FAILED,
        f"test://crash: the decoder died (SIGABRT); {ADVICE}",
        5,
    )
    assert (hang.frames_in, sound.frames_in, sound.analysed) == (5, 40, 40)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("capture")]


@pytest.mark.parametrize("live", [True, False])
def test_a_stop_does_not_wait_for_a_decoder_that_hangs(live: bool, caplog: pytest.LogCaptureFixture) -> None:
    source = isolated(Plan(at=3, what=Break.HANG), live=live, read_timeout_s=60.0)
    stop, sink = threading.Event(), RecordingSink()
    third = threading.Event()
    sink.on_put = lambda frame: third.set() if frame.index == 2 else None
    capture = Capture(source, sink, FAST, stop)
    thread = threading.Thread(target=capture.run, daemon=True)
    thread.start()
    assert third.wait(10.0)
    started = time.monotonic()
    stop.set()
    capture.interrupt()
    thread.join(10.0)
    assert time.monotonic() - started < 1.5
    assert capture.status.state is CameraState.ENDED
    assert not caplog.records
    with pytest.raises(CaptureError, match="interrupted"):
        source.open()


# What is isolated


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("auto", [True, False, True]), ("process", [True, True, True]), ("thread", [False, False, False])],
)
def test_the_setting_chooses_what_is_isolated(mode: Isolation, expected: list[bool], tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi")
    sources: list[Source] = [CameraSource("net", "rtsp://10.0.0.9/x"), CameraSource("usb", 0), VideoSource(video)]
    assert [isinstance(isolate(source, mode), IsolatedSource) for source in sources] == expected


def test_a_folder_of_images_needs_no_decoder(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"")
    folder = FolderSource(tmp_path)
    assert isolate(folder, "process") is folder
