"""Controls whether the C library keeps freed memory or returns it to the system."""

from __future__ import annotations

import ctypes

import numpy as np

_BLOCK = 31 << 20  # bytes; glibc does not adapt its threshold to blocks of 32 MiB and more


def keep_freed_memory() -> None:
    """Make the C library keep up to 2 x 31 MiB of free memory in each of its heaps, for the next frame.

    glibc returns the free memory at the end of a heap if it exceeds twice the largest block that was ever freed. For
    pictures and networks this causes hundreds of page faults per frame, which take a tenth of the processing time. No
    effect with other C libraries.
    """
    np.empty(_BLOCK, np.uint8)


def release_free_memory() -> bool:
    """Make the C library return unused pages to the system; takes milliseconds. False if the C library cannot do it.

    On its own, glibc returns only the free memory at the end of a heap. Free memory below a block that is still in use
    stays with the process. Example: after eight video encoders of 32 MB each were closed, the process still held 237
    of 260 MB; after this call it held 29 MB. Only glibc has this function; other C libraries return memory on their
    own, or not at all.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows does not accept None
        return False
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    trim(0)
    return True
