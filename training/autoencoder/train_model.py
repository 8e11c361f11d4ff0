"""Trains the published network on footage and writes a model folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from monitor.detector.device import find_device
from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.true_sight_detector import TrueSight
from monitor.errors import UsageError
from monitor.judging.scorer import Bare
from monitor.model.model_store import Provenance, check_replaceable, save_model, utc_now
from monitor.replay import LIVE_FPS, frames, scored
from monitor.sources.source import Source
from monitor.stream.frame_rules import FrameRules, RuleSettings
from monitor.text.durations import in_words
from monitor.text.wording import counted
from monitor.types import Frame
from training.autoencoder.checkpoint import CHECKPOINT_FILE, Checkpoint, EpochLoss
from training.autoencoder.recipe import Recipe
from training.autoencoder.training_clips import Footage, load_clips, split
from training.autoencoder.training_loop import fit
from training.learn.learn_model import RECOMMENDED_S
from training.output import make_writable
from training.progress import Report
from training.provenance import code_commit, names_of_footage
from training.recordings import nothing_readable, recorded_sources
from training.score_table import Scores, ScoreTable, held_out_scores


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
    """Train on the footage at the paths and write the model folder ``out``. Replaces an older model there.

    Working files are in ``<out>.training`` until the model is complete. Raises UsageError or a similar error for input
    that cannot be used. After an interruption, ``resume`` continues from the last finished epoch.
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
        report.say(f"footage: {in_words(learned_s)} to learn from, {in_words(held_s)} held out to set the threshold")
        warning = too_short(learned_s, held_s)
        if warning is not None:
            report.say(warning)
        state = fit(
            footage, recipe, seed=seed, device=torch_device, folder=folder, report=report, after_epoch=after_epoch
        )
        _finish(footage, recipe, state, torch_device, out, paths, seed, report)
    finally:
        if not (folder / CHECKPOINT_FILE).exists():
            _remove_if_empty(folder)
    (folder / CHECKPOINT_FILE).unlink()
    _remove_if_empty(folder)
    best = state.best_epoch()
    report.say(
        f"model written to {out} after {time.monotonic() - started:.0f} s: "
        f"best of {counted(len(state.losses), 'epoch')} is {best.epoch + 1}, held-out loss {best.held_out:.4f}"
    )
    if warning is not None:
        report.say(warning)


def too_short(learned_s: float, held_s: float) -> str | None:
    """A warning if the footage is shorter than recommended; None if it is long enough. Both lengths in seconds."""
    if learned_s + held_s >= RECOMMENDED_S:
        return None
    held = in_words(held_s)
    return (
        f"warning: {in_words(learned_s + held_s)} of footage is too short: the {held} of held-out footage cannot "
        f"confirm fewer than one false alarm per {held}, so expect many false alarms; give at least "
        f"{in_words(RECOMMENDED_S)} in total, better an hour, that shows everything that is normal for this camera"
    )


def unfinished(out: Path) -> int:
    """Number of finished epochs of an interrupted training for the model folder ``out``; 0 if there is none."""
    folder = working_folder(out.absolute())
    return len(Checkpoint.load(folder).losses) if (folder / CHECKPOINT_FILE).exists() else 0


def working_folder(out: Path) -> Path:
    """The folder for the files of an unfinished training, next to the model folder."""
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
    """Calibrate the best network on the held-out footage, score this footage, and write the model folder."""
    net = TrueSightNet(width=recipe.width, dropout=recipe.dropout)
    net.load_state_dict(state.best)
    held = footage.held_sources()
    limit = max(2, recipe.calibration_frames // len(held))
    with report.steps("calibrating on the held-out footage", None):
        detector = TrueSight.from_network(net, variant=recipe.variant, device=str(device)).calibrate(
            frame.image for source, start in held for frame in _held_frames(source, start, limit)
        )
    with report.steps("scoring the held-out footage", len(held)) as step:
        parts = []
        for source, start in held:
            parts.append(_scores(source, start, limit, detector))
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
        data=names_of_footage(paths),
        frames=len(footage.training()),
        seed=seed,
        commit=code_commit(),
        device=str(device),
        trained_at=utc_now(),
        notes=notes,
    )
    save_model(out, out.name, [detector], held_out_scores(parts, [detector]), provenance)


def _held_frames(source: Source, from_s: float, limit: int) -> Iterator[Frame]:
    """Held-out frames at the live rate, as they are: the published recipe knows no health check."""
    return frames(source, FrameRules(RuleSettings(analysis_fps=LIVE_FPS)), from_s=from_s, limit=limit)


def _scores(source: Source, from_s: float, limit: int, detector: TrueSight) -> Scores:
    table = ScoreTable()
    for each in scored(_held_frames(source, from_s, limit), Bare((detector,))):
        table.add(each)
    if not len(table):
        raise nothing_readable(source)
    return table.scores()


def _attention_spread(net: TrueSightNet, frames: Tensor) -> tuple[float, float]:
    """Mean of the attention, and its mean standard deviation over the 36 cells. Near 0, the attention has collapsed."""
    with torch.inference_mode():
        attention = net.cpu().eval()(frames[:256].float().div(255)).attention.flatten(1)  # (N, 36)
    return attention.mean().item(), attention.std(dim=1).mean().item()


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # the user has put something there
        folder.rmdir()


def _check_working_folder(folder: Path, *, resume: bool) -> None:
    unfinished = (folder / CHECKPOINT_FILE).exists()
    if folder.exists() and not unfinished and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists but is not an unfinished training: move it or choose another --out")
    if unfinished and not resume:
        raise UsageError(f"{folder} contains an unfinished training: add --resume to continue, or delete the folder")
    if resume and not unfinished:
        raise UsageError(f"there is no unfinished training in {folder}: remove --resume")
