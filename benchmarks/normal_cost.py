"""The cost of the pictures of calm footage: per frame, per picture and per event.

    python -m benchmarks.normal_cost VIDEO

Frames of the video, scaled to 1280x720, pass through the sink at ten per second for five minutes, as for a camera that
learns: the first pictures come often, later ones every 20 s. Then the nearest of 192 pictures is searched.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.lib.pictures import read_some
from monitor.sinks.evidence.alert_pictures import to_jpeg
from monitor.sinks.normal.normal_pictures import NormalPicture, NormalPictures, shrunk, sketch_of
from monitor.sinks.normal.normal_settings import NormalSettings
from monitor.sinks.normal.normal_sink import NormalSink
from monitor.states import Region
from monitor.stream.schedule_settings import ScheduleSettings
from monitor.types import Frame, Image, ScoredFrame

FRAMES, SEARCHES = 3000, 100


def sink_cost(images: list[Image]) -> tuple[float, float]:
    """Wall time of the main loop, and processor time of all threads, both in microseconds per frame."""
    with tempfile.TemporaryDirectory() as folder:
        sink = NormalSink(Path(folder) / "normal", NormalSettings(), lambda _: ScheduleSettings(), lambda _: "")
        main_s, before = 0.0, 0.0
        frames = [Frame("camera", n, n / 10, images[n % len(images)], wall_time=1e9 + n / 10) for n in range(FRAMES)]
        for frame in frames:
            frame.small.prepare()  # as the capture thread does
        scored = [ScoredFrame(frame, (), 0.0) for frame in frames]
        before = time.process_time()
        with sink:
            started = time.perf_counter()
            for each in scored:
                sink.frame(each)
            main_s = time.perf_counter() - started
        return main_s / FRAMES * 1e6, (time.process_time() - before) / FRAMES * 1e6


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    images = [np.asarray(cv2.resize(each, (1280, 720)), np.uint8) for each in read_some(arguments.video, 100)]
    main_us, all_us = sink_cost(images)
    print(f"per frame: main loop {main_us:.1f} us, all threads {all_us:.0f} us of processor time")
    pictures, sizes = NormalPictures(NormalSettings().pictures), []
    started = time.process_time()
    for number, image in enumerate(images[n % len(images)] for n in range(192)):
        small = shrunk(image)
        sizes.append(len(jpeg := to_jpeg(small, 80)))
        pictures.add(NormalPicture(60.0 * number, jpeg, sketch_of(small)))
    print(f"per picture: {(time.process_time() - started) / 192 * 1e3:.2f} ms, {np.mean(sizes) / 1e3:.1f} kB")
    started = time.process_time()
    for number in range(SEARCHES):
        pictures.nearest(images[number % len(images)], [Region(100, 100, 200, 200, 1.0)])
    print(f"nearest of 192: {(time.process_time() - started) / SEARCHES * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
