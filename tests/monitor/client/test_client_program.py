"""``python -m monitor.client``: its output and its exit codes. Runs in a process if a monitor sends messages to it."""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.states import CameraState, Phase
from tests.helpers import commands
from tests.helpers.publishing import ANY, DEADLINE_S, START, await_subscriptions, local, publish_alert


class ClientProcess:
    """``python -m monitor.client`` in a process. Waits for each line of output with a deadline."""

    def __init__(self, *arguments: str) -> None:
        self.publisher: Publisher | None = None
        """It runs while a line is awaited."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitor.client", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._rest = {"stdout": b"", "stderr": b""}

    def line(self, stream: str = "stdout") -> str:
        pipe = getattr(self.process, stream)
        deadline = time.monotonic() + DEADLINE_S
        while b"\n" not in self._rest[stream]:
            if self.publisher is not None:
                self.publisher.tick(time.monotonic())
            assert time.monotonic() < deadline, f"no line on {stream} in {DEADLINE_S:g} s"
            if not select.select([pipe], [], [], 0.05)[0]:
                continue
            chunk = pipe.read(65_536)
            assert chunk, f"{stream} ended with {self._rest[stream]!r}"
            self._rest[stream] += chunk
        line, _, self._rest[stream] = self._rest[stream].partition(b"\n")
        return line.decode()

    def end(self) -> tuple[int, str, str]:
        """Exit code, and the rest of stdout and stderr."""
        deadline = time.monotonic() + DEADLINE_S
        while self.publisher is not None and self.process.poll() is None and time.monotonic() < deadline:
            self.publisher.tick(time.monotonic())
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, (self._rest["stdout"] + out).decode(), (self._rest["stderr"] + err).decode()


@contextmanager
def client(*arguments: str, publisher: Publisher | None = None) -> Iterator[ClientProcess]:
    program = ClientProcess(*arguments)
    program.publisher = publisher
    try:
        yield program
    finally:
        program.process.kill()
        program.process.communicate()


def test_another_process_gets_every_alert_in_order_as_json(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j") as journal,
        Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher,
        client(
            "--endpoint", publisher.alerts_endpoint, "--scores-endpoint", publisher.scores_endpoint,
            "--camera", "cam1", "--health", "--json", "--count", "102", publisher=publisher,
        ) as program,
    ):  # fmt: skip
        await_subscriptions(publisher, "alert/", "health/", "heartbeat/", "score/cam1/")
        for number in range(1, 101):
            publish_alert(publisher, "cam10")
            publish_alert(publisher, "cam1", replace(START, number=number))
        publisher.publish_health("cam1", CameraState.OFFLINE, since=1.5e9)
        publisher.publish_score("cam1", time_s=1.0, frame_index=3, score=float("nan"), captured_at=1.5e9, raw={})
        lines = [json.loads(program.line()) for _ in range(102)]
        code, rest, notes = program.end()
    alerts = [line for line in lines if line["kind"] == "alert"]
    assert [line["seq"] for line in alerts] == list(range(1, 101))
    assert {line["camera"] for line in lines} == {"cam1"}
    assert len({line["event_id"] for line in alerts}) == 100
    assert [line["state"] for line in lines if line["kind"] == "health"] == ["offline"]
    assert [line["score"] for line in lines if line["kind"] == "score"] == [None]
    assert (code, rest, notes) == (0, "", "connected to lab\n")


def test_a_mistyped_camera_is_told_with_those_that_are_known_once_a_run_and_followed_all_the_same(
    tmp_path: Path,
) -> None:
    with (
        Journal(tmp_path / "j") as journal,
        Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher,
    ):
        for camera in ("gate", "door"):
            publisher.publish_health(camera, CameraState.ONLINE, since=1.5e9)
        asking = ("--endpoint", publisher.alerts_endpoint, "--camera", "gaet", "--camera", "door", "--count", "1")
        with client(*asking, publisher=publisher) as program:
            assert program.line("stderr") == "connected to lab"
            assert program.line("stderr") == "lab knows no camera gaet: did you mean gate? It watches door, gate"
            publish_alert(publisher, "gaet")  # a reload has added it in the meantime
            assert "gaet" in program.line()
            assert program.end() == (0, "", "")


@pytest.mark.parametrize(("camera", "code"), [("gaet", 1), ("gate", 0)])
def test_nothing_of_a_mistyped_camera_is_no_success(tmp_path: Path, camera: str, code: int) -> None:
    with (
        Journal(tmp_path / "j") as journal,
        Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher,
    ):
        publisher.publish_health("gate", CameraState.ONLINE, since=1.5e9)
        asking = ("--endpoint", publisher.alerts_endpoint, "--camera", camera, "--no-follow", "--since", "1h")
        with client(*asking, publisher=publisher) as program:
            assert program.line("stderr") == "connected to lab"
            told = "lab knows no camera gaet: did you mean gate? It watches gate\n"
            assert program.end() == (code, "", told if code else "")


def test_a_restart_of_the_monitor_is_noticed_and_nothing_is_lost_by_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        first = Publisher(ANY, ANY, ANY, node="lab", journal=journal).__enter__()
        with client("--endpoint", first.alerts_endpoint, "--json", publisher=first) as program:
            await_subscriptions(first, "alert/", "heartbeat/")
            assert program.line("stderr") == "connected to lab"
            for _ in range(2):
                publish_alert(first, event=replace(START, phase=Phase.END, ended_s=12.5))
            assert [json.loads(program.line())["seq"] for _ in range(2)] == [1, 2]
            first.__exit__()
            with Publisher(first.alerts_endpoint, ANY, ANY, node="lab", journal=journal) as second:
                program.publisher = second
                publish_alert(second)  # no subscriber is connected yet
                line = json.loads(program.line())
                assert (line["seq"], line["epoch"], line["lost"]) == (1, second.epoch, 0)
                assert program.line("stderr") == "lab has restarted"


def test_what_has_been_is_printed_with_its_pictures_saved_and_a_token_to_go_on_from(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j") as journal,
        Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher,
    ):
        for number in range(1, 4):
            publish_alert(publisher, event=replace(START, number=number), jpeg=b"\xff\xd8picture")
        asking = ("--endpoint", publisher.alerts_endpoint, "--no-follow", "--json")
        pictures = tmp_path / "pictures"
        with client(*asking, "--since", "2h", "--save-evidence", str(pictures), publisher=publisher) as program:
            lines = [json.loads(program.line()) for _ in range(3)]
            assert program.end()[0] == 0
        with client(*asking, "--since", lines[1]["token"], publisher=publisher) as program:
            assert json.loads(program.line()) == lines[2]
            assert program.end()[:2] == (0, "")
    assert [line["seq"] for line in lines] == [1, 2, 3]
    files = sorted(file for file in pictures.rglob("*") if file.is_file())
    assert [file.relative_to(pictures).parts[0] for file in files] == ["cam1"] * 3
    assert [file.name.partition("-")[2] for file in files] == ["1-start.jpg", "2-start.jpg", "3-start.jpg"]
    assert {file.read_bytes() for file in files} == {b"\xff\xd8picture"}


def test_text_output_and_a_clean_end_on_ctrl_c() -> None:
    with (
        Publisher(ANY, ANY, node="lab") as publisher,
        client("--endpoint", publisher.alerts_endpoint, publisher=publisher) as program,
    ):
        await_subscriptions(publisher, "alert/", "heartbeat/")
        publish_alert(publisher, event=replace(START, phase=Phase.END, ended_s=12.5))
        line = program.line()
        program.process.send_signal(signal.SIGINT)
        code, _, notes = program.end()
    began = f"began {local(1.5e9, '%Y-%m-%d %H:%M:%S')}"
    ending = f"lasted 2.5 s of footage  {began}  speed 3 px/frame, usual here up to 1 px/frame"
    assert line.endswith(f"  cam1  END  peak 1.50  {ending}")
    assert code == 0
    assert notes == "connected to lab\nlost messages cannot be recovered: this monitor has no history socket\n"


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    with (
        Publisher(ANY, ANY) as publisher,
        client("--endpoint", publisher.alerts_endpoint, "--json", publisher=publisher) as program,
    ):
        await_subscriptions(publisher, "alert/", "heartbeat/")
        publish_alert(publisher)
        assert json.loads(program.line())["seq"] == 1
        assert program.process.stdout is not None
        program.process.stdout.close()
        publish_alert(publisher)
        assert program.process.wait(DEADLINE_S) == 0
        assert program.process.stderr is not None
        assert b"Error" not in program.process.stderr.read()


def test_without_a_monitor_it_says_that_it_waits_goes_on_and_ends_with_1_at_its_timeout() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        endpoint = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
        ended = commands.client("--endpoint", endpoint, "--timeout", "3.3")
    assert (ended.returncode, ended.stdout) == (1, "")
    waiting, closing = ended.stderr.splitlines()
    assert waiting.startswith(f"waiting: nothing received from {endpoint} for 3 s. Check that a monitor runs there")
    assert closing.startswith(f"no monitor answered at {endpoint} within 3.3 s: start one with ")


def test_the_end_of_a_timeout_before_anything_was_said_is_one_sentence(tmp_path: Path) -> None:
    ended = commands.client("--endpoint", f"ipc://{tmp_path}/nobody", "--timeout", "0.2")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"no monitor answered at ipc://{tmp_path}/nobody within 0.2 s: start one")
    assert ended.stderr.count("\n") == 1


def test_a_monitor_that_had_nothing_to_say_is_told_from_none(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j") as journal,
        Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher,
        client("--endpoint", publisher.alerts_endpoint, "--timeout", "2", publisher=publisher) as program,
    ):
        assert program.line("stderr") == "connected to lab"
        closing = f"no message came from {publisher.alerts_endpoint} within 2 s, but a monitor runs there: "
        assert program.line("stderr").startswith(closing)
        assert program.end() == (1, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--endpoint", "nowhere"),
        ("--camera", "a/b"),
        ("--scores-endpoint", "x"),
        ("--since", "yesterday"),
        ("--keys", "no/such/folder"),
        ("--save-evidence", "/proc/none"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_2(arguments: tuple[str, ...]) -> None:
    ended = commands.client(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert arguments[1] in ended.stderr
