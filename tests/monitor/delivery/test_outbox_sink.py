"""The threads of the outbox: no receiver delays the main thread, and the end of a run waits for deliveries."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.delivery import outbox_sink as outboxes
from monitor.delivery.ledger import Ledger
from monitor.delivery.notice import Notice
from monitor.delivery.outbox_sink import Outbox
from monitor.reports import RunReport
from monitor.testing.receivers import ScriptedReceiver
from tests.helpers.publishing import ANY, publish_alert

NOTHING = RunReport(0.0, 0, ())


class HangingReceiver(ScriptedReceiver):
    """A delivery hangs until it is interrupted."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.begun, self.released = threading.Event(), threading.Event()

    def deliver(self, notice: Notice, *, late: bool) -> None:
        self.begun.set()
        assert self.released.wait(60)
        super().deliver(notice, late=late)

    def interrupt(self) -> None:
        self.failing = True
        self.released.set()


def test_the_end_of_a_run_waits_for_deliveries(tmp_path: Path) -> None:
    receiver = ScriptedReceiver()
    with (
        Journal(tmp_path / "journal.sqlite3") as journal,
        Ledger(tmp_path / "outbox.sqlite3") as ledger,
        Publisher(ANY, ANY, ANY, journal=journal) as publisher,
        Outbox(journal, ledger, [receiver], stop=threading.Event()) as outbox,
    ):
        ids = [publish_alert(publisher, f"cam{number}").event_id for number in range(120)]
        outbox.tick(NOTHING)
    assert receiver.keys == [f"{event_id}:start" for event_id in ids]


def test_one_hanging_receiver_delays_neither_the_main_thread_nor_another_receiver(tmp_path: Path) -> None:
    hanging, quick = HangingReceiver("webhook.hanging"), ScriptedReceiver("webhook.quick")
    stop = threading.Event()
    with (
        Journal(tmp_path / "journal.sqlite3") as journal,
        Ledger(tmp_path / "outbox.sqlite3") as ledger,
        Publisher(ANY, ANY, ANY, journal=journal) as publisher,
        Outbox(journal, ledger, [hanging, quick], stop=stop) as outbox,
    ):
        for number in range(60):
            publish_alert(publisher, f"cam{number}")
        deadline = time.monotonic() + 60
        while len(quick.accepted) < 60 or not hanging.begun.is_set():
            outbox.tick(NOTHING)
            outbox._feed.await_request(0.01)
            assert time.monotonic() < deadline
        assert hanging.accepted == []
        stop.set()
        began = time.monotonic()
    assert time.monotonic() - began < outboxes.HURRY_S + outboxes.GRACE_S + 10
    with Journal(tmp_path / "journal.sqlite3") as journal, Ledger(tmp_path / "outbox.sqlite3") as ledger:
        later = ScriptedReceiver("webhook.hanging")
        with Outbox(journal, ledger, [later], stop=threading.Event()):
            pass
    assert later.keys == quick.keys, "the next run sends the rest"


def test_the_end_does_not_wait_for_a_receiver_that_fails(tmp_path: Path) -> None:
    receiver = ScriptedReceiver()
    receiver.failing = True
    began = time.monotonic()
    with (
        Journal(tmp_path / "journal.sqlite3") as journal,
        Ledger(tmp_path / "outbox.sqlite3") as ledger,
        Publisher(ANY, ANY, ANY, journal=journal) as publisher,
        Outbox(journal, ledger, [receiver], stop=threading.Event()),
    ):
        publish_alert(publisher)
    assert time.monotonic() - began < outboxes.END_S
