"""Lets other Python threads in sooner while one computes for seconds.

A thread waits up to the interpreter's switch interval, 5 ms, whenever it wants to run again after a call into C. A
thread that scores makes tens of such calls per frame, so a second thread that computes would slow it down tenfold.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_QUICK_S = 0.0002
_lock = threading.Lock()
_users = 0
_usual_s = 0.0


@contextmanager
def quick_switching() -> Iterator[None]:
    """Use it around work that takes seconds and is not urgent. Several threads may use it at the same time."""
    global _users, _usual_s
    with _lock:
        if _users == 0:
            _usual_s = sys.getswitchinterval()
            sys.setswitchinterval(_QUICK_S)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                sys.setswitchinterval(_usual_s)
