"""Trains True Sight 2 on a scene. Each step makes new synthetic anomalies, and the network learns to find them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from scipy.stats import mannwhitneyu
from torch import Tensor
from torch.nn import functional

from monitor.detector.device import find_device
from monitor.detector.precision import bfloat16_is_fast
from monitor.detector.true_sight2.clip_inputs import CHANNELS
from monitor.detector.true_sight2.clip_net import STRIDE, AnomalyLogits, ClipNet, averaged
from monitor.detector.true_sight2.true_sight2_detector import Scene, TrueSight2, TrueSight2Settings
from monitor.errors import RunError, UsageError
from monitor.types import FloatArray, Frame
from training.learn.grey_footage import GreyClip, GreyFootage, grey_footage
from training.learn.lean_adamw import LeanAdamW
from training.learn.pretrained_weights import Pretrained
from training.learn.synthetic_anomalies import AnomalyMaker
from training.progress import Report
from training.reproducible import reproducible

STEPS = 700
FINE_STEPS = 350
"""Training steps of a network that starts from pre-trained weights."""
WIDTH = 16
BATCH = 8
LEARNING_RATE = 2e-3
FINE_LEARNING_RATE = 4e-3
"""The highest learning rate of a network that starts from pre-trained weights."""
WEIGHT_DECAY = 1e-2
WARM_UP = 0.05
"""Share of all steps in which the learning rate rises."""
EMA = 0.995  # final decay of the running mean of the weights (exponential moving average)
HELD_OUT = 0.1
"""Share at the end of each clip that is held out, to measure the usual scores."""
_LEAD = 20  # minimum number of frames before the held-out ones, so that the stream has a past
_TOP = 4  # the score of a frame is the mean of this many highest cells of the map


def fit_true_sight2(
    clips: Iterable[Sequence[Frame]],
    *,
    seed: int = 0,
    steps: int | None = None,
    width: int = WIDTH,
    device: str = "cpu",
    report: Report | None = None,
    start: Pretrained | None = None,
) -> TrueSight2:
    """Learn a scene from clips of normal footage, each in order of time, analysed at about 10 frames per second.

    steps  training steps with 8 samples each; their duration does not depend on the length of the footage. None: 700,
           or 350 from pre-trained weights
    width  base number of channels of ClipNet; pre-trained weights have their own
    start  weights to start from; None: random ones

    The same seed and footage give the same weights on the same machine. Keeps 30 KB per frame in memory, for at most
    20,000 frames. Raises UsageError for too little footage.
    """
    grey = grey_footage(clips)
    return fit_grey(grey, seed=seed, steps=steps, width=width, device=device, report=report, start=start)


def fit_grey(
    clips: Sequence[GreyClip],
    *,
    seed: int = 0,
    steps: int | None = None,
    width: int = WIDTH,
    device: str = "cpu",
    report: Report | None = None,
    start: Pretrained | None = None,
) -> TrueSight2:
    """Like ``fit_true_sight2``, but from footage that is already small and grey."""
    if steps is None:
        steps = STEPS if start is None else FINE_STEPS
    if steps < 1:
        raise UsageError(f"true-sight-2 needs at least 1 step to learn, got {steps}: give a higher number")
    target = find_device(device)
    ends = [len(clip.times) - round(HELD_OUT * len(clip.times)) for clip in clips]
    footage = GreyFootage([GreyClip(clip.times[:n], clip.frames[:n]) for clip, n in zip(clips, ends, strict=True)])
    maker = AnomalyMaker(footage, np.random.default_rng(seed))
    with reproducible(target):
        torch.manual_seed(seed)
        training = ClipTraining(start.width if start else width, target, FINE_LEARNING_RATE if start else LEARNING_RATE)
        if start is not None:
            training.begin_with(start.network)
        with (report or Report(quiet=True)).steps("learning from synthetic anomalies", steps) as step_done:
            for step in range(steps):
                training.step(*make_batch(maker, BATCH), step, steps)
                step_done()
    settings = TrueSight2Settings(width=training.width)
    detector = TrueSight2(training.mean, settings, Scene(footage.background, maker.usual.speed), str(target))
    return detector.with_usual(*_usual(detector, clips, ends))


def synthetic_auc(
    detector: TrueSight2, clips: Iterable[Sequence[Frame]], *, samples: int = 400, seed: int = 1
) -> float:
    """AUC of a detector on synthetic anomalies in footage that it has not learned from; 0.5 is chance.

    It shows without labels whether a training has succeeded. Raises UsageError like ``fit_true_sight2``.
    """
    scene = detector.scene
    footage = GreyFootage(grey_footage(clips), scene.background)
    maker = AnomalyMaker(footage, np.random.default_rng(seed), scene.usual_speed)
    scores: list[float] = []
    abnormal: list[bool] = []
    for _ in range(max(1, samples // BATCH)):
        inputs, masks = make_batch(maker, BATCH)
        scores.extend(float(fused.max()) for fused, *_ in detector.look(list(inputs)))
        abnormal.extend(bool(mask.any()) for mask in masks)
    positive, found = np.array(abnormal), np.array(scores)
    if not positive.any() or positive.all() or np.isnan(found).any():
        raise UsageError("synthetic anomalies in this footage do not show if it learned well: give longer footage")
    ranked = mannwhitneyu(found[positive], found[~positive])
    return float(ranked.statistic / (positive.sum() * (~positive).sum()))  # the area under the ROC curve


def _usual(
    detector: TrueSight2, clips: Sequence[GreyClip], ends: Sequence[int]
) -> tuple[float, tuple[float, float, float]]:
    """99th percentiles of the score and of the three heads' parts at its peak, on held-out frames.

    If the clips are so short that no frame is held out, it uses all frames.
    """
    scores: list[list[float]] = []
    held: list[bool] = []
    for clip, end in zip(clips, ends, strict=True):
        stream = detector.new_stream()
        # A long clip has enough held-out frames. Frames that are seconds older do not influence their scores.
        for i in range(max(0, end - max(_LEAD, len(clip.times) - end)), len(clip.times)):
            inputs = stream.update_grey(clip.frames[i], float(clip.times[i]))
            if inputs is not None and (end < len(clip.times) or not held or not any(held)):
                ((fused, heads, _),) = detector.look([inputs])
                scores.append([float(fused.max()), *heads.tolist()])
                held.append(i >= end)
    table = np.array(scores)[held] if any(held) else np.array(scores)
    score, large, medium, subtle = np.quantile(table, 0.99, axis=0).tolist()
    return score, (large, medium, subtle)


class ClipTraining:
    """A network in training, with the running mean of its weights, which depends less on the last few steps.

    net, mean      the network and the mean; the mean is the result
    optimizer      of the network
    learning_rate  the highest one, reached after the warm-up

    The first weights are random (``torch.manual_seed``). On a GPU, and on a CPU that supports it, it calculates in
    bfloat16.
    """

    def __init__(self, width: int, device: torch.device, learning_rate: float = LEARNING_RATE) -> None:
        self.width = width
        self.net = ClipNet(CHANNELS, width).to(device).to(memory_format=torch.channels_last)
        self.net.train()
        self.mean = copy.deepcopy(self.net).requires_grad_(False)
        self.optimizer = LeanAdamW(self.net.parameters(), learning_rate, WEIGHT_DECAY)
        self._device, self._learning_rate = device, learning_rate
        self._mixed = bfloat16_is_fast(device)

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Replace the weights of the network and of the mean. Raises RuntimeError if they are not of this network."""
        self.net.load_state_dict(weights)
        self.mean.load_state_dict(weights)

    def step(self, inputs: FloatArray, masks: FloatArray, step: int, steps: int) -> float:
        """Learn from a batch of ``make_batch``, as the step of this number, 0-based, of ``steps``.

        Returns the loss. Raises RunError if it is not a number.
        """
        x = torch.from_numpy(inputs).to(self._device).contiguous(memory_format=torch.channels_last)
        self.optimizer.learning_rate = self._learning_rate * _schedule(step, steps)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._mixed):
            out = self.net(x)
        loss = loss_of(out, torch.from_numpy(masks).to(self._device))
        if not math.isfinite(value := loss.item()):
            raise RunError("the training of true-sight-2 diverged: train again with another --seed")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        _follow(self.mean, self.net, min(EMA, (step + 1) / (step + 10)))
        return value


def make_batch(maker: AnomalyMaker, size: int) -> tuple[FloatArray, FloatArray]:
    """Make a batch, half normal, half abnormal.

    Returns inputs (size, CHANNELS, 96, 160) and masks (size, 96, 160), 1 where abnormal.
    """
    samples = [maker.abnormal() if k % 2 else maker.normal() for k in range(size)]
    inputs = np.stack([maker.inputs(s.now, s.earlier, s.ages_s, s.background, s.recent) for s in samples])
    return inputs, np.stack([s.mask for s in samples]).astype(np.float32)


def loss_of(out: AnomalyLogits, masks: Tensor) -> Tensor:
    """Focal and dice loss of the map, the same for each head with a third of the weight, and a loss of the whole frame.

    masks: (B, h, w), 1 where abnormal. A cell is abnormal if more than a quarter of its pixels are.
    """
    target = (functional.avg_pool2d(masks[:, None], STRIDE) > 0.25).float()  # (B, 1, h/4, w/4)
    loss = _focal(out.fused, target[:, 0]) + 0.5 * _dice(out.fused, target[:, 0])
    for head in out.heads:
        coarse = functional.adaptive_max_pool2d(target, head.shape[1:])[:, 0]
        loss = loss + (_focal(head, coarse) + 0.5 * _dice(head, coarse)) / 3
    # The score is the peak of the map, so it must separate frames, not only the cells of one frame.
    peak = averaged(out.fused).flatten(1).topk(_TOP).values.mean(dim=1)
    frame = target.flatten(1).amax(dim=1)
    return loss + 0.3 * functional.binary_cross_entropy_with_logits(peak, frame)


def _focal(logits: Tensor, target: Tensor, gamma: float = 2.0, positive: float = 0.75) -> Tensor:
    """Focal loss (Lin et al., 2017), divided by the number of abnormal cells, at least 1 per sample."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    right = torch.exp(-entropy)
    weight = positive * target + (1 - positive) * (1 - target)
    return (weight * (1 - right) ** gamma * entropy).sum() / target.sum().clamp(min=float(len(target)))


def _dice(logits: Tensor, target: Tensor) -> Tensor:
    """Soft dice loss of the samples that contain something abnormal."""
    p = torch.sigmoid(logits).flatten(1)
    t = target.flatten(1)
    dice = 1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)
    has = (t.sum(1) > 0).float()
    return (dice * has).sum() / has.sum().clamp(min=1.0)


def _schedule(step: int, steps: int) -> float:
    """Factor of the learning rate: 5 % warm-up, then half a cosine period."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _follow(mean: ClipNet, net: ClipNet, share: float) -> None:
    with torch.no_grad():
        for kept, new in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - share)
            else:
                kept.copy_(new)
