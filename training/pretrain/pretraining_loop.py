"""The loop that pre-trains the network: each batch has samples of several scenes.

The samples of a step follow from the seed and the number of the step. So a pre-training that was interrupted reaches
exactly the same weights as one without interruption.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monitor.errors import ModelError, UsageError
from monitor.types import FloatArray
from training.autoencoder.checkpoint import CHECKPOINT_FILE, Checkpoint, damaged, optimizer_tensors
from training.learn.fit_clip_net import BATCH, ClipTraining, make_batch
from training.learn.synthetic_anomalies import AnomalyMaker
from training.progress import Report
from training.reproducible import reproducible

EVERY = 100
"""Steps between two checkpoints."""
_PAIRS = BATCH // 2
_LAST = 100  # steps of which the mean loss is reported


def mixed_batch(makers: Sequence[AnomalyMaker], seed: int, step: int) -> tuple[FloatArray, FloatArray]:
    """The batch of a step: pairs of a normal and an abnormal sample, the next pair from the next scene.

    Returns what ``make_batch`` returns.
    """
    inputs, masks = [], []
    for pair in range(_PAIRS):
        maker = makers[(step * _PAIRS + pair) % len(makers)]
        maker.rng = np.random.default_rng((seed, step, pair))
        some, where = make_batch(maker, BATCH // _PAIRS)
        inputs.append(some)
        masks.append(where)
    return np.concatenate(inputs), np.concatenate(masks)


def pretrain_network(
    makers: Sequence[AnomalyMaker],
    *,
    width: int,
    steps: int,
    seed: int,
    device: torch.device,
    report: Report,
    run: dict[str, Any] | None = None,
    folder: Path | None = None,
    after_checkpoint: Callable[[int], None] = lambda _: None,
) -> tuple[dict[str, Tensor], float]:
    """Train a network on all scenes. Returns the running mean of its weights, and the mean loss of the last steps.

    run     identifies this pre-training
    folder  keeps the checkpoint, every 100 steps; continues from the one that is there. None: no checkpoint
    after_checkpoint  called with the number of finished steps

    Raises UsageError if the checkpoint belongs to another pre-training, ModelError if it is damaged, and RunError if
    it cannot be written or the training diverges.
    """
    run = run or {}
    losses: deque[float] = deque(maxlen=_LAST)
    with reproducible(device):
        torch.manual_seed(seed)
        training = ClipTraining(width, device)
        done = 0
        if folder is not None and (folder / CHECKPOINT_FILE).exists():
            done = _continue(training, losses, steps, run, folder)
            report.say(f"continuing after step {done} of {steps}")
        with report.steps(f"pre-training on {len(makers)} scenes", steps - done) as step_done:
            for step in range(done, steps):
                losses.append(training.step(*mixed_batch(makers, seed, step), step, steps))
                step_done()
                if folder is not None and ((step + 1) % EVERY == 0 or step + 1 == steps):
                    _keep(training, losses, run, folder)
                    after_checkpoint(step + 1)
    return training.mean.state_dict(), float(np.mean(losses))


def _keep(training: ClipTraining, losses: Sequence[float], run: dict[str, Any], folder: Path) -> None:
    state = optimizer_tensors(training.optimizer)
    last = torch.tensor(list(losses), dtype=torch.float64)
    network = training.net.state_dict() | {"last_losses": last}
    Checkpoint(run, network=network, best=training.mean.state_dict(), optimizer=state).save(folder)


def _continue(training: ClipTraining, losses: deque[float], steps: int, run: dict[str, Any], folder: Path) -> int:
    """Take over the state of the checkpoint. Returns the number of finished steps."""
    found = Checkpoint.load(folder)
    changed = [key for key in run if found.run.get(key) != run[key]]
    if changed:
        raise UsageError(
            f"the unfinished pre-training in {folder} used another {', '.join(changed)}: use the same as before, or "
            "delete the folder to start again"
        )
    try:
        losses.extend(found.network.pop("last_losses").tolist())
        done = int(found.optimizer["0.step"].item())
    except (LookupError, RuntimeError, ValueError, TypeError) as error:
        raise damaged(folder, str(error)) from None
    if not 0 < done <= steps or not losses:
        raise damaged(folder, f"{done} of {steps} steps")
    found.restore(training.net, training.optimizer, folder)
    try:
        training.mean.load_state_dict(found.best)
    except RuntimeError as error:
        raise damaged(folder, str(error)) from None
    return done


def finished_steps(folder: Path) -> int:
    """Number of steps that the checkpoint in the folder has finished; 0 if there is none or it cannot be read."""
    if not (folder / CHECKPOINT_FILE).exists():
        return 0
    try:
        return int(Checkpoint.load(folder).optimizer["0.step"].item())
    except (ModelError, LookupError, RuntimeError, ValueError):
        return 0
