"""The page on the bus: what was before comes from the journal, what is now at once, and an absence is noticed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.errors import ConfigError
from monitor.states import AlertEvent, CameraState, Phase
from monitor.testing.captured import DEADLINE_S, eventually
from monitor.web.board import Board
from monitor.web.bus_reader import BusAddress, BusReader, News
from monitor.web.event_store import EventStore, Wanted
from tests.helpers.publishing import ANY, publish_alert
from tests.helpers.web_page import JPEG


class Monitor:
    """A publisher with a journal, in a thread that alone uses them. It has had three events of the camera ``door``."""

    def __init__(self, folder: Path, *addresses: str) -> None:
        self._folder, self._addresses = folder, addresses
        self._work: deque[Callable[[Publisher], object]] = deque()
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def do(self, work: Callable[[Publisher], object]) -> None:
        self._work.append(work)

    def _run(self) -> None:
        with (
            Journal(self._folder / "journal.sqlite3") as journal,
            Publisher(*self._addresses, node="lab", journal=journal) as publisher,
        ):
            self.address = BusAddress(publisher.alerts_endpoint, publisher.scores_endpoint)
            for number in (1, 2, 3):
                start = AlertEvent(number, Phase.START, 1.0, None, 1.2, 1.5 + number, 1.0, notify=True)
                publish_alert(publisher, "door", start, JPEG)
                publish_alert(publisher, "door", replace(start, phase=Phase.END, ended_s=2.0), JPEG)
            publisher.publish_health("door", CameraState.ONLINE, since=1.5e9)
            self._ready.set()
            while not self._stop.wait(0.01):
                while self._work:
                    self._work.popleft()(publisher)
                publisher.tick(time.monotonic())


def test_earlier_events_come_from_the_journal_and_new_ones_at_once(tmp_path: Path) -> None:
    told: list[News] = []
    with EventStore() as store:
        board = Board()
        with Monitor(tmp_path, ANY, ANY, ANY) as monitor:
            at = monitor.publisher
            address = BusAddress(at.alerts_endpoint, at.scores_endpoint)
            with BusReader(address, store, board, told.append):
                assert eventually(lambda: board.link()["history"] == "complete")
                assert store.count(Wanted(camera="door")) == 3
                assert store.pictures(store.page(Wanted(), None, 1)[0][0].key) == {"picture", "heat"}
                assert [camera["state"] for camera in board.cameras()] == ["online"]
                assert board.link()["state"] == "connected"
                monitor.do(lambda publisher: publish_alert(publisher, "yard", jpeg=JPEG))
                assert eventually(lambda: any(news.kind == "alert" and news.event for news in told))
                assert store.count(Wanted()) == 4
                monitor.do(
                    lambda publisher: publisher.publish_score(
                        "door", time_s=1.0, frame_index=1, score=0.7, captured_at=time.time(), raw={}
                    )
                )
                assert eventually(lambda: (board.camera("door") or {}).get("score") == 0.7)
                monitor.do(lambda publisher: publisher.end("done"))
                assert eventually(lambda: board.link()["state"] == "ended")
            assert [camera["mood"] for camera in board.cameras()] == ["gone"]


def test_a_monitor_that_comes_late_and_again_is_found(tmp_path: Path) -> None:
    addresses = [f"ipc://{tmp_path}/{name}" for name in ("alerts", "scores", "history")]
    with EventStore() as store:
        board = Board()
        with BusReader(BusAddress(addresses[0], addresses[1]), store, board, lambda _: None):
            for run in range(2):
                with Monitor(tmp_path, *addresses):
                    assert eventually(lambda: board.link()["state"] == "connected")
                    expected = 3 * (run + 1)
                    assert eventually(lambda: store.count(Wanted()) == expected)  # noqa: B023 - called at once
                assert eventually(lambda: board.link()["state"] == "silent")


def test_wrong_addresses_and_keys_are_refused_at_once(tmp_path: Path) -> None:
    with EventStore() as store:
        for address in (BusAddress("nowhere", None), BusAddress("tcp://h:1", None, keys=tmp_path / "none")):
            with pytest.raises(ConfigError):
                BusReader(address, store, Board(), lambda _: None)
