"""The monitor that watches the cameras of a node, as a child process. It ends with the node's own process.

A node that is gone must not go on capturing: nobody would renew its leases.
"""

from __future__ import annotations

import runpy
import sys

from monitor.processes import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.argv[0] = "run_monitor.py"
    runpy.run_module("run_monitor", run_name="__main__")
