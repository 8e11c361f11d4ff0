"""Glass-to-alert latency: the time from when a camera gives a frame to its encoder until its alert is received.

    python -m benchmarks.latency [--cameras 1 8] [--seconds 30] [--evidence] [--detector default] [--model DIR]

Real RTSP cameras (GStreamer on loopback, H.264, 640x360, 25 frames per second, with different phases) write into the
pixels of each frame the time at which they give it to the encoder. The monitor runs in a separate process and records
the time stamp in each frame (see ``stamped_monitor``). A subscriber in this process records when scores and alerts
arrive. One thread sends an alert right after the score of the frame that triggered it, and before the next score of
that camera. So the last score before an alert identifies that frame. All processes use the clock of one machine.

The scene alternates every second between calm and abnormal, so that every camera starts and ends one alert every two
seconds. The minimum duration and the merge gap of the alert rule are over before the triggering frame, so they do not
count. The detector is the published network with untrained weights and five sizes (its speed does not depend on the
weights). With ``--detector default`` the detectors are those that a camera learns by itself; they are learned from the
calm scene, which takes minutes, once. You can also use your own model; it must separate the two kinds of seconds. The
journal is on. The first seconds are not measured.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.lib.blinking import picture, stamped, write_calm, write_frames
from benchmarks.lib.empty_models import untrained_model
from benchmarks.lib.glass import Heard, alert_delays, score_delays
from benchmarks.lib.stamped_cameras import ROOT, stamped_cameras
from benchmarks.lib.stamped_monitor import read_stamps
from benchmarks.soak import free_ports
from monitor.alerts.messages import AlertMessage, ScoreMessage
from monitor.client import AlertSubscriber, Gap, Received
from monitor.detector.registry import LEARNED
from monitor.detector.true_sight.published_score import PUBLISHED_SIZES
from monitor.errors import MonitorError, RunError
from monitor.model.model_store import load_model
from monitor.processes import ending_with_this_process

LIMITS_S = {1: 0.050, 8: 0.100}
"""Up to this number of cameras -> limit in seconds for 99 of 100 alerts."""
START_DEADLINE_S, WARM_UP_S, CALM_S = 60.0, 3.0, 60.0
CONFIG = """\
model = "{model}"
{analysis}
[alert]
on = {on}
off = {off}
min_duration_s = 0.2
merge_gap_s = 0.2
[health]
scene_change = false
[journal]
path = "{work}/journal.sqlite3"
[evidence]
enabled = {evidence}
folder = "{work}/evidence"
[publish]
alerts = "tcp://127.0.0.1:{ports[0]}"
scores = "tcp://127.0.0.1:{ports[1]}"
history = "tcp://127.0.0.1:{ports[2]}"
{cameras}
"""


@dataclass(frozen=True)
class Watching:
    """How the monitor watches: its model, and alert thresholds between the scores of calm and abnormal seconds."""

    model: Path
    what: str
    on: float = 1.0
    off: float = 0.8
    analysis: str = ""
    evidence: bool = False


def published(work: Path) -> Watching:
    """The published network, untrained. The calm scene is its held-out footage."""
    images = [stamped(picture(index, calm=True)) for index in range(30)]
    untrained_model(work / "published", images, PUBLISHED_SIZES, "published")
    # An untrained network separates calm and abnormal seconds: about 0.5 and about 2 times the threshold.
    return Watching(work / "published", "the published network, five sizes", 1.0, 0.8)


def learned(work: Path) -> Watching:
    """The detectors that a camera learns by itself. They are learned once and kept."""
    detectors = ",".join(LEARNED)
    if not (work / "models" / "calm").exists():
        write_calm(work / "calm.mp4", CALM_S)
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "training",
            "learn",
            work / "calm.mp4",
            "--detectors",
            detectors,
        ]
        command += ["--name", "calm", "--models", work / "models"]
        if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode:
            raise RunError("learning the calm scene failed: see the error above")
    return Watching(work / "models" / "calm", f"the detectors {detectors}")


def listen(ports: Sequence[int], cameras: int, seconds: float, monitor: subprocess.Popen[bytes]) -> Heard:
    """The messages of this many seconds, from some seconds after every camera has a score.

    Raises RunError if a camera gets no score.
    """
    heard, scored = Heard(), set[str]()
    deadline = time.monotonic() + START_DEADLINE_S
    begins_at = float("inf")
    alerts, scores = (f"tcp://127.0.0.1:{port}" for port in ports[:2])
    with AlertSubscriber(alerts, scores_endpoint=scores, timeout_s=START_DEADLINE_S) as subscriber:
        for item in subscriber:
            now, clock = time.time(), time.monotonic()
            if clock > begins_at + seconds:
                return heard
            if isinstance(item, Gap):
                heard.lost += item.last - item.first + 1
            if not isinstance(item, Received):
                continue
            if isinstance(item.message, ScoreMessage) and item.message.score is not None:
                scored.add(item.message.camera)
            if len(scored) < cameras and (monitor.poll() is not None or clock > deadline):
                break
            if len(scored) == cameras and begins_at > clock + WARM_UP_S:
                begins_at = clock + WARM_UP_S
            if clock < begins_at:
                continue
            if isinstance(item.message, ScoreMessage):
                heard.scores.append((now, item.message))
            elif isinstance(item.message, AlertMessage):
                heard.alerts.append((now, item.message))
    raise RunError(f"only {len(scored)} of {cameras} cameras have scores within {START_DEADLINE_S:g} s")


def measure(cameras: int, seconds: float, watching: Watching, work: Path) -> None:
    """Run this number of cameras and print the latencies."""
    stamps = work / "stamps.tsv"
    ports = free_ports(3)
    with stamped_cameras(work / "frames.i420", cameras) as urls, (work / "monitor.log").open("wb") as log:
        config = CONFIG.format(
            model=watching.model.resolve(),
            analysis=watching.analysis,
            on=watching.on,
            off=watching.off,
            evidence=str(watching.evidence).lower(),
            work=work,
            ports=ports,
            cameras="\n".join(f'[cameras.camera{n}]\nsource = "{url}"' for n, url in enumerate(urls)),
        )
        (work / "config.toml").write_text(config)
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "benchmarks.lib.stamped_monitor",
            work / "config.toml",
            stamps,
        ]
        monitor = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=ending_with_this_process(),
        )
        try:
            heard = listen(ports, cameras, seconds, monitor)
            monitor.send_signal(signal.SIGINT)
            monitor.wait(timeout=30)
        except (RunError, subprocess.TimeoutExpired) as error:
            raise RunError(f"{error}; see {work / 'monitor.log'}") from error
        finally:
            monitor.kill()
            monitor.wait()
    known = read_stamps(stamps)
    scores, alerts = list(score_delays(heard, known)), list(alert_delays(heard, known))
    if not alerts:
        raise RunError(f"no alert arrived from {cameras} cameras: see {work / 'monitor.log'}")
    print(
        f"{cameras} RTSP camera{'s' if cameras > 1 else ''}, {seconds:g} s, {watching.what}, evidence "
        f"{'on' if watching.evidence else 'off'}: {len(scores) / seconds:.1f} frames/s scored, "
        f"{dropped(heard)} dropped, {heard.lost} messages lost"
    )
    print(line("glass to read", [each.read - each.glass for each in scores]))
    print(line("glass to score", [each.received - each.glass for each in scores]))
    print(line("read to score", [each.received - each.read for each in scores]))
    print(line("glass to alert", [each.received - each.glass for each in alerts]))
    print(limited("read to alert", [each.received - each.read for each in alerts], cameras), flush=True)


def dropped(heard: Heard) -> int:
    """Frames that were not scored because there was no time, from each camera's first alert to its last."""
    counts: dict[str, list[int]] = {}
    for _, alert in heard.alerts:
        counts.setdefault(alert.camera, []).append(alert.dropped_frames)
    return sum(count[-1] - count[0] for count in counts.values())


def line(name: str, values_s: Sequence[float]) -> str:
    """p50, p95 and p99 in milliseconds."""
    p50, p95, p99 = np.quantile(np.array(values_s) * 1e3, (0.5, 0.95, 0.99))
    return f"  {name:15s} p50 {p50:6.1f} ms  p95 {p95:6.1f} ms  p99 {p99:6.1f} ms  (n = {len(values_s)})"


def limited(name: str, values_s: Sequence[float], cameras: int) -> str:
    """The same, with the limit for this number of cameras."""
    limit_s = next((limit for most, limit in sorted(LIMITS_S.items()) if cameras <= most), None)
    if limit_s is None:
        return line(name, values_s)
    met = float(np.quantile(values_s, 0.99)) <= limit_s
    return f"{line(name, values_s)}  limit of p99 {limit_s * 1e3:.0f} ms: {'met' if met else 'NOT met'}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 8], help="numbers of cameras, one run each")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--evidence", action="store_true", help="switch evidence on")
    parser.add_argument("--detector", choices=("published", "default"), default="published")
    parser.add_argument("--model", type=Path, help="a model folder instead of --detector")
    parser.add_argument("--analysis-fps", type=float, help="frames analysed per second and camera; 0: every frame")
    parser.add_argument("--work", type=Path, default=ROOT / "runs/latency", help="folder for all files")
    given = parser.parse_args()
    if min(given.cameras) < 1 or not given.seconds > 0:
        parser.error("--cameras must be at least 1 and --seconds above 0")
    work: Path = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    try:
        write_frames(work / "frames.i420")
        if given.model is not None:
            load_model(given.model)  # so that an error appears here and not only in the monitor's log
            watching = Watching(given.model, str(given.model))
        else:
            watching = published(work) if given.detector == "published" else learned(work)
        analysis = "" if given.analysis_fps is None else f"analysis_fps = {given.analysis_fps}"
        for cameras in given.cameras:
            how = Watching(watching.model, watching.what, watching.on, watching.off, analysis, given.evidence)
            measure(cameras, given.seconds, how, work)
    except MonitorError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
