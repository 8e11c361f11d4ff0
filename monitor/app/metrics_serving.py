"""Starts the metrics of a run. prometheus-client is loaded only if they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from monitor import __version__
from monitor.alerts.journal import Journal
from monitor.app.config import MonitorConfig
from monitor.delivery.outbox_sink import Outbox
from monitor.live.sink import Sink
from monitor.sinks.evidence.evidence_sink import EvidenceSink

log = logging.getLogger("monitor")


def losses(settings: MonitorConfig, evidence: EvidenceSink, sinks: Sequence[Sink]) -> Callable[[], Mapping[str, int]]:
    """Returns what has been lost since the start: files of evidence, and messages that each receiver never got."""
    return lost_of(sinks, (lambda: evidence.disk.lost) if settings.evidence.enabled else None)


def lost_of(sinks: Sequence[Sink], evidence: Callable[[], int] | None) -> Callable[[], Mapping[str, int]]:
    """As ``losses``. evidence: returns the lost files of evidence; None if none is kept."""
    couriers = [courier for sink in sinks if isinstance(sink, Outbox) for courier in sink.couriers]

    def lost() -> dict[str, int]:
        found = {courier.receiver.name: courier.figures.refused + courier.figures.expired for courier in couriers}
        return found | ({} if evidence is None else {"evidence": evidence()})

    return lost


def serve_metrics(
    settings: MonitorConfig,
    stack: ExitStack,
    journal: Journal | None,
    lost: Callable[[], Mapping[str, int]],
    given: Callable[[], Mapping[str, int]] = dict,
) -> Sink:
    """The sink of the metrics; they are served until ``stack`` is closed. Raises BindError.

    journal  None without one
    lost, given  see MetricsSink
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
        given=given,
    )
    stack.enter_context(sink)
    log.info("metrics are served at %s/metrics, health at /livez and /readyz", sink.address)
    return sink
