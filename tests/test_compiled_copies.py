"""The processes that tests start find compiled copies of what they import, and write those that are missing."""

import subprocess
import sys


def test_a_process_of_a_test_shares_compiled_copies_with_this_one() -> None:
    told = "import sys; print(sys.dont_write_bytecode, sys.pycache_prefix)"
    shown = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout
    assert shown == f"False {sys.pycache_prefix}\n"
