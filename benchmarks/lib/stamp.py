"""A time stamp in the frame itself: black and white blocks along its upper edge, large enough to survive any encoder.

64 blocks in two rows: 52 bits of unix microseconds and 12 bits of a checksum. Each block is a macroblock of H.264, so
it shares no macroblock with the scene. Plain Python, because the server that writes them may run without NumPy.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.types import Image

BLOCK_PX = 16
ROWS, COLUMNS = 2, 32
HEIGHT_PX, WIDTH_PX = ROWS * BLOCK_PX, COLUMNS * BLOCK_PX
_CHECK_BITS = 12
_BLACK, _WHITE = b"\x10", b"\xeb"  # the limits of the luma range of video
_BLOCKS = {"0": _BLACK * BLOCK_PX, "1": _WHITE * BLOCK_PX}
_MARGIN_PX = 4  # ignored at the edges of a block, because they are blurred


def strip(unix_s: float, width: int) -> bytes:
    """Luma of the upper HEIGHT_PX rows of a frame that is ``width`` px wide (at least WIDTH_PX), row by row."""
    micros = round(unix_s * 1e6)
    bits = f"{micros << _CHECK_BITS | _check(micros):0{ROWS * COLUMNS}b}"
    rows = (bits[row * COLUMNS : (row + 1) * COLUMNS] for row in range(ROWS))
    return b"".join(b"".join(_BLOCKS[bit] for bit in row).ljust(width, _BLACK) * BLOCK_PX for row in rows)


def read(image: Image) -> float | None:
    """The time stamp of a frame, (H, W, 3) uint8 BGR, in unix seconds; None if it is missing or damaged."""
    if image.shape[0] < HEIGHT_PX or image.shape[1] < WIDTH_PX:
        return None
    inner = slice(_MARGIN_PX, BLOCK_PX - _MARGIN_PX)
    blocks = image[:HEIGHT_PX, :WIDTH_PX, 1].reshape(ROWS, BLOCK_PX, COLUMNS, BLOCK_PX)[:, inner, :, inner]
    levels = blocks.mean(axis=(1, 3)).ravel().tolist()
    word = int("".join("1" if level > 127 else "0" for level in levels), 2)
    micros = word >> _CHECK_BITS
    return micros / 1e6 if word == micros << _CHECK_BITS | _check(micros) else None


def _check(micros: int) -> int:
    return zlib.crc32(micros.to_bytes(8, "big")) % (1 << _CHECK_BITS)
