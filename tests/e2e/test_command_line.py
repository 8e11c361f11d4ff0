"""The command line as a user meets it: its output and its exit code, in a process if that is what is tested."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from monitor.alerts.journal import Journal
from monitor.app import planning
from monitor.client import AlertSubscriber, Contact, Ended
from monitor.sources.isolated.isolated_source import isolate
from tests.helpers.commands import Finished, monitor
from tests.helpers.made_footage import write_video
from tests.places import ROOT

DEMO_MODEL = ROOT / "monitor/assets/demo"
DEADLINE_S = 60
ANY = "tcp://127.0.0.1:*"
FREE_PORTS = ("--alerts", ANY, "--scores", ANY, "--history", ANY, "--no-journal")


def in_a_process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "run_monitor.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        stdin=subprocess.DEVNULL,
    )


def in_a_terminal(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a terminal with 80 columns; ``stdout`` is what it shows."""
    terminal = (sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)")
    return subprocess.run(
        [*terminal, sys.executable, ROOT / "run_monitor.py", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"COLUMNS": "80"},
    )


def refused(result: Finished | subprocess.CompletedProcess[str], code: int, *sentences: str) -> None:
    """One clear sentence on stderr, nothing else, and the exit code."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line]
    assert len(lines) == 1, result.stderr
    for sentence in sentences:
        assert sentence in lines[0]


@pytest.fixture(autouse=True)
def decoding_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process decode in threads: to start two decoders for each file takes more time than to watch it."""
    monkeypatch.setattr(planning, "isolate", lambda source, _, masks: isolate(source, "thread", masks))


@pytest.fixture
def decoding_in_processes(monkeypatch: pytest.MonkeyPatch, decoding_in_threads: None) -> None:  # noqa: ARG001
    """As users have it."""
    monkeypatch.setattr(planning, "isolate", isolate)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a square that moves over a textured ground, MJPEG."""
    path = tmp_path_factory.mktemp("video") / "square.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 176))
    ground = np.random.default_rng(0).integers(60, 120, (176, 320, 3), np.uint8)
    for i in range(100):
        image = ground.copy()
        image[60:100, 2 * i : 2 * i + 30] = 240
        writer.write(image)
    writer.release()
    return path


def test_what_is_said_before_the_first_frame_has_its_time(video: Path) -> None:
    twice = (video, video, "--model", DEMO_MODEL, "--no-publish", "--speed", "max", "--max-frames", "3")
    said = r"\d\d:\d\d:\d\d WARNING square and square-2 are the same source"
    headless = monitor(*twice)
    assert headless.returncode == 0, headless.stderr
    assert re.match(said, headless.stderr)
    dashboard = in_a_terminal(*twice)
    assert dashboard.returncode == 0, dashboard.stdout
    before, live_view, _ = dashboard.stdout.partition("\x1b[?1049h")
    assert live_view
    assert re.match(said, before)
    assert "models are kept in" in before


def test_in_a_terminal_what_is_printed_at_the_end_is_broken_between_words() -> None:
    demo = ("--demo", "--model", DEMO_MODEL, "--speed", "max", "--max-frames", "3", "--no-publish")
    words = "without arguments shows how to watch your own camera."
    assert words in monitor(*demo, "--headless").stdout, "unbroken if stdout is not a terminal"
    shown = in_a_terminal(*demo)
    assert shown.returncode == 0, shown.stdout
    after = shown.stdout.rpartition("\x1b[?1049l")[2]
    assert max(len(line) for line in re.sub(r"\x1b\[[?0-9;]*[a-z]", "", after).splitlines()) <= 80
    assert words in " ".join(after.split())


def test_without_arguments_the_three_first_steps_are_shown() -> None:
    result = monitor()
    assert result.returncode == 0
    for command in ("run_monitor.py --demo", "-m training learn", "-m monitor.client"):
        assert command in result.stdout


def test_other_sources_are_watched_though_one_cannot_be_read(tmp_path: Path) -> None:
    write_video(tmp_path / "good.avi")
    result = monitor(
        f"{tmp_path}/good.avi",
        "yard=/no/such.mp4",
        "--model",
        DEMO_MODEL,
        "--headless",
        "--no-publish",
        "--speed",
        "max",
    )
    assert "yard: failed (there is no file or folder /no/such.mp4: check the path)" in result.stderr
    assert "good: ended" in result.stderr
    assert "1 of 2 sources could not be watched to the end: yard" in result.stderr
    assert result.returncode == 1


def test_a_missing_path() -> None:
    missing = ("no/such.mp4", "--model", DEMO_MODEL)
    for run in (in_a_process, monitor):
        refused(run(*missing), 2, "there is no file or folder no/such.mp4: check the path")


def test_an_empty_folder(tmp_path: Path) -> None:
    refused(monitor(tmp_path, "--model", DEMO_MODEL), 2, str(tmp_path), "holds no images")


@pytest.mark.usefixtures("decoding_in_processes")
def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no pictures here")
    refused(monitor(tmp_path / "notes.mp4", "--model", DEMO_MODEL), 2, "notes.mp4", "not a video", "copy it again")


def test_an_unknown_setting(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[alert]\nmin_duration = 1\n")
    refused(monitor("--config", tmp_path / "c.toml"), 2, "did you mean 'min_duration_s'?")


def test_a_config_without_cameras(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("analysis_fps = 5\n")
    refused(monitor("--config", tmp_path / "c.toml"), 2, "names no camera")


def test_a_file_without_a_model_that_is_shorter_than_the_time_to_learn_from(video: Path, tmp_path: Path) -> None:
    result = monitor(video, "--no-publish", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert "there is no model for it" in result.stderr
    assert "4 s of it are too little to learn from" in result.stderr
    assert not list((tmp_path / "models").glob("*/*"))


def test_a_folder_that_is_no_model(video: Path, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("")
    refused(monitor(video, "--model", tmp_path), 2, "is not a model folder")


def test_a_damaged_model(video: Path, tmp_path: Path) -> None:
    for file in DEMO_MODEL.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:-7])
    refused(monitor(video, "--model", tmp_path), 2, "damaged")


def test_a_wrong_speed_is_a_usage_error() -> None:
    result = monitor("--demo", "--speed", "fast")
    assert result.returncode == 2
    assert "'max'" in result.stderr


@pytest.mark.parametrize("flag", ["--duration", "--learn"])
def test_a_flag_for_a_length_of_time_says_how_to_write_one(flag: str) -> None:
    result = monitor("--demo", flag, "soon")
    assert result.returncode == 2
    assert f"{flag}: 'soon' is not a duration: write 90s, 10m or 2h" in " ".join(result.stderr.split())


@pytest.mark.parametrize("duration", ["0.5", "0.5s"])
def test_the_duration_is_a_length_of_time_like_that_of_learning(duration: str) -> None:
    result = monitor("--demo", "--model", DEMO_MODEL, "--headless", "--duration", duration, "--no-publish")
    assert result.returncode == 0, result.stderr


def test_the_demo_with_a_source_is_refused(video: Path) -> None:
    refused(monitor("--demo", video), 2, "has its own scene")


def test_a_port_in_use(video: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = monitor(video, "--model", DEMO_MODEL, "--headless", *FREE_PORTS, "--alerts", f"tcp://127.0.0.1:{port}")
    refused(result, 1, f"tcp://127.0.0.1:{port} is in use")


def test_a_journal_in_use(video: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[cameras.a]\nsource = "{video}"\nmodel = "{DEMO_MODEL}"\n')
    with Journal(tmp_path / "runs" / "journal.sqlite3"):
        result = monitor("--config", "c.toml", "--headless", *FREE_PORTS[:-1], cwd=tmp_path)
    refused(result, 1, "the journal runs/journal.sqlite3 is in use by another monitor", "[journal] path")


def test_alerts_are_journalled_by_default(video: Path, tmp_path: Path, state_of_its_own: Path) -> None:
    result = monitor(video, "--model", DEMO_MODEL, "--speed", "max", *FREE_PORTS[:-1], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"the journal in {state_of_its_own}/runs/journal.sqlite3; --state moves both" in result.stderr
    assert not list(tmp_path.iterdir()), "nothing depends on the working directory"
    with Journal(state_of_its_own / "runs" / "journal.sqlite3") as journal:
        kept = journal.page(0, ["health/square/"], limit=10, max_bytes=10**6).entries
    assert [json.loads(entry.body)["state"] for entry in kept][-1] == "ended"


def test_an_address_open_to_other_machines(video: Path) -> None:
    refused(monitor(video, "--model", DEMO_MODEL, "--alerts", "tcp://0.0.0.0:5560"), 2, "insecure = true")


def test_a_record_that_cannot_be_written(video: Path, tmp_path: Path) -> None:
    result = monitor(video, "--model", DEMO_MODEL, "--no-publish", "--record-scores", tmp_path / "none" / "s.jsonl")
    refused(result, 2, "cannot write")


@pytest.mark.usefixtures("decoding_in_processes")
def test_a_video_is_watched_to_its_end_and_summed_up(video: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.jsonl"
    result = monitor(video, "--model", DEMO_MODEL, "--speed", "max", "--record-scores", scores, *FREE_PORTS)
    assert result.returncode == 0, result.stderr
    assert "True Sight ran for" in result.stdout
    assert "square" in result.stdout
    header, *recorded = [json.loads(line) for line in scores.read_text().splitlines()]
    assert header["record"] == "true-sight-scores"
    assert len(recorded) == 40, "4 s at 10 frames per second"
    assert all(entry["camera"] == "square" for entry in recorded)


def test_a_file_of_which_nothing_could_be_scored_and_a_dead_camera_are_both_told_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "tall.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (176, 320))
    for i in range(50):
        writer.write(np.random.default_rng(i).integers(0, 255, (320, 176, 3), np.uint8))
    writer.release()
    model = shutil.copytree(DEMO_MODEL, tmp_path / "wide")
    card = json.loads((model / "model.json").read_text())
    card["provenance"]["notes"] |= {"width": 320, "height": 176}
    (model / "model.json").write_text(json.dumps(card))
    dead = "yard=rtsp://127.0.0.1:9/live"
    result = monitor(path, dead, "--model", model, "--speed", "max", "--duration", "5", *FREE_PORTS)
    assert result.returncode == 1, result.stderr
    last = result.stderr.splitlines()[-1]
    why = "rtsp://127.0.0.1:9/live cannot be opened: 127.0.0.1 refuses connections on port 9"
    assert last.startswith(f"error: no frame came from yard ({why}): run `")
    assert "run_monitor.py doctor rtsp://127.0.0.1:9/live` to see why; " in last
    assert "; no frame was scored for tall (learned at 320x176, now 176x320" in last
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("decoding_in_processes")
def test_the_same_file_gives_the_same_bytes_at_any_speed(video: Path, tmp_path: Path) -> None:
    records = []
    for speed in ("max", "3"):
        paths = [tmp_path / f"{kind}-{speed}.jsonl" for kind in ("scores", "alerts")]
        arguments = ("--record-scores", paths[0], "--record-alerts", paths[1], "--no-publish", "--analysis-fps", "0")
        result = monitor(video, "--model", DEMO_MODEL, "--speed", speed, *arguments)
        assert result.returncode == 0, result.stderr
        records.append([path.read_bytes() for path in paths])
    assert records[0] == records[1]
    assert records[0][0].count(b"\n") == 101, "a header and 100 frames"


def test_an_unreadable_image_is_named_skipped_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(1, 21):
        cv2.imwrite(str(folder / f"frame_{number:05d}.jpg"), np.full((48, 64, 3), 90, np.uint8))
    (folder / "frame_00007.jpg").write_bytes(b"broken")
    (folder / "frame_00012.jpg").unlink()
    result = monitor(folder, "--model", DEMO_MODEL, "--speed", "max", "--analysis-fps", "0", "--no-publish")
    assert result.returncode == 0, result.stderr
    assert "frame_00007.jpg" in result.stderr
    assert "frames: 1 frame missing in the frame numbers, 1 unreadable" in result.stdout


def start(arguments: Sequence[str | Path]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", ROOT / "run_monitor.py", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_line(process: subprocess.Popen[str], part: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:  # the test's own timeout is the deadline
        if part in line:
            return
    raise AssertionError(f"the monitor ended without a line with '{part}'")


def test_ctrl_c_ends_cleanly_within_two_seconds_and_ends_open_events(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.jsonl"
    process = start(
        ["--demo", "--model", DEMO_MODEL, "--headless", "--speed", "4", "--record-alerts", alerts, *FREE_PORTS]
    )
    wait_for_line(process, "alert 1 starts")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=2.0)
    assert process.returncode == 0
    assert "True Sight ran for" in out
    phases = [json.loads(line)["phase"] for line in alerts.read_text().splitlines()]
    assert phases[0] == "start"
    assert phases[-1] == "end"


def test_ctrl_c_before_a_camera_gave_a_frame_says_so_and_is_no_failure() -> None:
    process = start(["yard=rtsp://127.0.0.1:9/live", "--model", DEMO_MODEL, "--headless", *FREE_PORTS])
    wait_for_line(process, "offline")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert "no frame came from yard (" in err
    assert "doctor rtsp://127.0.0.1:9/live` to see why" in err


@pytest.mark.parametrize(
    ("arguments", "stopped", "how"),
    [
        (["{video}"], False, "done: every source has ended"),
        (["{video}", "--loop", "--duration", "4"], False, "done: --duration is over"),
        (["yard=rtsp://127.0.0.1:9/live", "--duration", "4"], False, "failed: no frame came from yard ("),
        (["yard=rtsp://127.0.0.1:9/live"], True, "stopped: by Ctrl-C or SIGTERM"),
    ],
)
def test_subscribers_are_told_that_the_run_ended_and_how(
    video: Path, tmp_path: Path, arguments: list[str], stopped: bool, how: str
) -> None:
    addresses = [f"ipc://{tmp_path}/{name}" for name in ("alerts", "scores", "history")]
    sockets = ("--alerts", addresses[0], "--scores", addresses[1], "--history", addresses[2], "--no-journal")
    named = [argument.format(video=video) for argument in arguments]
    given: list[str | Path] = [*named, "--model", DEMO_MODEL, "--headless", *sockets]

    def told(process: subprocess.Popen[str] | None = None) -> Ended:
        with AlertSubscriber(addresses[0], timeout_s=DEADLINE_S) as subscriber:
            if process is not None:
                next(item for item in subscriber if isinstance(item, Contact))
                process.send_signal(signal.SIGINT)
            return next(item for item in subscriber if isinstance(item, Ended))

    if stopped:
        process = start(given)
        ended = told(process)
        process.communicate(timeout=DEADLINE_S)
    else:
        with ThreadPoolExecutor(1) as pool:
            telling = pool.submit(told)
            monitor(*given)
            ended = telling.result()
    assert ended.how.startswith(how)


def test_a_second_ctrl_c_kills() -> None:
    process = start(["--demo", "--model", DEMO_MODEL, "--headless", *FREE_PORTS])
    wait_for_line(process, "first score")
    os.kill(process.pid, signal.SIGSTOP)  # both signals wait until it continues, so the second one interrupts the first
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    os.kill(process.pid, signal.SIGCONT)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)


def test_no_password_is_ever_shown() -> None:
    url = "rtsp://admin:hunter2@127.0.0.1:9/live"
    result = monitor(f"yard={url}", "--model", DEMO_MODEL, "--headless", "--verbose", "--duration", "3", *FREE_PORTS)
    assert result.returncode == 1, "no frame came"
    assert "hunter2" not in result.stdout + result.stderr
    assert "offline" in result.stderr
    assert "error: no frame came from yard" in result.stderr
    assert "doctor` with the same sources to see why" in result.stderr, "a hint with *** could not be pasted"


def test_of_a_camera_that_never_came_the_config_file_is_what_the_doctor_is_given(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        f'[cameras.yard]\nsource = "rtsp://admin:hunter2@127.0.0.1:9/live"\nmodel = "{DEMO_MODEL}"\n'
    )
    result = monitor("--config", "c.toml", "--headless", "--duration", "2", "--no-publish", cwd=tmp_path)
    assert result.returncode == 1
    assert "doctor --config c.toml` to see why" in result.stderr
    assert "hunter2" not in result.stderr


def test_a_record_is_written_over_no_source_and_no_other_file(video: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.avi"
    precious.write_bytes(video.read_bytes())
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes\n")
    rest = ("--model", DEMO_MODEL, "--no-publish", "--speed", "max", "--headless")
    refused(monitor(precious, *rest, "--record-scores", precious), 2, "is one of the sources")
    refused(monitor(video, *rest, "--record-alerts", notes), 2, "is no record of this program")
    same = tmp_path / "same.jsonl"
    refused(monitor(video, *rest, "--record-alerts", same, "--record-scores", same), 2, "give two files")
    assert precious.read_bytes() == video.read_bytes()
    assert notes.read_text() == "my notes\n"
    assert not same.exists()


def test_one_address_for_two_sockets(video: Path) -> None:
    same = "tcp://127.0.0.1:5998"
    refused(monitor(video, "--model", DEMO_MODEL, "--alerts", same, "--scores", same), 2, "alerts and scores", same)


def test_a_cuda_device_that_is_not_there_is_refused_by_any_model(video: Path) -> None:
    refused(monitor(video, "--model", DEMO_MODEL, "--device", "cuda:77"), 2, "this machine has no")


def test_ctrl_c_while_the_program_is_still_loading_leaves_no_traceback() -> None:
    process = start(["--demo", "--model", DEMO_MODEL, "--headless", *FREE_PORTS])
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert "Traceback" not in err
