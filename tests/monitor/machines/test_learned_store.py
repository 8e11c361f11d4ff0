"""The store of what cameras have learned: pieces, damage, older leases, a full disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from monitor.errors import RunError, UsageError
from monitor.machines.learned_store import KEEP, LearnedStore
from monitor.machines.store_messages import PIECE_BYTES, FileName, KeptFile, KeptVersion
from monitor.machines.store_server import StoreServer
from tests.helpers.publishing import ANY


def a_file(name: FileName, content: bytes) -> KeptFile:
    return KeptFile(name=name, digest=hashlib.sha256(content).hexdigest(), size=len(content))


def put(store: LearnedStore, name: FileName, content: bytes) -> KeptFile:
    file = a_file(name, content)
    while (have := store.put("cam0", file, 0, b"")) < len(content):
        store.put("cam0", file, have, content[have : have + PIECE_BYTES])
    return file


def a_version(store: LearnedStore, number: int, content: str) -> KeptVersion:
    files = put(store, "model.json", content.encode()), put(store, "weights.safetensors", b"w" + content.encode())
    return KeptVersion(number=number, files=files)


def test_what_a_camera_has_learned_is_kept_in_pieces_and_the_newest_versions_stay(tmp_path: Path) -> None:
    store, large = LearnedStore(tmp_path / "store"), bytes(range(256)) * 3000
    assert store.claim("cam0", "north", 3).node == ""
    memory = put(store, "memory", large)
    for number in range(1, KEEP + 3):
        store.commit("cam0", "north", 3, a_version(store, number, f"{number}"), [memory])
    kept = LearnedStore(tmp_path / "store").look("cam0")
    assert (kept.node, kept.epoch, [each.number for each in kept.versions]) == ("north", 3, [5, 4, 3])
    assert kept.extras == (memory,)
    pieces = [store.piece("cam0", memory, offset) for offset in range(0, len(large), PIECE_BYTES)]
    assert b"".join(pieces) == large
    assert len(list((tmp_path / "store/cam0").iterdir())) == 2 * KEEP + 2  # versions, memory, list
    with pytest.raises(UsageError, match="has no memory of cam0"):
        store.piece("cam0", a_file("memory", b"other"), 0)


def test_half_a_file_goes_on_where_it_ended_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    store, file = LearnedStore(tmp_path), a_file("memory", b"0123456789")
    assert store.put("cam0", file, 0, b"0123") == 4
    assert store.put("cam0", file, 2, b"2345") == 4  # of a request that was repeated
    with pytest.raises(UsageError, match="has not arrived"):
        store.commit("cam0", "north", 1, None, [file])
    with pytest.raises(UsageError, match="arrived damaged"):
        store.put("cam0", file, 4, b"45678x")
    assert store.put("cam0", file, 0, b"") == 0
    assert store.put("cam0", file, 0, b"0123456789") == 10
    assert store.commit("cam0", "north", 1, None, [file]).extras == (file,)


def test_an_older_lease_changes_nothing_unless_nobody_has_learned(tmp_path: Path) -> None:
    store = LearnedStore(tmp_path)
    store.claim("cam0", "north", 3)
    store.claim("cam0", "south", 5)
    first = store.commit("cam0", "north", 3, a_version(store, 1, "late"), [])
    assert (first.node, first.epoch, len(first.versions)) == ("south", 5, 1)
    with pytest.raises(UsageError, match="because south watches it with a newer lease"):
        store.commit("cam0", "north", 3, a_version(store, 2, "zombie"), [])
    with pytest.raises(UsageError, match="newer lease"):
        store.claim("cam0", "north", 4)
    assert store.look("cam0") == first


def test_a_damaged_list_is_set_aside_and_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LearnedStore(tmp_path)
    store.commit("cam0", "north", 1, a_version(store, 1, "one"), [])
    (tmp_path / "cam0/learned.json").write_text('{"format": "true-sight learned"')
    assert not store.look("cam0").versions
    assert (tmp_path / "cam0/damaged-learned.json").exists()
    monkeypatch.setattr("monitor.machines.learned_store.open_private", no_space)
    with pytest.raises(RunError, match=r"No space left on device.*: free space on its disk"):
        put(store, "memory", b"more")


def test_two_heads_cannot_have_one_store_and_a_disk_that_is_away_keeps_none_from_running(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        StoreServer(tmp_path / "store", ANY, None),
        pytest.raises(RunError, match="in use by another head: name another folder with --store"),
    ):
        StoreServer(tmp_path / "store", ANY, None).__enter__()
    (tmp_path / "file").write_text("in the way")
    with StoreServer(tmp_path / "file", ANY, None) as server:
        assert "cannot be written" in caplog.text
        with pytest.raises(RunError, match="stays on their nodes"):
            server.store.claim("cam0", "north", 1)


def no_space(*_: object) -> object:
    raise OSError(28, "No space left on device")
