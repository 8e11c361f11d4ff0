"""Describes the machine on which figures were measured, and its load."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def cpu_model(cpuinfo: str) -> str:
    """The name of the CPU in /proc/cpuinfo, or of the architecture if there is none."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def this_machine() -> str:
    """CPU, cores, and versions of the packages that determine the speed."""
    packages = ", ".join(f"{name} {_version(package)}" for name, package in _PACKAGES.items())
    cpu = cpu_model(Path("/proc/cpuinfo").read_text())
    return f"{cpu}, {cores()} cores; Python {platform.python_version()}, {packages}"


def busy_s() -> float:
    """CPU seconds that all programs on this machine have used so far."""
    return busy_of(Path("/proc/stat").read_text()) / os.sysconf("SC_CLK_TCK")


def busy_of(stat: str) -> int:
    """Clock ticks in which all cores were busy, from the content of /proc/stat."""
    numbers = stat.partition("\n")[0].split()
    return sum(int(numbers[place]) for place in _BUSY_FIELDS)


def wait_until_quiet(cores_used: float, patience_s: float, every_s: float = 0.5) -> bool:
    """Wait until all programs together use fewer cores than this; False if they still use more after ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while True:
        at_s, before_s = time.monotonic(), busy_s()
        time.sleep(every_s)
        if (busy_s() - before_s) / (time.monotonic() - at_s) < cores_used:
            return True
        if time.monotonic() >= deadline:
            return False


_BUSY_FIELDS = (1, 2, 3, 6, 7, 8)  # user, nice, system, irq, softirq, steal
_PACKAGES = {"torch": "torch", "OpenCV": "opencv-python-headless", "PyAV": "av"}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # OpenCV has several package names
        return "from another package"
