from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from monitor.sinks.dashboard.pressed_keys import Keys
from tests.places import ROOT

# Reads keys as the dashboard does, until "escape", and says what it was given.
_PROGRAM = """
import os, signal, sys, time
from monitor.sinks.dashboard.pressed_keys import Keys, restore_terminals
with Keys(0) as keys:
    os.write(1, b"ready\\n")
    deadline, given = time.monotonic() + 15, []
    while given[-1:] != ["end"] and time.monotonic() < deadline:
        given += keys.pressed()
        time.sleep(0.01)
    if sys.argv[1:] == ["abrupt"]:
        restore_terminals()
        os._exit(0)
    os.write(1, (",".join(given) + ";").encode())
"""


@dataclass
class _Session:
    """A program with a terminal of its own. master: the user's side."""

    process: subprocess.Popen[bytes]
    master: int
    slave: int

    def read_until(self, mark: bytes) -> bytes:
        data = b""
        until = time.monotonic() + 15
        while mark not in data and (left := until - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                data += os.read(self.master, 4096)
        assert mark in data
        return data

    @property
    def settings(self) -> list[object]:
        return termios.tcgetattr(self.slave)


@contextmanager
def _session(*arguments: str) -> Iterator[_Session]:
    master, slave = pty.openpty()

    def own_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-S", "-c", _PROGRAM, *arguments],
        stdin=slave,
        stdout=slave,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=own_terminal,
    )
    try:
        yield _Session(process, master, slave)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def test_keys_come_at_once_and_the_terminal_is_given_back() -> None:
    with _session() as user:
        before = user.settings
        user.read_until(b"ready\r\n")
        during = user.settings
        assert not during[3] & (termios.ICANON | termios.ECHO)  # type: ignore[operator]
        assert during[3] & termios.ISIG, "Ctrl-C still ends the program"  # type: ignore[operator]
        os.write(user.master, b"\x1b[A\x1bOBj\t\r \x1b[5~a\x13\x1axyz\x1b[200~\x1b[1;5C")
        os.write(user.master, b"\x1b[F")
        given = user.read_until(b";").split(b";")[0]
        assert given == b"up,down,down,tab,enter,enter,page up,a,end", "nothing is shown, other keys mean nothing"
        assert user.process.wait(15) == 0
        assert user.settings == before


def test_an_abrupt_end_gives_the_terminal_back_too() -> None:
    with _session("abrupt") as user:
        before = user.settings
        user.read_until(b"ready\r\n")
        os.write(user.master, b"G")
        assert user.process.wait(15) == 0
        assert user.settings == before


@pytest.mark.parametrize("kind", ["pipe", "null", "closed", "a terminal of another program"])
def test_what_gives_no_keys_is_left_alone(kind: str) -> None:
    opened = {"pipe": os.pipe, "a terminal of another program": pty.openpty}.get(
        kind, lambda: (os.open(os.devnull, os.O_RDWR),)
    )()
    fd = opened[0]
    if kind == "closed":
        os.close(fd)
    with Keys(fd) as keys:
        assert keys.pressed() == []
        assert not keys.active
    if kind != "closed":
        for each in opened:
            os.close(each)
