"""A single decoder process that crashes, hangs or is killed: one sentence, no trace, no secret, no orphan."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import CaptureError, MonitorError, SourceError, StallError
from monitor.processes import ChildWork, Shares
from monitor.sources.isolated import isolated_source
from monitor.sources.isolated.decoder import Kind, Reply
from monitor.testing.captured import eventually
from tests.helpers.decoders import Break, Plan
from tests.helpers.isolated import alive, grab_until_it_fails, isolated
from tests.places import ROOT

# Failures


@pytest.mark.parametrize(
    ("what", "error", "sentence"),
    [
        (Break.ABORT, CaptureError, "test://noise: the decoder died (SIGABRT)"),
        (Break.SEGFAULT, CaptureError, "test://noise: the decoder died (SIGSEGV)"),
        (Break.EXIT, CaptureError, "test://noise: the decoder died (exit code 3)"),
        (Break.LOST, CaptureError, "the plug was pulled"),
        (Break.UNUSABLE, SourceError, "this is no video"),
        (Break.BUG, CaptureError, "ZeroDivisionError('rtsp://***@10.0.0.9/"),
    ],
)
def test_every_failure_is_one_sentence_whether_it_opens_or_reads(
    what: Break, error: type[MonitorError], sentence: str
) -> None:
    with isolated(Plan(at=3, what=what)).open() as reader:
        failure = grab_until_it_fails(reader)
        with pytest.raises(CaptureError):  # it does not recover
            reader.grab()
    assert type(failure) is error
    assert sentence in str(failure)
    with pytest.raises(error) as caught:
        isolated(Plan(fail_open=what)).open()
    assert sentence in str(caught.value)


def test_a_decoder_that_hangs_is_killed_at_the_deadline() -> None:
    with isolated(Plan(at=1, what=Break.HANG), read_timeout_s=0.2).open() as reader:
        reader.grab()
        started = time.monotonic()
        with pytest.raises(StallError, match=r"test://noise sent nothing for 0\.2 s; its decoder hung and was kill"):
            reader.grab()
        assert time.monotonic() - started < 4.0
    assert not alive(reader.pid)


def test_a_file_that_kills_its_decoder_is_checked_without_harm() -> None:
    isolated(Plan(fail_open=Break.ABORT)).check()
    with pytest.raises(SourceError, match="this is no video"):
        isolated(Plan(fail_open=Break.UNUSABLE)).check()
    with pytest.raises(SourceError, match="not a video that OpenCV can read"):
        isolated(Plan(frames=0)).check()
    isolated(Plan(fail_open=Break.UNUSABLE), live=True).check()


@given(st.binary(max_size=80))
def test_whatever_a_broken_decoder_says_is_a_reply_or_a_value_error(message: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert Reply.unpack(message).kind in Kind


def test_a_reply_survives_the_way() -> None:
    reply = Reply(
        Kind.IMAGE, index=2**40, time_s=1.5, passed=2, fps=25.0, offset=2**33, width=1920, height=1080, text="über"
    )
    assert Reply.unpack(reply.pack()) == reply


def test_a_decoder_that_was_killed_says_nothing_against_its_file() -> None:
    with isolated(Plan()).open() as reader:
        assert reader.grab()
        os.kill(reader.pid, signal.SIGKILL)
        assert str(grab_until_it_fails(reader)) == "test://noise: the decoder died (SIGKILL)"


# The process: no trace, no secret, no orphan


def test_the_child_is_small_and_shows_no_password() -> None:
    with isolated(Plan(), secret="hunter2").open() as reader:  # noqa: S106
        process = Path(f"/proc/{reader.pid}")
        assert "torch" not in (process / "maps").read_text()
        assert b"hunter2" not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        assert b"monitor.sources.isolated.decoder" in (process / "cmdline").read_bytes()
    assert not alive(reader.pid)


def test_nothing_is_left_behind_however_it_ends() -> None:
    # The shared memory has no name. When its descriptors are closed, nothing of it is left.
    def left() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    isolated(Plan(frames=1)).check()
    before = left()
    for end in (None, signal.SIGKILL):
        with isolated(Plan()).open() as reader:
            assert reader.grab()
            assert reader.retrieve() is not None
            if end:
                os.kill(reader.pid, end)
                assert "the decoder died (SIGKILL)" in str(grab_until_it_fails(reader))
        reader.close()
        assert not alive(reader.pid)
    with pytest.raises(CaptureError):
        isolated(Plan(fail_open=Break.ABORT)).open()
    assert left() == before


HOLDER = """
from tests.helpers.decoders import Break, NoiseSource, Plan
from monitor.sources.isolated.isolated_source import IsolatedSource
reader = IsolatedSource(NoiseSource(Plan(at=2, what=Break.HANG)), open_timeout_s=5, read_timeout_s=60).open()
reader.grab(), reader.retrieve(), reader.grab()
print(reader.pid, flush=True)
reader.grab()
"""


def test_a_child_that_hangs_dies_with_its_killed_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
        assert parent.stderr.read() == ""  # warnings of the system and of Python about leaks and similar problems
    assert eventually(lambda: not alive(child), within_s=5.0)


# A busy machine


def test_a_decoder_that_works_on_its_start_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated_source, "_START_TIMEOUT_S", 0.0)
    monkeypatch.setattr(isolated_source, "_GRACE_S", 0.05)  # it is late at once, and imports its modules meanwhile
    with isolated(Plan()).open() as reader:
        assert reader.grab()


class _Hangs:
    """Makes the process that unpickles it sleep."""

    def __reduce__(self) -> tuple[object, ...]:
        return time.sleep, (60.0,)


def test_a_decoder_that_hangs_at_its_start_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated_source, "_START_TIMEOUT_S", 0.0)
    monkeypatch.setattr(isolated_source, "_GRACE_S", 0.05)
    monkeypatch.setattr(isolated_source, "_LOOK_AGAIN_S", 0.5)
    source = isolated(Plan())
    vars(source.inner)["hanging"] = _Hangs()
    with pytest.raises(StallError, match="did not start its decoder process for 0 s; its decoder hung"):
        source.open()


def test_a_machine_that_is_too_busy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated_source, "_START_TIMEOUT_S", 0.0)
    monkeypatch.setattr(isolated_source, "_BUSY_START_S", 0.2)
    monkeypatch.setattr(isolated_source, "_GRACE_S", 0.1)
    monkeypatch.setattr(isolated_source, "_LOOK_AGAIN_S", 0.1)
    monkeypatch.setattr(ChildWork, "shares", lambda _: Shares(0.0, 0.9))
    source = isolated(Plan())
    vars(source.inner)["hanging"] = _Hangs()
    with pytest.raises(StallError, match="this machine is too busy; watch fewer cameras"):
        source.open()
