"""Which files a fleet's alerts name, and what is said of those that cannot be had."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import LeaseBody
from monitor.alerts.messages import AlertMessage
from monitor.app.fleet.fleet_evidence import fetch_evidence
from monitor.errors import UsageError
from monitor.machines.evidence_desk import EvidenceDesk
from monitor.machines.evidence_fetcher import EvidenceFetcher
from monitor.machines.store_server import StoreServer
from tests.helpers.alert_messages import an_alert_message
from tests.helpers.publishing import ANY
from tests.monitor.machines.test_fleet_network import pumped, wait_for
from tests.monitor.machines.test_gateway_server import TOKEN, open_publisher

NAMES = ("street/2026-03-02/101500.250-7-start.jpg", "street/2026-03-02/101500.250-7.mp4")


@contextmanager
def publishing(folder: Path, *messages: AlertMessage) -> Iterator[str]:
    """A gateway that has these alerts of the nodes ``north`` and ``south``, in turn. Yields its address of alerts."""
    ended, started, address = threading.Event(), threading.Event(), []

    def run() -> None:
        with Journal(folder / "journal.sqlite3") as journal, open_publisher(journal) as publisher:
            for number, message in enumerate(messages):
                lease = LeaseBody(node=("north", "south")[number % 2], epoch=1, seq=number + 1)
                publisher.publish_carried(message, None, lease)
            address.append(publisher.alerts_endpoint)
            started.set()
            while not ended.wait(0.05):
                publisher.tick(0.0)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(20.0)
    try:
        yield address[0]
    finally:
        ended.set()
        thread.join()


def test_the_files_of_all_alerts_are_fetched_and_a_node_that_is_away_is_named(tmp_path: Path) -> None:
    first = an_alert_message().model_copy(update={"event_id": "e-street-1", "evidence": NAMES})
    second = first.model_copy(update={"event_id": "e-street-2", "evidence": ("street/2026-03-02/101500.250-8.mp4",)})
    picture = tmp_path / "north" / NAMES[0]
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"jpeg")
    server = StoreServer(tmp_path / "store", ANY, TOKEN)
    with publishing(tmp_path, first, second) as alerts, pumped(server):
        endpoint = server.socket.endpoint
        with EvidenceDesk("north", tmp_path / "north", endpoint, TOKEN), EvidenceFetcher(endpoint, TOKEN) as fetcher:
            wait_for(lambda: "north" in server.relay.nodes, 10.0)
            found = fetch_evidence(fetcher, alerts, tmp_path / "here", since="30000d")
            again = fetch_evidence(fetcher, alerts, tmp_path / "here", since="30000d", event="e-street-1")
            with pytest.raises(UsageError, match="no event 'other'"):
                fetch_evidence(fetcher, alerts, tmp_path / "here", since="30000d", event="other")
    assert (tmp_path / "here" / NAMES[0]).read_bytes() == b"jpeg"
    assert not found.complete
    assert found.lines[0] == "1 file fetched, 0 there already, 1 not written yet or deleted"
    assert "south, which has the evidence, is away" in found.lines[1]
    assert (again.complete, again.fetched, again.known) == (True, 0, 1)
