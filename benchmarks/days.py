"""Alarms per day of one camera beside its budget: all pairs of days, or days in order with learning on.

    python -m benchmarks.days DAY1 DAY2 DAY3            # learn each day, watch each other one, learning off
    python -m benchmarks.days DAY1 DAY2 --minutes 10    # learn ten minutes, then watch the days in order, learning on
    ... --models DIR                                    # keep the models; only missing ones are learned

    ... --paste 40 --things VIDEO VIDEO             # also count how many anomalies pasted into each day are found

A day is a folder of recordings, in the order of their names. All of it counts as normal, so every alarm counts as
false. Alarms that begin less than five minutes after the one before ended are one.

Pasted anomalies are things cut out of videos of other cameras, which move through the picture or are left behind in it
at random times of a day. They are judged with the thresholds that hold when the day begins.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.lib.growing_camera import Watched
from benchmarks.lib.pasted import Thing, cut_things
from benchmarks.lib.recall import LEAD_S, LEFT, MOVING, Attempt, Recall, random_paste, try_one
from monitor.errors import MonitorError, RunError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.live_calibration import LiveCalibration
from monitor.model.model_store import Model, load_model
from monitor.scores.calibration import DAY_S
from monitor.scores.smoothing import SmoothingSettings
from monitor.states import Phase
from training.evaluate.joined_recordings import Joined
from training.output import write_whole
from training.recordings import recorded_sources

_FILE_S = 3300.0  # things are pasted into the first 55 minutes of a recording
APART_S = 300.0
"""Alarms closer together than this, seconds, are one."""


@dataclass(frozen=True)
class Raised:
    """An alarm. at_s: seconds of the file; length_s: until the score was last high; early: see Alert."""

    file: str
    at_s: float
    length_s: float
    peak: float
    detector: str
    reasons: tuple[str, ...]
    early: bool


@dataclass(frozen=True)
class Day:
    """The result of a day. alarms: all; clusters: those at least five minutes apart; thresholds: at its end."""

    learned: str
    watched: str
    hours: float
    alarms: tuple[Raised, ...]
    clusters: int
    allowed_per_day: float
    thresholds: dict[str, float]
    attempts: tuple[Attempt, ...] = ()

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of its line."""
        early = sum(alarm.early for alarm in self.alarms)
        return (
            self.learned,
            self.watched,
            f"{self.hours:.1f}",
            str(self.clusters),
            f"{len(self.alarms)} ({early} early)",
            f"{self.allowed_per_day:.3g}",
            ", ".join(f"{name} {value:.2f}" for name, value in self.thresholds.items()),
            ", ".join(str(Recall.of(kind, self.attempts)) for kind in (MOVING, LEFT)) if self.attempts else "-",
        )


HEADER = (
    "learned",
    "watched",
    "hours",
    "alarms 5 min apart",
    "alarms",
    "allowed a day",
    "thresholds at the end",
    "pasted",
)


@dataclass(frozen=True, eq=False)
class Pasting:
    """What is pasted into each day: ``number`` moving things and half as many that are left behind."""

    things: Sequence[Thing] = ()
    number: int = 0
    seed: int = 0

    def attempts(self, model: Model, day: Path, calibration: LiveCalibration) -> Iterator[Attempt]:
        """Paste into a day, and judge with the thresholds of a calibration, which stays as it is."""
        rng = np.random.default_rng(self.seed)
        sources = recorded_sources([str(day)], split="testing_videos")

        def monitor() -> CameraMonitor:
            own = calibration.copy()
            return CameraMonitor(day.name, own.scale, SmoothingSettings(), AlertSettings(), calibration=own)

        for kind, number in ((MOVING, self.number), (LEFT, (self.number + 1) // 2)):
            done = 0
            for _ in range(3 * number):  # some fall where the footage itself raises an alarm, or ends
                if done == number:
                    break
                source = sources[int(rng.integers(len(sources)))]
                thing = self.things[int(rng.integers(len(self.things)))]
                paste = random_paste(kind, float(rng.uniform(LEAD_S, _FILE_S)), rng)
                attempt = try_one(source, model, monitor, thing, paste, kind)
                if attempt is not None:
                    done += 1
                    yield attempt


def watch(
    model_folder: Path, learned: str, days: Sequence[Path], budget: float, pasting: Pasting, *, on: bool, grow: bool
) -> Iterator[Day]:
    """Watch days one after the other, as one camera. on: thresholds follow what is watched; grow: the memory does."""
    camera = Watched(load_model(model_folder), budget, on=on, grow=grow)
    for day in days:
        attempts = tuple(pasting.attempts(camera.model, day, camera.calibration))
        yield replace(_watch_day(camera, learned, day), attempts=attempts)


def watch_pair(
    model_folder: Path, learned: str, day: Path, budget: float, pasting: Pasting, *, on: bool, grow: bool
) -> Day:
    """Watch one day, in a process of its own."""
    return next(watch(model_folder, learned, [day], budget, pasting, on=on, grow=grow))


def _watch_day(camera: Watched, learned: str, day: Path) -> Day:
    source = Joined(recorded_sources([str(day)], split="testing_videos"), lambda reason: print(reason, file=sys.stderr))
    alarms: list[Raised] = []
    clusters, ended_s, judged_s, last = 0, -math.inf, 0.0, (-1, 0.0)
    for judgement in camera.judgements(source):
        frame = judgement.scored.frame
        if last[0] == frame.segment and not math.isnan(judgement.score):
            judged_s += frame.time_s - last[1]
        last = frame.segment, frame.time_s
        for alert in judgement.alerts:
            event = alert.event
            if event.phase is Phase.START:
                clusters += event.started_s - ended_s >= APART_S
            elif event.ended_s is not None:
                where, at_s = source.place(event.started_s)
                words = tuple(str(reason) for reason in alert.reasons)
                length_s, peak = event.ended_s - event.started_s, event.peak_score
                alarms.append(Raised(Path(where).name, at_s, length_s, peak, alert.detector, words, alert.early))
            ended_s = frame.time_s
    scale = camera.calibration.scale
    thresholds, allowed = {name: own.threshold for name, own in scale.scales.items()}, scale.allowed_per_day
    return Day(learned, day.name, judged_s / 3600, tuple(alarms), clusters, allowed, thresholds)


def learn(
    day: Path, models: Path, seed: int, minutes: float | None, begin: str | None, detectors: str | None = None
) -> Path:
    """Run ``training learn`` as a user does, unless the model exists. minutes: None for the whole day."""
    name = day.name if minutes is None else f"{day.name}-{minutes:g}min"
    if not (models / name).exists():
        line = [sys.executable, "-m", "training", "learn", "--name", name, "--models", str(models), "--seed", str(seed)]
        if detectors is not None:
            line += ["--detectors", detectors]
        if minutes is None:
            line.append(str(day))
        else:
            first = min(path for path in day.iterdir() if begin is None or path.name == begin)
            line += [str(first), "--to-s", str(60 * minutes)]
        if subprocess.run(line, check=False).returncode:
            raise RunError(f"learning {name} failed: see the error above")
    return models / name


def measure(given: argparse.Namespace, models: Path) -> Iterator[Day]:
    """Learn and watch."""
    things = cut_things(given.things) if given.paste else []
    pasting = Pasting(things, given.paste, given.seed)
    if given.minutes is not None:
        folder = learn(given.days[0], models, given.seed, given.minutes, given.begin, given.detectors)
        yield from watch(
            folder, folder.name, given.days, given.false_alarms_per_day, pasting, on=not given.off,
            grow=not (given.off or given.no_growing),
        )  # fmt: skip
        return
    folders = {day: learn(day, models, given.seed, None, None, given.detectors) for day in given.days}
    with ProcessPoolExecutor(given.workers) as pool:
        pairs = [(a, b) for a in given.days for b in given.days if a != b]
        futures = [
            pool.submit(
                watch_pair, folders[a], a.name, b, given.false_alarms_per_day, pasting, on=given.on, grow=given.on
            )
            for a, b in pairs
        ]
        for future in futures:
            yield future.result()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Alarms per day of one camera beside its budget.")
    parser.add_argument("days", nargs="+", type=Path, help="folders of recordings, one per day, in order")
    parser.add_argument("--minutes", type=float, help="learn from this many minutes of the first day")
    parser.add_argument("--begin", metavar="FILE", help="file of the first day to learn from; the first one otherwise")
    parser.add_argument("--off", action="store_true", help="with --minutes: thresholds do not follow what is watched")
    parser.add_argument("--on", action="store_true", help="without --minutes: thresholds follow what is watched")
    parser.add_argument("--no-growing", action="store_true", help="with --minutes: only thresholds follow, no memory")
    parser.add_argument("--detectors", metavar="A,B", help="detectors to learn; the default ones otherwise")
    parser.add_argument("--models", type=Path, help="folder to keep models in")
    parser.add_argument("--false-alarms-per-day", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--paste", type=int, default=0, metavar="N", help="anomalies that move, pasted into each day")
    parser.add_argument("--things", nargs="+", type=Path, default=[], metavar="VIDEO", help="videos to cut them out of")
    parser.add_argument("--workers", type=int, default=1, help="pairs that are watched at the same time")
    parser.add_argument("--json", type=Path, help="also write every alarm to this file")
    given = parser.parse_args()
    found: list[Day] = []
    with tempfile.TemporaryDirectory() as temporary:
        try:
            for day in measure(given, given.models or Path(temporary)):
                found.append(day)
                print(" | ".join(day.row), flush=True)
                for alarm in day.alarms:
                    early = ", early" if alarm.early else ""
                    why = "; ".join(alarm.reasons)
                    print(
                        f"    {alarm.file} {alarm.at_s:.1f} s, {alarm.length_s:.1f} s, {alarm.peak:.2f}{early}: {why}"
                    )
            if given.json is not None:
                write_whole(given.json, json.dumps([asdict(day) for day in found], indent=1))
        except MonitorError as error:
            sys.exit(f"error: {error}")
    print("", f"| {' | '.join(HEADER)} |", f"|{'---|' * len(HEADER)}", sep="\n")
    for day in found:
        print(f"| {' | '.join(day.row)} |")
    counts = sorted(day.clusters * DAY_S / 3600 / day.hours for day in found)
    print(f"\nalarms in 24 h: median {counts[len(counts) // 2]:.1f}, worst {counts[-1]:.1f}")


if __name__ == "__main__":
    main()
