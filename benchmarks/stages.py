"""Milliseconds per frame of each detector, stage by stage, with one camera and with sixteen."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from benchmarks.lib.interleaved import Laps
from benchmarks.lib.pictures import as_frames
from monitor.detector.appearance.appearance_detector import Appearance
from monitor.detector.base import Detector, Observation
from monitor.detector.motion.cells import measure
from monitor.detector.motion.motion_detector import Motion
from monitor.detector.precision import trunk_type
from monitor.detector.scene.scene_detector import Scene as SceneDetector
from monitor.detector.static_detector import StaticAge
from monitor.detector.true_sight.autoencoder import INPUT_SIZE, TrueSightNet
from monitor.detector.true_sight.fast_net import FastNet
from monitor.detector.true_sight.published_score import compare, five_sizes
from monitor.detector.true_sight2.clip_inputs import CHANNELS, SIZE
from monitor.detector.true_sight2.clip_net import ClipNet
from monitor.detector.true_sight2.true_sight2_detector import (
    SPEED_GRID,
    ClipStream,
    Scene,
    TrueSight2,
    TrueSight2Settings,
)
from monitor.stream.health.health_check import HealthCheck
from monitor.types import Frame, Image

Batch = Sequence[Frame]
Work = Callable[[Batch, Laps], None]
"""Scores one frame of each camera and records a lap after each stage."""

WARM_UP = 8
"""Frames before the timed ones, because streams begin without a past."""


@dataclass(frozen=True)
class Subject:
    """A detector to time.

    fresh  number of cameras -> work on new streams
    """

    name: str
    fresh: Callable[[int], Work]

    def stages(self, images: Sequence[Image], cameras: int) -> dict[str, float]:
        """Mean milliseconds per frame of each stage, in order, over all images."""
        work, laps = self.fresh(cameras), Laps()
        streams = [as_frames(images, f"camera {k}") for k in range(cameras)]
        for number, batch in enumerate(zip(*streams, strict=True)):
            if number == WARM_UP:
                laps = Laps()
            laps.start()
            work(batch, laps)
        frames = cameras * (len(images) - WARM_UP)
        return {stage: seconds / frames * 1e3 for stage, seconds in laps.seconds.items()}


def subjects(normal: Sequence[Image], net: TrueSightNet) -> list[Subject]:
    """All detectors, fitted to these images, and the health check."""
    clip = as_frames(normal)
    return [
        Subject("true-sight", partial(_true_sight, _fast(net, normal))),
        Subject("true-sight-2", partial(_true_sight2, _clip_detector(normal[0]))),
        Subject("motion", partial(_motion, Motion.fit([clip]))),
        _whole(StaticAge.fit([clip])),
        _whole(SceneDetector.fit([clip])),
        _whole(Appearance.fit([clip])),
        Subject("health", _health),
    ]


def table(found: Sequence[Subject], images: Sequence[Image], rounds: int, batches: Sequence[int]) -> list[str]:
    """The lines to print: for each stage and for the whole, the median over interleaved rounds."""
    seen: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(rounds):
        for subject in found:
            for cameras in batches:
                seen.setdefault((subject.name, cameras), []).append(subject.stages(images, cameras))
    lines = [f"{'ms per frame':26s}" + "".join(f"{f'batch {cameras}':>12s}" for cameras in batches)]
    for subject in found:
        stages = list(seen[subject.name, batches[0]][0])
        for stage in [*stages, "all of it"] if len(stages) > 1 else stages:
            lines.append(f"{subject.name:13s}{stage:13s}")
            for cameras in batches:
                rows = seen[subject.name, cameras]
                values = [sum(row.values()) if stage == "all of it" else row[stage] for row in rows]
                lines[-1] += f"{statistics.median(values):12.2f}"
    return lines


def _fast(net: TrueSightNet, normal: Sequence[Image]) -> FastNet:
    usual = torch.cat([five_sizes(image, (INPUT_SIZE,)) for image in normal[:16]]).mean(dim=0)
    return FastNet(net, trunk_type("auto", torch.device("cpu")), usual)


def _true_sight(fast: FastNet, cameras: int) -> Work:  # noqa: ARG001 - it keeps no state per camera
    def work(batch: Batch, laps: Laps) -> None:
        with torch.inference_mode():
            for frame in batch:
                views = five_sizes(frame.image)
                laps.lap("five sizes")
                looked = fast(views)
                laps.lap("network")
                compare(views, *looked)
                laps.lap("terms")

    return work


def _clip_detector(background: Image) -> TrueSight2:
    """A detector with random weights; its speed does not depend on them."""
    grey = background.mean(axis=2)
    small = torch.nn.functional.interpolate(
        torch.from_numpy(grey)[None, None].float(), size=(SIZE[1], SIZE[0]), mode="area"
    )
    scene = Scene(small[0, 0].numpy(), np.full(SPEED_GRID, 10, np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TrueSight2(ClipNet(CHANNELS, 16), TrueSight2Settings(), scene)


def _true_sight2(detector: TrueSight2, cameras: int) -> Work:
    streams: list[ClipStream] = [detector.new_stream() for _ in range(cameras)]

    def work(batch: Batch, laps: Laps) -> None:
        inputs = [stream.update(frame) for stream, frame in zip(streams, batch, strict=True)]
        laps.lap("inputs")
        known = [one for one in inputs if one is not None]
        if known:
            detector.look(known)
        laps.lap("network")

    return work


def _motion(detector: Motion, cameras: int) -> Work:
    streams = [detector.new_stream() for _ in range(cameras)]

    def work(batch: Batch, laps: Laps) -> None:
        views = [stream.update(frame) for stream, frame in zip(streams, batch, strict=True)]
        laps.lap("front end")
        cells = [measure(view) for view in views if view is not None]
        laps.lap("cells")
        for one in cells:
            detector._cell_scores(one)
        laps.lap("memory")

    return work


def _whole(detector: Detector) -> Subject:
    def fresh(cameras: int) -> Work:
        streams = [detector.new_stream() for _ in range(cameras)]

        def work(batch: Batch, laps: Laps) -> None:
            detector.score([Observation(frame, stream) for frame, stream in zip(batch, streams, strict=True)])
            laps.lap("all of it")

        return work

    return Subject(detector.name, fresh)


def _health(cameras: int) -> Work:
    checks = [HealthCheck() for _ in range(cameras)]

    def work(batch: Batch, laps: Laps) -> None:
        for check, frame in zip(checks, batch, strict=True):
            check.update(frame.time_s, frame.image)
        laps.lap("all of it")

    return work
