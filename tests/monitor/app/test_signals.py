"""What a signal does to a run: it never ends one without closing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.made_footage import write_image
from tests.places import ROOT


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def hung_up(reload: threading.Event | None) -> tuple[bool, bool]:
    """Send SIGHUP. Returns whether it asked for a stop, and whether for a reload."""
    from monitor.app.signal_handling import note_hang_ups, obey_signals

    note_hang_ups()
    stop = threading.Event()
    obey_signals(stop, reload)
    os.kill(os.getpid(), signal.SIGHUP)
    return stop.is_set(), reload is not None and reload.is_set()


def test_sighup_reloads_a_run_and_stops_one_that_cannot_reload() -> None:
    assert hung_up(threading.Event()) == (False, True)
    assert hung_up(None) == (True, False)


def test_sighup_while_the_run_is_prepared_is_obeyed_when_it_begins() -> None:
    from monitor.app.signal_handling import note_hang_ups, obey_signals

    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    note_hang_ups()
    os.kill(os.getpid(), signal.SIGHUP)
    stop, reload = threading.Event(), threading.Event()
    obey_signals(stop, reload)
    assert (stop.is_set(), reload.is_set()) == (False, True)


@pytest.mark.parametrize("nohup", [False, True])
def test_a_closed_terminal_stops_a_run_unless_it_was_started_by_nohup(
    monkeypatch: pytest.MonkeyPatch, nohup: bool
) -> None:
    def closed(_: int) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "isatty", lambda _: True)
    monkeypatch.setattr(os, "tcgetpgrp", closed)
    signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)
    assert hung_up(threading.Event()) == (not nohup, False)


def test_a_run_without_a_config_takes_a_new_model_at_sighup_and_then_ends_in_order(
    tmp_path: Path, state_of_its_own: Path
) -> None:
    for number in range(20):
        write_image(tmp_path / "frames" / f"{number}.png")
    versions = state_of_its_own / "models" / "door"
    shutil.copytree(ROOT / "monitor/assets/demo", versions / "v0001")
    with subprocess.Popen(
        [sys.executable, "-u", ROOT / "run_monitor.py", f"door={tmp_path / 'frames'}", "--loop", "--no-publish"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)  # the test's own timeout is the deadline
        assert any("door: first score" in line or "door: online" in line for line in lines)
        shutil.copytree(versions / "v0001", versions / "v0002")
        card = (versions / "v0002" / "model.json").read_text()
        (versions / "v0002" / "model.json").write_text(card.replace('"name": "demo"', '"name": "newer"'))
        process.send_signal(signal.SIGHUP)
        assert any("models read again: changed door" in line for line in lines)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
