"""Opens the journal and the publisher of a run. The demo takes free ports if the usual ones are in use."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from monitor.alerts.binding import is_exposed, listen
from monitor.alerts.earlier_alerts import earlier_alerts
from monitor.alerts.earlier_budgets import Counted, earlier_budgets
from monitor.alerts.endpoints import check_endpoint, control_beside
from monitor.alerts.journal import Journal
from monitor.alerts.messages import AlertMessage
from monitor.alerts.publisher import Publisher
from monitor.app.config import JournalConfig, MonitorConfig, PublishConfig
from monitor.errors import BindError

log = logging.getLogger("monitor")

_FREE = "tcp://127.0.0.1:*"


@dataclass(frozen=True, slots=True)
class Publishing:
    """What a run publishes with.

    journal  None if the journal is disabled
    earlier  the last alerts of earlier runs, oldest first
    counted  camera -> what earlier runs have counted of its alarms, oldest first
    """

    publisher: Publisher
    journal: Journal | None
    earlier: tuple[AlertMessage, ...]
    counted: Mapping[str, Sequence[Counted]]


def open_publishing(settings: MonitorConfig, stack: ExitStack, *, demo: bool) -> Publishing:
    """Open the journal and the publisher until ``stack`` is closed. The demo's journal is temporary. Raises BindError.

    A restarted publisher ends the events that a killed run left open: the earlier alerts include these ends.
    """
    journal = _open_journal(settings.journal, stack, demo=demo)
    publisher = _open_publisher(settings, stack, journal, demo=demo)
    if journal is None:
        return Publishing(publisher, None, (), {})
    now = time.time()
    return Publishing(publisher, journal, tuple(earlier_alerts(journal, now)), earlier_budgets(journal, now))


def _open_publisher(settings: MonitorConfig, stack: ExitStack, journal: Journal | None, *, demo: bool) -> Publisher:
    publish = settings.publish
    try:
        return stack.enter_context(_publisher(settings, publish, journal))
    except BindError:
        if not (demo and _is_usual(publish)):
            raise
    publish = publish.model_copy(update={"alerts": _FREE, "scores": _FREE, "history": _FREE, "control": "beside"})
    publisher = stack.enter_context(_publisher(settings, publish, journal))
    log.warning(
        "the usual ports are in use, perhaps by another monitor, so the demo publishes its alerts at %s",
        publisher.alerts_endpoint,
    )
    return publisher


def _is_usual(publish: PublishConfig) -> bool:
    usual = PublishConfig()
    return (publish.alerts, publish.scores, publish.history) == (usual.alerts, usual.scores, usual.history)


def control_address(publish: PublishConfig) -> str | None:
    """Where the control socket is to be bound; None if there is none. The usual address must be free, and safe.

    Raises ConfigError if the alerts address is malformed.
    """
    if publish.control == "off":
        return None
    if publish.control != "beside":
        return publish.control
    check_endpoint(publish.alerts)
    endpoint = control_beside(publish.alerts)
    if publish.keys is None and is_exposed(endpoint):
        if publish.insecure:  # otherwise the alerts address is refused, which says what to do
            log.warning("control is off, because other machines could reach it without keys: set keys under [publish]")
        return None
    try:
        listen(endpoint).close()
    except BindError as error:
        log.warning("control is off: %s; or set control under [publish], or --control", error)
        return None
    return endpoint


def _publisher(settings: MonitorConfig, publish: PublishConfig, journal: Journal | None) -> Publisher:
    return Publisher(
        publish.alerts,
        publish.scores,
        publish.history,
        control_address(publish),
        node=settings.node,
        insecure=publish.insecure,
        keys=publish.keys,
        journal=journal,
    )


def _open_journal(settings: JournalConfig, stack: ExitStack, *, demo: bool) -> Journal | None:
    """The journal, open until ``stack`` is closed; the demo uses a temporary one. None if the journal is disabled."""
    if not settings.enabled:
        return None
    path = settings.path
    if demo:
        path = Path(stack.enter_context(TemporaryDirectory())) / path.name
    journal = Journal(path, days=settings.days, max_mb=settings.max_mb, fsync=settings.fsync)
    return stack.enter_context(journal)
