"""What systemd is told about a run, and that nothing goes wrong if it does not listen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.reports import RunReport
from monitor.sinks.service_manager import ServiceManagerSink
from monitor.states import CameraState
from monitor.testing.sink_contract import report_of
from tests.e2e.test_end_to_end import DEMO_MODEL
from tests.places import ROOT

DEADLINE_S = 60.0
ONE = RunReport(1.0, 0, (report_of("door"),))
STATUS = "STATUS=frames from 1 of 1 camera"


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


class Manager:
    """Receives what a service tells."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(0)

    def told(self) -> list[str]:
        found = []
        try:
            while True:
                found.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return found


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    with made.socket:
        yield made


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), **more}


def test_a_run_is_ready_with_its_first_report_and_stops_at_its_end(tmp_path: Path, manager: Manager) -> None:
    with ServiceManagerSink(environment(tmp_path), Clock()) as sink:
        assert manager.told() == [], "models are still loaded"
        sink.tick(ONE)
        sink.tick(ONE)
        assert manager.told() == [f"READY=1\n{STATUS}"]
    assert manager.told() == ["STOPPING=1"]


def test_a_sign_of_life_comes_three_times_per_interval(tmp_path: Path, manager: Manager) -> None:
    clock = Clock()
    with ServiceManagerSink(environment(tmp_path, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid())), clock) as s:
        s.tick(ONE)
        assert manager.told() == [f"READY=1\nWATCHDOG=1\n{STATUS}"]
        for _ in range(100):
            clock.s += 0.3
            s.tick(ONE)
        assert manager.told() == ["WATCHDOG=1"] * 2


def test_the_watchdog_of_another_process_is_not_ours(tmp_path: Path, manager: Manager) -> None:
    with ServiceManagerSink(environment(tmp_path, WATCHDOG_USEC="3000000", WATCHDOG_PID="1"), Clock()) as sink:
        sink.tick(ONE)
    assert manager.told() == [f"READY=1\n{STATUS}", "STOPPING=1"]


def test_the_status_counts_cameras_and_changes_once_per_second_at_most(tmp_path: Path, manager: Manager) -> None:
    clock = Clock()
    cameras = (
        report_of("a", alarmed=True),
        report_of("b", CameraState.LEARNING),
        report_of("c", CameraState.OFFLINE),
    )
    with ServiceManagerSink(environment(tmp_path), clock) as sink:
        sink.tick(ONE)
        manager.told()
        sink.tick(RunReport(1.1, 0, cameras))
        assert manager.told() == []
        clock.s += 1.1
        sink.tick(RunReport(2.1, 0, cameras))
        assert manager.told() == ["STATUS=frames from 2 of 3 cameras, 1 learning, 1 with an alarm"]


def test_what_was_not_taken_is_told_again(tmp_path: Path) -> None:
    with ServiceManagerSink(environment(tmp_path), Clock()) as sink:
        sink.tick(ONE)  # nobody listens
        manager = Manager(str(tmp_path / "notify"))
        with manager.socket:
            sink.tick(ONE)
            assert manager.told() == [f"READY=1\n{STATUS}"]


def test_an_abstract_address_is_understood() -> None:
    name = f"true-sight-test-{os.getpid()}"
    manager = Manager(f"\0{name}")
    with manager.socket, ServiceManagerSink({"NOTIFY_SOCKET": f"@{name}"}, Clock()) as sink:
        sink.tick(ONE)
        assert manager.told() == [f"READY=1\n{STATUS}"]


def test_child_processes_do_not_inherit_the_address(tmp_path: Path) -> None:
    variables = environment(tmp_path, WATCHDOG_USEC="1", WATCHDOG_PID="1", HOME="/")
    with ServiceManagerSink(variables, Clock()):
        assert variables == {"HOME": "/"}


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_without_an_address_that_it_knows_nobody_is_told(address: str) -> None:
    with ServiceManagerSink({"NOTIFY_SOCKET": address}, Clock()) as sink:
        sink.tick(ONE)


def test_a_whole_run_tells_its_beginning_its_life_and_its_end(tmp_path: Path, manager: Manager) -> None:
    command = [sys.executable, str(ROOT / "run_monitor.py"), "--demo", "--model", str(DEMO_MODEL), "--no-publish"]
    told: list[str] = []
    manager.socket.settimeout(DEADLINE_S)
    variables = os.environ | environment(tmp_path, WATCHDOG_USEC="300000")
    process = subprocess.Popen([*command, "--headless"], cwd=tmp_path, env=variables, stdout=subprocess.DEVNULL)
    try:
        while sum("WATCHDOG=1" in text for text in told) < 3:
            told.append(manager.socket.recv(4096).decode())
        process.send_signal(signal.SIGTERM)
        while told[-1] != "STOPPING=1":
            told.append(manager.socket.recv(4096).decode())
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
    assert told[0].startswith("READY=1\nWATCHDOG=1\nSTATUS=")
