"""Networks compute in one thread. It loads no network library itself."""

from __future__ import annotations

import sys


def one_thread_per_network() -> bool:
    """Make networks compute in the calling thread alone, if their library is loaded by now. Returns whether it is.

    For such small networks one thread is as fast as two, and two would wait for each other on a busy machine. One
    thread adds in a fixed order, so that the results are the same bytes every time.
    """
    set_threads = getattr(sys.modules.get("torch"), "set_num_threads", None)  # absent while torch is being imported
    if set_threads is None:
        return False
    set_threads(1)
    return True
