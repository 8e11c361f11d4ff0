"""Pre-trains True Sight 2 on many scenes and writes a folder of weights that ``learn`` can start from."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from monitor import __version__
from monitor.detector.device import find_device
from monitor.errors import UsageError
from monitor.model.model_store import utc_now
from monitor.replay import LIVE_FPS
from monitor.sources.opencv import FALLBACK_FPS
from training.autoencoder.checkpoint import CHECKPOINT_FILE
from training.learn.fit_clip_net import WIDTH
from training.learn.pretrained_weights import CARD, PretrainedCard, SceneEntry, dump_network, save_pretrained
from training.output import make_writable
from training.pretrain.pretraining_loop import finished_steps, pretrain_network
from training.pretrain.pretraining_scenes import read_scenes
from training.progress import Report
from training.provenance import code_commit

STEPS = 400


@dataclass(frozen=True)
class PretrainSettings:
    """How a pre-training is done.

    steps  training steps with 8 samples each
    width  base number of channels of ClipNet
    analysis_fps  frames per second that are learned from; 0: every frame
    fps    frames per second of folders of images
    resume  continue the unfinished pre-training of this folder
    """

    steps: int = STEPS
    width: int = WIDTH
    seed: int = 0
    device: str = "auto"
    analysis_fps: float = LIVE_FPS
    fps: float = FALLBACK_FPS
    resume: bool = False


def pretrain(
    paths: Sequence[str],
    out: Path,
    settings: PretrainSettings,
    report: Report,
    after_checkpoint: Callable[[int], None] = lambda _: None,
) -> None:
    """Pre-train on the footage at the paths, one scene each, and write the folder ``out``.

    The checkpoint is in ``<out>.training`` until the weights are complete. Raises UsageError for input that cannot be
    used, and RunError if nothing can be written. Weights that are in ``out`` already stay until the new ones are
    complete.
    """
    out = out.absolute()
    folder = working_folder(out)
    device = find_device(settings.device)
    _check_folders(out, folder, resume=settings.resume)
    started = time.monotonic()
    scenes = read_scenes(paths, report, seed=settings.seed, analysis_fps=settings.analysis_fps, fps=settings.fps)
    make_writable(out.parent, "--out")
    try:
        make_writable(folder, "--out")
        entries = [scene.entry for scene in scenes]
        weights, loss = pretrain_network(
            [scene.maker for scene in scenes],
            width=settings.width,
            steps=settings.steps,
            seed=settings.seed,
            device=device,
            report=report,
            run=_run(settings, entries),
            folder=folder,
            after_checkpoint=after_checkpoint,
        )
        content, digest = dump_network(weights)
        card = PretrainedCard(
            width=settings.width,
            scenes=entries,
            steps=settings.steps,
            seed=settings.seed,
            loss=loss,
            device=str(device),
            commit=code_commit(),
            versions=_versions(),
            trained_at=utc_now(),
            weights_sha256=digest,
        )
        save_pretrained(out, card, content)
    finally:
        if not (folder / CHECKPOINT_FILE).exists():
            _remove_if_empty(folder)
    (folder / CHECKPOINT_FILE).unlink()
    _remove_if_empty(folder)
    report.say(
        f"pre-trained weights written to {out} after {time.monotonic() - started:.0f} s: {len(scenes)} scenes, "
        f"{settings.steps} steps, loss {loss:.3f}"
    )


def working_folder(out: Path) -> Path:
    """The folder for the checkpoint of an unfinished pre-training, next to ``out``."""
    return out.with_name(f"{out.name}.training")


def unfinished_steps(out: Path) -> int:
    """Number of steps that an unfinished pre-training for ``out`` has kept; 0 if there is none."""
    return finished_steps(working_folder(out.absolute()))


def _run(settings: PretrainSettings, scenes: Sequence[SceneEntry]) -> dict[str, Any]:
    """What must be the same to continue a pre-training."""
    return {
        "steps": settings.steps,
        "width": settings.width,
        "seed": settings.seed,
        "scenes": [scene.sha256 for scene in scenes],
    }


def _versions() -> dict[str, str]:
    return {
        "true-sight": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _check_folders(out: Path, folder: Path, *, resume: bool) -> None:
    """Raise UsageError if nothing may be written to ``out``, or if ``resume`` does not fit to what is there."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: give another --out")
    if out.is_dir() and any(out.iterdir()) and not (out / CARD).exists():
        raise UsageError(f"{out} exists and does not hold pre-trained weights: give another --out")
    unfinished = (folder / CHECKPOINT_FILE).exists()
    if folder.exists() and not unfinished and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists but is not an unfinished pre-training: move it or give another --out")
    if unfinished and not resume:
        raise UsageError(
            f"{folder} contains an unfinished pre-training: add --resume to continue, or delete the folder"
        )
    if resume and not unfinished:
        raise UsageError(f"there is no unfinished pre-training in {folder}: remove --resume")


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # the user has put something there
        folder.rmdir()
