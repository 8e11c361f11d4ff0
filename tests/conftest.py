"""One thread per process: on a busy machine, threads of many small operations mostly wait for each other."""

from __future__ import annotations

import atexit
import gc
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.places import ROOT

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")

if sys.dont_write_bytecode:
    # Without compiled copies, each process of a test would compile all that it imports: seconds of work for PyTorch.
    # Whoever sets PYTHONDONTWRITEBYTECODE wants no files beside the code, so the copies are in pytest's own folder.
    sys.pycache_prefix = str(ROOT / ".pytest_cache/compiled")
    sys.dont_write_bytecode = False
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Models and journals of tests must not reach the user's state folder, nor the next test.
_STATE = Path(tempfile.mkdtemp(prefix="true-sight-tests-"))
_STATES = itertools.count()
atexit.register(shutil.rmtree, _STATE, ignore_errors=True)
os.environ["XDG_STATE_HOME"] = str(_STATE / "common")


NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
# A busy machine may let a test wait for seconds. ``make nightly`` tries many more examples.
settings.register_profile("usual", max_examples=40, deadline=None)
settings.load_profile("usual")
settings.register_profile("nightly", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
if NIGHTLY:
    settings.load_profile("nightly")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Test files that are named run in this process, which starts at once.

    Folders run in one process per core and two more, because many tests wait for a camera or a process.
    """
    if all(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return 0
    return len(os.sched_getaffinity(0)) + 2


REAL_TIME = (
    "e2e",
    "monitor/alerts/bus/test_hub.py",
    "monitor/alerts/test_history.py",
    "monitor/alerts/test_journal.py",
    "monitor/alerts/test_keys.py",
    "monitor/app/discovery/test_probing.py",
    "monitor/app/doctor/test_doctor_cameras.py",
    "monitor/app/test_deliveries.py",
    "monitor/app/test_page_process.py",
    "monitor/app/test_signals.py",
    "monitor/client",
    "monitor/delivery",
    "monitor/web",
    "benchmarks/test_outbox_kills.py",
    "monitor/learning",
    "monitor/machines/test_fleet_asking.py",
    "monitor/machines/test_fleet_network.py",
    "monitor/machines/test_fleet_node.py",
    "monitor/machines/test_gateway_server.py",
    "monitor/live",
    "monitor/sinks/dashboard/test_pressed_keys.py",
    "monitor/sinks/evidence/test_evidence_sink.py",
    "monitor/sources/isolated",
    "monitor/sources/test_camera.py",
    "monitor/test_processes.py",
    "training/test_stopping.py",
    "monitor/sources/test_proxy.py",
    "monitor/sources/test_snapshot.py",
    "monitor/sources/test_web_recording.py",
)
"""Tests that meet real deadlines with real processes, sockets and threads."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests. Mark those of arbitrary input, and those in real time: of these, one that fails is run again."""
    # The tests of training take longest; a process that is done early takes tests from the end.
    items.sort(key=lambda item: "training" not in item.nodeid.split("/")[:2])
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.fuzz)
            if NIGHTLY:
                item.add_marker(pytest.mark.timeout(1800))
        if _in_real_time(item.path):
            item.add_marker(pytest.mark.flaky(reruns=2))


def pytest_collection_finish() -> None:
    """What is loaded now stays loaded: searches for garbage, of which each run of a monitor does one, pass it over."""
    gc.collect()
    gc.freeze()


@cache
def _in_real_time(path: Path) -> bool:
    part = path.relative_to(Path(__file__).parent)
    return any(part.is_relative_to(known) for known in REAL_TIME)


@pytest.fixture(autouse=True)
def state_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder that a program of this test uses if nothing else is said. It does not exist yet."""
    home = _STATE / str(next(_STATES))
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    return home / "true-sight"


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Tiny networks gain nothing from more threads, and lose much time if other processes use the cores."""
    import torch  # not every test needs it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
