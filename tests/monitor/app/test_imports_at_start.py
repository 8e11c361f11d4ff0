"""Libraries that take long to load are loaded only by commands that need them."""

from __future__ import annotations

import subprocess
import sys

LATER = ("torch", "torchvision", "scipy", "fastapi", "nicegui", "apprise")


def test_the_monitor_starts_without_libraries_that_take_long_to_load() -> None:
    script = f"import sys, run_monitor; print([name for name in {LATER} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
