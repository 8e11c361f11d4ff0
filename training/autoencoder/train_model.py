"""From footage to a model folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from monitor.detector.device import find_device
from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.true_sight_detector import TrueSight
from monitor.errors import UsageError
from monitor.model.model_store import Provenance, check_replaceable, save_model, utc_now
from monitor.text.durations import in_words
from monitor.text.wording import counted
from training.autoencoder.checkpoint import CHECKPOINT_FILE, Checkpoint, EpochLoss
from training.autoencoder.recipe import Recipe
from training.autoencoder.training_clips import Footage, load_clips, split
from training.autoencoder.training_loop import fit
from training.learn.learn_model import RECOMMENDED_S
from training.output import make_writable
from training.progress import Report
from training.provenance import code_commit as code_commit
from training.sampling import LIVE_PER_S, recorded_sources
from training.scoring import held_out_scores, pictures, score_source


def train_model(
    paths: Sequence[str],
    out: Path,
    recipe: Recipe,
    *,
    seed: int,
    device: str,
    resume: bool,
    report: Report,
    after_epoch: Callable[[EpochLoss], None] | None = None,
) -> None:
    """Train on the footage at the paths and write the model folder ``out``, replacing an older model.

    Working files live in ``<out>.training`` until the model is complete. Raises UsageError and its kind for
    what cannot be used; an interruption leaves the last finished epoch to go on from with ``resume``.
    """
    out = out.absolute()
    check_replaceable(out)
    folder = working_folder(out)
    _check_working_folder(folder, resume=resume)
    torch_device = find_device(device)
    started = time.monotonic()
    sources = recorded_sources(paths, split="training_videos")
    make_writable(out.parent, "--out")
    try:
        make_writable(folder, "--out")
        clips = load_clips(sources, frames_per_s=recipe.frames_per_s, max_frames=recipe.max_frames, report=report)
        footage = split(clips, recipe.held_out, min_training=recipe.batch)
        learned_s, held_s = footage.lengths_s()
        report.say(f"footage: {in_words(learned_s)} to learn from, {in_words(held_s)} held out to set the threshold by")
        warning = too_short(learned_s, held_s)
        if warning is not None:
            report.say(warning)
        state = fit(
            footage, recipe, seed=seed, device=torch_device, folder=folder, report=report, after_epoch=after_epoch
        )
        _finish(footage, recipe, state, torch_device, out, paths, seed, report)
    finally:
        if not (folder / CHECKPOINT_FILE).exists():
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder)
    best = state.best_epoch()
    report.say(
        f"model written to {out} after {time.monotonic() - started:.0f} s: "
        f"best of {counted(len(state.losses), 'epoch')} is {best.epoch + 1}, held-out loss {best.held_out:.4f}"
    )
    if warning is not None:
        report.say(warning)


def too_short(learned_s: float, held_s: float) -> str | None:
    """A warning for people where there is less than the recommended footage, seconds."""
    if learned_s + held_s >= RECOMMENDED_S:
        return None
    held = in_words(held_s)
    return (
        f"warning: {in_words(learned_s + held_s)} of footage is too little: the {held} held out cannot show that there "
        f"is less than one false alarm in {held}, so expect many; give at least {in_words(RECOMMENDED_S)} in all, "
        "better an hour, with everything that is normal for this camera"
    )


def unfinished(out: Path) -> int:
    """Epochs that an interrupted training for the model folder ``out`` can go on from."""
    folder = working_folder(out.absolute())
    return len(Checkpoint.load(folder).losses) if (folder / CHECKPOINT_FILE).exists() else 0


def working_folder(out: Path) -> Path:
    """Where an unfinished training keeps its files: beside the model folder."""
    return out.with_name(f"{out.name}.training")


def _finish(
    footage: Footage,
    recipe: Recipe,
    state: Checkpoint,
    device: torch.device,
    out: Path,
    paths: Sequence[str],
    seed: int,
    report: Report,
) -> None:
    """Calibrate the best network on the held-out footage, score that, and write the model folder."""
    net = TrueSightNet(width=recipe.width, dropout=recipe.dropout)
    net.load_state_dict(state.best)
    held = footage.held_sources()
    limit = max(2, recipe.calibration_frames // len(held))
    with report.steps("calibrating on the held-out footage", None):
        detector = TrueSight.from_network(net, variant=recipe.variant, device=str(device)).calibrate(
            image for s, start in held for image in pictures(s, per_s=LIVE_PER_S, from_s=start, limit=limit)
        )
    with report.steps("scoring the held-out footage", len(held)) as step:
        parts = []
        for source, start in held:
            parts.append(score_source(source, [detector], per_s=LIVE_PER_S, from_s=start, limit=limit))
            step()
    best = state.best_epoch()
    mean, spatial = _attention_spread(net, footage.held_out())
    notes: dict[str, str | int | float] = {
        "epochs": len(state.losses),
        "best_epoch": best.epoch + 1,
        "training_loss": best.training,
        "held_out_loss": best.held_out,
        "held_out_frames": len(footage.held_out()),
        "attention_mean": mean,
        "attention_spread": spatial,
    }
    provenance = Provenance(
        recipe=recipe.name,
        data=list(paths),
        frames=len(footage.training()),
        seed=seed,
        commit=code_commit(),
        device=str(device),
        trained_at=utc_now(),
        notes=notes,
    )
    save_model(out, out.name, [detector], held_out_scores(parts, [detector]), provenance)


def _attention_spread(net: TrueSightNet, frames: Tensor) -> tuple[float, float]:
    """Mean of the attention and its mean deviation over the 36 places; a deviation near 0 is a collapse."""
    with torch.inference_mode():
        attention = net.cpu().eval()(frames[:256].float().div(255)).attention.flatten(1)  # (N, 36)
    return attention.mean().item(), attention.std(dim=1).mean().item()


def _check_working_folder(folder: Path, *, resume: bool) -> None:
    unfinished = (folder / CHECKPOINT_FILE).exists()
    if folder.exists() and not unfinished and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is in the way and holds no unfinished training: move it or choose another --out")
    if unfinished and not resume:
        raise UsageError(f"{folder} holds an unfinished training: add --resume to go on, or delete it to start anew")
    if resume and not unfinished:
        raise UsageError(f"there is no unfinished training in {folder}: leave out --resume")
