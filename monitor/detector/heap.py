"""Memory that a frame's calculation has freed is kept for the next frame's."""

from __future__ import annotations

import torch

_BLOCK = 31 << 20  # bytes; the C library does not follow blocks of 32 MiB and more


def keep_freed_memory() -> None:
    """Have the C library keep up to twice 31 MiB that are free, instead of giving them back to the kernel.

    glibc gives back what is free at the end of its heap beyond twice the largest block that was ever freed. For a
    network that runs on each frame that means hundreds of page faults a frame, a tenth of its time. Other C
    libraries do not care.
    """
    torch.empty(_BLOCK, dtype=torch.uint8)
