"""Frame labels of recorded footage: ``labels.json`` maps a file to its frames and abnormal intervals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from monitor.errors import UsageError, first_problem

SUBSETS = {"avenue": ("avenue/testing_videos/", "avenue/training_videos/10"), "ped1": ("ped1/test/",)}
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

    name      as written in the labels file
    path      where it lies
    abnormal  (N,) bool, a label a frame
    """

    name: str
    path: Path
    abnormal: NDArray[np.bool_]


def load_labels(path: Path, subset: str | None = None) -> list[LabelledVideo]:
    """The labelled videos, those of a subset (avenue, ped1, or a prefix of the names) if one is given.

    Raises UsageError for a malformed file, a subset that holds nothing and a video that is not there.
    """
    try:
        entries = TypeAdapter(dict[str, _Entry]).validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"labels {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        where, what = first_problem(error)
        raise UsageError(
            f"labels {path} cannot be used ({where or 'as a whole'}: {what}): "
            'expected {"file": {"frames": N, "abnormal": [[first, last], ...]}, ...}'
        ) from None
    prefixes = SUBSETS.get(subset, (subset,)) if subset else ("",)
    chosen = {name: entry for name, entry in entries.items() if name.startswith(prefixes)}
    if not chosen:
        raise UsageError(f"no file in {path} belongs to '{subset}': give {', '.join(SUBSETS)} or the start of a name")
    return [LabelledVideo(name, _find(path.parent, name), _mask(entry)) for name, entry in sorted(chosen.items())]


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
