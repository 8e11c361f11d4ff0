"""One thread per process: on a busy machine, threads of many small operations mostly wait for each other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Test files that are named run in this process, which starts at once.

    Folders run in one process per core and one more, because many tests wait for a camera or a process.
    """
    if all(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return 0
    return len(os.sched_getaffinity(0)) + 1


REAL_TIME = (
    "e2e",
    "monitor/alerts/test_history.py",
    "monitor/alerts/test_journal.py",
    "monitor/alerts/test_keys.py",
    "monitor/app/doctor/test_doctor_cameras.py",
    "monitor/client",
    "monitor/learning/test_cold_start.py",
    "monitor/live",
    "monitor/sinks/evidence/test_evidence_sink.py",
    "monitor/sources/isolated",
    "monitor/sources/test_camera.py",
)
"""Tests that meet real deadlines with real processes, sockets and threads."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests, and mark those in real time: on a busy machine, one that fails is run again (``R``)."""
    # The tests of training take longest; a process that is done early takes tests from the end.
    items.sort(key=lambda item: "training" not in item.nodeid.split("/")[:2])
    here = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(here)
        if any(path.is_relative_to(part) for part in REAL_TIME):
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Tiny networks gain nothing from more threads, and lose much time if other processes use the cores."""
    import torch  # not every test needs it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
