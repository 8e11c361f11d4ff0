"""The metrics of a run, made from its last report when somebody asks for them.

Names and units follow Prometheus: base units, ``_total`` for counters. docs/metrics.md lists them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from monitor.reports import CameraReport, RunReport
from monitor.states import LOST, CameraState

NAMESPACE = "truesight"


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """What the reports of a camera do not say. NaN: not known.

    last_frame_at  unix time at which the last judged frame was read, seconds
    extrapolation  lowest rate of false alarms that the footage supports, divided by the budget
    """

    last_frame_at: float = math.nan
    extrapolation: float = math.nan

    def but(self, **changes: float) -> Self:
        """These facts with other values."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class _Present:
    report: RunReport
    facts: Mapping[str, CameraFacts]
    failures: Mapping[str, int]
    journal_bytes: int | None
    verdicts: Mapping[str, int]


Value = Callable[[CameraReport, CameraFacts], float | None]
"""The value of a camera; None if it has none now."""


def _watched_share(camera: CameraReport) -> float | None:
    return 1 - camera.unscored_s / camera.watched_s if camera.watched_s > 0 else None


_GAUGES: tuple[tuple[str, str, Value], ...] = (
    (
        "camera_up",
        "1 if the camera gives frames.",
        lambda c, _: float(c.state not in (*LOST, CameraState.CONNECTING)),
    ),
    ("alert_active", "1 while an event is open.", lambda c, _: float(c.alarmed)),
    (
        "score",
        "Smoothed score: 0 is typical, 1 the threshold.",
        lambda c, _: None if math.isnan(c.score) else c.score,
    ),
    (
        "last_frame_timestamp_seconds",
        "Unix time at which the last judged frame was read.",
        lambda _, facts: None if math.isnan(facts.last_frame_at) else facts.last_frame_at,
    ),
    (
        "threshold_extrapolation_ratio",
        "Lowest rate of false alarms that the learned footage can confirm, divided by the budget. "
        "Above 1, the threshold is an estimate.",
        lambda _, facts: None if math.isnan(facts.extrapolation) else facts.extrapolation,
    ),
    (
        "budget_per_day",
        "False alarms per day that are promised.",
        lambda c, _: None if c.promise is None else c.promise.promised_per_day,
    ),
    (
        "alarms_per_day",
        "Alarms per day, measured over the last seven days that were watched.",
        lambda c, _: None if c.promise is None else c.promise.per_day,
    ),
    (
        "time_watched_ratio",
        "Share of the time in which the camera was watched, of the last seven days that were watched.",
        lambda c, _: None if c.promise is None else c.promise.watched_share,
    ),
    ("watched_ratio", "Share of the stream that a detector could judge.", lambda c, _: _watched_share(c)),
    (
        "learning_progress_ratio",
        "Progress of learning; only while the camera learns.",
        lambda c, _: None if c.progress is None else c.progress.fraction,
    ),
)
_COUNTERS: tuple[tuple[str, str, Value], ...] = (
    ("frames", "Frames received, analysed or not.", lambda c, _: c.frames_in),
    ("frames_analysed", "Frames analysed.", lambda c, _: c.analysed),
    ("reconnects", "How often the camera was opened again.", lambda c, _: c.reconnects),
    ("stalls", "How often the camera gave no frame in time.", lambda c, _: c.stalls),
    ("alerts", "Events that have started.", lambda c, _: c.events),
    (
        "blind_seconds",
        "Seconds in which no frame of a live camera was judged, whatever the reason.",
        lambda c, _: None if c.promise is None else c.promise.counted_blind_s,
    ),
    ("watched_seconds", "Seconds of stream in which frames came.", lambda c, _: c.watched_s),
)
_DROPPED: tuple[tuple[str, Callable[[CameraReport], int]], ...] = (
    ("overload", lambda camera: camera.dropped),
    ("missing", lambda camera: camera.missing),
    ("unreadable", lambda camera: camera.unreadable),
)


class RunFamilies(Collector):
    """Collects the metrics of the last report. ``take`` is called by one thread, ``collect`` by any."""

    def __init__(self, node: str, version: str) -> None:
        self._node, self._version = node, version
        self._present: _Present | None = None

    def take(
        self,
        report: RunReport,
        facts: Mapping[str, CameraFacts],
        failures: Mapping[str, int],
        journal_bytes: int | None,
        verdicts: Mapping[str, int],
    ) -> None:
        """Replace what is shown.

        failures       sink -> what it could not store since the start
        journal_bytes  size of the journal; None without one
        verdicts       kind of verdict -> how many were given since the start
        """
        self._present = _Present(report, facts, failures, journal_bytes, verdicts)

    def collect(self) -> Iterator[Metric]:
        """The metrics, without cameras before the first report."""
        build = GaugeMetricFamily(
            f"{NAMESPACE}_build_info", "Version and name of this monitor; always 1.", labels=["version", "node"]
        )
        build.add_metric([self._version, self._node], 1.0)
        yield build
        present = self._present
        if present is None:
            return
        cameras = present.report.cameras
        for name, text, value in _GAUGES:
            gauge = GaugeMetricFamily(f"{NAMESPACE}_{name}", text, labels=["camera"])
            for camera in cameras:
                if (number := value(camera, present.facts.get(camera.name, CameraFacts()))) is not None:
                    gauge.add_metric([camera.name], number)
            yield gauge
        for name, text, value in _COUNTERS:
            counter = CounterMetricFamily(f"{NAMESPACE}_{name}", text, labels=["camera"])
            for camera in cameras:
                if (number := value(camera, CameraFacts())) is not None:
                    counter.add_metric([camera.name], number)
            yield counter
        yield from _states(cameras)
        dropped = CounterMetricFamily(
            f"{NAMESPACE}_frames_dropped", "Frames that were not analysed, by reason.", labels=["camera", "reason"]
        )
        for camera in cameras:
            for reason, number_of in _DROPPED:
                dropped.add_metric([camera.name, reason], number_of(camera))
        yield dropped
        yield GaugeMetricFamily(f"{NAMESPACE}_queue_frames", "Frames that wait.", value=present.report.queue_depth)
        yield CounterMetricFamily(f"{NAMESPACE}_run_seconds", "Age of the run.", value=present.report.elapsed_s)
        if present.journal_bytes is not None:
            yield GaugeMetricFamily(
                f"{NAMESPACE}_journal_size_bytes", "Size of the journal.", value=present.journal_bytes
            )
        failures = CounterMetricFamily(
            f"{NAMESPACE}_sink_failures", "Messages or files that a sink has lost.", labels=["sink"]
        )
        for sink, count in present.failures.items():
            failures.add_metric([sink], count)
        yield failures
        verdicts = CounterMetricFamily(
            f"{NAMESPACE}_feedback", "Verdicts that people have given about events.", labels=["verdict"]
        )
        for verdict, count in present.verdicts.items():
            verdicts.add_metric([verdict], count)
        yield verdicts


def _states(cameras: tuple[CameraReport, ...]) -> Iterator[Metric]:
    """One series per camera and state, so that an alarm rule can name a state; 1 for the present one."""
    states = GaugeMetricFamily(
        f"{NAMESPACE}_camera_state", "1 for the present state of the camera.", labels=["camera", "state"]
    )
    for camera in cameras:
        for state in CameraState:
            states.add_metric([camera.name, state.value], float(camera.state is state))
    yield states
