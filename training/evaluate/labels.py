"""Frame labels of recorded footage: ``labels.json`` maps a file to its number of frames and its abnormal intervals.

Alternatively, a folder contains videos and, anywhere in it, one label file per video: see ``label_files``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from monitor.errors import SourceError, UsageError, first_problem
from monitor.reading import MB, parse_json, read_file, real_path
from training.evaluate.label_files import label_files, read_labels, read_masks, video_key
from training.recordings import recorded_sources

SUBSETS = {
    "avenue": ("avenue/testing_videos/", "avenue/training_videos/10"),
    "ped1": ("ped1/test/",),
    "umn-1": ("umn/lawn_1.",),
    "umn-2": ("umn/lawn_2.",),
}
"""Named subsets: prefixes of files. Training video 10 of Avenue is not used for training; it adds normal frames."""
_LARGEST = 64 * MB
_MOST_FRAMES = 100_000_000
"""Seven weeks at 25 frames per second."""
NotNegative = Annotated[int, Field(ge=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    frames: Annotated[int, Field(ge=1, le=_MOST_FRAMES)]
    abnormal: list[Annotated[list[NotNegative], Field(min_length=2, max_length=2)]]

    @model_validator(mode="after")
    def _inside(self) -> _Entry:
        for first, last in self.abnormal:
            if not first <= last < self.frames:
                raise ValueError(f"interval [{first}, {last}] is not within frames 0 to {self.frames - 1}")
        return self


@dataclass(frozen=True, eq=False)
class LabelledVideo:
    """A video or folder of frames with its labels.

    name        name in the labels file
    path        path of the video or folder
    abnormal    (N,) bool, one label per frame
    masks_file  file with masks of the abnormal regions; None if there is none
    """

    name: str
    path: Path
    abnormal: NDArray[np.bool_]
    masks_file: Path | None = None

    def masks(self) -> NDArray[np.bool_] | None:
        """(N, H, W) bool, True where a frame is abnormal; None without masks. Each call reads the file again.

        Raises UsageError for a file that cannot be used or that has another number of frames.
        """
        if self.masks_file is None:
            return None
        masks = read_masks(self.masks_file)
        if len(masks) != len(self.abnormal):
            raise UsageError(
                f"{self.masks_file} has masks for {len(masks)} frames, but {self.name} has labels for "
                f"{len(self.abnormal)}: correct one of them or remove the masks"
            )
        return masks

    def check_frames(self, frames: int) -> None:
        """Raise UsageError if a video with this number of frames cannot be the one that was labelled.

        A few frames at the end may be missing: lost files of a folder, or frames that a decoder drops.
        """
        labels = len(self.abnormal)
        if frames > labels or labels - frames > max(5, 0.02 * labels):
            raise UsageError(f"{self.name} has {frames} frames but {labels} labels: correct the labels or the file")


def load_labels(path: Path, subset: str | None = None) -> list[LabelledVideo]:
    """The labelled videos, or only those of a subset (avenue, ped1, umn-1, umn-2, or a prefix of the names).

    path: a JSON file, a folder with labels.json, or a folder of videos and label files. Raises UsageError for malformed
    labels, an empty subset, a missing video, and a video without labels. Raises SourceError for a folder without
    footage.
    """
    prefixes = SUBSETS.get(subset, (subset,)) if subset else ("",)
    if (path / "labels.json").is_file():
        path = path / "labels.json"
    found = _of_folder(path, prefixes) if path.is_dir() else _of_json(path, prefixes)
    if not found and not subset:
        raise UsageError(f"{path} names no video: add at least one")
    if not found:
        raise UsageError(f"no file in {path} belongs to '{subset}': give {', '.join(SUBSETS)} or the start of a name")
    return found


def _of_json(path: Path, prefixes: tuple[str, ...]) -> list[LabelledVideo]:
    try:
        entries = TypeAdapter(dict[str, _Entry]).validate_python(parse_json(read_file(path, _LARGEST)))
    except OSError as error:
        raise UsageError(f"labels {path} cannot be read ({error.strerror}): check the path") from None
    except ValueError as error:
        where, what = first_problem(error) if isinstance(error, ValidationError) else ("", str(error))
        raise UsageError(
            f"labels {path} cannot be used ({where or 'as a whole'}: {what}): "
            'expected {"file": {"frames": N, "abnormal": [[first, last], ...]}, ...}'
        ) from None
    chosen = {name: entry for name, entry in sorted(entries.items()) if name.startswith(prefixes)}
    paths = {name: _find(path.parent, name) for name in chosen}
    return [LabelledVideo(name, paths[name], _mask(entry), _masks_of(paths[name])) for name, entry in chosen.items()]


def _of_folder(folder: Path, prefixes: tuple[str, ...]) -> list[LabelledVideo]:
    """Videos as the monitor finds them (in a data set: its ``testing_videos``), with the labels of the same name."""
    files = label_files(folder)
    if not files:
        raise UsageError(f"{folder} has no labels: add a .mat, .npy or .npz file for each video, or give labels.json")
    found = []
    for source in recorded_sources([str(folder)], split="testing_videos"):
        path = Path(source.label)
        try:
            name = real_path(path).relative_to(real_path(folder)).as_posix()
        except ValueError:
            raise SourceError(f"{path} is not in {folder}: give the folder that contains it") from None
        if not name.startswith(prefixes):
            continue
        labels = files.get(video_key(path))
        if labels is None:
            raise UsageError(
                f"{name} has no labels in {folder}: add {path.stem}.npy or {path.stem}_label.mat, or remove the video"
            )
        abnormal, masked = read_labels(labels)
        found.append(LabelledVideo(name, path, abnormal, labels if masked else _masks_of(path)))
    return found


def _masks_of(video: Path) -> Path | None:
    """``masks/NAME.npz`` next to the video or next to its folder."""
    candidates = (folder / "masks" / f"{video.stem}.npz" for folder in (video.parent, video.parent.parent))
    return next((path for path in candidates if path.is_file()), None)


def _find(folder: Path, name: str) -> Path:
    """The file, or another one with the same stem, because people convert data sets without changing the labels."""
    exact = folder / name
    try:
        if exact.exists():
            return exact
        others = sorted(path for path in exact.parent.iterdir() if path.stem == exact.stem)
    except (OSError, ValueError):  # a name too long, with a NUL byte, or of a folder that is not there
        others = []
    if not others:
        raise UsageError(f"the labels name {name}, but it is not in {folder}: add it or choose another --subset")
    return others[0]


def _mask(entry: _Entry) -> NDArray[np.bool_]:
    mask = np.zeros(entry.frames, np.bool_)
    for first, last in entry.abnormal:
        mask[first : last + 1] = True
    return mask
