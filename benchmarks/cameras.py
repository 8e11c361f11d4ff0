"""How many cameras this machine watches at once, beside how many it can decode.

    python -m benchmarks.cameras [--video FILE] [--model DIR] [--seconds 8] [--json FILE]

Cameras of 1280x720 pixels and 25 frames a second, H.264, of which ten frames a second go through all four detectors. A
count of cameras passes if none of their frames was dropped, at least 99 % of the frames that were due came and 99 % of
those to be analysed were, and the 99th percentile from reading a frame to having received its score, and the alert that
it decided, is 200 ms at most. Counts are doubled, then bisected; the result is confirmed by a longer run.

Beside it, found in the same way, the number that decoding alone allows: the same cameras, processes and threads, each
frame thrown away once it has been grabbed.

Cameras are files that give each frame when it is due and wait for nobody, each decoded in a process of its own, as
network cameras are, out of step with each other. The monitor is a process of its own with journal and publisher;
alerts and scores are received in this one. Alerts begin where a tenth of the frames are, so that there are many.

Other programs take part in the result: each step waits some seconds for them to calm down, a count that fails is tried
again, and the end says if steps failed beside others' work: then the machine can do more than was found.

Limits: 16 cameras on 2 cores; 60 % of the cameras that decoding alone allows.
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
from benchmarks.lib.search import confirmed, largest
from benchmarks.lib.street_camera import scene_of
from benchmarks.lib.watched import ANALYSED_PER_S, CAMERA_FPS, Task
from monitor.errors import MonitorError, RunError, UsageError

LEAST_CAMERAS, ON_CORES = 16, 2
SHARE_OF_DECODING = 0.6
PROBED = 4
"""Cameras whose scores give the threshold: they show different parts of the video."""

DISTURBED = 0.25
"""Cores used by other programs, this one's receiving included, above which a failure may be theirs."""


@dataclass(frozen=True)
class Step:
    """One count of cameras, tried once."""

    measured: Measured
    faults: tuple[str, ...]


class Trials:
    """Tries counts of cameras, and prints and keeps how each went."""

    def __init__(self, task: Task, tries: int, patience_s: float, log: Path) -> None:
        self._task, self._tries, self._patience_s, self._log = task, tries, patience_s, log
        self.steps: list[Step] = []

    def passes(self, cameras: int, seconds: float, *, decode_only: bool = False) -> bool:
        """Whether so many are watched, or decoded, for so long. What fails is tried again: a machine has other work."""
        task = replace(self._task, cameras=cameras, seconds=seconds, decode_only=decode_only)
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
    """The 90th percentile of a few cameras' scores. Raises RunError where they are not scored."""
    measured, seen = measure(replace(task, cameras=PROBED), log)
    if measured.failure or len(seen.scores) <= seen.unscored:
        reason = measured.failure or "most pictures are not scored: is the model of another video?"
        raise RunError(f"{PROBED} cameras cannot be watched: {reason}")
    return quantile(seen.scores, 0.9)


def figures_of(steps: list[Step]) -> list[dict[str, object]]:
    """All that is known of each step, latencies as quantiles in seconds."""
    found = []
    for step in steps:
        figures: dict[str, object] = {**vars(step.measured), "faults": step.faults}
        for name in ("score_ages_s", "alert_ages_s"):
            ages = getattr(step.measured, name)
            quantiles = {f"p{share:g}": quantile(ages, share / 100) for share in (50, 95, 99)} if ages else {}
            figures[name] = {"n": len(ages), **quantiles}
        found.append(figures)
    return found


def summary(watched: int, decoded: int, machine_cores: int, steps: list[Step], limit: int) -> list[str]:
    """The result, line by line; ``steps``: all that were tried, with ``limit`` cameras at most."""
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
        rows.append(f"at least {LEAST_CAMERAS} on {ON_CORES} cores: this machine has {machine_cores}, so it cannot say")
    if decoded >= limit:
        rows.append(f"no more than {limit} were tried, so it is not known what share of decoding alone that is")
    elif decoded:
        share = watched / decoded
        rows.append(f"{share:.0%} of decoding alone; aim {SHARE_OF_DECODING:.0%}: {kept(share >= SHARE_OF_DECODING)}")
    failed = [s.measured.other for s in steps if s.faults]
    if disturbed := [other for other in failed if other > DISTURBED]:
        rows.append(
            f"note: in {len(disturbed)} of {len(failed)} steps that failed, other programs used up to "
            f"{max(disturbed):.1f} cores: an idle machine can do more than this"
        )
    return rows


def kept(is_kept: bool) -> str:
    """Whether a limit is kept, in words."""
    return "kept" if is_kept else "not kept"


def run(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Search, print, write."""
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    log = work / "monitor.log"
    say(this_machine())
    video, model = scene_of(work, arguments.video, arguments.model, say)
    say(f"video {video}, model {model}")
    base = Task(str(video), str(model), 1, arguments.seconds, arguments.warm_up, device=arguments.device)
    on = high_score(base, log)
    say(f"alerts begin and end at a score of {on:.2f} (1 is the threshold), which a tenth of the frames pass")
    trials = Trials(replace(base, on=on), arguments.tries, arguments.patience, log)
    seconds, longer = arguments.seconds, arguments.confirm_seconds
    start, limit = arguments.start, arguments.limit
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
    parser.add_argument("--video", type=Path, help="1280x720 at 25 frames a second; default: a synthetic street")
    parser.add_argument("--model", type=Path, help="model folder; default: one that is learned from the video, once")
    parser.add_argument("--seconds", type=float, default=8.0, help="that count of each step")
    parser.add_argument("--warm-up", type=float, default=8.0, help="seconds before that")
    parser.add_argument("--confirm-seconds", type=float, default=30.0, help="of the final number; 0 leaves that out")
    parser.add_argument("--start", type=int, default=4, help="count of cameras that is tried first")
    parser.add_argument("--limit", type=int, default=256, help="no more cameras than this are tried")
    parser.add_argument("--tries", type=int, default=2, help="how often a count may be tried until it passes")
    parser.add_argument("--patience", type=float, default=15.0, help="seconds to wait for other programs at a step")
    parser.add_argument("--device", default="auto", help="where networks run: auto, cpu, cuda")
    parser.add_argument("--json", type=Path, help="write every figure here, too")
    parser.add_argument("--work", type=Path, default=Path("runs/cameras"), help="where video and model are kept")
    arguments = parser.parse_args()
    try:
        check(arguments)
        run(arguments, lambda line: print(line, flush=True))
    except MonitorError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def check(arguments: argparse.Namespace) -> None:
    """Raise UsageError for numbers that cannot be."""
    if not (1 <= arguments.start <= arguments.limit and arguments.tries >= 1):
        raise UsageError("--start and --tries must be at least 1, and --start no more than --limit")
    if not (arguments.seconds >= 1 and min(arguments.warm_up, arguments.confirm_seconds, arguments.patience) >= 0):
        raise UsageError("--seconds must be at least 1; --warm-up, --confirm-seconds and --patience at least 0")


if __name__ == "__main__":
    main()
