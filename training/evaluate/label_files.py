"""Files that hold the labels of one video: ``.npy`` and ``.npz`` of a 0 or 1 a frame or of masks, Avenue's ``.mat``."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from monitor.errors import UsageError
from monitor.sources.folder import natural_key

SUFFIXES = (".npy", ".npz", ".mat")
_ENDING = re.compile(r"[_\-.]?(labels?|gt|masks?|ground[_\-]?truth)$", re.IGNORECASE)


def video_key(path: Path) -> str:
    """What a video and its labels have in common: the number that ends the name (``01``, ``testing_01``), or the name.

    ``1_label.mat`` belongs to ``01.avi``, ``door_gt.npy`` to ``door.mp4``.
    """
    stem = _ENDING.sub("", path.stem if path.suffix.lower() in SUFFIXES or not path.is_dir() else path.name)
    number = re.search(r"(?:^|[^0-9])([0-9]+)$", stem)
    return str(int(number[1])) if number else stem.lower()


def label_files(folder: Path) -> dict[str, Path]:
    """The files of labels anywhere in a folder by ``video_key``.

    Files that say more come first: a vector of labels before masks (``masks/01.npz``), which may mark other frames.
    Raises UsageError where two files could be meant.
    """
    files = [
        p
        for p in folder.rglob("*")
        # Avenue keeps volumes of pictures in .mat files, too.
        if p.suffix.lower() in SUFFIXES and p.is_file() and (p.suffix.lower() != ".mat" or _ENDING.search(p.stem))
    ]
    found: dict[str, Path] = {}
    for path in sorted(files, key=lambda p: (p.parent.name.lower() == "masks", natural_key(str(p)))):
        other = found.setdefault(video_key(path), path)
        if other is not path and path.parent.name.lower() != "masks":
            raise UsageError(f"{other} and {path} could be labels of the same video: take one of them away")
    return found


def read_labels(path: Path) -> tuple[NDArray[np.bool_], bool]:
    """(N,) bool, a label a frame, and whether the file holds masks too (see ``read_masks``).

    A frame of masks is abnormal if any of its pixels is marked. Raises UsageError for a file that cannot be used.
    """
    array = _read(path)
    if array.ndim == 3:
        return np.asarray(array.any(axis=(1, 2))), True
    return array, False


def read_masks(path: Path) -> NDArray[np.bool_]:
    """(N, H, W) bool, where in each frame something abnormal is. Raises UsageError for a file that holds none."""
    array = _read(path)
    if array.ndim != 3:
        raise UsageError(f"{path} holds no masks, an array (frames, height, width): correct it or take it away")
    return array


def _read(path: Path) -> NDArray[np.bool_]:
    """(N,) or (N, H, W) bool."""
    try:
        array = _read_mat(path) if path.suffix.lower() == ".mat" else _read_numpy(path)
    except OSError as error:
        raise UsageError(f"labels {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"labels {path} cannot be used ({reason}): save them again") from None
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim not in (1, 3) or not array.size:
        raise UsageError(f"labels {path} have the shape {array.shape}: expected (frames,) or (frames, height, width)")
    if array.ndim == 1 and not np.isin(array, (0, 1)).all():
        raise UsageError(f"labels {path} hold values other than 0 and 1: write 1 for each abnormal frame, 0 for others")
    return np.asarray(array != 0)


def _read_numpy(path: Path) -> NDArray[Any]:
    loaded = np.load(path, allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        return np.asarray(loaded)
    with loaded:
        names = loaded.files
        wanted = [name for name in ("labels", "label", "abnormal", "mask", "masks") if name in names] or names
        if not names or (len(names) > 1 and wanted == names):
            raise ValueError(f"of its arrays ({', '.join(names) or 'none'}) one must be named 'labels' or 'mask'")
        return np.asarray(loaded[wanted[0]])


def _read_mat(path: Path) -> NDArray[Any]:
    """Avenue's ``volLabel``, a cell array (1, frames) of masks; or a plain array of that name."""
    volume = loadmat(path).get("volLabel")
    if volume is None:
        raise ValueError("it holds no volLabel")
    if volume.dtype != object:
        return np.asarray(volume)
    cells = [np.asarray(cell) != 0 for cell in volume.ravel()]
    if len({cell.shape for cell in cells}) > 1:
        raise ValueError("its masks are of several sizes")
    return np.stack(cells)
