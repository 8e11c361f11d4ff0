"""Starts the metrics of a run. prometheus-client is loaded only if they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack

from monitor import __version__
from monitor.alerts.journal import Journal
from monitor.app.config import MonitorConfig
from monitor.live.sink import Sink

log = logging.getLogger("monitor")


def serve_metrics(
    settings: MonitorConfig, stack: ExitStack, journal: Journal | None, lost: Callable[[], int] | None
) -> Sink:
    """The sink of the metrics; they are served until ``stack`` is closed. Raises BindError.

    journal  None without one
    lost     returns the number of evidence files that were lost; None without evidence
    """
    from monitor.sinks.metrics.metrics_sink import MetricsSink, StoreFigures

    def store(of: Journal) -> StoreFigures:
        return StoreFigures(of.failing, of.unjournalled, of.size_bytes)

    sink = MetricsSink(
        settings.metrics,
        node=settings.node,
        version=__version__,
        store=None if journal is None else lambda: store(journal),
        lost=lost,
    )
    stack.enter_context(sink)
    log.info("metrics are served at %s/metrics, health at /livez and /readyz", sink.address)
    return sink
