"""Verdicts and the events they are about, on the disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.errors import ConfigError, RunError
from monitor.teaching import verdict_store
from monitor.teaching.verdict_store import KeptEvent, Verdict, VerdictStore, taught_path
from tests.helpers.teachable import event_of
from tests.places import ROOT


def event(number: int = 1, camera: str = "door", at: float = 1.5e9) -> KeptEvent:
    traits = event_of(200).traits
    assert traits is not None
    return KeptEvent(f"e1-{camera}-{number}", camera, at + number, at + number + 3, 1.5, True, traits)


def verdict(number: int = 1, said: str = "normal", camera: str = "door") -> Verdict:
    return Verdict(f"e1-{camera}-{number}", camera, said, False, True, 1.5e9, "desk at 10.0.0.1", {"model": "ab"})


def test_events_and_verdicts_survive_a_restart(tmp_path: Path) -> None:
    with VerdictStore(tmp_path / "runs/taught") as store:
        store.keep(event())
        store.keep(event(2, "yard"))
        store.give(verdict())
        store.set_alert("cyclist", "never")
        store.note("desk", "undo", "undone")
    with VerdictStore(tmp_path / "runs/taught") as store:
        kept = store.event("e1-door-1")
        assert kept is not None
        assert (kept.camera, kept.peak, kept.notify, len(kept.traits.samples)) == (
            "door", 1.5, True, len(event().traits.samples),
        )  # fmt: skip
        assert store.verdicts() == store.verdicts("door") == [verdict()]
        assert store.verdicts("yard") == []
        assert store.alerts() == {"cyclist": "never"}
        assert [change["said"] for change in store.changes(5)] == ["undone"]
        store.give(verdict(said="real"))
        assert [each.verdict for each in store.verdicts()] == ["real"], "the later one replaces the earlier"
        store.take_back("e1-door-1")
        assert store.verdicts() == []
    assert (tmp_path / "runs/taught").stat().st_mode & 0o777 == 0o600


def test_the_oldest_events_go_but_not_those_with_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_store, "MOST_EVENTS", 3)
    with VerdictStore(tmp_path / "taught") as store:
        store.keep(event(0))
        store.give(verdict(0))
        for number in range(1, 8):
            store.keep(event(number))
        store.keep(event(1, "yard"))
        assert store.event_ids("door") == ["e1-door-0", "e1-door-5", "e1-door-6", "e1-door-7"]
        assert store.event_ids("door", since=1.5e9 + 6) == ["e1-door-6", "e1-door-7"]
        assert store.event_ids("yard") == ["e1-yard-1"]


def test_a_verdict_that_was_answered_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom tests.monitor.teaching.test_verdict_store import *\n"
        "with VerdictStore(Path(sys.argv[1])) as store:\n"
        "    store.keep(event()); store.give(verdict())\n"
        f"    os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    line = [sys.executable, "-c", program, str(tmp_path / "taught")]
    killed = subprocess.run(line, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    with VerdictStore(tmp_path / "taught") as store:
        assert store.verdicts() == [verdict()]
        assert store.event("e1-door-1") is not None


def test_a_damaged_file_is_kept_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "taught"
    with VerdictStore(path) as store:
        store.keep(event())
    content = bytearray(path.read_bytes())
    content[100:4000] = bytes(3900)
    path.write_bytes(content)
    with VerdictStore(path) as store:
        assert store.verdicts() == []
    assert list(tmp_path.glob("taught.damaged-*"))


def test_a_damaged_event_costs_only_itself(tmp_path: Path) -> None:
    with VerdictStore(tmp_path / "taught") as store:
        store.keep(event(1))
        store.keep(event(2))
    with sqlite3.connect(tmp_path / "taught") as rows:
        rows.execute("UPDATE events SET traits = x'00' WHERE event_id = 'e1-door-1'")
    rows.close()
    with VerdictStore(tmp_path / "taught") as store:
        assert store.event("e1-door-1") is None
        assert store.event("e1-door-2") is not None


def test_two_monitors_do_not_share_it_and_no_foreign_file_is_taken(tmp_path: Path) -> None:
    with VerdictStore(tmp_path / "taught"), pytest.raises(RunError, match="in use"), VerdictStore(tmp_path / "taught"):
        pass
    (tmp_path / "mine").write_bytes(b"my notes")
    with pytest.raises(ConfigError, match="belongs to another program"), VerdictStore(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").read_bytes() == b"my notes"
    assert taught_path(Path("runs/journal.sqlite3")) == Path("runs/journal-taught.sqlite3")
