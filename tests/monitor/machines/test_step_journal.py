import sqlite3
from pathlib import Path

import pytest

from monitor.errors import ConfigError, RunError
from monitor.machines.step_journal import StepJournal


def test_steps_are_there_after_a_kill_until_they_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "node.sqlite3"
    with StepJournal(path) as journal:
        first, stored = journal.append("gate", 3, 0.5, "alert/gate/", b"one", b"jpeg")
        second, _ = journal.append("gate", 3, 0.5, "alert/gate/", b"two")
        assert stored
        assert second.position == first.position + 1 == journal.last_position
    with StepJournal(path) as journal:
        assert journal.page(0) == [first, second]
        assert journal.page(first.position) == [second]
        journal.taken([first.position])
        assert len(journal) == 1
    with StepJournal(path) as journal:
        assert journal.page(0) == [second]


def test_positions_grow_even_if_the_file_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "node.sqlite3"
    with StepJournal(path) as journal:
        before, _ = journal.append("gate", 3, 0.0, "alert/gate/", b"one")
    path.unlink()
    with StepJournal(path) as journal:
        after, _ = journal.append("gate", 3, 0.0, "alert/gate/", b"two")
    assert after.position >= before.position


def test_a_second_node_with_the_same_file_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.sqlite3"
    with StepJournal(path), pytest.raises(RunError, match="in use by another monitor"), StepJournal(path):
        pass
    path.write_bytes(b"some other program's file, of more than a hundred bytes" * 3)
    with pytest.raises(ConfigError, match="belongs to another program"), StepJournal(path):
        pass


def test_a_step_that_cannot_be_stored_is_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StepJournal(tmp_path / "node.sqlite3") as journal:

        def broken(_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with monkeypatch.context() as broken_disk:
            broken_disk.setattr(journal, "_store", broken)
            step, stored = journal.append("gate", 3, 0.0, "alert/gate/", b"one")
            journal.append("gate", 3, 0.0, "alert/gate/", b"two")
        assert not stored
        assert journal.unjournalled == 2
        third, stored = journal.append("gate", 3, 0.0, "alert/gate/", b"three")
        assert stored
        assert third.position == step.position + 2
    assert sum("cannot be written" in line for line in caplog.messages) == 1


def test_a_full_journal_gives_up_the_oldest_and_counts_it(tmp_path: Path) -> None:
    with StepJournal(tmp_path / "node.sqlite3", most=3) as journal:
        for number in range(5):
            journal.append("gate", 3, 0.0, "alert/gate/", bytes([number]))
        assert [step.body for step in journal.page(0)] == [b"\2", b"\3", b"\4"]
        assert (len(journal), journal.given_up) == (3, 2)
