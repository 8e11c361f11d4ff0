"""A folder of images as a source: one stream, ordered by the numbers in the file names."""

from __future__ import annotations

import math
import re
from pathlib import Path

import cv2
import numpy as np

from monitor.errors import SourceError
from monitor.reading import MB, read_file, real_path
from monitor.sources.opencv import FALLBACK_FPS
from monitor.sources.picture_budget import file_fits
from monitor.sources.source import Position, Reader, Source
from monitor.text.wording import counted
from monitor.types import Image

IMAGE_SUFFIXES = frozenset([".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"])

# If more than nine of ten numbers are missing, the numbers are timestamps or ids, not frame numbers.
_SPARSE = 10


def natural_key(text: str) -> list[tuple[int, str]]:
    """Sort key that puts ``frame_2`` before ``frame_10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in re.split(r"([0-9]+)", text) if part
    ]


def frame_number(path: Path) -> int | None:
    """The last number in a file's stem: 7 for ``cam2_frame_00007.jpg``; None if the stem has no number."""
    numbers = re.findall(r"[0-9]+", path.stem)
    return int(numbers[-1]) if numbers else None


def images_in(folder: Path) -> list[Path]:
    """The images directly in a folder, naturally sorted; hidden files and other files are left out."""
    found = (
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    return sorted(found, key=lambda path: natural_key(path.name))


def read_image(path: Path) -> Image | None:
    """An image file as (H, W, 3) uint8 BGR; None if the whole image cannot be decoded."""
    try:
        return decode_image(read_file(path, _LARGEST_PICTURE))
    except OSError:
        return None


def decode_image(data: bytes) -> Image | None:
    """The bytes of an image file as (H, W, 3) uint8 BGR; None if it cannot be decoded whole, or is too large."""
    # OpenCV would return a truncated JPEG with a grey lower part, and write a warning to the terminal.
    if not data or (data.startswith(_JPEG) and not _is_whole(data)) or not file_fits(data):
        return None
    # The stubs say that imdecode always returns an image; it returns None for data that is not an image.
    try:
        image: Image | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)  # type: ignore[assignment]
    except cv2.error:  # for a size that it does not accept
        return None
    return image


_LARGEST_PICTURE = 200 * MB
_JPEG, _SCAN, _END = b"\xff\xd8", 0xDA, b"\xff\xd9"


def _is_whole(jpeg: bytes) -> bool:
    """Whether a JPEG has its end. Cameras may write anything behind it.

    Segments with a length come first; one of them may hold a small picture with an end of its own. In the scan that
    follows, the end marker cannot occur by chance: 0xFF is followed by 0 there (ITU-T T.81, B.1.1.5).
    """
    at = len(_JPEG)
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        if jpeg[at + 1] == 0xFF:  # a filler
            at += 1
            continue
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == _SCAN:
            return jpeg.find(_END, at + 2 + length) >= 0
        at += 2 + length
    return False


class FolderSource(Source):
    """Images in a folder, one frame each.

    path          the folder
    name          the camera's name; default: the name of the folder
    fps           frames per second: one step in the numbering is 1 / fps seconds, > 0
    files         the images in order
    indices       0-based frame index of each image: its number minus ``first_number``, so gaps in the numbering are
                  kept. If no file has a number, if more than the last number differs (names that hold a time), or if
                  most numbers are missing (timestamps), the indices are 0, 1, 2...
    first_number  number of the first file; 0 if the numbers are not used

    The folder is listed only once, here. Raises SourceError if the folder has no images, if two files have the same
    number, or if only some of the files have numbers.
    """

    def __init__(self, path: Path, name: str | None = None, fps: float = FALLBACK_FPS) -> None:
        super().__init__(name or real_path(path).name, str(path))
        if not 0.0 < fps < math.inf:
            raise SourceError(f"the frames per second of a folder must be a number above 0, got {fps:g}")
        self.path = path
        self.fps = fps
        try:
            if not path.is_dir():
                raise SourceError(f"no such folder: {path}")
            images = images_in(path)
        except OSError as error:
            why = error.strerror or error
            raise SourceError(f"{path} cannot be read ({why}): check the path and the permissions") from error
        if not images:
            raise SourceError(f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
        self.files, self.indices, self.first_number = _number(path, images)

    def number(self, index: int) -> int:
        """The number in the file name of the frame with this index."""
        return self.first_number + index

    def open(self) -> FolderReader:
        """A reader that starts at the first image."""
        return FolderReader(self)

    def check(self) -> None:
        """Raise SourceError if no image can be decoded."""
        if all(read_image(file) is None for file in self.files):
            raise SourceError(f"no image in {self.path} can be read ({counted(len(self.files), 'image')})")


def _are_named_by_time(images: list[Path]) -> bool:
    """Whether the names hold times, such as ``0107_100715-01.jpg``: more than the last number differs between them.

    Their natural order is the order of time. Their last number counts anew each second, so it says nothing.
    """
    numbers = [re.findall(r"[0-9]+", image.stem) for image in images]
    earlier = {tuple(each[:-1]) for each in numbers}
    if not all(numbers) or len(earlier) == 1:
        return False
    alike = len(set(map(len, numbers))) == 1
    return alike or len({int(each[-1]) for each in numbers}) < len(numbers)


def _number(folder: Path, images: list[Path]) -> tuple[tuple[Path, ...], tuple[int, ...], int]:
    if _are_named_by_time(images):
        return tuple(images), tuple(range(len(images))), 0
    by_number: dict[int, Path] = {}
    unnumbered = []
    for image in images:
        number = frame_number(image)
        if number is None:
            unnumbered.append(image)
        elif number in by_number:
            raise SourceError(
                f"{folder} holds two images with the number {number}: {by_number[number].name} and {image.name}"
            )
        else:
            by_number[number] = image
    if not by_number:
        return tuple(unnumbered), tuple(range(len(unnumbered))), 0
    if unnumbered:
        raise SourceError(
            f"{folder} holds images with and without a number in the name: remove {unnumbered[0].name} "
            "if it is not a frame, or give it a number"
        )
    numbers = sorted(by_number)
    files = tuple(by_number[number] for number in numbers)
    if numbers[-1] - numbers[0] + 1 > _SPARSE * len(numbers):
        return files, tuple(range(len(files))), 0
    return files, tuple(number - numbers[0] for number in numbers), numbers[0]


class FolderReader(Reader):
    """Steps through a folder's images. ``unreadable`` lists the names of the images that could not be decoded."""

    def __init__(self, source: FolderSource) -> None:
        self.fps = source.fps
        self.unreadable: list[str] = []
        self._source = source
        self._at = -1

    def grab(self) -> Position | None:
        """Step to the next image without reading it; None after the last."""
        if self._at + 1 >= len(self._source.files):
            return None
        self._at += 1
        self.frame_name = self._source.files[self._at].name
        index = self._source.indices[self._at]
        return Position(index, index / self.fps)

    def retrieve(self) -> Image | None:
        """Read the image. If it cannot be decoded, return None and add its name to ``unreadable``."""
        image = read_image(self._source.files[self._at])
        if image is None:
            self.unreadable.append(self.frame_name)
        return image
