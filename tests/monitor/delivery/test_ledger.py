"""Positions survive kills; files of others are never touched."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from monitor.delivery.ledger import Ledger, ledger_path
from monitor.errors import ConfigError, RunError


def test_positions_and_states_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "outbox.sqlite3"
    with Ledger(path) as ledger:
        assert ledger.read("webhook.a") is None
        ledger.write("webhook.a", 5, "state")
        ledger.write("webhook.b", 7, "")
        ledger.write("webhook.a", 6, "later")
    with Ledger(path) as ledger:
        assert ledger.read("webhook.a") == (6, "later")
        assert ledger.read("webhook.b") == (7, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_ledger_stands_beside_its_journal() -> None:
    assert ledger_path(Path("runs/journal.sqlite3")) == Path("runs/journal-outbox.sqlite3")


def test_a_second_monitor_is_kept_out(tmp_path: Path) -> None:
    with Ledger(tmp_path / "outbox") as first:
        first.write("webhook.a", 1, "")
        with pytest.raises(RunError, match="in use by another monitor"), Ledger(tmp_path / "outbox"):
            pass


@pytest.mark.parametrize("content", [b"some text of somebody", b"", bytes(4096)], ids=["text", "empty", "zeros"])
def test_a_file_of_another_program_is_refused_and_not_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "outbox"
    path.write_bytes(content)
    if not content:
        with Ledger(path):
            return
    with pytest.raises(ConfigError, match="belongs to another program"), Ledger(path):
        pass
    assert path.read_bytes() == content


def test_another_database_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE precious (x)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="the file was not changed"), Ledger(path):
        pass
    assert path.read_bytes() == before


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    with Ledger(path):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(ConfigError, match="belongs to a newer monitor"), Ledger(path):
        pass


def test_a_damaged_ledger_is_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "outbox"
    with Ledger(path) as ledger:
        ledger.write("webhook.a", 1, "")
    content = bytearray(path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    path.write_bytes(content)
    with Ledger(path) as ledger:
        assert ledger.read("webhook.a") is None
        ledger.write("webhook.a", 3, "")
    assert "is damaged" in caplog.text
    assert list(tmp_path.glob("outbox.damaged-*"))


def test_a_row_that_makes_no_sense_is_no_position(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    with Ledger(path):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO receivers VALUES ('webhook.a', 'text', ''), ('webhook.b', -5, ''), ('c', 1, x'00')")
        db.commit()
    with Ledger(path) as ledger:
        assert [ledger.read(name) for name in ("webhook.a", "webhook.b", "c")] == [None, None, None]


def test_a_folder_in_its_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir()
    with (
        pytest.raises(ConfigError, match=r"cannot use the outbox .* choose another place"),
        Ledger(tmp_path / "outbox"),
    ):
        pass
