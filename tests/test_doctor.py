"""The doctor: every kind of camera that fails, over real sockets and processes; every other check on real things."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import av
import numpy as np
import pytest
from rich.console import Console

from monitor.config import JournalConfig, MonitorConfig, PublishConfig, load_config
from monitor.curve import make_keys
from monitor.doctor.checkup import Checkup, find_sources
from monitor.doctor.children import probe
from monitor.doctor.cores import CoreWait
from monitor.doctor.device import Machine, judge_device, usable_device
from monitor.doctor.disk import check_evidence, check_journal, check_records
from monitor.doctor.facts import Failure, FootageFacts, Kind, Request, StreamFacts, Trouble
from monitor.doctor.finding import Finding, ModelFacts, State
from monitor.doctor.models import check_model, judge_load, judge_model, too_short_to_learn
from monitor.doctor.ports import check_keys, check_ports
from monitor.doctor.report import hide_secrets, json_line, show_table, summary, text_line
from monitor.doctor.rhythm import Arrival, rhythm
from monitor.doctor.verdict import judge_failure, judge_footage, judge_stream
from monitor.evidence.settings import EvidenceSettings
from monitor.journal import Journal
from monitor.sources.video import VideoSource
from tests.footage import write_image, write_video
from tests.rtsp_server import RtspServer

ROOT = Path(__file__).resolve().parent.parent
DEMO_MODEL = ROOT / "monitor/assets/demo"
CRASHES_DECODER = ROOT.parent / "shared/data/faults/crashes_decoder.avi"
SECRET = "hunter2"  # noqa: S105 - of a camera that does not exist


def request(kind: Kind, target: str, seconds: float = 1.0, open_timeout_s: float = 3.0) -> Request:
    return Request(kind, target, seconds, 25.0, open_timeout_s, 2.0, 1.0, 20.0)


def failure(kind: Kind, target: str, open_timeout_s: float = 3.0) -> Finding:
    """What is said of a source that cannot be watched."""
    asked = request(kind, target, open_timeout_s=open_timeout_s)
    found = probe(asked)
    assert isinstance(found, Failure), found
    finding = judge_failure("camera", "yard", found, asked)
    assert finding.state is State.PROBLEM
    assert finding.mend
    assert SECRET not in text_line(finding) + json_line(finding)
    return finding


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener


@contextmanager
def rtsp_that_says(status: str) -> Iterator[int]:
    """A port where every RTSP request gets the same status."""

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while asked := connection.recv(4096):
                    number = next(line for line in asked.decode().splitlines() if line.startswith("CSeq"))
                    connection.sendall(f"RTSP/1.0 {status}\r\n{number}\r\n\r\n".encode())

    with listening() as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:  # tests print nothing
        pass


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A web page, sound alone, a recording, and the recording under a codec that nobody knows."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "index.html").write_text("<html>the camera's own page</html>" * 50)
    with av.open(str(folder / "sound.ts"), "w") as container:
        sound = container.add_stream("mp2", rate=44100)
        assert isinstance(sound, av.AudioStream)
        for i in range(20):
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            heard.sample_rate, heard.pts = 44100, 1152 * i
            container.mux(sound.encode(heard))
        container.mux(sound.encode())
    with av.open(str(folder / "recording.mkv"), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for i in range(50):
            picture = np.full((48, 64, 3), 4 * i, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
    recording = (folder / "recording.mkv").read_bytes()
    assert recording.count(b"V_MPEG4/ISO/ASP") == 1
    (folder / "unknown.mkv").write_bytes(recording.replace(b"V_MPEG4/ISO/ASP", b"V_MPEG4/XXX/ASP"))
    return folder


# Cameras, each in a process of its own


@pytest.mark.rtsp
def test_a_camera_that_works_is_described_and_a_wrong_path_is_named() -> None:
    with RtspServer({"/ball": "ball:320x240@25"}) as server:
        asked = request("url", server.url("/ball", f"admin:{SECRET}"), seconds=1.5)
        facts = probe(asked)
        wrong = failure("url", server.url("/nowhere", f"admin:{SECRET}"))
    assert isinstance(facts, StreamFacts)
    assert (facts.codec, facts.width, facts.height, facts.claimed_fps) == ("h264", 320, 240, 25.0)
    assert facts.fps == pytest.approx(25.0, rel=0.3)
    assert facts.key_frame_s == pytest.approx(0.4, abs=0.05), "every tenth picture"
    assert 0 < facts.open_s <= facts.first_picture_s < 10
    assert (facts.damaged, facts.ended, facts.stalled) == (0, False, False)
    said = judge_stream("door", facts, asked, 10.0).found
    assert "H.264 320x240" in said
    assert "key frame every 0.4 s" in said
    assert SECRET not in said
    assert wrong.found == "the camera has no stream /nowhere (404)"


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("401 Unauthorized", "the user or the password is wrong (401)"),
        ("403 Forbidden", "may not watch"),
        ("453 Not Enough Bandwidth", "turns the request down"),
        ("503 Service Unavailable", "error of its own"),
    ],
)
def test_a_camera_that_turns_the_request_down(status: str, found: str) -> None:
    with rtsp_that_says(status) as port:
        assert found in failure("url", f"rtsp://admin:{SECRET}@127.0.0.1:{port}/x").found


def test_a_camera_that_wants_a_password_which_nobody_gave() -> None:
    with rtsp_that_says("401 Unauthorized") as port:
        finding = failure("url", f"rtsp://127.0.0.1:{port}/x")
    assert finding.found == "it asks for a user and a password (401)"
    assert "USER:PASSWORD@127.0.0.1" in finding.mend


def test_a_camera_that_refuses() -> None:
    finding = failure("url", f"rtsp://admin:{SECRET}@127.0.0.1:9/x")
    assert finding.found == "127.0.0.1 refuses connections on port 9"
    assert "RTSP is switched on" in finding.mend


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_camera_that_stays_silent_is_given_up_in_time(scheme: str) -> None:
    with listening() as listener:
        started = time.monotonic()
        url = f"{scheme}://admin:{SECRET}@127.0.0.1:{listener.getsockname()[1]}/x"
        finding = failure("url", url, open_timeout_s=0.6)
    assert "does not answer within 0.6 s" in finding.found
    assert time.monotonic() - started < 5


def test_an_unknown_host() -> None:
    assert failure("url", "rtsp://camera.invalid/x").found == "no machine is known as camera.invalid"


def test_a_password_that_breaks_the_address() -> None:
    finding = failure("url", f"rtsp://admin:{SECRET}#@127.0.0.1/x")
    assert "%23" in finding.mend


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("index.html", "no video"),
        ("sound.ts", "no video, only audio"),
        ("unknown.mkv", "codec cannot be decoded"),
        ("none.mkv", "no stream /none.mkv (404)"),
    ],
)
def test_an_address_without_a_video_that_can_be_decoded(served: Path, page: str, found: str) -> None:
    with web_server(served) as address:
        assert found in failure("url", f"{address}/{page}").found


def test_a_recording_is_no_camera(served: Path) -> None:
    with web_server(served) as address:
        asked = request("url", f"{address}/recording.mkv")
        facts = probe(asked)
    assert isinstance(facts, StreamFacts)
    assert (facts.ended, facts.pictures, facts.fps) == (True, 50, None)
    finding = judge_stream("door", facts, asked, 10.0)
    assert finding.state is State.WARNING
    assert "it ended by itself" in finding.mend


def test_a_usb_camera_that_is_not_there() -> None:
    assert failure("usb", "97").found == "it cannot be opened"


def test_a_probe_that_hangs_is_killed_at_its_deadline() -> None:
    started = time.monotonic()
    with listening() as listener:
        url = f"rtsp://127.0.0.1:{listener.getsockname()[1]}/x"
        found = probe(replace(request("url", url, open_timeout_s=60.0), deadline_s=1.5))
    assert found == Failure(Trouble.HUNG, "connecting")
    assert time.monotonic() - started < 5


def test_a_decoder_that_crashes_takes_nothing_with_it() -> None:
    if not CRASHES_DECODER.exists():
        pytest.skip(f"no {CRASHES_DECODER}")
    assert failure("video", str(CRASHES_DECODER)).found.startswith("decoding it crashes (SIG")


# What is said of a camera that gives pictures

GOOD = StreamFacts("h264", 640, 360, 25.0, 25.0, 0.3, 0.6, 125, 0, 0.06, 0.004, 2.0, 1.0, 2.0, False, False)


def advice(facts: StreamFacts) -> str:
    finding = judge_stream("door", facts, request("url", "rtsp://h/x"), 10.0)
    assert finding.state is (State.WARNING if finding.mend else State.OK)
    return finding.mend


def test_a_good_camera_gets_no_advice() -> None:
    assert advice(GOOD) == ""


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(GOOD, width=2560, height=1440), "sub-stream"),
        (replace(GOOD, claimed_fps=60.0, fps=59.9), "sub-stream"),
        (replace(GOOD, key_frame_s=10.0), "key-frame"),
        (replace(GOOD, key_frame_s=None, without_key_s=4.9), "key-frame"),
        (replace(GOOD, longest_wait_s=1.5), "gaps"),
        (replace(GOOD, damaged=3), "damaged"),
        (replace(GOOD, fps=12.0), "fewer pictures"),
        (replace(GOOD, claimed_fps=5.0, fps=5.0), "analysis_fps = 5"),
        (replace(GOOD, stalled=True), "silent"),
    ],
)
def test_advice_for_a_camera_that_could_do_better(facts: StreamFacts, said: str) -> None:
    assert said in advice(facts)


def test_the_camera_is_not_blamed_for_a_machine_that_is_too_slow() -> None:
    late = replace(GOOD, fps=6.0, longest_wait_s=1.5)
    busy = advice(replace(late, core_wait=0.4))
    assert busy.startswith("this machine is overloaded: end other programs")
    slow = advice(replace(late, decode_ms=160.0, core_wait=0.02))
    assert slow.startswith("this machine decodes no faster than that: take the camera's sub-stream")
    for said in (busy, slow):
        assert "network" not in said
        assert "fewer pictures" not in said
    assert "raise its frame rate" not in busy
    idle = advice(replace(late, core_wait=0.01))
    assert "gaps: check the network" in idle


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="the system does not tell")
def test_waiting_for_a_core_that_another_has_is_measured() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    hog = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        assert hog.stdout is not None
        hog.stdout.readline()
        wait, until = CoreWait(), time.monotonic() + 1.0
        while time.monotonic() < until:
            pass
        share = wait.share()
    finally:
        os.sched_setaffinity(0, before)
        hog.kill()
        hog.communicate()
    assert share is not None
    assert share > 0.2


def test_portrait_full_hd_is_not_too_large() -> None:
    assert advice(replace(GOOD, width=1080, height=1920)) == ""


@pytest.mark.parametrize("trouble", Trouble)
def test_every_trouble_has_a_sentence_and_a_mend(trouble: Trouble) -> None:
    finding = judge_failure("camera", "a", Failure(trouble, "why"), request("url", f"rtsp://u:{SECRET}@h:99999/x"))
    assert finding.found
    assert finding.mend
    assert not {"{", "}"} & set(finding.found + finding.mend)
    assert SECRET not in text_line(finding)


# The rhythm of a stream


def test_pictures_in_store_count_for_key_frames_but_not_for_the_rate() -> None:
    stored = [Arrival(1.0, None if i == 0 else 0.04 * i, i % 10 == 0) for i in range(25)]
    live = [Arrival(1.0 + 0.04 * i, 1.0 + 0.04 * i, i % 10 == 5) for i in range(1, 26)]
    beat = rhythm([*stored, *live], 25.0)
    assert beat.fps == pytest.approx(25.0)
    assert beat.longest_wait_s == pytest.approx(0.04)
    assert beat.jitter_s == pytest.approx(0.0, abs=1e-9)
    assert beat.key_frame_s == pytest.approx(0.4, abs=0.05)


def test_a_gap_and_a_last_key_frame_long_ago() -> None:
    times = [0.1 * i for i in range(20)] + [3.5 + 0.1 * i for i in range(20)]
    beat = rhythm([Arrival(t, None, key=t == 0.0) for t in times], 10.0)
    assert beat.longest_wait_s == pytest.approx(1.6)
    assert beat.key_frame_s is None
    assert beat.without_key_s == pytest.approx(5.4)


def test_pictures_that_all_come_at_once_have_no_rate() -> None:
    beat = rhythm([Arrival(0.5, 0.04 * i, key=True) for i in range(50)], 25.0)
    assert (beat.fps, beat.longest_wait_s, beat.jitter_s) == (None, None, None)
    assert rhythm([], 25.0).key_frame_s is None


# Footage


def test_a_folder_with_a_gap_and_an_unreadable_image(tmp_path: Path) -> None:
    for number in (*range(1, 8), *range(10, 13)):
        write_image(tmp_path / f"frame_{number:03d}.jpg")
    (tmp_path / "frame_005.jpg").write_bytes(b"broken")
    asked = request("folder", str(tmp_path))
    facts = probe(asked)
    assert isinstance(facts, FootageFacts)
    assert (facts.total, facts.read, facts.unreadable, facts.missing) == (10, 10, 1, 2)
    finding = judge_footage("frames", facts, asked)
    assert finding.state is State.WARNING
    assert finding.found == "16x12, 25 fps, all 10 images read, 1 unreadable (frame_005.jpg), 2 numbers missing"


def test_a_video_that_is_whole(tmp_path: Path) -> None:
    asked = request("video", str(write_video(tmp_path / "a.avi", frames=12)))
    facts = probe(asked)
    assert isinstance(facts, FootageFacts)
    assert facts.length_s == pytest.approx(1.2)
    with VideoSource(Path(asked.target)).open() as reader:
        assert reader.claimed_s == pytest.approx(1.2), "what counts for one that is not read to its end"
    finding = judge_footage("a", facts, asked)
    assert (finding.state, finding.found) == (State.OK, "32x24, 10 fps, all 12 pictures read")


def test_a_folder_that_takes_too_long_is_looked_at_in_part(tmp_path: Path) -> None:
    write_image(tmp_path / "frame_1.jpg")
    facts = probe(request("folder", str(tmp_path)))
    assert isinstance(facts, FootageFacts)
    part = replace(facts, total=12000, read=800, complete=False)
    finding = judge_footage("frames", part, request("folder", str(tmp_path)))
    assert finding.found == "16x12, 25 fps, 12,000 images, 800 read"


def test_a_file_that_is_no_video_and_a_folder_without_an_image_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no pictures here")
    assert "is no video" in failure("video", str(tmp_path / "notes.mp4")).found
    (tmp_path / "a.jpg").write_bytes(b"broken")
    assert "of 1 image looked at in" in failure("folder", str(tmp_path)).found


def test_each_source_that_is_none_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi")
    specs = [str(video), "no/such.mp4", f"ftp://u:{SECRET}@h/x", "rtsp://h/x"]
    sources, problems = find_sources(Checkup(MonitorConfig(), specs))
    assert [source.name for source in sources] == ["a", "h-x"]
    assert [problem.state for problem in problems] == [State.PROBLEM] * 2
    assert "no such file or folder: no/such.mp4" in problems[0].found
    assert SECRET not in "".join(text_line(hide_secrets(problem)) for problem in problems)


# Models


def test_a_model_is_described_and_timed() -> None:
    finding = check_model(DEMO_MODEL, (320, 180), MonitorConfig(analysis_fps=5.0), "cpu")
    facts = finding.facts
    assert isinstance(facts, ModelFacts)
    assert facts.id.startswith("demo@")
    assert facts.detectors == ("motion", "static")
    assert facts.ms_a_frame > 0
    assert facts.cameras_a_thread == int(200 / facts.ms_a_frame)
    assert (finding.state, facts.supported_per_day > 1) == (State.WARNING, True)
    assert "longer normal footage" in finding.mend
    assert judge_model(facts, facts.supported_per_day + 1).state is State.OK


def test_a_damaged_and_a_missing_model(tmp_path: Path) -> None:
    missing = check_model(tmp_path / "none", (320, 180), MonitorConfig(), "cpu")
    assert (missing.state, missing.found) == (State.PROBLEM, f"no model folder at {tmp_path / 'none'}")
    assert "training learn" in missing.mend
    for file in DEMO_MODEL.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:-7])
    damaged = check_model(tmp_path, (320, 180), MonitorConfig(), "cpu")
    assert damaged.state is State.PROBLEM
    assert "damaged" in damaged.found
    assert damaged.mend == f"copy the model folder again, or delete {tmp_path} and learn the camera anew"
    assert "copy" not in damaged.found, "said once"
    (tmp_path / "model.json").unlink()
    other = check_model(tmp_path, (320, 180), MonitorConfig(), "cpu")
    assert (other.state, other.mend) == (State.PROBLEM, "copy the model folder again, or train it again")


def test_a_machine_that_cannot_keep_up_is_told_what_it_can() -> None:
    assert judge_load({"a": 20.0, "b": 20.0}, 0.4, 2, 10.0).state is State.OK
    over = judge_load({"a": 60.0, "b": 60.0}, 1.8, 2, 10.0)
    assert over.state is State.WARNING
    assert "analysis_fps = 6" in over.mend
    assert "sub-streams" in over.mend


# Ports


def test_every_address_is_bound_and_let_go() -> None:
    publish = PublishConfig(alerts="tcp://127.0.0.1:*", scores="tcp://127.0.0.1:*")
    for _ in range(2):
        found = {finding.name: finding.state for finding in check_ports(publish)}
        assert (found["alerts"], found["scores"]) == (State.OK, State.OK)


def test_an_address_in_use_and_one_open_to_others() -> None:
    with listening() as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        used, exposed, *_ = check_ports(PublishConfig(alerts=endpoint, scores="tcp://0.0.0.0:5561"))
    assert (used.name, used.state, used.found) == ("alerts", State.PROBLEM, f"{endpoint} is in use")
    assert "stop the program that holds it" in used.mend
    assert (exposed.name, exposed.state) == ("scores", State.PROBLEM)
    assert "open to other machines" in exposed.found


def test_keys(tmp_path: Path) -> None:
    assert not list(check_keys(PublishConfig()))
    (missing,) = check_keys(PublishConfig(keys=tmp_path))
    assert missing.state is State.PROBLEM
    assert "python -m monitor.client keys" in missing.mend
    make_keys(tmp_path, "desk")
    publish = PublishConfig(alerts="tcp://0.0.0.0:*", scores="tcp://127.0.0.1:*", keys=tmp_path / "monitor")
    (good,) = check_keys(publish)
    assert (good.state, good.found) == (State.OK, "clients that may connect: desk")
    assert next(iter(check_ports(publish))).state is State.OK, "with keys an address may be open to others"
    (tmp_path / "monitor/clients/desk.key").unlink()
    (nobody,) = check_keys(publish)
    assert (nobody.state, nobody.found) == (State.WARNING, "no client may connect")


# Disk


def test_the_journal_is_looked_at_and_left_alone(tmp_path: Path) -> None:
    journal = JournalConfig(path=tmp_path / "runs" / "journal.sqlite3")
    assert check_journal(journal).state is State.OK
    assert not journal.path.parent.exists()
    with Journal(journal.path):
        assert check_journal(journal).state is State.OK
    journal.path.write_bytes(b"no database at all")
    assert check_journal(journal).state is State.WARNING
    assert journal.path.read_bytes() == b"no database at all"
    assert check_journal(JournalConfig(path=tmp_path)).found == f"{tmp_path} is a folder"
    assert check_journal(JournalConfig(path=journal.path / "j.sqlite3")).state is State.PROBLEM
    assert "lower max_mb" in check_journal(JournalConfig(path=tmp_path / "j", max_mb=1e6)).mend


def test_an_evidence_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = check_evidence(EvidenceSettings(folder=tmp_path / "file" / "evidence"))
    assert (finding.state, finding.found) == (State.PROBLEM, f"{tmp_path / 'file'} is a file, not a folder")


def test_a_folder_where_nothing_can_be_written() -> None:
    finding = check_evidence(EvidenceSettings(folder=Path("/proc/evidence")))
    assert finding.state is State.PROBLEM
    assert "cannot be written" in finding.found


def test_room_on_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    assert check_evidence(EvidenceSettings(folder=folder, keep_gb=1e-6)).state is State.OK
    small = check_evidence(EvidenceSettings(folder=folder, keep_gb=1e9))
    assert "keep_gb = " in small.mend
    assert not folder.exists(), "looking leaves nothing behind"


def test_records(tmp_path: Path) -> None:
    nowhere, folder = check_records(tmp_path / "none" / "s.jsonl", tmp_path, 10.0)
    assert (nowhere.state, folder.state) == (State.PROBLEM, State.PROBLEM)
    (tmp_path / "s.jsonl").write_text("old")
    (again,) = check_records(tmp_path / "s.jsonl", None, 10.0)
    assert "would be overwritten" in again.found
    assert "0.11 GB a day" in again.found
    assert (tmp_path / "s.jsonl").read_text() == "old"


# Device

CPU = Machine("2.11.0", "13.0", (), False, False, "", 4, 0.5)
GPU = replace(CPU, gpus=("NVIDIA H100",), driver=True)


@pytest.mark.parametrize(
    ("wanted", "machine", "state", "found", "device"),
    [
        ("auto", CPU, State.OK, "runs on the CPU: no NVIDIA driver", "cpu"),
        ("cpu", GPU, State.OK, "runs on the CPU as asked", "cpu"),
        ("auto", GPU, State.OK, "runs on NVIDIA H100", "auto"),
        ("auto", replace(GPU, load=9.0), State.WARNING, "4 CPU cores, load now 9.0", "auto"),
        ("auto", replace(CPU, load=9.0), State.WARNING, "4 CPU cores, load now 9.0", "cpu"),
        ("cuda:1", GPU, State.PROBLEM, "the last GPU here is cuda:0", "cpu"),
        ("cuda", CPU, State.PROBLEM, "no NVIDIA driver", "cpu"),
        ("auto", replace(CPU, driver=True, built_for=None), State.WARNING, "built without CUDA", "cpu"),
        ("auto", replace(CPU, driver=True, hidden=True), State.WARNING, "CUDA_VISIBLE_DEVICES", "cpu"),
        ("cuda", replace(CPU, driver=True, complaint="driver too old"), State.PROBLEM, "driver too old", "cpu"),
    ],
)
def test_the_device_and_why_it_is_no_gpu(wanted: str, machine: Machine, state: State, found: str, device: str) -> None:
    finding = judge_device(wanted, machine)
    assert (finding.state, bool(finding.mend)) == (state, state is not State.OK)
    assert found in finding.found
    assert usable_device(wanted, machine) == device


# The report


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits_the_terminal(width: int) -> None:
    findings = [
        judge_stream("a-name-that-is-far-too-long-for-a-column", GOOD, request("url", "rtsp://h/x"), 10.0),
        Finding("port", "alerts", State.PROBLEM, "[red] is in use", "stop it"),
    ]
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    show_table(findings, console)
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert any("[red] is in use" in line for line in lines), "what was found is no markup"
    assert lines[-1] == "1 ok, 0 warnings, 1 problem: mend the problems first."
    assert summary(findings[:1]) == "1 ok, 0 warnings, 0 problems."


def doctor(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "run_monitor.py", "doctor", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_json_lines_of_a_config_with_a_camera_that_refuses_and_a_file(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi")
    (tmp_path / "c.toml").write_text(
        f'model = "{DEMO_MODEL}"\n[cameras.yard]\nsource = "rtsp://admin:{SECRET}@127.0.0.1:9/x"\n'
        f'[cameras.archive]\nsource = "{video}"\n[publish]\nenabled = false\n'
    )
    result = doctor("--config", tmp_path / "c.toml", "--json", "--seconds", "1")
    assert result.returncode == 1, result.stderr
    assert SECRET not in result.stdout + result.stderr
    found = {f"{line['check']} {line['name']}": line for line in map(json.loads, result.stdout.splitlines())}
    assert found["camera yard"]["state"] == "problem"
    assert found["camera yard"]["facts"]["trouble"] == "refused"
    assert found["footage archive"]["facts"]["read"] == 4
    assert found[f"config {tmp_path / 'c.toml'}"]["state"] == "ok"
    assert found["device auto"]["state"] in ("ok", "warning")
    assert any(line["check"] == "model" for line in found.values())


def test_a_file_alone_without_a_model_is_only_a_warning(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi", frames=120)
    result = doctor(video, "--no-publish", "--device", "cpu", "--learn", "11s")
    assert result.returncode == 0, result.stdout + result.stderr
    first, second, *_ = result.stdout.splitlines()
    assert first == "ok       footage a: 32x24, 10 fps, all 120 pictures read"
    assert second.startswith("warning  model: no model for a yet: ")


def test_a_file_shorter_than_what_is_to_be_learned_from_is_a_problem(tmp_path: Path) -> None:
    result = doctor(write_video(tmp_path / "a.avi"), "--no-publish", "--device", "cpu")
    assert result.returncode == 1, result.stdout + result.stderr
    found = "no model for it yet, and its 0 s are shorter than the 10 min to learn from and the 10 s that are the least"
    assert f"problem  model a: {found}: a run ends without having watched it" in result.stdout
    assert "no model for a" not in result.stdout
    assert "--learn" not in result.stdout, "no shorter time would help"
    assert "give --learn a shorter time (10 s is the least)" in too_short_to_learn("a", 18.0, 600.0, loop=False).mend
    looped = too_short_to_learn("a", 18.0, 600.0, loop=True)
    assert (looped.state, looped.found.partition(": ")[2]) == (State.WARNING, "a run learns from all of it")


def test_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[alert]\nmin_duration = 1\n")
    for arguments, sentence in (((), "nothing to check"), (("--config", tmp_path / "c.toml"), "did you mean")):
        result = doctor(*arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr


def test_the_example_config_can_be_examined() -> None:
    settings = load_config(ROOT / "configs/cameras.toml")
    sources, _ = find_sources(Checkup(settings))
    assert "door" in [source.name for source in sources]
