"""Frames per second of the published detector and of True Sight 2's network on a GPU, from bytes in host memory.

    python -m benchmarks.gpu [--device cuda:0] [--precision auto] [--batches 1 8 64 512 4096]

Each batch is copied from pinned memory while the GPU works on the batch before it. The GPU makes the five sizes of the
published detector; the inputs of the other network are ready. Each network runs directly and as a recorded CUDA graph,
and each stage is timed alone. The arithmetic and the memory traffic are counted and compared with a matrix product and
a copy that are measured in the same run. A batch that does not fit into memory is halved. Without a GPU (or with
--device cpu) the program only checks that the same path runs and gives equal results; it prints no speed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from benchmarks.lib.pictures import street_pictures
from benchmarks.lib.published_plain import learn_a_little
from benchmarks.lib.roofline import Peak, cost, peak, wait
from benchmarks.lib.streamed import Streamed, Work
from monitor.detector.base import Precision
from monitor.detector.device import find_device
from monitor.detector.precision import exact, trunk_type
from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.device_batch import DeviceViews, ViewScorer
from monitor.detector.true_sight.fast_net import FastNet
from monitor.detector.true_sight.published_score import PUBLISHED_SIZES, compare, five_sizes, published_score
from monitor.detector.true_sight.true_sight_detector import TrueSight
from monitor.detector.true_sight2.clip_inputs import CHANNELS, SIZE
from monitor.detector.true_sight2.clip_net import ClipNet, averaged
from monitor.detector.true_sight2.fast_clip_net import fast_network
from monitor.errors import MonitorError, RunError
from monitor.types import Image

AIM = 25_000
"""Target for the published detector, frames per second."""
TOLERANCE = 1e-4
GPU_BATCHES, CPU_BATCHES = (1, 8, 64, 512, 4096), (1, 4, 16)
PICTURES = 16
_SECONDS = 1.0  # approximate duration of each measurement


@dataclass(frozen=True)
class Subject:
    """Work to measure.

    items   (N, ...) on the host: N different items that form the batches
    work    a batch on the device -> its results
    stages  the parts of the work; each takes the result of the part before it
    """

    name: str
    items: Tensor
    work: Work
    stages: tuple[tuple[str, Callable[[Tensor], Tensor]], ...]

    def batch(self, size: int) -> Tensor:
        """A batch of this size; it repeats the items."""
        return self.items[torch.arange(size) % len(self.items)]


def published(net: TrueSightNet, images: Sequence[Image], device: torch.device, precision: Precision) -> Subject:
    """The path of the published detector from bytes to the seven terms."""
    usual = torch.cat([five_sizes(image, (96,)) for image in images]).mean(dim=0)
    fast = FastNet(net.to(device), trunk_type(precision, device), usual)
    height, width = images[0].shape[:2]
    views = DeviceViews((height, width), PUBLISHED_SIZES, device)
    score = ViewScorer(fast, len(PUBLISHED_SIZES))
    seen: dict[str, Tensor] = {}

    def network(x: Tensor) -> Tensor:
        seen["x"] = x
        o, seen["attention"] = fast(x)
        return o

    def terms(o: Tensor) -> Tensor:
        return compare(seen["x"], o, seen["attention"]).terms

    return Subject(
        "published detector",
        torch.from_numpy(np.stack(images)),
        lambda frames: score(views(frames)).terms,
        (("five sizes", views), ("network", network), ("terms", terms)),
    )


def true_sight2(device: torch.device, precision: Precision) -> Subject:
    """The network of True Sight 2 with random weights, from its inputs to its map."""
    torch.manual_seed(0)
    net = fast_network(ClipNet(CHANNELS, 16).eval().to(device), trunk_type(precision, device))

    def network(x: Tensor) -> Tensor:
        return averaged(net(x.contiguous(memory_format=torch.channels_last)).fused).flatten(1)

    inputs = torch.randn(PICTURES, CHANNELS, SIZE[1], SIZE[0])
    return Subject("true-sight-2's network", inputs, network, (("network", network),))


def measure(subject: Subject, size: int, device: torch.device, *, graph: bool) -> tuple[int, float]:
    """(batch size that fits, items per second), including the copies."""
    while True:
        try:
            return size, _rate(subject, size, device, graph=graph)
        except torch.OutOfMemoryError:
            if size == 1:
                raise RunError(f"{device} has too little memory for one frame of the {subject.name}") from None
        # Outside the handler, because only here the memory of the failed attempt is free.
        torch.cuda.empty_cache()
        print(f"  {device} has too little memory for a batch of {size}: continuing with {size // 2}")
        size //= 2


def _rate(subject: Subject, size: int, device: torch.device, *, graph: bool) -> float:
    streamed = Streamed(subject.work, subject.batch(size), device, graph=graph)
    streamed.run(3)
    started = time.perf_counter()
    streamed.run(4)
    batches = max(4, int(4 * _SECONDS / (time.perf_counter() - started)))
    started = time.perf_counter()
    streamed.run(batches)
    return batches * size / (time.perf_counter() - started)


def stage_lines(subject: Subject, size: int, device: torch.device, limits: Peak) -> list[str]:
    """Milliseconds per batch of each stage, its cost, and its speed as a share of what the device allows."""
    lines = []
    with torch.inference_mode(), exact(device):
        x = subject.batch(size).to(device)
        for name, stage in subject.stages:
            given = x
            x = stage(given)
            spent, seconds = cost(partial(stage, given)), _seconds(partial(stage, given), device)
            lines.append(
                f"  {name:12s}{seconds * 1e3:9.3f} ms {spent.flop / 1e9:9.2f} GFLOP {spent.moved / 1e9:8.3f} GB moved "
                f"{limits.least_s(spent) / seconds:7.1%} of the roofline"
            )
    return lines


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(7):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def check(subject: Subject, detector: TrueSight, images: Sequence[Image], device: torch.device) -> float:
    """The largest difference between these scores and the detector's on the CPU. Raises RunError if it is too large."""
    expected = published_score(torch.from_numpy(detector.terms(images)))
    worst = 0.0
    for graph in {False, device.type == "cuda"}:
        found = Streamed(subject.work, subject.batch(len(images)), device, graph=graph).run(3)
        worst = max(worst, (published_score(found) - expected).abs().max().item())
    if worst > TOLERANCE:
        raise RunError(f"scores on {device} differ from those on the CPU by up to {worst:.1e}, above {TOLERANCE:g}")
    return worst


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="cuda:0, cpu, ...; auto: a GPU if there is one")
    parser.add_argument("--precision", choices=get_args(Precision), default="auto")
    parser.add_argument("--batches", type=int, nargs="+", help="frames per batch")
    arguments = parser.parse_args()
    device = find_device(arguments.device)
    on_gpu = device.type == "cuda"
    batches = arguments.batches or (GPU_BATCHES if on_gpu else CPU_BATCHES)
    if min(batches) < 1:
        parser.error("--batches must be at least 1")
    trunk = trunk_type(arguments.precision, device)
    images = street_pictures(PICTURES, seed=3, abnormal=False)
    net = learn_a_little(images, steps=30)
    reference = TrueSight.from_network(net, variant="published", precision="float32")
    subject = published(net, images, device, arguments.precision)
    others = true_sight2(device, arguments.precision)
    worst = check(subject, reference, images, device)
    print(f"scores of {len(images)} frames differ from the detector's in float32 on the CPU by at most {worst:.1e}")
    if not on_gpu:
        for one in (subject, others):
            for size in batches:
                assert len(Streamed(one.work, one.batch(size), device, graph=False).run(2)) == size
        print(f"no GPU is used: batches of {', '.join(map(str, batches))} ran through the same path on the CPU;")
        print(f"speeds are measured on a GPU only (the target is {AIM:,} frames/s)")
        return
    limits = peak(device, trunk)
    print(f"{torch.cuda.get_device_name(device)}, layers in {str(trunk).removeprefix('torch.')}: matrix product")
    print(f"{limits.flop_s / 1e12:.0f} TFLOP/s, copy {limits.bytes_s / 1e9:.0f} GB/s; the target is {AIM:,} frames/s")
    for one in (subject, others):
        best, fits = 0.0, 1
        for size in batches:
            rates = []
            for graph in (False, True):
                fits, rate = measure(one, size, device, graph=graph)
                rates.append(rate)
            best = max(best, *rates)
            print(f"{one.name:24s} batch {fits:5d} {rates[0]:10,.0f} frames/s, as a CUDA graph {rates[1]:10,.0f}")
        print("\n".join(stage_lines(one, min(fits, 512), device, limits)))
        if one is subject:
            print(f"  best {best:,.0f} frames/s, {best / AIM:.0%} of the target")


if __name__ == "__main__":
    try:
        main()
    except MonitorError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
