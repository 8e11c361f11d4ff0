"""Runs with decoders that crash, hang or are killed. Other cameras are not affected, and a stop does not wait."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from monitor.errors import CaptureError
from monitor.live.capture import Capture
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.reports import RunReport
from monitor.sources.isolated.isolated_source import IsolatedSource, isolate
from monitor.sources.source import Source
from monitor.sources.video import VideoSource
from monitor.states import CameraState
from monitor.testing.captured import QUICK, captured, eventually
from monitor.testing.fakes import brightness_model, fleet_of, watched_by
from monitor.testing.injected_faults import Noted
from monitor.testing.scripted import FAST, RecordingSink
from tests.helpers.commands import monitor
from tests.helpers.decoders import Break, NoiseSource, Plan
from tests.helpers.isolated import isolated
from tests.helpers.made_footage import write_video
from tests.places import ROOT, SHARED_DATA

CRASHES_DECODER = SHARED_DATA / "faults/crashes_decoder.avi"
ADVICE = (
    "the file may be damaged, or this OpenCV cannot decode its format: convert it, for example with "
    "`ffmpeg -i IN OUT.mp4`"
)


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
    if status.state is CameraState.ENDED:  # sometimes nothing uses the memory that it overwrites
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
    run = monitor("--config", config, "--no-publish", "--speed", "max", "--record-scores", scores)
    if "crashes_decoder: ended" not in run.stderr:  # as above
        assert run.returncode == 1, run.stderr
        failed = run.stderr.splitlines()[-1].partition("; ")[0]  # what may follow is about the flicker of the other
        assert failed == "error: 1 of 2 sources could not be watched to the end: crashes_decoder (see the reason above)"
        # Usually by a signal. But a process with overwritten memory can do anything before it ends.
        assert run.stderr.count("the decoder died (") == 1
    assert "Traceback" not in run.stderr
    assert "malloc" not in run.stderr, "the last output of the decoder is not shown"
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
    fleet = fleet_of(*(watched_by(source, model, FAST) for source in sources))
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
    report = Watch(fleet, [until]).run(stop, 30.0)
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
