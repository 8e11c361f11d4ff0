"""A memory survives a run; what is damaged, foreign or cannot be written costs nothing else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.learning.memory_store import MemoryStore
from tests.helpers.gliding import clip
from tests.helpers.growing import Stream, grown_memory, slow_walker, usual


def test_the_next_run_goes_on_where_the_last_one_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = grown_memory(monkeypatch)
    store = MemoryStore(tmp_path / "kept")
    assert store.save("door", before)
    again = MemoryStore(tmp_path / "kept").load("door", slow_walker())
    assert again.notes == []
    assert again.watched_s == before.watched_s
    assert again.known_s.tolist() == before.known_s.tolist()
    assert [own.number for own in again.waiting] == [own.number for own in before.waiting]
    one, other = (memory.make().held_out.scores["motion"] for memory in (before, again))
    assert np.allclose(one, other, equal_nan=True, atol=1e-3)
    Stream(again).show(usual(30))
    assert again.watched_s == pytest.approx(before.watched_s + 29.9), "the stream's clock begins at 0 again"
    assert again.held.pieces[-1].number > before.held.pieces[-1].number
    assert stat.S_IMODE(store.path("door").stat().st_mode) == 0o600


@given(cut=st.floats(0, 1), flip=st.booleans())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_file_that_is_cut_off_or_changed_never_ends_the_memory(
    cut: float, flip: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore(tmp_path)
    whole = tmp_path / "whole"
    if not whole.exists():
        assert store.save("door", grown_memory(monkeypatch))
        whole.write_bytes(store.path("door").read_bytes())
    content = bytearray(whole.read_bytes())
    at = int(cut * (len(content) - 1))
    if flip:
        content[at] ^= 0xFF
    store.path("door").write_bytes(bytes(content) if flip else bytes(content[:at]))
    found = store.load("door", slow_walker())
    assert found.watched_s == 0.0 or flip
    assert bool(found.notes) == (found.watched_s == 0.0)
    Stream(found).show(usual(1))


def test_a_missing_file_and_one_of_another_model_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(tmp_path)
    assert store.load("door", slow_walker()).notes == []
    store.save("door", grown_memory(monkeypatch))
    other = type(slow_walker()).fit([clip(60, 6, row=20)])
    begun = store.load("door", other)
    assert begun.watched_s == 0.0
    assert "learned anew" in begun.notes[0]


def test_a_full_disk_is_said_and_the_file_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = grown_memory(monkeypatch)
    store = MemoryStore(tmp_path)
    store.save("door", memory)
    before = store.path("door").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert not store.save("door", memory)
    assert "No space left" in store.problem
    assert store.path("door").read_bytes() == before
    assert store.save("door", memory)
    assert store.problem == ""
