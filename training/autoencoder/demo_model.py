"""Creates the small model that ships with the project. As a program, this module learns the synthetic street again.

Both detectors learn from two minutes of normal footage. The held-out scores come from other clips with other people and
other light. Neither is the footage that the demo shows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from monitor.detector.base import Detector
from monitor.detector.motion.motion_detector import Motion
from monitor.detector.static_detector import StaticAge
from monitor.errors import MonitorError
from monitor.judging.scorer import Bare
from monitor.model.model_store import Provenance, save_model
from monitor.replay import scored
from monitor.scores.held_out import HeldOut
from monitor.sources.synthetic.synthetic_scene import FPS, SyntheticScene
from monitor.types import Frame
from training.provenance import code_commit

OUT = Path(__file__).parents[2] / "monitor" / "assets" / "demo"
ANALYSED_PER_S = 10.0
TRAINING_SEEDS, TRAINING_CLIP_S = (101, 102, 103, 104), 30.0
HELD_OUT_SEEDS, HELD_OUT_CLIP_S = (201, 202, 203, 204, 205, 206), 60.0


def normal_clip(seed: int, duration_s: float) -> Iterator[Frame]:
    """Normal footage of the street, at the analysis rate."""
    scene = SyntheticScene(seed=seed, duration_s=duration_s, abnormal=False)
    for step in range(int(duration_s * ANALYSED_PER_S)):
        index = round(step * FPS / ANALYSED_PER_S)
        yield Frame(scene.name, index, index / FPS, scene.render(index))


def fit_detectors() -> tuple[Motion, StaticAge]:
    """Fit both detectors on the training seeds. Keeps one clip of frames (200 MB) in memory at a time."""
    motion = Motion.fit(list(normal_clip(seed, TRAINING_CLIP_S)) for seed in TRAINING_SEEDS)
    static = StaticAge.fit(list(normal_clip(seed, TRAINING_CLIP_S)) for seed in TRAINING_SEEDS)
    return motion, static


def score_held_out(detectors: tuple[Detector, ...]) -> HeldOut:
    """Compute the raw scores of the held-out seeds."""
    times: list[float] = []
    clips: list[int] = []
    scores: dict[str, list[float]] = {detector.name: [] for detector in detectors}
    for clip, seed in enumerate(HELD_OUT_SEEDS):
        for each in scored(normal_clip(seed, HELD_OUT_CLIP_S), Bare(detectors)):
            times.append(each.frame.time_s)
            clips.append(clip)
            for detector, detection in zip(detectors, each.detections, strict=True):
                scores[detector.name].append(detection.score)
    raw = {name: np.array(values, np.float64) for name, values in scores.items()}
    return HeldOut(np.array(times, np.float64), np.array(clips, np.int32), raw)


def main() -> int:
    """Fit, score the held-out footage, write the model folder. Returns the exit code."""
    cv2.setNumThreads(1)
    detectors = fit_detectors()
    held_out = score_held_out(detectors)
    provenance = Provenance(
        recipe="training.autoencoder.demo_model",
        data=[f"synthetic street, seed {seed}, {TRAINING_CLIP_S:g} s" for seed in TRAINING_SEEDS],
        frames=round(len(TRAINING_SEEDS) * TRAINING_CLIP_S * ANALYSED_PER_S),
        seed=0,
        commit=code_commit(),
        device="cpu",
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        notes={"held_out_s": len(HELD_OUT_SEEDS) * HELD_OUT_CLIP_S, "analysed_per_s": ANALYSED_PER_S},
    )
    try:
        save_model(OUT, "demo", detectors, held_out, provenance)
    except MonitorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    size = sum(file.stat().st_size for file in OUT.iterdir())
    sys.stdout.write(f"wrote {OUT} ({size / 1e3:.0f} kB)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
