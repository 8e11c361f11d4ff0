from __future__ import annotations

import io
import os
import pty
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from monitor.sinks.dashboard.patient_terminal import PatientTerminal


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """A terminal whose user reads nothing by itself: the user's side, and the program's stream."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        yield master, stream
    os.close(master)


def read(master: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += os.read(master, count - len(data))
    return data


def test_a_terminal_that_takes_nothing_does_not_make_the_program_wait(terminal: tuple[int, TextIO]) -> None:
    master, stream = terminal
    started = time.monotonic()
    with PatientTerminal(stream) as patient:
        assert patient.isatty()
        picture = "▁" * 100_000
        patient.write(picture)
        assert patient.behind
        assert time.monotonic() - started < 5, "it would wait for ever"
        seen = b""
        while patient.behind:
            seen += os.read(master, 65536)
            patient.catch_up()
        seen += read(master, len(picture.encode()) - len(seen))
        assert seen.decode() == picture, "nothing is lost or doubled"
    assert not os.get_blocking(master) or os.get_blocking(stream.fileno()), "other programs share the stream"


def test_at_the_end_it_waits_a_moment_only(terminal: tuple[int, TextIO]) -> None:
    _, stream = terminal
    started = time.monotonic()
    with PatientTerminal(stream, at_the_end_s=0.05) as patient:
        patient.write("x" * 100_000)
    assert time.monotonic() - started < 10


def test_a_terminal_that_is_gone_takes_everything() -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as stream, PatientTerminal(stream) as patient:
        os.close(master)
        patient.write("x" * 100_000)
        patient.flush()
        assert not patient.behind


def test_a_stream_that_is_no_terminal_is_written_as_it_is() -> None:
    stream = io.StringIO()
    with PatientTerminal(stream) as patient:
        patient.write("text")
        patient.flush()
        assert not patient.behind
    assert stream.getvalue() == "text"
