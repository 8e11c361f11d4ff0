"""The process in which memories grow: what it is sent, what it gives, and that nothing is lost when it ends."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.learning.growing_memory import GrowingMemory
from monitor.learning.memory_link import MemoryLink
from monitor.learning.memory_messages import Message, look_of, message_of, read_messages
from monitor.learning.memory_process import CHECKPOINT_S, MemoryWorker, run
from monitor.learning.memory_store import MemoryStore
from monitor.testing.captured import eventually
from monitor.testing.scripted import Clock
from tests.helpers.growing import Stream, first_version, hurried, slow_walker, usual


def begin(folder: Path) -> Message:
    return Message("door", "begin", {"folder": str(folder), "settled_s": 15.0})


def looks(seconds: float) -> list[Message]:
    stream = Stream(GrowingMemory(slow_walker()))
    found = []
    for frame in usual(seconds):
        found.append(message_of("door", stream.look(frame)))
        stream.at_s += 0.1
    return found


def test_messages_arrive_as_they_were_sent() -> None:
    sent = [begin(Path("models/door")), *looks(0.3), Message("door", "ended", {"time_s": 3.5})]
    encoded = b"".join(message.encoded() for message in sent)
    found = list(read_messages(io.BytesIO(encoded)))
    assert [message.kind for message in found] == ["begin", "look", "look", "look", "ended"]
    before, after = look_of(sent[2]), look_of(found[2])
    assert np.array_equal(before.grey, after.grey)
    assert np.array_equal(before.picture, after.picture)
    assert (before.time_s, before.segment, before.scores) == (after.time_s, after.segment, after.scores)
    assert len(list(read_messages(io.BytesIO(encoded[:-3])))) == 4, "one that is cut off is not used"


def test_it_writes_versions_and_memories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch, 50.0)
    monkeypatch.setattr("monitor.learning.growing_memory._LATE_S", 0.0)
    first_version(tmp_path / "door")
    lines: list[dict[str, Any]] = []
    sent = [begin(tmp_path / "door"), Message("yard", "look"), *looks(60)]
    run(tmp_path / "memories", io.BytesIO(b"".join(message.encoded() for message in sent)), lines.append)
    assert [line.get("version") for line in lines] == [str(tmp_path / "door" / "v0002")]
    kept = MemoryStore(tmp_path / "memories").load("door", slow_walker())
    assert kept.watched_s == pytest.approx(59.9)
    assert kept.made == 1


def test_an_error_of_one_camera_does_not_end_the_others(tmp_path: Path) -> None:
    first_version(tmp_path / "door")
    lines: list[dict[str, Any]] = []
    broken = Message("yard", "begin", {"folder": str(tmp_path / "door")})  # settled_s is missing
    sent = [broken, begin(tmp_path / "door"), *looks(2)]
    run(tmp_path / "memories", io.BytesIO(b"".join(message.encoded() for message in sent)), lines.append)
    assert [line["camera"] for line in lines] == ["yard"]
    assert "does not grow any more (KeyError" in lines[0]["warn"]
    assert MemoryStore(tmp_path / "memories").load("door", slow_walker()).watched_s == pytest.approx(1.9)


def test_a_killed_process_loses_only_what_came_after_its_last_write(tmp_path: Path) -> None:
    first_version(tmp_path / "door")
    clock = Clock()
    worker = MemoryWorker(MemoryStore(tmp_path / "memories"), lambda _: None, clock)
    worker.handle(begin(tmp_path / "door"))
    for message in looks(30):
        worker.handle(message)
    assert not (tmp_path / "memories").exists()
    clock.now += CHECKPOINT_S
    worker.handle(Message("door", "began", {"time_s": 29.0}))
    kept = MemoryStore(tmp_path / "memories").load("door", slow_walker())
    assert kept.watched_s == pytest.approx(29.9)


def test_a_version_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch, 20.0)
    monkeypatch.setattr("monitor.learning.growing_memory._LATE_S", 0.0)
    version = first_version(tmp_path / "door")
    lines: list[dict[str, Any]] = []
    worker = MemoryWorker(MemoryStore(tmp_path / "memories"), lines.append)
    worker.handle(begin(tmp_path / "door"))
    (version / "weights.safetensors").write_bytes(b"")
    for message in looks(30):
        worker.handle(message)
    assert len(lines) == 1
    assert "no version was made of 20 s watched" in lines[0]["warn"]


def test_a_real_process_writes_its_memory_when_its_input_ends(tmp_path: Path) -> None:
    first_version(tmp_path / "door")
    link = MemoryLink(tmp_path / "memories")
    try:
        link.send(Message("door", "begin", {"folder": str(tmp_path / "door"), "settled_s": 1.0}))
        for message in looks(5):
            link.send(message)
        link.send(Message("door", "end"))
        assert eventually(lambda: MemoryStore(tmp_path / "memories").path("door").exists(), 60.0)
        assert eventually(lambda: {"camera": "door", "ended": True} in link.take_lines(), 60.0)
    finally:
        link.close()
    assert link.ended == "exit code 0"
    assert link.dropped == 0
    assert MemoryStore(tmp_path / "memories").load("door", slow_walker()).watched_s == pytest.approx(4.9)


def test_a_forgotten_memory_begins_again(tmp_path: Path) -> None:
    first_version(tmp_path / "door")
    store = MemoryStore(tmp_path / "memories")
    lines: list[dict[str, Any]] = []
    sent = [begin(tmp_path / "door"), *looks(2), Message("door", "end")]
    run(tmp_path / "memories", io.BytesIO(b"".join(message.encoded() for message in sent)), lines.append)
    assert store.path("door").exists()
    sent = [begin(tmp_path / "door"), Message("door", "forget"), Message("door", "look")]
    run(tmp_path / "memories", io.BytesIO(b"".join(message.encoded() for message in sent)), lines.append)
    assert not store.path("door").exists()
    assert lines == [{"camera": "door", "ended": True}]
