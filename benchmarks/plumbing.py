"""The cost of everything except the detectors: the pipeline with an empty detector, compared with a bare read loop.

    python -m benchmarks.plumbing [VIDEO] [--files 1 8] [--rounds 3] [--published] [--peer-python PYTHON]

Every frame of the video (by default a synthetic street, 1280x720 H.264) passes as fast as possible through decoding,
capture, queue, inference worker, smoothing, alert rule, journal and publisher. The detector does nothing, and the
health check is off. It runs with one file and with several in parallel, decoded in separate processes (the default for
files) and in threads. The bare OpenCV loop reads the same file and discards the frames; several files are read in
threads and in processes, and the faster one is the baseline. Rates count only the time in which all files were read.
The rounds are interleaved. The program prints the medians of the rates and of the shares of the baseline of each round.
The limit is 95 % of the bare loop.

``--published`` adds the published network with one size and with five. If the package ``inference`` is installed in
this Python or in the given one, its InferencePipeline runs with an empty model in the same rounds.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks import bare
from benchmarks.lib import inference_peer
from benchmarks.lib.empty_models import untrained_model
from benchmarks.lib.pictures import read_some
from benchmarks.lib.rates import Times, of_baseline, steady_rate
from benchmarks.lib.street_camera import street_video
from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.detector.base import Detector, Observation, Precision, Tensors
from monitor.detector.true_sight.published_score import PUBLISHED_SIZES
from monitor.errors import MonitorError, RunError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.judging.fusion import ModelScale
from monitor.live.capture import CaptureSettings
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.model.model_store import Model, ModelCard
from monitor.scores.held_out import HeldOut
from monitor.scores.smoothing import SmoothingSettings
from monitor.sinks.log_sink import LogSink
from monitor.sinks.publish_sink import PublishSink
from monitor.sources.isolated.isolated_source import Isolation, isolate
from monitor.sources.video import VideoSource
from monitor.types import Detection

LIMIT = 0.95
ANY = "tcp://127.0.0.1:*"
VIDEO_S = 20.0


class Empty(Detector):
    """A detector that does nothing and scores 0."""

    name = "empty"

    def new_stream(self) -> None:
        """There is no state."""

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """0 for every frame."""
        return [Detection(0.0)] * len(batch)

    def settings(self) -> dict[str, Any]:
        """There are no settings."""
        return {}

    def tensors(self) -> Tensors:
        """There are no tensors."""
        return {}

    @classmethod
    def load(
        cls,
        settings: Mapping[str, Any],  # noqa: ARG003
        tensors: Mapping[str, NDArray[Any]],  # noqa: ARG003
        device: str,  # noqa: ARG003 - for detectors with a network
        precision: Precision = "auto",  # noqa: ARG003
    ) -> Self:
        """Create a new one; all are equal."""
        return cls()


def empty_model() -> Model:
    """A model of the empty detector, in memory only. Its held-out scores are random values around 0."""
    scores = np.random.default_rng(0).standard_normal(600)
    card = {
        "format": "true-sight-model",
        "format_version": 1,
        "name": "empty",
        "monitor_version": "0",
        "detectors": [{"name": "empty", "settings": {}}],
        "weights_sha256": "",
        "held_out": {"frames": 600, "clips": 1, "duration_s": 59.9, "scores": {}},
        "provenance": {
            "recipe": "none", "data": [], "frames": 0, "seed": 0, "commit": None, "device": "cpu", "trained_at": ""
        },
    }  # fmt: skip
    held_out = HeldOut(np.arange(600) / 10, np.zeros(600, np.int32), {"empty": scores})
    return Model(ModelCard.model_validate(card), (Empty(),), held_out, "0" * 64)


class FrameTimes(Sink):
    """Records the time at which each frame of each camera was judged. It must be the last sink."""

    def __init__(self, cameras: Sequence[str]) -> None:
        self.times: dict[str, list[float]] = {camera: [] for camera in cameras}

    def score(self, judgement: Judgement) -> None:
        """Record the time of this frame."""
        self.times[judgement.scored.frame.camera].append(time.monotonic())


def ours(video: Path, count: int, isolation: Isolation, model: Model) -> Times:
    """Run the file ``count`` times in parallel through the whole pipeline."""
    sources = [isolate(VideoSource(video, f"file{number}"), isolation) for number in range(count)]
    names = [source.name for source in sources]
    smoothing = SmoothingSettings()
    scale = ModelScale(model, 1.0, smoothing)
    capture = CaptureSettings(speed=None)
    cameras = [
        Camera(source, model, capture, CameraMonitor(source.name, scale, smoothing, AlertSettings()))
        for source in sources
    ]
    times = FrameTimes(names)
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "journal.sqlite3") as journal,
        Publisher(ANY, ANY, ANY, journal=journal) as publisher,
    ):
        sinks = [PublishSink(publisher), LogSink(), times]
        Watch(Fleet(Pipeline(), cameras), sinks).run(threading.Event())
    return [times.times[name] for name in names]


def measure(video: Path, count: int, rounds: int, models: Mapping[str, Model], peer: str | None) -> None:
    """Run every case in every round and print the rates."""
    bare_loops: dict[str, Callable[[], Times]] = {"bare loop, thread": partial(bare.in_threads, video, count)}
    if count > 1:
        bare_loops["bare loop, process"] = partial(bare.in_processes, video, count)
    cases = dict(bare_loops)
    for name, model in models.items():
        for isolation in ("process", "thread"):
            cases[f"{name}, {isolation}"] = partial(ours, video, count, isolation, model)
    if peer is not None:
        cases["InferencePipeline"] = partial(inference_peer.times, peer, video, count)
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            rates[name].append(steady_rate(case()))
    baseline = max(bare_loops, key=lambda name: median(rates[name]))
    print(f"{video.name}, {count} in parallel, {rounds} rounds; 100 % is the {baseline}")
    for name, found in rates.items():
        share = median(of_baseline(found, rates[baseline]))
        judged = name.startswith("empty")
        verdict = f"  limit {LIMIT:.0%}: {'met' if share >= LIMIT else 'NOT met'}" if judged else ""
        print(f"  {name:31s} {median(found):8.1f} frames/s  {share:6.1%}{verdict}", flush=True)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--files", type=int, nargs="+", default=[1, 8], help="files in parallel, one run per number")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--published", action="store_true", help="also run the published network")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python with the package inference")
    parser.add_argument("--work", type=Path, default=Path("runs/plumbing"), help="folder for the video and the models")
    given = parser.parse_args()
    if min(given.files) < 1 or given.rounds < 1:
        parser.error("--files and --rounds must be at least 1")
    logging.getLogger().addHandler(logging.NullHandler())  # log lines are created and discarded
    try:
        video = given.video or street_video(given.work, VIDEO_S, print)
        VideoSource(video).check()
        models = {"empty detector": empty_model()}
        if given.published:
            images = read_some(video, 30)
            models["published, one size"] = untrained_model(given.work / "one", images, (96,), "one-size")
            models["published, five sizes"] = untrained_model(
                given.work / "five", images, PUBLISHED_SIZES, "five-sizes"
            )
        peer = given.peer_python if inference_peer.installed(given.peer_python) else None
        if peer is None:
            print("the package inference is not installed: its InferencePipeline is skipped")
        for count in given.files:
            try:
                measure(video, count, given.rounds, models, peer)
            except ValueError as error:
                raise RunError(str(error)) from error
    except MonitorError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
