"""Ctrl-C and SIGTERM end a command within seconds, whatever it computes, and no process is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from monitor.testing.captured import eventually
from tests.helpers.isolated import alive
from tests.places import ROOT

NATIVE = """
import hashlib, signal
from training.stopping import stopping_in_time
with stopping_in_time(0.2):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # the signal may arrive before the computation
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # no handler of Python runs meanwhile
"""
POOL = """
import os, time  # os.write: three processes print at the same time
import training.learn.crossfit as crossfit
from training.stopping import STOPPED, stopping_in_time

class Task:
    stretches = ()
    def fit(self, _):
        os.write(1, b"ready\\n")
        time.sleep(600)
    def fold(self, _):
        os.write(1, f"worker {os.getpid()}\\n".encode())
        time.sleep(600)

with stopping_in_time():
    try:
        crossfit._in_processes(Task(), [0, 1], 2, lambda: None)
    except KeyboardInterrupt:
        raise SystemExit(STOPPED)
"""


@contextmanager
def started(script: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs this script. It is killed at the end, however the test ends."""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_long_native_computation_is_cut_off_at_the_deadline(number: signal.Signals) -> None:
    with started(NATIVE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(number)
        assert process.stderr.read() == "stopped: the work in progress did not end within 0.2 s and was cut off\n"
        assert process.wait(5) == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_that_fit_folds_end_with_the_command(number: signal.Signals) -> None:
    with started(POOL) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(3)]
        workers = [int(line[1]) for line in lines if line[0] == "worker"]
        assert len(workers) == 2
        assert all(alive(worker) for worker in workers)
        before = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == (130 if number == signal.SIGTERM else -9)
        assert time.monotonic() - before < 5
        assert eventually(lambda: not any(alive(worker) for worker in workers), within_s=5)
