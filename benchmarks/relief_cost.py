"""What a camera costs at each level of relief: milliseconds of CPU per second of its stream, on one thread.

    python -m benchmarks.relief_cost --video FILE --model DIR [--rounds 3] [--seconds 12]

The stream is decoded in part as an overloaded monitor does it, and what is due passes the health check and all
detectors. CPU time is hardly changed by other programs. The last column is what a machine that is busy with nothing
else would analyse at this level, beside the same machine at full rate. The threads, queues and messages of a running
monitor are not in it: ``benchmarks.cameras --overload`` measures these, on a quiet machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch

from benchmarks.lib.live_file import LiveFile
from benchmarks.lib.machine import this_machine
from benchmarks.lib.watched import ANALYSED_PER_S, CAMERA_FPS
from monitor.errors import MonitorError
from monitor.judging.scorer import Scorer
from monitor.live.load_control import LEVELS
from monitor.model.model_store import Model, load_model
from monitor.stream.frame_rules import FrameRules, RuleSettings
from monitor.stream.health.health_settings import HealthSettings
from monitor.types import Frame

SHOWN = (0, 2, 4, 6, 7, 8, 9, 11)
"""Levels that are measured."""
BEFORE_S = 5.0
"""Seconds of stream before the measured ones: two key frames must have come."""


@dataclass(frozen=True)
class Cost:
    """CPU seconds per second of stream, and frames analysed in it."""

    cpu: float
    per_s: float


def cost_of(level: int, video: Path, model: Model, seconds: float) -> Cost:
    """Watch a stream at this level, as fast as the machine can."""
    relief = LEVELS[level]
    now_s = [0.0]

    def sleep(wait_s: float) -> None:
        now_s[0] += wait_s

    rules = FrameRules(RuleSettings(ANALYSED_PER_S, 1.0, HealthSettings()), model.viewpoint, model.learned_size)
    rules.slow(relief.rate * ANALYSED_PER_S if relief.rate < 1 else None)
    scorer = Scorer({"cam": model}, cpu_fallback=False, isolated=True)
    source = LiveFile(video, "cam", fps=CAMERA_FPS)
    analysed, started, begin_s = 0, 0.0, None
    with source.read_with(lambda: now_s[0], sleep) as reader:
        reader.spare(relief.decoded)
        while True:
            position = reader.grab()
            if begin_s is None and position.time_s >= BEFORE_S:
                begin_s, started, analysed = position.time_s, time.process_time(), 0
            if begin_s is not None and position.time_s - begin_s >= seconds:
                return Cost((time.process_time() - started) / seconds, analysed / seconds)
            if not rules.arrive(position.time_s, CAMERA_FPS, position.earlier_s, spared=position.spared):
                continue
            image = reader.retrieve()
            if image is None:
                continue
            seen = rules.take(position.time_s, image)
            frame = Frame("cam", position.index, position.time_s, seen.image, seen.segment, health=seen.health)
            frame.small.prepare()
            scorer.score([frame])
            analysed += 1


def table(costs: dict[int, list[Cost]]) -> list[str]:
    """One line per level; medians over the rounds."""
    whole = statistics.median(cost.cpu for cost in costs[0])
    best = costs[0][0].per_s / whole
    rows = [f"{'level':>5s}{'rate':>7s}{'decoded':>9s}{'CPU ms/s':>10s}{'analysed/s':>12s}{'cameras':>9s}{'sum':>7s}"]
    for level, found in costs.items():
        cpu, per_s = statistics.median(cost.cpu for cost in found), found[0].per_s
        relief = LEVELS[level]
        rows.append(
            f"{level:5d}{relief.rate:7.0%}{relief.decoded:9.0%}{cpu * 1e3:10.1f}{per_s:12.2f}"
            f"{f'{whole / cpu:.2f}x':>9s}{per_s / cpu / best:7.0%}"
        )
    return rows


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, required=True, help="1280x720 at 25 frames per second, H.264")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--rounds", type=int, default=3, help="levels take turns so many times")
    parser.add_argument("--seconds", type=float, default=12.0, help="measured seconds of stream per level and round")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        model = load_model(arguments.model, "cpu")
        costs: dict[int, list[Cost]] = {level: [] for level in SHOWN}
        for _ in range(arguments.rounds):
            for level in SHOWN:
                costs[level].append(cost_of(level, arguments.video, model, arguments.seconds))
    except MonitorError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    print("\n".join([this_machine(), *table(costs)]))


if __name__ == "__main__":
    main()
