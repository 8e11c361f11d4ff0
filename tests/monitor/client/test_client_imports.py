from __future__ import annotations

import subprocess
import sys

HEAVY = ("numpy", "cv2", "scipy", "torch")


def test_the_client_loads_no_heavy_library() -> None:
    script = f"import sys, monitor.client; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_neither_does_its_command() -> None:
    script = (
        "import runpy, sys; sys.argv = ['monitor.client', '--help']\n"
        "try: runpy.run_module('monitor.client', run_name='__main__')\n"
        f"except SystemExit: sys.stderr.write(repr([name for name in {HEAVY} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "Usage" in done.stdout
    assert done.stderr == "[]"
