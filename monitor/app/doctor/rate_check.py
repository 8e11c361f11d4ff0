"""Finds out which detectors of a model can judge a camera's frames, if they are this far apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from monitor.app.doctor.finding_report import Finding, State
from monitor.judging.scorer import Scorer
from monitor.model.model_store import Model
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.text.commands import learn_command
from monitor.types import Frame, Image

PICTURES = 8
_USUAL_STEP_S = 0.1
_SLOW_S = 0.6  # above this step, nothing can be followed from one frame to the next
_ENOUGH_FPS = 5.0


def silent_detectors(model: Model, size: tuple[int, int], step_s: float) -> tuple[str, ...]:
    """Names of the detectors that judge frames 0.1 s apart, but not frames ``step_s`` seconds apart.

    size: (width, height) in pixels
    """
    if step_s <= _USUAL_STEP_S:
        return ()
    usual, now = (_judging(model, size, step) for step in (_USUAL_STEP_S, step_s))
    return tuple(detector.name for detector in model.detectors if detector.name in usual - now)


def _judging(model: Model, size: tuple[int, int], step_s: float) -> set[str]:
    """Names of the detectors that have judged the last of some frames ``step_s`` seconds apart."""
    scorer, judged = Scorer({"probe": model}), set[str]()
    for number, image in enumerate(street(size, 1.0 / _USUAL_STEP_S)):
        found = scorer.score([Frame("probe", number, number * step_s, image)])[0].detections
        judged = {d.name for d, f in zip(model.detectors, found, strict=True) if not math.isnan(f.score)}
    return judged


def too_slow(name: str, step_s: float, silent: Sequence[str], detectors: Sequence[str]) -> Finding | None:
    """A finding for a camera with frames that are too far apart for its detectors; None if they can judge all.

    step_s  seconds between two analysed frames
    silent  names of the detectors that cannot judge them
    """
    rate = f"its frames are analysed every {step_s:.1f} s"
    mend = (
        f"raise its frame rate and analysis_fps to {_ENOUGH_FPS:g} or more, or learn it again at its own rate: "
        f"`{learn_command(name)}`"
    )
    if silent and set(silent) == set(detectors):
        return Finding("model", name, State.PROBLEM, f"{rate}: no detector of its model can judge them", mend)
    parts = [f"{' and '.join(silent)} cannot judge them"] if silent else []
    if "motion" in detectors and step_s > _SLOW_S:
        parts.append("motion compares only the size and the place of what moves")
    return Finding("model", name, State.WARNING, f"{rate}: {', '.join(parts)}", mend) if parts else None


def street(size: tuple[int, int], fps: float) -> list[Image]:
    """A few synthetic frames of people who walk by."""
    images: list[Image] = []
    with SyntheticScene().open() as reader:
        while len(images) < PICTURES:
            for _ in range(max(1, round(reader.fps / fps))):
                reader.grab()
            image = reader.retrieve()
            if image is not None:
                images.append(cv2.resize(image, size).astype(np.uint8, copy=False))
    return images
