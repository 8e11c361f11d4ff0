"""Speed of the published score here, compared with a simple re-implementation; and speed of all detectors.

    python -m benchmarks.scorer_speed [--video PATH] [--precision auto]

Both score the same frames with the same network (trained for a few seconds), on the same threads, in turns. The program
prints the medians of the rounds and the largest difference of the scores. Then it prints how close the network is to
the limit that the processor's matrix products set, and the milliseconds per frame of every detector by stage, for one
camera and for sixteen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.lib.interleaved import Case, medians
from benchmarks.lib.pictures import resized, street_pictures, video_pictures
from benchmarks.lib.published_plain import PlainPublished, learn_a_little
from benchmarks.stages import subjects, table
from monitor.detector.base import Precision
from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.published_score import PUBLISHED_SIZES, published_score
from monitor.detector.true_sight.true_sight_detector import TrueSight
from monitor.errors import MonitorError
from monitor.types import Image

LEARNED, LOOKED_AT = 160, 40
"""Number of frames to learn from, and number of frames to score."""
LARGER = (1280, 720)
AIM = 5.0
"""Target: this many times as fast as the simple re-implementation."""
TOLERANCE = 1e-4
_STEPS = 60


def fast_scores(detector: TrueSight, images: Sequence[Image]) -> np.ndarray:
    """(N,) scores of the detector's own path."""
    return published_score(torch.from_numpy(detector.terms(images))).numpy()


def _one_by_one(detector: TrueSight, images: Sequence[Image]) -> list[np.ndarray]:
    return [fast_scores(detector, [image]) for image in images]


def equality(net: TrueSightNet, detectors: dict[str, TrueSight], images: Sequence[Image]) -> list[str]:
    """The largest difference from the reference scores: of the fast scores, and of a network fully in bfloat16."""
    plain = PlainPublished(net)
    expected = np.array([plain.score(image) for image in images])
    rounded = PlainPublished(net, torch.bfloat16)
    found = {name: fast_scores(detector, images) for name, detector in detectors.items()}
    found["for comparison: whole network in bfloat16"] = np.array([rounded.score(image) for image in images])
    lines = [f"largest difference of {len(images)} scores, median {np.median(expected):.4f}, allowed {TOLERANCE:g}"]
    return lines + [f"  {name:44s}{np.abs(scores - expected).max():.1e}" for name, scores in found.items()]


def speed(
    net: TrueSightNet, detectors: dict[str, TrueSight], images: Sequence[Image], threads: int, rounds: int
) -> list[str]:
    """Milliseconds per frame of the reference and of the fast detectors, and the speed-up of the fast ones."""
    plain = PlainPublished(net)
    few = images[:: max(1, len(images) // 4)]
    cases: dict[str, Case] = {"plain": lambda: [plain.score(image) for image in few]}
    for name, detector in detectors.items():
        cases[name] = partial(_one_by_one, detector, few)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = {name: ms / len(few) for name, ms in medians(cases, rounds).items()}
    finally:
        torch.set_num_threads(before)
    height, width = images[0].shape[:2]
    lines = [f"{width}x{height}, {threads} torch thread{'s' if threads > 1 else ''}"]
    for name, ms in found.items():
        times = f"{found['plain'] / ms:6.1f} times as fast" if name != "plain" else ""
        lines.append(f"  {name:12s}{ms:8.2f} ms per frame{times}")
    return lines


def bound(net: TrueSightNet, rounds: int) -> list[str]:
    """The time of the five forward passes at the speed of large matrix products, on one thread."""
    views = torch.zeros(len(PUBLISHED_SIZES), 3, 96, 96)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(views)
    flop = counter.get_total_flops()
    factors = {dtype: torch.rand(1024, 1024).to(dtype) for dtype in (torch.float32, torch.bfloat16)}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        cases = {str(dtype): partial(torch.matmul, factor, factor) for dtype, factor in factors.items()}
        found = medians(cases, rounds)
    finally:
        torch.set_num_threads(before)
    lines = [
        f"the five forward passes are {flop / 1e6:.0f} MFLOP; at the speed of 1024x1024 matrix products they would take"
    ]
    for name, ms in found.items():
        rate = 2 * 1024**3 / ms / 1e6  # GFLOP/s
        lines.append(
            f"  {name.removeprefix('torch.'):12s}{flop / rate / 1e6:8.2f} ms, at {rate:.0f} GFLOP/s on one thread"
        )
    return lines


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="footage to measure on; default: the synthetic street")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--precision", choices=get_args(Precision), default="auto")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16], help="numbers of cameras for the stages")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or min(arguments.batches) < 1:
        parser.error("--rounds and --batches must be at least 1")
    cv2.setNumThreads(1)
    if arguments.video is None:
        normal = street_pictures(LEARNED, seed=11, abnormal=False)
        seen = street_pictures(LEARNED + LOOKED_AT, seed=3, abnormal=True)[-LOOKED_AT:]
    else:
        everything = video_pictures(arguments.video, LEARNED + LOOKED_AT)
        normal, seen = everything[:LEARNED], everything[LEARNED:]
    net = learn_a_little(normal[::4], _STEPS)
    precisions: list[Precision] = ["float32"]
    if arguments.precision != "float32":
        precisions.append(arguments.precision)
    detectors: dict[str, TrueSight] = {
        name: TrueSight.from_network(net, variant="published", precision=name).calibrate(normal[::8])
        for name in precisions
    }
    print("\n".join(equality(net, detectors, seen)))
    threads = torch.get_num_threads()
    sizes = [seen] if arguments.video else [seen, resized(seen, *LARGER)]
    for images in sizes:
        for count in sorted({1, threads}):
            print("\n".join(speed(net, detectors, images, count, arguments.rounds)))
    print(f"  the target is {AIM:g} times")
    print("\n".join(bound(net, arguments.rounds)))
    torch.set_num_threads(1)  # as in the monitor
    walk = seen[: LOOKED_AT // 2]
    rounds = max(1, arguments.rounds // 3)
    print("\n".join(table(subjects(normal, net), walk, rounds, arguments.batches)))


if __name__ == "__main__":
    try:
        main()
    except MonitorError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
