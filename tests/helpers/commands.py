"""The project's commands as calls. They give the exit code and the output of a process, without its start time.

A command runs in this process as its script does: the module is executed as ``__main__``. Afterwards, everything that
would end with a process is restored. Tests that depend on a process (a signal, a terminal, a kill) start one.
"""

from __future__ import annotations

import logging
import os
import runpy
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import cv2

from monitor.text.logs import StderrHandler
from tests.places import ROOT

DEADLINE_S = 20.0
SCRIPT = ROOT / "run_monitor.py"


@dataclass(frozen=True)
class Finished:
    """How a command ended, named as in ``subprocess.CompletedProcess``."""

    returncode: int
    stdout: str
    stderr: str


def monitor(*arguments: str | Path, cwd: Path = ROOT) -> Finished:
    """``python run_monitor.py ARGUMENTS``."""
    return _run(lambda: runpy.run_path(str(SCRIPT), run_name="__main__"), str(SCRIPT), arguments, cwd)


def doctor(*arguments: str | Path, cwd: Path = ROOT) -> Finished:
    """``python run_monitor.py doctor ARGUMENTS``."""
    return monitor("doctor", *arguments, cwd=cwd)


def training(*arguments: str | Path, cwd: Path = ROOT) -> Finished:
    """``python -m training ARGUMENTS``."""
    return module("training", *arguments, cwd=cwd)


def client(*arguments: str | Path, cwd: Path = ROOT) -> Finished:
    """``python -m monitor.client ARGUMENTS``."""
    return module("monitor.client", *arguments, cwd=cwd)


def module(name: str, *arguments: str | Path, cwd: Path = ROOT) -> Finished:
    """``python -m NAME ARGUMENTS``."""
    return _run(lambda: _run_module(name), name, arguments, cwd)


def _run_module(name: str) -> None:
    with warnings.catch_warnings():
        # The module may have been imported before, by a test that calls a function of it.
        warnings.filterwarnings("ignore", rf"'{name}(\.__main__)?' found in sys.modules", RuntimeWarning)
        runpy.run_module(name, run_name="__main__", alter_sys=True)


def _run(program: Callable[[], object], script: str, arguments: tuple[str | Path, ...], cwd: Path) -> Finished:
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryFile("w+"))
        err = stack.enter_context(tempfile.TemporaryFile("w+"))
        for restore in (_arguments(script, arguments), _folder(cwd), _signals(), _logging(), _cores(), _exits()):
            stack.enter_context(restore)
        with _no_thread_left(), _streams(out, err):
            code = _exit_code(program)
        return Finished(code, _text(out), _text(err))


def _exit_code(program: Callable[[], object]) -> int:
    try:
        program()
    except SystemExit as end:
        if end.code is None:
            return 0
        if isinstance(end.code, int):
            return end.code
        sys.stderr.write(f"{end.code}\n")
        return 1
    return 0


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


@contextmanager
def _arguments(script: str, arguments: tuple[str | Path, ...]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [script, *map(str, arguments)]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _signals() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _logging() -> Iterator[None]:
    root, hook = logging.getLogger(), sys.excepthook
    for handler in list(root.handlers):
        if isinstance(handler, StderrHandler):  # of a program that an earlier test started: its stderr is gone
            root.removeHandler(handler)
    level, handlers = root.level, list(root.handlers)
    try:
        yield
    finally:
        sys.excepthook = hook
        root.setLevel(level)
        for handler in set(root.handlers) - set(handlers):
            root.removeHandler(handler)
            handler.close()
        assert root.handlers == handlers


@contextmanager
def _cores() -> Iterator[None]:
    """A run sets OpenCV and PyTorch to one thread each."""
    opencv = cv2.getNumThreads()
    torch = sys.modules.get("torch")
    threads = None if torch is None else torch.get_num_threads()
    try:
        yield
    finally:
        cv2.setNumThreads(opencv)
        if torch is not None:
            torch.set_num_threads(threads)


@contextmanager
def _exits() -> Iterator[None]:
    """If a process would end at once, the command ends. A process that it forks still ends at once."""
    before, here = os._exit, os.getpid()

    def leave(status: int) -> NoReturn:
        if os.getpid() != here:
            before(status)
        raise SystemExit(status)

    os._exit = leave
    try:
        yield
    finally:
        os._exit = before


@contextmanager
def _streams(out: IO[str], err: IO[str]) -> Iterator[None]:
    """Standard input is empty. The output of Python and of libraries in C goes into the two files."""
    names = ("stdin", "stdout", "stderr")
    objects = [getattr(sys, name) for name in names]
    for stream in objects[1:]:
        stream.flush()
    kept = [os.dup(number) for number in range(3)]
    try:
        with ExitStack() as stack:
            null = stack.enter_context(open(os.devnull))  # noqa: PTH123 - a descriptor is wanted
            for number, file in enumerate((null, out, err)):
                os.dup2(file.fileno(), number)
            for name, mode, number in zip(names, "rww", range(3), strict=True):
                stream = stack.enter_context(open(number, mode, closefd=False, encoding="utf-8"))
                setattr(sys, name, stream)
            yield
    finally:
        for name, stream in zip(names, objects, strict=True):
            setattr(sys, name, stream)
        for number, copy in enumerate(kept):
            os.dup2(copy, number)
            os.close(copy)


@contextmanager
def _no_thread_left() -> Iterator[None]:
    """A process ends with its threads. A thread that stays here could disturb the next test."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + DEADLINE_S
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, deadline - time.monotonic()))
        assert not thread.is_alive(), f"{thread.name} still runs: start this command in a separate process"
