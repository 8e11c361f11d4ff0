"""The machine that figures were measured on, in one line."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def cpu_model(cpuinfo: str) -> str:
    """The CPU's name as /proc/cpuinfo has it; that of the architecture where it has none."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def this_machine() -> str:
    """CPU, cores and the versions that decide how fast things are."""
    packages = ", ".join(f"{name} {_version(package)}" for name, package in _PACKAGES.items())
    cpu = cpu_model(Path("/proc/cpuinfo").read_text())
    return f"{cpu}, {cores()} cores; Python {platform.python_version()}, {packages}"


_PACKAGES = {"torch": "torch", "OpenCV": "opencv-python-headless", "PyAV": "av"}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # OpenCV comes under several names
        return "of another package"
