"""The sink that serves Prometheus metrics: figures of the run and of each camera."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.live.sink import Sink
from monitor.reports import RunReport
from monitor.sinks.metrics.families import NAMESPACE, CameraFacts, RunFamilies
from monitor.sinks.metrics.metrics_server import Answer, MetricsServer
from monitor.sinks.metrics.metrics_settings import MetricsSettings
from monitor.types import ScoredFrame

HANGS_AFTER_S = 30.0
"""A main loop that has not come round for this long has stopped."""
_AGES_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STAGES_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """How the journal is doing.

    failing     True if the last message could not be stored
    unstored    messages since the start that could not be stored
    size_bytes  size of the file
    """

    failing: bool
    unstored: int
    size_bytes: int


class MetricsSink(Sink):
    """A context manager: within it, metrics are served by threads of their own.

    store  returns the figures of the journal; None without one. The main thread calls it
    lost   returns sink -> messages or files that it has lost since the start. The main thread calls it
    given  returns kind of verdict -> how many people have given since the start. The main thread calls it
    clock  time.monotonic

    The main thread replaces what the other threads read as a whole. On entry, raises BindError.
    """

    def __init__(
        self,
        settings: MetricsSettings,
        *,
        node: str,
        version: str,
        store: Callable[[], StoreFigures] | None = None,
        lost: Callable[[], Mapping[str, int]] = dict,
        given: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store, self._lost, self._given, self._clock = store, lost, given, clock
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._ages = Histogram(
            "frame_age_seconds",
            "From the time a frame was read until it was scored.",
            ["camera"],
            namespace=NAMESPACE,
            buckets=_AGES_S,
            registry=self._registry,
        )
        self._stages = Histogram(
            "stage_duration_seconds",
            "Seconds per frame in each stage on its way from the camera to its judgement.",
            ["stage", "detector"],
            namespace=NAMESPACE,
            buckets=_STAGES_S,
            registry=self._registry,
        )
        self._families = RunFamilies(node, version)
        self._registry.register(self._families)
        self._facts: dict[str, CameraFacts] = {}
        self._present: StoreFigures | None = None
        self._looked_at = float("-inf")
        self._ticked_at: float | None = None
        self._stack = ExitStack()
        self.address = ""
        """Where the metrics are served, ``http://HOST:PORT``; empty before the start."""

    def __enter__(self) -> Self:
        answers = {"/metrics": self._metrics, "/livez": self._livez, "/readyz": self._readyz}
        self.address = self._stack.enter_context(MetricsServer(*self._settings.address, answers)).address
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # The main thread

    def added(self, monitor: CameraMonitor) -> None:
        """Note what the threshold of the camera rests on."""
        scale = monitor.scale
        self._note(monitor.camera, extrapolation=scale.supported_per_day / scale.false_alarms_per_day)

    def score(self, judgement: Judgement) -> None:
        """Count the age of the frame and its time in each stage."""
        frame = judgement.scored.frame
        for stage, detector, took_s in stages_of(judgement.scored, self._clock()):
            self._stages.labels(stage, detector).observe(max(0.0, took_s))
        self._ages.labels(frame.camera).observe(max(0.0, judgement.scored.scored_at - frame.captured_at))
        self._note(frame.camera, last_frame_at=frame.wall_time)

    def removed(self, camera: str) -> None:
        """Forget the camera."""
        self._facts.pop(camera, None)
        if (camera,) in self._ages._metrics:
            self._ages.remove(camera)

    def tick(self, report: RunReport) -> None:
        """Take the figures of the run."""
        now = self._clock()
        self._ticked_at = now
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self._present = None if self._store is None else self._store()
        store = self._present
        failures = dict(self._lost())
        if store is not None:
            failures["journal"] = store.unstored
        size = None if store is None else store.size_bytes
        self._families.take(report, dict(self._facts), failures, size, dict(self._given()))

    def _note(self, camera: str, **changes: float) -> None:
        self._facts[camera] = self._facts.get(camera, CameraFacts()).but(**changes)

    # The threads of the server

    def _metrics(self, _verbose: bool) -> Answer:
        return Answer(200, generate_latest(self._registry), CONTENT_TYPE_LATEST)

    def _livez(self, verbose: bool) -> Answer:
        """Whether the process works at all. A dead camera does not count: to start again would not bring it back."""
        return _checked({"main loop": self._loop_problem()}, verbose=verbose)

    def _readyz(self, verbose: bool) -> Answer:
        """Whether the run is set up and its journal works. Once the loop runs, models are loaded and sockets bound."""
        store = self._present
        failing = "cannot be written" if store is not None and store.failing else ""
        return _checked({"main loop": self._loop_problem(), "journal": failing}, verbose=verbose)

    def _loop_problem(self) -> str:
        ticked_at = self._ticked_at
        if ticked_at is None:
            return "has not begun"
        waits_s = self._clock() - ticked_at
        return f"has not come round for {waits_s:.0f} s" if waits_s > HANGS_AFTER_S else ""


def stages_of(scored: ScoredFrame, now: float) -> Iterator[tuple[str, str, float]]:
    """The stages of a frame: name, detector (only of ``detect``), seconds. None if they were not measured.

    now  time.monotonic() at which the frame has been judged
    """
    frame = scored.frame
    if scored.started_at is None:
        return
    yield "prepare", "", frame.prepared_s
    yield "wait", "", scored.started_at - frame.captured_at - frame.prepared_s
    for detector, took_s in scored.took:
        yield "detect", detector, took_s
    yield "judge", "", now - scored.scored_at


def _checked(problems: dict[str, str], *, verbose: bool) -> Answer:
    """200 if there is no problem, otherwise 503; verbose: one line per check."""
    healthy = not any(problems.values())
    lines = [f"[{'-' if why else '+'}] {name} {why or 'ok'}" for name, why in problems.items()]
    text = "\n".join([*lines, "ok" if healthy else "not ok"] if verbose or not healthy else ["ok"])
    return Answer(200 if healthy else 503, f"{text}\n".encode(), "text/plain; charset=utf-8")
