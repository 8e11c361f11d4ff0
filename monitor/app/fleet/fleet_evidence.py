"""Fetches the evidence of a fleet's alerts: which alerts, from which node, and what was fetched, for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from monitor.alerts.messages import AlertMessage
from monitor.client import AlertSubscriber
from monitor.errors import RefusedError, RunError, UsageError
from monitor.machines.evidence_fetcher import EvidenceFetcher, FolderError, MissingError
from monitor.text.wording import counted

WAIT_S = 10.0
"""A head that has sent nothing after this time counts as away."""


@dataclass
class EvidenceFound:
    """What was fetched. problems: one sentence each; the files of nodes that are away are not counted."""

    fetched: int = 0
    known: int = 0
    missing: int = 0
    problems: dict[str, None] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all was fetched that is written."""
        return not self.problems

    @property
    def lines(self) -> list[str]:
        """For people."""
        said = f"{counted(self.fetched, 'file')} fetched, {self.known} there already"
        if self.missing:
            said += f", {self.missing} not written yet or deleted"
        return [said, *self.problems]


def fetch_evidence(
    fetcher: EvidenceFetcher,
    alerts: str,
    to: Path,
    *,
    since: str,
    camera: str | None = None,
    event: str | None = None,
    keys: Path | None = None,
) -> EvidenceFound:
    """Fetch the evidence of all alerts that the head has sent since then, below ``to``.

    alerts  the address of alerts of the head. Raises UsageError if no such event is known, RunError if the head or the
    disk is away, RefusedError, ConfigError.
    """
    latest: dict[str, AlertMessage] = {}
    subscriber = AlertSubscriber(
        alerts, since=since, cameras=None if camera is None else [camera], keys=keys, follow=False, timeout_s=WAIT_S
    )
    for message in subscriber.alerts():
        if event in (None, message.event_id):
            latest[message.event_id] = message
    if not subscriber.heard_before:
        raise RunError(f"the head sends no alerts at {alerts}: start it, or name its address with --connect")
    if event is not None and not latest:
        raise UsageError(f"no event {event!r} since {since}: check its id, or look further back with --since")
    found = EvidenceFound()
    for message in latest.values():
        _fetch(fetcher, message, to, found)
    return found


def _fetch(fetcher: EvidenceFetcher, message: AlertMessage, to: Path, found: EvidenceFound) -> None:
    if message.lease is None:
        return  # of a gateway that is none: the files are where the monitor is
    for name in message.evidence:
        try:
            fresh = fetcher.fetch(message.lease.node, name, to)
        except MissingError:
            found.missing += 1
        except (FolderError, RefusedError, UsageError):
            raise
        except RunError as error:
            found.problems[str(error)] = None
            return
        else:
            found.fetched += fresh
            found.known += not fresh
