"""How many cameras this machine can watch at once, compared with how many it can decode.

    python -m benchmarks.cameras [--video FILE] [--model DIR] [--seconds 8] [--json FILE]
    python -m benchmarks.cameras --overload [--best N]

The cameras have 1280x720 pixels and 25 frames per second, H.264. Ten frames per second pass through all four detectors.
A count of cameras passes if

- no frame was dropped,
- at least 99 % of the due frames arrived, and at least 99 % of the frames to analyse were analysed,
- the 99th percentile of the time from reading a frame to receiving its score, and to receiving the alert that it
  triggered, is at most 200 ms.

The search doubles the count, then bisects; a longer run confirms the result. In the same way it finds the number of
cameras that decoding alone allows: the same cameras, processes and threads, but each frame is discarded after it was
grabbed.

The cameras are files that give each frame when it is due. Each is decoded in its own process, like a network camera,
and they have different phases. The monitor is a separate process with journal and publisher; this process receives its
alerts and scores. Alerts begin at a score that a tenth of the frames exceed, so that there are many alerts.

Other programs on the machine change the result. Each step waits some seconds until they are quiet, and a count that
fails is tried again. The last lines say if steps failed while other programs were busy; then the machine can do more.

With ``--overload`` it runs 1, 1.5 and 2 times the cameras that the machine can watch (``--best``, or found by the
search), and prints how many frames are analysed, how evenly, and how late.

Limits: 16 cameras on 2 cores; 60 % of the cameras that decoding alone allows; with twice the cameras, 85 % of the best
sum of analysed frames and a p99 of 600 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.lib.load import LATENCY_S, Measured, measure, quantile
from benchmarks.lib.machine import cores, this_machine, wait_until_quiet
from benchmarks.lib.overload_steps import FACTORS, Bend, verdict
from benchmarks.lib.search import confirmed, largest
from benchmarks.lib.street_camera import scene_of
from benchmarks.lib.watched import ANALYSED_PER_S, CAMERA_FPS, Task
from monitor.errors import MonitorError, RunError, UsageError

LEAST_CAMERAS, ON_CORES = 16, 2
SHARE_OF_DECODING = 0.6
PROBED = 4
"""Number of cameras that define the alert score; they show different parts of the video."""

DISTURBED = 0.25
"""Cores used by other programs, including this one. Above this, other programs may have caused a failure."""


@dataclass(frozen=True)
class Step:
    """One attempt with one count of cameras."""

    measured: Measured
    faults: tuple[str, ...]


class Trials:
    """Tries counts of cameras. Prints and keeps the result of each step."""

    def __init__(self, task: Task, tries: int, patience_s: float, log: Path) -> None:
        self.task, self._tries, self._patience_s, self._log = task, tries, patience_s, log
        self.steps: list[Step] = []

    def passes(self, cameras: int, seconds: float, *, decode_only: bool = False) -> bool:
        """True if the machine can watch, or decode, this many cameras. Retries, because other programs may disturb."""
        task = replace(self.task, cameras=cameras, seconds=seconds, decode_only=decode_only)
        for _ in range(self._tries):
            wait_until_quiet(DISTURBED, self._patience_s)
            measured, _ = measure(task, self._log)
            step = Step(measured, tuple(measured.faults()))
            self.steps.append(step)
            print(line_of(step), flush=True)
            if not step.faults:
                return True
        return False


def line_of(step: Step) -> str:
    """A step as one line."""
    m = step.measured
    what = f"{'decoding' if m.decode_only else 'watching'} {m.cameras:3d}"
    verdict = "; ".join(step.faults) or "keeps up"
    if m.failure:
        return f"{what}  {verdict}"
    came = min(m.frames_in) / (m.seconds * CAMERA_FPS)
    figures = [f"{m.seconds:4.0f} s", f"frames in {came:6.1%}"]
    if not m.decode_only:
        figures.append(f"analysed {min(m.analysed) / (m.seconds * ANALYSED_PER_S):6.1%}")
        figures += [
            f"{name} after p50 {quantile(ages, 0.5) * 1e3:4.0f} p99 {quantile(ages, 0.99) * 1e3:4.0f} ms ({len(ages)})"
            for name, ages in (("score", m.score_ages_s), ("alert", m.alert_ages_s))
        ]
    figures.append(f"CPU {m.cpu:.2f} cores, other programs {m.other:.2f}")
    return f"{what}  {'  '.join(figures)}  {verdict}"


def high_score(task: Task, log: Path) -> float:
    """The 90th percentile of the scores of a few cameras. Raises RunError if they are not scored."""
    measured, seen = measure(replace(task, cameras=PROBED), log)
    if measured.failure or len(seen.scores) <= seen.unscored:
        reason = measured.failure or "most frames are not scored; check that the model fits the video"
        raise RunError(f"{PROBED} cameras cannot be watched: {reason}")
    return quantile(seen.scores, 0.9)


def figures_of(steps: list[Step]) -> list[dict[str, object]]:
    """All figures of each step, with latencies as quantiles in seconds."""
    found = []
    for step in steps:
        figures: dict[str, object] = {**vars(step.measured), "faults": step.faults}
        for name in ("score_ages_s", "alert_ages_s", "behind_s"):
            ages = getattr(step.measured, name)
            quantiles = {f"p{share:g}": quantile(ages, share / 100) for share in (50, 95, 99)} if ages else {}
            figures[name] = {"n": len(ages), **quantiles}
        found.append(figures)
    return found


def summary(watched: int, decoded: int, machine_cores: int, steps: list[Step], limit: int) -> list[str]:
    """The result, line by line. ``steps``: all steps; ``limit``: the largest count that was allowed."""
    rows = [f"cameras watched: {watched}, decoded alone: {decoded}"]
    kept_up = [s.measured for s in steps if not s.faults and not s.measured.decode_only]
    if last := next((m for m in reversed(kept_up) if m.cameras == watched), None):
        rows.append(
            f"with {watched}: {last.cpu / machine_cores:.0%} of {machine_cores} cores used; "
            f"frame to score p99 {quantile(last.score_ages_s, 0.99) * 1e3:.0f} ms, "
            f"frame to alert p99 {quantile(last.alert_ages_s, 0.99) * 1e3:.0f} ms (limit {LATENCY_S * 1e3:.0f} ms)"
        )
    if machine_cores == ON_CORES:
        rows.append(f"at least {LEAST_CAMERAS} on {ON_CORES} cores: {kept(watched >= LEAST_CAMERAS)}")
    else:
        rows.append(f"at least {LEAST_CAMERAS} on {ON_CORES} cores: unknown, because this machine has {machine_cores}")
    if decoded >= limit:
        rows.append(f"share of decoding alone: unknown, because no more than {limit} cameras were tried")
    elif decoded:
        share = watched / decoded
        rows.append(f"{share:.0%} of decoding alone; aim {SHARE_OF_DECODING:.0%}: {kept(share >= SHARE_OF_DECODING)}")
    failed = [s.measured.other for s in steps if s.faults]
    if disturbed := [other for other in failed if other > DISTURBED]:
        rows.append(
            f"note: in {len(disturbed)} of {len(failed)} steps that failed, other programs used up to "
            f"{max(disturbed):.1f} cores: an idle machine can watch more cameras"
        )
    return rows


def overload(task: Task, best: int, seconds: float, log: Path, say: Callable[[str], None]) -> list[Bend]:
    """Run multiples of ``best`` cameras, and say what each gives. Raises RunError if one cannot be measured."""
    bends: list[Bend] = []
    for factor in FACTORS:
        measured, _ = measure(replace(task, cameras=max(1, round(factor * best)), seconds=seconds), log)
        if measured.failure:
            raise RunError(f"{measured.cameras} cameras cannot be measured: {measured.failure}")
        bends.append(Bend.of(measured))
        say(f"{factor:3.1f}x  {bends[-1].line()}")
    for line in verdict(bends):
        say(line)
    return bends


def kept(is_kept: bool) -> str:
    """The words for a limit that is met or not met."""
    return "kept" if is_kept else "not kept"


def run(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Search, print the result, write the file."""
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    log = work / "monitor.log"
    say(this_machine())
    video, model = scene_of(work, arguments.video, arguments.model, say)
    say(f"video {video}, model {model}")
    base = Task(str(video), str(model), 1, arguments.seconds, arguments.warm_up, device=arguments.device)
    on = high_score(base, log)
    say(f"alerts begin and end at a score of {on:.2f} (1 is the threshold); a tenth of the frames exceed it")
    trials = Trials(replace(base, on=on), arguments.tries, arguments.patience, log)
    seconds, longer = arguments.seconds, arguments.confirm_seconds
    start, limit = arguments.start, arguments.limit
    if arguments.overload:
        best = arguments.best or largest(lambda count: trials.passes(count, seconds), start, limit)
        bends = overload(replace(trials.task, warm_up_s=arguments.settle), best, longer or seconds, log, say)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps([vars(bend) for bend in bends], indent=1) + "\n")
        return
    watched = largest(lambda count: trials.passes(count, seconds), start, limit)
    if longer:
        watched = confirmed(lambda count: trials.passes(count, longer), watched)
    decoded = largest(lambda count: trials.passes(count, seconds, decode_only=True), max(start, 2 * watched), limit)
    for line in summary(watched, decoded, cores(), trials.steps, limit):
        say(line)
    if arguments.json is not None:
        content = {"machine": this_machine(), "cores": cores(), "watched": watched, "decoded": decoded}
        arguments.json.write_text(json.dumps({**content, "steps": figures_of(trials.steps)}, indent=1) + "\n")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="1280x720 at 25 frames per second; default: a synthetic street")
    parser.add_argument("--model", type=Path, help="model folder; default: a model learned from the video, only once")
    parser.add_argument("--seconds", type=float, default=8.0, help="measured seconds of each step")
    parser.add_argument("--warm-up", type=float, default=8.0, help="seconds before the measured time")
    parser.add_argument("--confirm-seconds", type=float, default=30.0, help="seconds of the longer run; 0: none")
    parser.add_argument("--start", type=int, default=4, help="first count of cameras to try")
    parser.add_argument("--limit", type=int, default=256, help="largest count of cameras to try")
    parser.add_argument("--tries", type=int, default=2, help="attempts per count until it passes")
    parser.add_argument("--patience", type=float, default=15.0, help="seconds to wait for other programs in a step")
    parser.add_argument("--device", default="auto", help="device for networks: auto, cpu, cuda")
    parser.add_argument("--overload", action="store_true", help="run 1, 1.5 and 2 times the cameras that it can watch")
    parser.add_argument("--best", type=int, default=0, help="with --overload: the cameras it can watch; 0: search")
    parser.add_argument("--settle", type=float, default=20.0, help="with --overload: seconds before the measured time")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--work", type=Path, default=Path("runs/cameras"), help="folder for the video and the model")
    arguments = parser.parse_args()
    try:
        check(arguments)
        run(arguments, lambda line: print(line, flush=True))
    except MonitorError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def check(arguments: argparse.Namespace) -> None:
    """Raise UsageError for arguments that are out of range."""
    if not (1 <= arguments.start <= arguments.limit and arguments.tries >= 1):
        raise UsageError("--start and --tries must be at least 1, and --start no more than --limit")
    if not 0 <= arguments.best <= arguments.limit or arguments.settle < 0:
        raise UsageError("--best must be at least 0 and at most --limit, and --settle at least 0")
    if not (arguments.seconds >= 1 and min(arguments.warm_up, arguments.confirm_seconds, arguments.patience) >= 0):
        raise UsageError("--seconds must be at least 1; --warm-up, --confirm-seconds and --patience at least 0")


if __name__ == "__main__":
    main()
