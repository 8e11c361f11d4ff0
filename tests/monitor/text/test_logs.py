from __future__ import annotations

import fcntl
import logging
import os
import pty
import sys
import termios
from collections.abc import Callable

import pytest

from monitor.text.logs import log_to_stderr
from monitor.text.streams import takes_output, write_patiently


def _full_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * 4096)
    return reading, writing


def _stopped_terminal() -> tuple[int, int]:
    """A terminal whose user has pressed Ctrl-S."""
    master, slave = pty.openpty()
    termios.tcflow(slave, termios.TCOOFF)
    return master, slave


@pytest.mark.parametrize("make", [_full_pipe, _stopped_terminal])
def test_a_log_line_never_waits_and_is_counted_if_it_is_left_out(
    make: Callable[[], tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = make()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        log_to_stderr(verbose=False)
        log = logging.getLogger("monitor.test")
        for number in range(3):
            log.warning("line %d", number)  # would wait for ever
        if make is _full_pipe:
            os.read(reading, 4096)
        else:
            termios.tcflow(writing, termios.TCOON)
        log.warning("line 3")
        seen = ""
        while seen.count("\n") < 2:  # a terminal may give one line at a time; the test's own deadline ends this
            seen += os.read(reading, 4096).decode()
    root.handlers[:], root.level = before, level
    os.close(reading)
    assert [line.split(" ", 1)[1].split()[-6:] for line in seen.splitlines()] == [
        ["left", "out:", "stderr", "took", "no", "output"],
        ["WARNING", "line", "3"],
    ]
    assert "3 log lines left out" in seen


def test_the_closing_lines_do_not_wait_for_a_stopped_terminal() -> None:
    master, slave = _stopped_terminal()
    with os.fdopen(slave, "w") as stream:
        write_patiently(stream, "one\ntwo\n", within_s=0.05)  # would wait for ever
        termios.tcflow(slave, termios.TCOON)
        write_patiently(stream, "three\nfour")
        came = b""
        while len(came) < len(b"three\r\nfour"):  # a terminal may give one line at a time
            came += os.read(master, 4096)
        assert came == b"three\r\nfour"
    os.close(master)


def test_what_is_no_file_takes_output() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        assert takes_output(stream)
        os.close(reading)
        assert takes_output(stream), "a closed pipe does not wait; it fails"
    assert takes_output(stream), "closed"
