"""Footage of a camera that learns, on the disk: small JPEG files named by their time, in folders of a thousand.

    footage/footage.json         the camera, and the size of its pictures
    footage/0000/000012300.jpg   the picture 12.3 s after the first; a gap in the times is a gap in the footage

A picture that was only partly written is recognised, so an interrupted recording can be continued.

``footage.json`` marks a folder as a recording. Only marked folders are written to or removed, and only the files named
above.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from monitor.detector.frontend import analysis_size
from monitor.errors import SourceError
from monitor.private_files import make_private_folder, write_private
from monitor.reading import parse_json, read_file
from monitor.sources.folder import read_image
from monitor.sources.source import Position, Reader, Source
from monitor.types import Image

CARD = "footage.json"
FORMAT = "true-sight-footage"
_CARD_BYTES = 10_000
_FOLDER_NAME, _PICTURE_NAME = re.compile(r"\d{4,}"), re.compile(r"\d{9,}\.jpg")
QUALITY = 95
GAP_S = 10.0
"""Time inserted between two stretches that do not belong together, seconds."""
MOST_FPS = 30.0
"""Frames per second assumed for a camera if every frame is analysed."""
A_FOLDER = 1000
WIDTH = 320
"""Wider frames are shrunk to about this width, px: no detector needs more."""


def recording_rate(analysis_fps: float) -> float:
    """Pictures recorded per second for this ``analysis_fps``; for 0 (every frame), a rate that few cameras exceed."""
    return analysis_fps or MOST_FPS


def shrunk(image: Image) -> Image:
    """The picture, (H, W, 3) uint8 BGR, at most about 320 px wide, both sides even; unchanged if it fits already."""
    height, width = image.shape[:2]
    size = analysis_size(width, height, WIDTH) if width > 1.25 * WIDTH else (width - width % 2, height - height % 2)
    if size == (width, height):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


class FootageWriter:
    """Appends pictures to a recording. It creates the recording, or continues an existing one.

    Raises OSError if it cannot write to the disk, and SourceError if the folder holds something else.
    """

    def __init__(self, folder: Path, label: str, size: tuple[int, int], fps: float) -> None:
        self.folder = folder
        make_private_folder(folder)
        check_writable(folder)
        card = {"format": FORMAT, "source": label, "width": size[0], "height": size[1], "fps": fps}
        partial = folder / f".{CARD}.partial"  # a card that is only half written would not mark the folder
        write_private(partial, (json.dumps(card) + "\n").encode())
        partial.replace(folder / CARD)
        self._files = sum(1 for _ in _pictures(folder))
        last = list(_pictures(folder))[-1:]
        self._last_ms = int(last[0].stem) if last else -1
        self._offset_ms: int | None = None

    def new_stretch(self) -> None:
        """The next picture does not continue the previous one."""
        self._offset_ms = None

    def add(self, time_s: float, image: Image) -> int:
        """Append a picture, (H, W, 3) uint8 BGR. Returns its size on the disk in bytes."""
        own_ms = round(time_s * 1000)
        if self._offset_ms is None:
            start_ms = self._last_ms + round(GAP_S * 1000) if self._last_ms >= 0 else 0
            self._offset_ms = start_ms - own_ms
        self._last_ms = max(own_ms + self._offset_ms, self._last_ms + 1)
        folder = self.folder / f"{self._files // A_FOLDER:04d}"
        if self._files % A_FOLDER == 0:
            make_private_folder(folder)
        done, data = cv2.imencode(".jpg", shrunk(image), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        assert done
        picture = folder / f"{self._last_ms:09d}.jpg"
        try:
            write_private(picture, data.tobytes())
        except OSError:
            with suppress(OSError):
                picture.unlink(missing_ok=True)  # on a full disk, only its beginning is written
            raise
        self._files += 1
        return int(data.size)


class FootageSource(Source):
    """A recording as a source.

    recorded_from  the source that was recorded, as it may be shown
    camera_size  (width, height) px of the camera's own pictures, before they were shrunk
    fps          frames recorded per second

    Raises SourceError if the folder holds no recording.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.parent.name or folder.absolute().parent.name or folder.name, str(folder))
        self.folder = folder
        try:
            card = parse_json(read_file(folder / CARD, _CARD_BYTES))
            self.camera_size = int(card["width"]), int(card["height"])
            self.fps = float(card["fps"])
            self.recorded_from = str(card.get("source", ""))
            if not (1e-3 <= self.fps <= 1e3 and 1 <= min(self.camera_size) <= max(self.camera_size) <= 100_000):
                raise ValueError("out of range")  # noqa: TRY301 - handled like any wrong value
        except (OSError, ValueError, OverflowError, KeyError, TypeError) as error:
            raise SourceError(
                f"{folder} holds no recorded footage, because its {CARD} cannot be read: record the camera again"
            ) from error

    def open(self) -> Reader:
        """Open at the first picture. Raises SourceError if the folder is gone."""
        return _FootageReader(self)

    def check(self) -> None:
        """Raise SourceError if no picture can be read."""
        with self.open() as reader:
            while reader.grab() is not None:
                if reader.retrieve() is not None:
                    return
        raise SourceError(f"{self.folder} holds no picture that can be read: record the camera again")


class _FootageReader(Reader):
    def __init__(self, source: FootageSource) -> None:
        self.fps = source.fps
        self._folder = source.folder
        self._pictures = _pictures(source.folder)
        self._picture: Path | None = None
        self._index = -1

    def grab(self) -> Position | None:
        try:
            picture = next(self._pictures, None)
        except OSError as error:
            raise SourceError(f"{self._folder} cannot be read any more ({error.strerror or error})") from error
        if picture is None:
            return None
        self._index += 1
        self._picture, self.frame_name = picture, picture.name
        return Position(self._index, int(picture.stem) / 1000)

    def retrieve(self) -> Image | None:
        assert self._picture is not None
        return read_image(self._picture)


def is_footage(folder: Path) -> bool:
    """Whether this folder is the recording of a camera that learns."""
    card = folder / CARD
    try:
        if not card.is_file():
            return False
        with card.open("rb") as file:
            begin = file.read(_CARD_BYTES)
    except OSError:
        return False
    # Version 0.1.0 could be killed while it wrote the card.
    mark = f'{{"format": "{FORMAT}"'.encode()
    return begin.startswith(mark) or mark.startswith(begin)


def check_writable(folder: Path) -> None:
    """Raise SourceError if a recording must not be written here, because the folder holds something else."""
    try:
        foreign = not is_footage(folder) and any(entry.name != f".{CARD}.partial" for entry in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise SourceError(f"{folder} cannot be used for recording ({error.strerror or error}): move it away") from error
    if foreign:
        raise SourceError(f"{folder} holds files that are no recording of this monitor: move them to another folder")


def remove_footage(folder: Path) -> None:
    """Remove a recording. Files that do not belong to a recording stay, and so does a folder without its mark."""
    if not is_footage(folder):
        return
    with suppress(OSError):
        for part in [entry for entry in folder.iterdir() if _FOLDER_NAME.fullmatch(entry.name)]:
            if part.is_dir() and not part.is_symlink():
                for picture in [entry for entry in part.iterdir() if _PICTURE_NAME.fullmatch(entry.name)]:
                    picture.unlink()
                with suppress(OSError):  # not empty
                    part.rmdir()
        (folder / CARD).unlink()
        folder.rmdir()


def is_of_another(folder: Path, label: str) -> bool:
    """Whether the folder holds the recording of another camera than the one with this label, as it may be shown."""
    try:
        recorded_from = FootageSource(folder).recorded_from
    except SourceError:
        return False
    return _place(recorded_from) != _place(label)


def _place(label: str) -> tuple[str, str]:
    """What does not differ between two ways to show an address: its host, and the last part of its path."""
    scheme, divider, rest = label.partition("://")
    if not divider:
        return "", ""  # files: their recordings always begin again
    host, _, path = rest.rpartition("@")[2].partition("/")
    return f"{scheme}://{host}", path.rpartition("/")[2]


def put_aside(folder: Path) -> Path:
    """Make place for a new recording: keep the old one under another name, such as ``footage-1``. Raises OSError."""
    names = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(1))
    return folder.rename(next(name for name in names if not name.exists()))


def _pictures(folder: Path) -> Iterator[Path]:
    """The pictures in order of their times. One that is not later than the one before it is left out."""
    last_ms = -1
    for part in _by_number(folder.iterdir()):
        if part.is_dir():
            for picture in _by_number(part.glob("*.jpg")):
                if int(picture.stem) > last_ms:
                    last_ms = int(picture.stem)
                    yield picture


def _by_number(paths: Iterable[Path]) -> list[Path]:
    # Sorted by number: after 11 days the names get longer. More than 15 digits are no time.
    numbered = (path for path in paths if path.stem.isdecimal() and len(path.stem) <= 15)
    return sorted(numbered, key=lambda path: int(path.stem))


def recorded_s(folder: Path) -> float:
    """Seconds of footage in a recording, without gaps; 0 if there is no recording."""
    if not is_footage(folder):
        return 0.0
    times = np.array([int(path.stem) for path in _pictures(folder)], np.int64) / 1000
    steps = np.diff(times)
    return float(steps[steps < GAP_S].sum())
