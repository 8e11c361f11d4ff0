"""Helpers for tests of decoder processes: known sources, whether a process is alive, and how it fails."""

from __future__ import annotations

from pathlib import Path

from monitor.errors import MonitorError
from monitor.sources.isolated.isolated_source import IsolatedReader, IsolatedSource
from tests.helpers.decoders import NoiseSource, Plan


def isolated(plan: Plan, *, live: bool = False, read_timeout_s: float = 5.0, secret: str = "") -> IsolatedSource:
    source = NoiseSource(plan, live=live, secret=secret)
    return IsolatedSource(source, open_timeout_s=5.0, read_timeout_s=read_timeout_s)


def alive(pid: int) -> bool:
    """True if a process runs. A zombie does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def grab_until_it_fails(reader: IsolatedReader) -> MonitorError:
    try:
        while reader.grab() is not None:
            pass
    except MonitorError as error:
        return error
    raise AssertionError("it did not fail")
