"""The largest picture that is decoded. A small file can claim to hold gigabytes of pixels."""

from __future__ import annotations

import warnings
from functools import cache
from io import BytesIO

MOST_PIXELS = 2**26
"""8192x8192, 201 MB once decoded: more than cameras have."""
_LONGEST_SIDE = 2**16


def fits(width: float, height: float) -> bool:
    """Whether a picture of this size, pixels, may be decoded."""
    return 0 < width <= _LONGEST_SIDE and 0 < height <= _LONGEST_SIDE and width * height <= MOST_PIXELS


def file_fits(data: bytes) -> bool:
    """Whether an image file may be decoded, judged by its header alone. True if the header cannot be understood."""
    from PIL import Image  # decoders of streams do without Pillow

    _limit_pillow()
    try:
        with Image.open(BytesIO(data)) as picture:
            return fits(*picture.size)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return False
    except Exception:  # noqa: BLE001 - for damaged files, Pillow raises errors of any kind
        return True  # OpenCV decides; in a process of its own, with a limit to its memory


@cache
def _limit_pillow() -> None:
    """Pillow only warns of a picture that is larger, and raises an error if it is twice as large."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
