"""AUC and average precision of both recipes on Avenue and Ped1, beside the mean frame difference.

    python benchmarks/accuracy.py --data PATH   # the folder that holds labels.json, avenue/ and ped1/

Training footage is normal and none of it is tested on. Scores are causal, as live; no setting depends on the data set.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from monitor.errors import MonitorError
from monitor.model_store import load_model
from training.evaluate import Evaluation, Metrics, evaluate
from training.labels import load_labels
from training.output import Post
from training.progress import Report
from training.recipe import SHIPPED, load_recipe
from training.train import train_model

TRAINING = {
    "avenue": tuple(f"avenue/training_videos/{name}" for name in ("01.mp4", "11.mp4", "12.avi", "16.avi")),
    "ped1": ("ped1/normal",),
}
"""Subset of the labels -> what is trained on for it."""
HEADER = ("footage", "score", "AUC micro", "AUC macro", "AP micro (chance)", "AP macro (chance)", "training s", "ms")


@dataclass(frozen=True)
class Measured:
    """A recipe on a subset, and how long its training took in seconds."""

    subset: str
    recipe: str
    training_s: float
    found: Evaluation


def measure(data: Path, models: Path, subset: str, recipe: str, seed: int) -> Measured:
    """Train unless ``models`` holds the model already, then evaluate causally."""
    report = Report()
    folder = models / f"{subset}-{recipe}"
    started = time.perf_counter()
    if not folder.exists():
        paths = [str(data / path) for path in TRAINING[subset]]
        train_model(paths, folder, load_recipe(recipe), seed=seed, device="cpu", resume=False, report=report)
    training_s = time.perf_counter() - started
    found = evaluate(load_labels(data / "labels.json", subset), load_model(folder), Post.CAUSAL, report)
    return Measured(subset, recipe, training_s, found)


def rows(results: list[Measured]) -> list[tuple[str, ...]]:
    """One line a model, and the frame difference once a subset."""
    table: list[tuple[str, ...]] = []
    for result in results:
        if all(result.subset != row[0] for row in table):
            table.append((result.subset, "frame difference", *figures(result.found.frame_difference), "", ""))
        times = (f"{result.training_s:.0f}", f"{result.found.ms_per_frame:.1f}")
        table.append((result.subset, f"{result.recipe} recipe", *figures(result.found.scores), *times))
    return table


def figures(found: Metrics) -> tuple[str, ...]:
    """The four figures, with chance beside average precision."""
    return (
        f"{found.auc_micro:.3f}",
        f"{found.auc_macro:.3f}",
        f"{found.ap_micro:.3f} ({found.chance:.3f})",
        f"{found.ap_macro:.3f} ({found.chance_macro:.3f})",
    )


def plain(table: list[tuple[str, ...]]) -> str:
    """Columns aligned by spaces."""
    widths = [max(len(row[i]) for row in (HEADER, *table)) for i in range(len(HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (HEADER, *table)
    )


def markdown(table: list[tuple[str, ...]]) -> str:
    """The same as a Markdown table."""
    lines = [HEADER, tuple("---" for _ in HEADER), *table]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="AUC and average precision of both recipes on Avenue and Ped1.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds labels.json, avenue/ and ped1/")
    parser.add_argument("--models", type=Path, help="keep the models here and do not train those that are here already")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch and OpenCV")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        models = arguments.models or Path(temporary)
        try:
            results = [
                measure(arguments.data, models, subset, recipe, arguments.seed)
                for subset in TRAINING
                for recipe in SHIPPED
            ]
        except MonitorError as error:
            sys.exit(f"error: {error}")
    table = rows(results)
    print(plain(table), "", markdown(table), sep="\n")


if __name__ == "__main__":
    main()
