"""Frame to alert on one real RTSP camera at 25 frames a second: p50 and p99.

    python -m benchmarks.latency [--seconds 60]

A GStreamer server on loopback serves 640x360 H.264 that is dark and bright by turns; the monitor runs in a process of
its own with the published True Sight model (five sizes, every frame analysed) and a subscriber here receives the
alerts. Measured from the moment the deciding frame had been read to the moment its alert had been received; the alert
rule's own minimum duration and merge gap lie before the deciding frame and do not count. The rule's thresholds lie
between the scores of the dark and of the bright picture.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.throughput import untrained_model
from monitor.client import AlertSubscriber, Received
from monitor.detector.scorer import PUBLISHED_SIZES
from monitor.messages import AlertMessage, ScoreMessage
from monitor.types import Image
from tests.rtsp_server import RtspServer

ROOT = Path(__file__).resolve().parent.parent
ALERTS, SCORES = "tcp://127.0.0.1:5580", "tcp://127.0.0.1:5581"
CONFIG = f"""
model = "model"
analysis_fps = 0
[cameras.rtsp]
source = "{{url}}"
[alert]
on = 20.0
off = 15.0
min_duration_s = 0.2
merge_gap_s = 0.2
[health]
scene_change = false
[publish]
alerts = "{ALERTS}"
scores = "{SCORES}"
history = "tcp://127.0.0.1:5572"
"""


def picture(bright: bool, seed: int) -> Image:
    """A dark or a bright picture with structure (a flat one counts as a covered camera), (360, 640, 3) uint8."""
    scene = np.random.default_rng(0).integers(20, 120, (18, 32, 3), np.uint8)
    noise = np.random.default_rng(seed).integers(0, 10, (360, 640, 3), np.uint8)
    large = cv2.resize(scene, (640, 360), interpolation=cv2.INTER_NEAREST)
    return np.asarray(large + noise + np.uint8(120 if bright else 0), np.uint8)


def write_video(path: Path) -> None:
    """Four seconds, dark and bright by turns, one second each."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (640, 360))
    for i in range(100):
        writer.write(picture(bright=(i // 25) % 2 == 1, seed=i % 7))
    writer.release()


def quantiles(values: list[float]) -> str:
    """p50, p95 and p99 in milliseconds."""
    p50, p95, p99 = np.quantile(np.array(values) * 1e3, (0.5, 0.95, 0.99))
    return f"p50 {p50:6.1f} ms  p95 {p95:6.1f} ms  p99 {p99:6.1f} ms  (n = {len(values)})"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--evidence", action="store_true", help="with evidence on; the journal is on in any case")
    parser.add_argument("--work", type=Path, default=Path("runs/latency"), help="where the model and video are written")
    arguments = parser.parse_args()
    work: Path = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    untrained_model(work / "model", [picture(bright=False, seed=i) for i in range(60)], PUBLISHED_SIZES, "dark")
    write_video(work / "blink.avi")
    alert_ages: list[float] = []
    score_ages: list[float] = []
    with RtspServer({"/blink": str(work / "blink.avi")}) as server:
        (work / "config.toml").write_text(CONFIG.format(url=server.url("/blink")))
        command: list[str | Path] = [sys.executable, ROOT / "run_monitor.py", "--config", "config.toml", "--headless"]
        if arguments.evidence:
            command += ["--evidence", "evidence"]
        monitor = subprocess.Popen(command, cwd=work, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends_at = time.monotonic() + arguments.seconds
        with AlertSubscriber(ALERTS, scores_endpoint=SCORES, timeout_s=20) as subscriber:
            for item in subscriber:
                if isinstance(item, Received) and isinstance(item.message, AlertMessage):
                    alert_ages.append(item.message.frame_age_s + time.time() - item.message.sent_at)
                elif isinstance(item, Received) and isinstance(item.message, ScoreMessage):
                    score_ages.append(time.time() - item.message.captured_at)
                if time.monotonic() > ends_at:
                    break
        monitor.send_signal(signal.SIGINT)
        monitor.wait(timeout=10)
    print(
        f"one RTSP camera, 640x360, 25 frames/s, every frame analysed, {arguments.seconds:g} s, journal on, "
        f"evidence {'on' if arguments.evidence else 'off'}"
    )
    print(f"frame to score received  {quantiles(score_ages)}")
    print(f"frame to alert received  {quantiles(alert_ages)}")


if __name__ == "__main__":
    main()
