"""The cost of evidence: milliseconds per frame in the evidence thread, memory per second, size of a clip.

    python -m benchmarks.evidence_cost VIDEO [--seconds 10]

Frames of the video, scaled to 640x360 and to 1280x720, ten per second, pass through the code of the evidence thread:
without an event, while it writes a clip, and at the start of an event (picture, facts, pre-roll of the clip).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.lib.pictures import read_some
from monitor.judging.camera_monitor import Alert
from monitor.sinks.evidence.alert_pictures import fit, to_jpeg
from monitor.sinks.evidence.camera_evidence import CameraEvidence
from monitor.sinks.evidence.evidence_files import Disk, EvidenceFiles
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.states import AlertEvent, Phase, Reason, Region
from monitor.testing.fakes import brightness_scale
from monitor.types import Frame, Image, ScoredFrame

FPS = 10.0


SCALE = brightness_scale()


def timed(work: Callable[[], None]) -> float:
    """The duration of ``work`` in milliseconds."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


def alert_at(frame: Frame, phase: Phase) -> Alert:
    """A step of an event that begins at this frame."""
    ended_s = frame.time_s if phase is Phase.END else None
    event = AlertEvent(1, phase, frame.time_s, ended_s, 1.5, 2.0, frame.time_s, notify=True)
    heat = np.random.default_rng(0).random((23, 40), np.float32)
    regions, reasons = (Region(10, 10, 80, 60, 1.0),), (Reason("speed", 3.0, 1.0),)
    return Alert("camera", event, 1e9, None, 0.0, ScoredFrame(frame, (), 0.0), regions, reasons, SCALE, heat)


def measure(images: list[Image], width: int, seconds: float, folder: Path) -> str:
    """One line of figures for frames that are stored with this width."""
    settings = EvidenceSettings(width=width, memory_mb=200.0)
    evidence = CameraEvidence("camera", settings, Disk(folder))
    count = round(seconds * FPS)
    frames = [Frame("camera", i, i / FPS, images[i % len(images)]) for i in range(2 * count)]
    calm = [timed(lambda frame=frame: evidence.frame(frame)) for frame in frames[:count]]  # type: ignore[misc]
    start = timed(lambda: evidence.step(alert_at(frames[count - 1], Phase.START)))
    writing = [timed(lambda frame=frame: evidence.frame(frame)) for frame in frames[count:]]  # type: ignore[misc]
    end = timed(evidence.finish)
    clip = folder / EvidenceFiles.of("camera", 1e9, 1, ".mp4").clip
    clip_s = seconds + settings.before_s
    jpeg = statistics.mean(len(to_jpeg(fit(image, width), settings.quality)) for image in images)
    height_px, width_px = images[0].shape[:2]
    return (
        f"{width_px:5d}x{height_px:<4d} stored {width:5d} wide  calm {statistics.median(calm):5.1f} ms"
        f"  clip {statistics.median(writing):5.1f} ms  start {start:6.0f} ms  finish {end:5.0f} ms"
        f"  ring {jpeg * FPS / 1e6:5.2f} MB/s  clip of 10 s {clip.stat().st_size / clip_s * 10 / 1e6:5.2f} MB"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    source = read_some(arguments.video, 200)[::2]
    print(f"{arguments.video.name}, {FPS:g} frames per second; medians of the cost per frame in the evidence thread")
    for size, width in (((640, 360), 640), ((1280, 720), 640), ((1280, 720), 1280)):
        images = [np.asarray(cv2.resize(image, size), np.uint8) for image in source]
        with tempfile.TemporaryDirectory() as folder:
            print(measure(images, width, arguments.seconds, Path(folder)))


if __name__ == "__main__":
    main()
