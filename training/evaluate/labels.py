"""Frame labels of recorded footage: ``labels.json`` maps a file to its frames and abnormal intervals.

Instead of it, a folder may hold videos and, anywhere in it, a file of labels for each: see ``label_files``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from monitor.errors import SourceError, UsageError, first_problem
from training.evaluate.label_files import label_files, read_labels, read_masks, video_key
from training.sampling import recorded_sources

SUBSETS = {
    "avenue": ("avenue/testing_videos/", "avenue/training_videos/10"),
    "ped1": ("ped1/test/",),
    "umn-1": ("umn/lawn_1.",),
    "umn-2": ("umn/lawn_2.",),
}
"""Named subsets: prefixes of files. Training video 10 of Avenue, not trained on, gives further normal frames."""
NotNegative = Annotated[int, Field(ge=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    frames: Annotated[int, Field(ge=1)]
    abnormal: list[Annotated[list[NotNegative], Field(min_length=2, max_length=2)]]

    @model_validator(mode="after")
    def _inside(self) -> _Entry:
        for first, last in self.abnormal:
            if not first <= last < self.frames:
                raise ValueError(f"interval [{first}, {last}] does not lie within frames 0 to {self.frames - 1}")
        return self


@dataclass(frozen=True, eq=False)
class LabelledVideo:
    """A video or folder of frames with its labels.

    name        as written in the labels file
    path        where it lies
    abnormal    (N,) bool, a label a frame
    masks_file  where it says in which part of the picture, None if nowhere
    """

    name: str
    path: Path
    abnormal: NDArray[np.bool_]
    masks_file: Path | None = None

    def masks(self) -> NDArray[np.bool_] | None:
        """(N, H, W) bool: where in each frame something abnormal is; None if nothing says so. Read anew each time.

        Raises UsageError for a file that cannot be used or is of another number of frames.
        """
        if self.masks_file is None:
            return None
        masks = read_masks(self.masks_file)
        if len(masks) != len(self.abnormal):
            raise UsageError(
                f"{self.masks_file} has masks of {len(masks)} frames, the labels of {self.name} are of "
                f"{len(self.abnormal)}: correct one of them or take the masks away"
            )
        return masks

    def check_frames(self, frames: int) -> None:
        """Raise UsageError unless a video of so many frames can be the one that was labelled.

        The last few frames of a video may be lost: files of a folder, what a decoder leaves out.
        """
        labels = len(self.abnormal)
        if frames > labels or labels - frames > max(5, 0.02 * labels):
            raise UsageError(f"{self.name} has {frames} frames, its labels {labels}: correct the labels or the file")


def load_labels(path: Path, subset: str | None = None) -> list[LabelledVideo]:
    """The labelled videos, those of a subset (avenue, ped1, umn-1, umn-2, or a prefix of the names) if one is given.

    path: a JSON file, or a folder of videos and files of labels. Raises UsageError for malformed labels, a subset that
    holds nothing, a video that is not there and one without labels, SourceError for a folder without footage.
    """
    prefixes = SUBSETS.get(subset, (subset,)) if subset else ("",)
    found = _of_folder(path, prefixes) if path.is_dir() else _of_json(path, prefixes)
    if not found:
        raise UsageError(f"no file in {path} belongs to '{subset}': give {', '.join(SUBSETS)} or the start of a name")
    return found


def _of_json(path: Path, prefixes: tuple[str, ...]) -> list[LabelledVideo]:
    try:
        entries = TypeAdapter(dict[str, _Entry]).validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"labels {path} cannot be read ({error.strerror}): check the path") from None
    except ValidationError as error:
        where, what = first_problem(error)
        raise UsageError(
            f"labels {path} cannot be used ({where or 'as a whole'}: {what}): "
            'expected {"file": {"frames": N, "abnormal": [[first, last], ...]}, ...}'
        ) from None
    chosen = {name: entry for name, entry in sorted(entries.items()) if name.startswith(prefixes)}
    paths = {name: _find(path.parent, name) for name in chosen}
    return [LabelledVideo(name, paths[name], _mask(entry), _masks_of(paths[name])) for name, entry in chosen.items()]


def _of_folder(folder: Path, prefixes: tuple[str, ...]) -> list[LabelledVideo]:
    """Videos as the monitor finds them (of a data set, its ``testing_videos``) with the labels of the same name."""
    files = label_files(folder)
    if not files:
        raise UsageError(f"{folder} holds no labels: add a .mat, .npy or .npz file for each video, or give labels.json")
    found = []
    for source in recorded_sources([str(folder)], split="testing_videos"):
        path = Path(source.label)
        try:
            name = path.resolve().relative_to(folder.resolve()).as_posix()
        except ValueError:
            raise SourceError(f"{path} does not lie in {folder}: give the folder that holds it") from None
        if not name.startswith(prefixes):
            continue
        labels = files.get(video_key(path))
        if labels is None:
            raise UsageError(
                f"{name} has no labels in {folder}: add {path.stem}.npy or {path.stem}_label.mat, or move it away"
            )
        abnormal, masked = read_labels(labels)
        found.append(LabelledVideo(name, path, abnormal, labels if masked else _masks_of(path)))
    return found


def _masks_of(video: Path) -> Path | None:
    """``masks/NAME.npz`` beside the video or beside its folder."""
    candidates = (folder / "masks" / f"{video.stem}.npz" for folder in (video.parent, video.parent.parent))
    return next((path for path in candidates if path.is_file()), None)


def _find(folder: Path, name: str) -> Path:
    """The file, or one of the same stem: data sets are often converted, their labels left alone."""
    exact = folder / name
    if exact.exists():
        return exact
    others = sorted(p for p in exact.parent.glob(f"{exact.stem}*") if p.stem == exact.stem)
    if not others:
        raise UsageError(f"the labels name {name}, which is not in {folder}: add it or choose another --subset")
    return others[0]


def _mask(entry: _Entry) -> NDArray[np.bool_]:
    mask = np.zeros(entry.frames, np.bool_)
    for first, last in entry.abnormal:
        mask[first : last + 1] = True
    return mask
