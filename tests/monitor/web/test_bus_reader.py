"""The page on the bus: what was before comes from the journal, what is now at once, and an absence is noticed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from monitor.errors import ConfigError
from monitor.testing.captured import eventually
from monitor.web.board import Board
from monitor.web.bus_reader import BusAddress, BusReader, News
from monitor.web.event_store import EventStore, Wanted
from tests.helpers.publishing import ANY, publish_alert
from tests.helpers.small_monitor import SmallMonitor
from tests.helpers.web_page import JPEG


def test_earlier_events_come_from_the_journal_and_new_ones_at_once(tmp_path: Path) -> None:
    told: list[News] = []
    with EventStore() as store:
        board = Board()
        with SmallMonitor(tmp_path, ANY, ANY, ANY) as monitor:
            with BusReader(monitor.address, store, board, told.append):
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
                with SmallMonitor(tmp_path, *addresses):
                    assert eventually(lambda: board.link()["state"] == "connected")
                    expected = 3 * (run + 1)
                    assert eventually(lambda: store.count(Wanted()) == expected)  # noqa: B023 - called at once
                if run == 0:
                    assert eventually(lambda: board.link()["state"] == "silent")


def test_wrong_addresses_and_keys_are_refused_at_once(tmp_path: Path) -> None:
    with EventStore() as store:
        for address in (BusAddress("nowhere", None), BusAddress("tcp://h:1", None, keys=tmp_path / "none")):
            with pytest.raises(ConfigError):
                BusReader(address, store, Board(), lambda _: None)
