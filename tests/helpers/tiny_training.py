"""A training of a small network that takes one second. It learns a grey scene through which a bright square moves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from monitor.types import Image
from training.autoencoder.checkpoint import EpochLoss
from training.autoencoder.recipe import Recipe
from training.autoencoder.training_clips import Footage, load_clips, split
from training.progress import Report
from training.recordings import recorded_sources

CPU = torch.device("cpu")
QUIET = Report(quiet=True)
TINY = Recipe(width=4, batch=8, epochs=3, frames_per_s=0)


def scene(i: int, *, size: tuple[int, int] = (72, 128)) -> Image:
    """A grey scene through which a bright square moves."""
    image = np.full((*size, 3), 90, np.uint8)
    image[size[0] // 2 :] = (60, 80, 100)
    x = i * 3 % (size[1] - 12)
    image[30:42, x : x + 12] = 220
    return image


def write_folder(folder: Path, numbers: Sequence[int]) -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"frame_{number:05}.png"), scene(number))
    return folder


def footage(tmp_path: Path, n: int = 108, recipe: Recipe = TINY) -> Footage:
    sources = recorded_sources([str(write_folder(tmp_path / "clip", range(n)))], split="training_videos")
    clips = load_clips(sources, frames_per_s=recipe.frames_per_s, max_frames=recipe.max_frames, report=QUIET)
    return split(clips, recipe.held_out, recipe.batch)


class StopAfter:
    """Interrupts a training like Ctrl-C, after this many epochs."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def __call__(self, loss: EpochLoss) -> None:
        if loss.epoch + 1 == self.epochs:
            raise KeyboardInterrupt
