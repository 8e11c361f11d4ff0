"""The training loop: frames in, the weights of the best epoch out.

Every epoch starts with its own random state, which follows from the seed. So an interrupted training that is resumed
reaches exactly the same weights as one without interruption.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from monitor.detector.true_sight.autoencoder import Reconstruction, TrueSightNet
from monitor.detector.true_sight.published_score import spread
from monitor.errors import RunError, UsageError
from monitor.text.wording import counted
from training.autoencoder.augment import Augment, augmentation
from training.autoencoder.checkpoint import CHECKPOINT_FILE, Checkpoint, EpochLoss, optimizer_tensors
from training.autoencoder.recipe import Recipe
from training.autoencoder.training_clips import Footage
from training.progress import Report
from training.reproducible import reproducible

WARM_UP = 0.05
"""Share of all steps in which the learning rate rises."""
FOREGROUND = 0.1
"""Difference from the clip's median, as a fraction of the full range, from which a pixel counts fully as foreground."""
SUPERVISION = 0.05
"""Weight of the attention loss relative to the reconstruction loss."""


def fit(
    footage: Footage,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    folder: Path,
    report: Report,
    after_epoch: Callable[[EpochLoss], None] | None = None,
) -> Checkpoint:
    """Train a network. Continues from the folder's checkpoint if there is one.

    Returns the checkpoint after the last epoch. Raises UsageError if the checkpoint belongs to another training.
    """
    frames, held_out = footage.training(), footage.held_out()
    if recipe.attention == "supervised":
        frames = torch.cat([frames, footage.foreground()], dim=1)
    epochs = recipe.epochs_for(len(frames))
    run = json.loads(json.dumps({"recipe": recipe.model_dump(), "seed": seed, "footage": footage.digest()}))
    augment = augmentation(recipe)
    with reproducible(device):
        torch.manual_seed(seed)
        net = TrueSightNet(width=recipe.width, dropout=recipe.dropout)
        net = net.to(device).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(net, recipe)
        state = Checkpoint(run)
        if (folder / CHECKPOINT_FILE).exists():
            state = Checkpoint.load(folder)
            _check_same_run(state.run, run, folder)
            state.restore(net, optimizer, folder)
            report.say(f"continuing after epoch {len(state.losses)} of {epochs}")
        report.say(
            f"{counted(len(frames), 'frame')} to learn from, {len(held_out)} held out; "
            f"{counted(epochs, 'epoch')} of {counted(len(frames) // recipe.batch, 'step')} on {device}"
        )
        for epoch in range(len(state.losses), epochs):
            torch.manual_seed(seed * 1_000_003 + epoch + 1)
            training = _epoch(net, optimizer, frames, recipe, augment, epoch, epochs, device, report)
            loss = EpochLoss(epoch, training, held_out_loss(net, held_out, device))
            if not math.isfinite(loss.training + loss.held_out):
                raise RunError(
                    f"the loss of epoch {epoch + 1} is not a number: set a lower learning_rate in the recipe"
                )
            state.losses.append(loss)
            state.network = _copied(net)
            if state.best_epoch() is loss:
                state.best = state.network
            state.optimizer = optimizer_tensors(optimizer)
            state.save(folder)
            report.say(f"epoch {epoch + 1}/{epochs}: loss {loss.training:.4f}, held out {loss.held_out:.4f}")
            if after_epoch is not None:
                after_epoch(loss)
    return state


def loss_of(net: TrueSightNet, frames: Tensor, recipe: Recipe) -> Tensor:
    """The loss of a batch: (B, 3 or 4, 96, 96) float in [0, 1] -> scalar. A fourth channel is the foreground.

    The published loss is mean(|o - x| (1 + up(A))), with reconstruction o, frame x and upsampled attention up(A). With
    recipe.attention = "joint", the gradient passes through A. Otherwise A is detached, because the network could lower
    this loss just by lowering A where the error is large. With "supervised", A also learns the foreground.
    """
    x = frames[:, :3]
    out: Reconstruction = net(x.contiguous(memory_format=torch.channels_last))
    attention = out.attention.float()
    weight = 1 + spread(attention if recipe.attention == "joint" else attention.detach(), *x.shape[2:])
    loss: Tensor = ((out.reconstruction.float() - x).abs() * weight).mean()
    if recipe.attention == "supervised":
        # The mean over 4 px prevents single noisy pixels from activating a cell.
        target = functional.adaptive_max_pool2d(functional.avg_pool2d(frames[:, 3:], 4), attention.shape[2:])
        target = (target / FOREGROUND).clamp(0, 1)
        with torch.autocast(frames.device.type, enabled=False):
            loss = loss + SUPERVISION * functional.binary_cross_entropy(attention, target)
    return loss


def held_out_loss(net: TrueSightNet, frames: Tensor, device: torch.device) -> float:
    """Mean absolute error of the reconstruction of (N, 3, 96, 96) uint8 frames, in [0, 1]. No augmentation.

    It does not use the attention weight, because a collapsing attention would lower the loss.
    """
    net.eval()
    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(frames), 64):
            batch = frames[start : start + 64]
            x = batch.to(device).float().div(255).contiguous(memory_format=torch.channels_last)
            total += (net(x).reconstruction - x).abs().mean().item() * len(batch)
    return total / len(frames)


def make_optimizer(net: TrueSightNet, recipe: Recipe) -> torch.optim.Optimizer:
    """Create the optimiser that the recipe selects."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            net.parameters(), recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
    return torch.optim.AdamW(net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of a step (0-based) of ``steps`` steps."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def mixed_precision(recipe: Recipe, device: torch.device) -> bool:
    """True if the recipe trains in bfloat16 on this device: 1.6 times as fast with hardware support, slower without."""
    if recipe.precision != "auto":
        return recipe.precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def _epoch(
    net: TrueSightNet,
    optimizer: torch.optim.Optimizer,
    frames: Tensor,
    recipe: Recipe,
    augment: Augment,
    epoch: int,
    epochs: int,
    device: torch.device,
    report: Report,
) -> float:
    """Train one pass over the shuffled frames, without the incomplete last batch. Returns the mean loss."""
    net.train()
    per_epoch = len(frames) // recipe.batch
    order = torch.randperm(len(frames))[: per_epoch * recipe.batch].view(per_epoch, recipe.batch)
    mixed = mixed_precision(recipe, device)
    total = torch.zeros((), device=device)
    with report.steps(f"epoch {epoch + 1}/{epochs}", per_epoch, announce=False) as step_done:
        for step, chosen in enumerate(order):
            # The published transforms work frame by frame, so they run on the CPU. The light ones run on the device.
            batch = frames[chosen].float().div(255)
            batch = augment(batch).to(device) if recipe.augment == "published" else augment(batch.to(device))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, epoch * per_epoch + step, epochs * per_epoch)
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                loss = loss_of(net, batch, recipe)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.detach()
            step_done()
    return (total / per_epoch).item()


def _copied(net: TrueSightNet) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous().clone() for key, value in net.state_dict().items()}


def _check_same_run(found: dict[str, Any], wanted: dict[str, Any], folder: Path) -> None:
    """Raise UsageError that names the differences if the checkpoint belongs to another training."""
    recipes = found.get("recipe", {}), wanted["recipe"]
    changed = [key for key in wanted["recipe"] if recipes[0].get(key) != recipes[1][key]]
    changed += [key for key in ("seed", "footage") if found.get(key) != wanted[key]]
    if changed:
        raise UsageError(
            f"the unfinished training in {folder} used another {', '.join(changed)}: "
            "use the same as before, or delete the folder to start again"
        )
