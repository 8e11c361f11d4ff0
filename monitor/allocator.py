"""What the C library does with memory that was freed: it keeps it, or gives it back to the system."""

from __future__ import annotations

import ctypes

import numpy as np

_BLOCK = 31 << 20  # bytes; the C library does not follow blocks of 32 MiB and more


def keep_freed_memory() -> None:
    """Have the C library keep up to twice 31 MiB that are free, in each of its heaps, for the next frame.

    glibc gives back what is free at the end of a heap beyond twice the largest block that was ever freed. For pictures
    and networks that means hundreds of page faults a frame, a tenth of their time. Other C libraries do not care.
    """
    np.empty(_BLOCK, np.uint8)


def release_free_memory() -> bool:
    """Have the C library return the pages that hold nothing any more; takes milliseconds. False where it cannot.

    glibc only returns what lies at the end of a heap. What lies beneath something still in use stays with the process
    for good: once eight video encoders of 32 MB each were closed, 237 of 260 MB were still there, and after this call
    29. Only glibc has it; other C libraries return memory by themselves, or not at all.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows does not take None
        return False
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    trim(0)
    return True
