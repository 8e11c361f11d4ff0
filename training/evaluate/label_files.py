"""Files with the labels of one video: ``.npy`` and ``.npz`` with 0 or 1 per frame or with masks, Avenue's ``.mat``."""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.errors import UsageError
from monitor.reading import MB, read_file
from monitor.sources.folder import natural_key
from monitor.text.wording import listed
from training.evaluate.matlab_file import read_variable

_LARGEST = 1_000 * MB
"""Bytes of a label file, and of an array in it after it is decompressed."""
SUFFIXES = (".npy", ".npz", ".mat")
_ENDING = re.compile(r"[_\-.]?(labels?|gt|masks?|ground[_\-]?truth)$", re.IGNORECASE)


def video_key(path: Path) -> str:
    """The key that a video shares with its labels: the number at the end of the name (``testing_01``), or the name.

    ``1_label.mat`` belongs to ``01.avi``, ``door_gt.npy`` to ``door.mp4``.
    """
    stem = _ENDING.sub("", path.stem if path.suffix.lower() in SUFFIXES or not path.is_dir() else path.name)
    number = re.search(r"(?:^|[^0-9])([0-9]+)$", stem)
    return str(int(number[1])) if number else stem.lower()


def label_files(folder: Path) -> dict[str, Path]:
    """All label files in a folder and its subfolders, by ``video_key``.

    A vector of labels has priority over masks (``masks/01.npz``), because masks may mark other frames. Raises
    UsageError if two files could be the labels of the same video.
    """
    files = [
        p
        for p in folder.rglob("*")
        # Avenue also has .mat files that contain volumes of frames.
        if p.suffix.lower() in SUFFIXES and p.is_file() and (p.suffix.lower() != ".mat" or _ENDING.search(p.stem))
    ]
    found: dict[str, Path] = {}
    for path in sorted(files, key=lambda p: (p.parent.name.lower() == "masks", natural_key(str(p)))):
        other = found.setdefault(video_key(path), path)
        if other is not path and path.parent.name.lower() != "masks":
            raise UsageError(f"{other} and {path} could both be labels of the same video: remove one of them")
    return found


def read_labels(path: Path) -> tuple[NDArray[np.bool_], bool]:
    """(N,) bool, one label per frame, and whether the file contains masks (see ``read_masks``).

    In a file of masks, a frame is abnormal if any of its pixels is marked. Raises UsageError for a file that cannot be
    used.
    """
    array = _read(path)
    if array.ndim == 3:
        return np.asarray(array.any(axis=(1, 2))), True
    return array, False


def read_masks(path: Path) -> NDArray[np.bool_]:
    """(N, H, W) bool, True where a frame is abnormal. Raises UsageError for a file without masks."""
    array = _read(path)
    if array.ndim != 3:
        raise UsageError(f"{path} contains no masks, an array (frames, height, width): correct or remove the file")
    return array


def _read(path: Path) -> NDArray[np.bool_]:
    """Read the array of a label file: (N,) or (N, H, W) bool."""
    try:
        content = read_file(path, _LARGEST)
    except OSError as error:
        raise UsageError(f"labels {path} cannot be read: {error.strerror}") from None
    try:
        array = _read_mat(content) if path.suffix.lower() == ".mat" else _read_numpy(content)
    except Exception as error:  # noqa: BLE001 - for damaged bytes, the libraries raise almost anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"labels {path} cannot be used ({reason}): save them again") from None
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise UsageError(f"labels {path} contain values that are not numbers: use 1 for abnormal frames, 0 for others")
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim not in (1, 3) or not array.size:
        raise UsageError(f"labels {path} have the shape {array.shape}: save (frames,) or (frames, height, width)")
    if array.ndim == 1 and not np.isin(array, (0, 1)).all():
        raise UsageError(f"labels {path} contain values other than 0 and 1: use 1 for abnormal frames, 0 for others")
    return np.asarray(array != 0)


def _read_numpy(content: bytes) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that old versions wrote
        loaded = np.load(BytesIO(content), allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            return np.asarray(loaded)
        with loaded:
            return _array_of(loaded)


def _array_of(loaded: np.lib.npyio.NpzFile) -> NDArray[Any]:
    names = loaded.files
    wanted = [name for name in ("labels", "label", "abnormal", "mask", "masks") if name in names] or names
    if not names or (len(names) > 1 and wanted == names):
        raise ValueError(f"one of its arrays ({listed(names, 3) or 'none'}) must be named 'labels' or 'mask'")
    # A few kilobytes may hold gigabytes. More bytes than are declared here are never read.
    if loaded.zip is None or any(entry.file_size > _LARGEST for entry in loaded.zip.infolist()):
        raise ValueError(f"an array is larger than {_LARGEST / MB:g} MB")
    return np.asarray(loaded[wanted[0]])


def _read_mat(content: bytes) -> NDArray[Any]:
    """Read Avenue's ``volLabel``: a cell array (1, frames) of masks, or a plain array with that name."""
    volume = read_variable(content, "volLabel", _LARGEST)
    if volume is None:
        raise ValueError("it contains no volLabel")
    if not isinstance(volume, list):
        return volume
    if len({cell.shape for cell in volume}) > 1:
        raise ValueError("its masks have several sizes")
    return np.stack([cell != 0 for cell in volume])
