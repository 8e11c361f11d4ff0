"""An event that the gateway has told is found: at once, or in its journal."""

from __future__ import annotations

from pathlib import Path

from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import LeaseBody
from monitor.machines.told_events import Found, ToldEvent, ToldEvents
from tests.helpers.alert_messages import an_alert_message
from tests.monitor.machines.test_gateway_server import open_publisher


def found(steps: Found) -> ToldEvent | None:
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            result: ToldEvent | None = ended.value
            return result


def test_an_event_is_found_in_the_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite3") as journal, open_publisher(journal) as publisher:
        for number, notify in ((1, True), (2, True), (3, False)):
            message = an_alert_message(event_id=f"e-gate-{number}", notify=notify)
            publisher.publish_carried(message, None, LeaseBody(node=f"node{number}", epoch=1, seq=number))
        events = ToldEvents(journal)
        assert found(events.find("e-gate-1")) == ToldEvent("e-gate-1", "gate", "node1")
        assert found(events.find("e-gate")) is None
        assert found(events.last("gate")) == ToldEvent("e-gate-2", "gate", "node2")
        assert found(events.last("yard")) is None
        events.note(an_alert_message(event_id="e-gate-4"), "node4")
        assert found(events.last("gate")) == found(events.find("e-gate-4")) == ToldEvent("e-gate-4", "gate", "node4")
