"""Accuracy of a learned model on four scenes, compared with the published recipe and with the plain frame difference.

    python benchmarks/accuracy.py --data PATH   # the folder that contains labels.json, avenue/, ped1/ and umn/
    ... --without motion true-sight-2           # one more line for the learned model without each of these detectors
    ... --corrupt flip=0.1,noise=0.2,drop=0.05  # one more line for the learned model with these faults in the videos

Models learn from normal footage that is not used for testing. Scores are causal, as in a live run; no setting depends
on the scene. The scores of the published recipe are causal, too. Figures in brackets contain 95 % of the bootstrap
resamples of the videos; a scene with fewer than three videos has none.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from monitor.errors import MonitorError, RunError
from monitor.model.model_store import Model, load_model
from monitor.replay import frames
from monitor.stream.frame_rules import FrameRules, RuleSettings
from training.autoencoder.recipe import load_recipe
from training.autoencoder.train_model import train_model
from training.evaluate.corrupt import Corruption
from training.evaluate.evaluation import Evaluation, Settings, WatchSettings, evaluate
from training.evaluate.evaluation_report import columns, figure, to_json
from training.evaluate.events import EventFigures
from training.evaluate.labels import load_labels
from training.evaluate.ranking import Metrics
from training.output import write_whole
from training.progress import Report
from training.recordings import recorded_sources

LEARNED, PUBLISHED = "learned", "published"
HEADER = (
    "scene", "model", "AUC micro", "AUC macro", "AP micro (chance)", "events", "delay s", "false alarms per hour",
    "region hits", "learning s", "ms",
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A scene with its test videos and its normal footage.

    name    name of the scene and of its model folder
    subset  subset of the labels to test on
    paths   normal footage to learn from, relative to the folder of the labels
    to_s    seconds of each file that are normal; None: all
    """

    name: str
    subset: str
    paths: tuple[str, ...]
    to_s: float | None = None


SCENES = (
    Scene("ped1", "ped1", ("ped1/normal",)),
    # Each clip is tested with a model of the other one, learned up to one second before the crowd in it runs.
    Scene("umn-1", "umn-1", ("umn/lawn_2.mp4",), 21.6),
    Scene("umn-2", "umn-2", ("umn/lawn_1.mp4",), 15.9),
    Scene("avenue", "avenue", tuple(f"avenue/training_videos/{n}" for n in ("01.mp4", "11.mp4", "12.avi", "16.avi"))),
)


@dataclass(frozen=True)
class Result:
    """The result of a model on a scene. learning_s: seconds of learning; NaN if the model already existed."""

    scene: str
    model: str
    learning_s: float
    found: Evaluation


@dataclass(frozen=True)
class Variants:
    """Variants of a learned model to measure: without each of these detectors, and with these faults in the videos."""

    without: Sequence[str] = ()
    corruption: Corruption | None = None

    def of(self, model: Model) -> Iterator[tuple[str, Model, Corruption | None]]:
        """Yield the name of the line, the model and the faults."""
        yield LEARNED, model, None
        for name in self.without:
            if any(detector.name == name for detector in model.detectors) and len(model.detectors) > 1:
                left = tuple(detector for detector in model.detectors if detector.name != name)
                yield f"{LEARNED} without {name}", replace(model, detectors=left), None
        if self.corruption is not None:
            yield f"{LEARNED}, {self.corruption}", model, self.corruption


def measure(
    scene: Scene, model: str, data: Path, models: Path, seed: int, budget: float, variants: Variants
) -> Iterator[Result]:
    """Learn if ``models`` does not contain the model yet, then evaluate it."""
    folder = models / (scene.name if model == LEARNED else f"{scene.name}-{model}")
    learning_s = float("nan")
    if not folder.exists():
        started = time.perf_counter()
        (learn if model == LEARNED else train)(scene, data, folder, seed)
        learning_s = time.perf_counter() - started
    videos = load_labels(data / "labels.json", scene.subset)
    loaded = load_model(folder)
    for name, variant, faults in variants.of(loaded) if model == LEARNED else [(model, loaded, None)]:
        settings = Settings(false_alarms_per_day=budget, watch=WatchSettings(corruption=faults))
        yield Result(scene.name, name, learning_s, evaluate(videos, variant, Report(), settings).evaluation)
        learning_s = float("nan")


def learn(scene: Scene, data: Path, folder: Path, seed: int) -> None:
    """Run ``training learn`` as a user does."""
    line = [sys.executable, "-m", "training", "learn", *(str(data / path) for path in scene.paths)]
    line += ["--name", folder.name, "--models", str(folder.parent), "--seed", str(seed)]
    if scene.to_s is not None:
        line += ["--to-s", str(scene.to_s)]
    if subprocess.run(line, check=False).returncode:
        raise RunError(f"learning {scene.name} failed: see the error above")


def train(scene: Scene, data: Path, folder: Path, seed: int) -> None:
    """Train with exactly the published recipe."""
    with tempfile.TemporaryDirectory() as temporary:
        paths = [data / path for path in scene.paths]
        if scene.to_s is not None:
            paths = [_cut(path, scene.to_s, Path(temporary) / path.stem) for path in paths]
        words = [str(path) for path in paths]
        recipe = load_recipe(PUBLISHED)
        train_model(words, folder, recipe, seed=seed, device="cpu", resume=False, report=Report())


def _cut(video: Path, to_s: float, folder: Path) -> Path:
    """Write the first ``to_s`` seconds of a video as a folder of frames."""
    folder.mkdir()
    source = recorded_sources([str(video)], "training_videos")[0]
    for frame in frames(source, FrameRules(RuleSettings())):
        if frame.time_s >= to_s:
            break
        cv2.imwrite(str(folder / f"{frame.index:06}.png"), frame.image)
    return folder


def rows(results: list[Result]) -> list[tuple[str, ...]]:
    """The header, then for each scene a line for the frame difference and one line per model."""
    table: list[tuple[str, ...]] = [HEADER]
    for result in results:
        found = result.found
        if all(result.scene != row[0] for row in table):
            hits = found.hit_rates.get("frame difference")
            cells = ("", "", "", "" if hits is None else figure(hits.rate), "", "")
            table.append((result.scene, "frame difference", *_ranking(found.frame_difference), *cells))
        hits = found.hit_rates.get("fused")
        table.append(
            (
                result.scene,
                result.model,
                *_ranking(found.scores),
                *_events(found.events),
                "" if hits is None else figure(hits.rate),
                "" if result.learning_s != result.learning_s else f"{result.learning_s:.0f}",
                f"{found.ms_per_frame:.1f}",
            )
        )
    return table


def _ranking(found: Metrics) -> tuple[str, ...]:
    return (
        figure(found.auc_micro, found.auc_micro_interval),
        figure(found.auc_macro, found.auc_macro_interval),
        f"{figure(found.ap_micro, found.ap_micro_interval)} ({found.chance:.3f})",
    )


def _events(events: EventFigures | None) -> tuple[str, ...]:
    if events is None:
        return ("", "", "")
    delay = "" if events.delay_s != events.delay_s else f"{events.delay_s:.1f}"
    false = len(events.false_alarms)
    return (f"{events.found} of {events.events}", delay, f"{events.false_alarms_per_hour:.1f} ({false})")


def markdown(table: list[tuple[str, ...]]) -> str:
    """The table in Markdown."""
    lines = [table[0], tuple("---" for _ in table[0]), *table[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure and print."""
    names = [scene.name for scene in SCENES]
    parser = argparse.ArgumentParser(description="Accuracy of learned models and of the published recipe.")
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.json and the footage")
    parser.add_argument("--models", type=Path, help="folder to keep models in; only missing models are learned")
    parser.add_argument("--scenes", nargs="+", choices=names, default=names)
    parser.add_argument("--kinds", nargs="+", choices=(LEARNED, PUBLISHED), default=[LEARNED, PUBLISHED])
    parser.add_argument(
        "--false-alarms-per-day", type=float, default=1.0, help="false-alarm budget; sets the threshold"
    )
    parser.add_argument("--json", type=Path, help="also write all figures of each scene and model to this file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--without", nargs="+", default=[], metavar="DETECTOR", help="also measure the model without each"
    )
    parser.add_argument("--corrupt", metavar="FAULTS", help="also measure with faults, as training evaluate")
    parser.add_argument("--threads", type=int, default=1, help="number of threads of torch and of OpenCV")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    with tempfile.TemporaryDirectory() as temporary:
        models = given.models or Path(temporary)
        try:
            variants = Variants(given.without, None if given.corrupt is None else Corruption.parse(given.corrupt))
            results = [
                result
                for scene in SCENES
                if scene.name in given.scenes
                for kind in given.kinds
                for result in measure(scene, kind, given.data, models, given.seed, given.false_alarms_per_day, variants)
            ]
            if given.json is not None:
                write_whole(given.json, to_json([asdict(result) for result in results]))
        except MonitorError as error:
            sys.exit(f"error: {error}")
    table = rows(results)
    print(columns(table, "  "), "", markdown(table), sep="\n")


if __name__ == "__main__":
    main()
