"""What the metrics count as lost: files of evidence, and messages that a receiver never got."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.app.config import MonitorConfig
from monitor.app.metrics_serving import losses
from monitor.delivery.ledger import Ledger
from monitor.delivery.outbox_sink import Outbox
from monitor.reports import RunReport
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.evidence.evidence_sink import EvidenceSink
from monitor.testing.receivers import ScriptedReceiver
from tests.helpers.publishing import ANY, publish_alert


@pytest.mark.parametrize("kept", [False, True])
def test_messages_too_old_for_a_receiver_are_counted_beside_evidence(tmp_path: Path, kept: bool) -> None:
    evidence = EvidenceSink(EvidenceSettings(enabled=kept, folder=tmp_path), stop=threading.Event())
    receiver = ScriptedReceiver("webhook.house")
    receiver.keep_s = -1.0
    settings = MonitorConfig(evidence=EvidenceSettings(enabled=kept, folder=tmp_path))
    with (
        Journal(tmp_path / "journal.sqlite3") as journal,
        Ledger(tmp_path / "outbox.sqlite3") as ledger,
        Publisher(ANY, ANY, ANY, journal=journal) as publisher,
        Outbox(journal, ledger, [receiver], stop=threading.Event()) as outbox,
    ):
        lost = losses(settings, evidence, [evidence, outbox])
        publish_alert(publisher, "door")
        publish_alert(publisher, "yard")
        outbox.tick(RunReport(0.0, 0, ()))
    assert receiver.keys == []
    assert lost() == {"webhook.house": 2} | ({"evidence": 0} if kept else {})
