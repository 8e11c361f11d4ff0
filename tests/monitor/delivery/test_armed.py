"""Cameras are armed and disarmed, also for what happened before, and over restarts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from monitor.delivery.armed import Armed
from monitor.delivery.ledger import Ledger


def test_a_late_message_is_judged_by_its_own_time() -> None:
    armed = Armed()
    assert armed.is_armed("door")
    armed.switch("door", armed=False, now=100.0)
    armed.switch("door", armed=True, now=200.0)
    assert [armed.is_armed("door", at) for at in (50.0, 100.0, 150.0, 200.0, 250.0)] == [True, False, False, True, True]
    assert armed.is_armed("yard", 150.0)


def test_a_restart_remembers(tmp_path: Path) -> None:
    with Ledger(tmp_path / "outbox") as ledger:
        Armed(ledger).switch("door", armed=False, now=100.0)
    with Ledger(tmp_path / "outbox") as ledger:
        armed = Armed(ledger)
        assert not armed.is_armed("door")
        assert armed.is_armed("door", 50.0)


def test_a_clock_that_was_set_back_does_not_hide_the_last_switch() -> None:
    armed = Armed()
    armed.switch("door", armed=False, now=1000.0)
    armed.switch("door", armed=True, now=10.0)
    assert armed.is_armed("door")
    assert armed.is_armed("door", 20.0)


def test_thousands_of_switches_are_bounded() -> None:
    armed = Armed()
    for number in range(5000):
        armed.switch("door", armed=bool(number % 2), now=float(number))
    assert len(armed._changes["door"]) <= 100
    assert armed.is_armed("door")


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"door": 5}', '{"door": [[1], ["a", true], [1, 2], 3]}'])
def test_what_makes_no_sense_is_ignored(tmp_path: Path, text: str) -> None:
    with Ledger(tmp_path / "outbox") as ledger:
        ledger.write("armed", 0, text)
        assert Armed(ledger).is_armed("door")


def test_a_full_disk_stops_no_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("full")

    with Ledger(tmp_path / "outbox") as ledger:
        monkeypatch.setattr(ledger, "write", full)
        armed = Armed(ledger)
        armed.switch("door", armed=False, now=1.0)
        assert not armed.is_armed("door")
    assert "a restart forgets it" in caplog.text
