"""Measures a running monitor (memory, threads, descriptors, decoders) and reads the files of a soak test."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

WARM_UP_S = 120.0


@dataclass(frozen=True)
class Sample:
    """The resources of the monitor at one moment, and the latency of the scores of the last 10 s.

    at_s            seconds since the start
    rss_mb          resident memory of the monitor
    children_mb     resident memory of all its decoders together
    threads, fds    threads and file descriptors of the monitor
    decoders        number of decoders
    p50_ms, p99_ms  milliseconds from reading a frame to sending its score; None without scores
    """

    at_s: float
    rss_mb: float
    children_mb: float
    threads: int
    fds: int
    decoders: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass
class Tally:
    """Counts of a soak test: faults by kind, messages that the subscriber received, figures of the monitor's log."""

    faults: Counter[str] = field(default_factory=Counter)
    scores: int = 0
    alerts_sent: int = 0
    alerts_received: int = 0
    health_received: int = 0
    gaps: int = 0
    alerts_lost: int = 0
    reconnects: int = 0
    tracebacks: int = 0


def status_of(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def memory_mb(pid: int) -> float:
    """Resident memory in units of 2^20 bytes; 0 for a process that has just ended."""
    try:
        return int(status_of(pid).get("VmRSS", "0 kB").split()[0]) / 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def decoders_of(pid: int) -> list[int]:
    """The process ids of a monitor's decoders."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):  # the thread has just ended
            continue
    return found


def is_on_the_network(decoder: int) -> bool:
    """True if a decoder has another connection than the one to its monitor, so it does not decode a file.

    A file ends for good if its decoder dies.
    """
    try:
        links = [str(link.readlink()) for link in Path(f"/proc/{decoder}/fd").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return sum(link.startswith("socket:") for link in links) > 1


def sample(pid: int, at_s: float, ages_s: Sequence[float]) -> Sample:
    """Measure the monitor now."""
    decoders = decoders_of(pid)
    p50, p99 = (float(q) * 1e3 for q in np.quantile(ages_s, (0.5, 0.99))) if ages_s else (None, None)
    return Sample(
        at_s=at_s,
        rss_mb=memory_mb(pid),
        children_mb=sum(memory_mb(decoder) for decoder in decoders),
        threads=int(status_of(pid)["Threads"]),
        fds=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        decoders=len(decoders),
        p50_ms=p50,
        p99_ms=p99,
    )


def read_files(work: Path, tally: Tally) -> None:
    """Update the tally from the files of the run."""
    log = (work / "monitor.log").read_text(errors="replace")
    tally.tracebacks = log.count("Traceback")
    latest = dict(re.findall(r"INFO +(\S+): .* reconnects (\d+), alerts", log))
    tally.reconnects = sum(int(number) for number in latest.values())
    tally.alerts_sent = (work / "sent.jsonl").read_text().count("\n") if (work / "sent.jsonl").exists() else 0
    whole_lines = (work / "received.jsonl").read_text().split("\n")[:-1]
    received = [json.loads(line) for line in whole_lines]
    tally.alerts_received = sum(message["kind"] == "alert" for message in received)
    tally.health_received = sum(message["kind"] == "health" for message in received)
    gaps = [message for message in received if message["kind"] == "gap"]
    tally.gaps = len(gaps)
    tally.alerts_lost = sum(gap["last"] - gap["first"] + 1 for gap in gaps if gap["topic"].startswith("alert/"))


def slope_an_hour(points: Sequence[tuple[float, float]]) -> float | None:
    """Least-squares slope per hour of (seconds, value); None for fewer than 3 points."""
    if len(points) < 3:
        return None
    at_s, values = zip(*points, strict=True)
    return float(np.polyfit(at_s, values, 1)[0]) * 3600


def trends(samples: Sequence[Sample]) -> dict[str, tuple[float, float, float | None]]:
    """Figure -> its first and last value after the warm-up, and its slope per hour."""
    found = {}
    for name in ("rss_mb", "children_mb", "threads", "fds", "p50_ms", "p99_ms"):
        points = [(s.at_s, float(getattr(s, name))) for s in samples if getattr(s, name) is not None]
        warm = [point for point in points if point[0] > WARM_UP_S] or points
        if warm:
            found[name] = (warm[0][1], warm[-1][1], slope_an_hour(warm))
    return found
