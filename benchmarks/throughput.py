"""Frames a second of a video file through the whole pipeline, beside decoding it alone, in one run.

    python -m benchmarks.throughput VIDEO [--rounds 3]

The published True Sight model (its speed does not depend on its weights) with five sizes and with one; every frame is
analysed and published, as fast as it goes. Rounds are interleaved; medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from monitor.alerting import AlertSettings
from monitor.calibration import HeldOut
from monitor.camera_monitor import CameraMonitor
from monitor.capture import CaptureSettings
from monitor.detector.autoencoder import TrueSightNet
from monitor.detector.base import Observation
from monitor.detector.scorer import PUBLISHED_SIZES
from monitor.detector.true_sight import TrueSight
from monitor.fusion import ModelScale
from monitor.model_store import Model, Provenance, load_model, save_model
from monitor.pipeline import Camera, Pipeline
from monitor.publisher import Publisher
from monitor.sinks import PublishSink
from monitor.smoothing import SmoothingSettings
from monitor.sources.base import Source
from monitor.sources.video import VideoSource
from monitor.types import Frame
from monitor.watch import Watch

SMOOTHING = SmoothingSettings()


def untrained_model(folder: Path, images: list[np.ndarray], sizes: tuple[int, ...], name: str) -> Model:
    """A model folder with random weights whose held-out scores are those of the given pictures."""
    torch.manual_seed(0)
    detector = TrueSight.from_network(TrueSightNet(), variant="published", sizes=sizes).calibrate(images)
    frames = [Frame("x", i, i / 10, image) for i, image in enumerate(images)]
    scores = np.array([detector.score([Observation(frame, None)])[0].score for frame in frames])
    held_out = HeldOut(np.arange(len(images)) / 10, np.zeros(len(images), np.int32), {detector.name: scores})
    provenance = Provenance(
        recipe="untrained", data=[], frames=0, seed=0, commit=None, device="cpu", trained_at="1970-01-01T00:00:00+00:00"
    )
    save_model(folder, name, [detector], held_out, provenance)
    return load_model(folder)


def read_some(video: Path, count: int) -> list[np.ndarray]:
    """The first ``count`` frames, (H, W, 3) uint8 BGR."""
    with VideoSource(video, "sample").open() as reader:
        images: list[np.ndarray] = []
        while len(images) < count and reader.grab() is not None:
            image = reader.retrieve()
            if image is not None:
                images.append(image)
    return images


def decode_alone(video: Path) -> tuple[int, float]:
    """(frames, seconds) of a bare OpenCV read loop."""
    started = time.perf_counter()
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    frames = 0
    while capture.read()[0]:
        frames += 1
    return frames, time.perf_counter() - started


def watch_file(video: Path, model: Model) -> tuple[int, float]:
    """(frames analysed, seconds) through capture, queue, inference, smoothing, alert rule and publisher."""
    source: Source = VideoSource(video, "video")
    scale = ModelScale(model, 1.0, SMOOTHING)
    monitor = CameraMonitor("video", scale, SMOOTHING, AlertSettings())
    with Publisher("tcp://127.0.0.1:*", "tcp://127.0.0.1:*") as publisher:
        sinks = [PublishSink(publisher, {"video": model}, 1.0)]
        started = time.perf_counter()
        pipeline = Pipeline([Camera(source, model, CaptureSettings(speed=None))])
        report = Watch(pipeline, {"video": monitor}, {"video": source}, sinks).run(threading.Event())
        return report.cameras[0].analysed, time.perf_counter() - started


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/throughput"), help="where the models are written")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    images = read_some(arguments.video, 60)
    five = untrained_model(arguments.work / "five", images, PUBLISHED_SIZES, "five-sizes")
    one = untrained_model(arguments.work / "one", images, (96,), "one-size")
    cases: dict[str, Callable[[], tuple[int, float]]] = {
        "decoding alone": lambda: decode_alone(arguments.video),
        "published, one size": lambda: watch_file(arguments.video, one),
        "published, five sizes": lambda: watch_file(arguments.video, five),
    }
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(arguments.rounds):
        for name, case in cases.items():
            frames, seconds = case()
            rates[name].append(frames / seconds)
    alone = statistics.median(rates["decoding alone"])
    print(f"{arguments.video.name}: {frames} frames, {arguments.rounds} rounds, medians")
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"{name:24s} {rate:8.1f} frames/s  {1e3 / rate:7.2f} ms/frame  {rate / alone:6.1%} of decoding alone")


if __name__ == "__main__":
    main()
