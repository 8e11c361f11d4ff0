from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from monitor.app.config import MonitorConfig
from monitor.app.demo import where_pictures_are
from monitor.app.publishing import open_publishing
from monitor.errors import BindError


@pytest.fixture
def usual_port_in_use() -> Iterator[None]:
    with socket.socket() as other, suppress(OSError):  # if it cannot be bound, it is in use already
        other.bind(("127.0.0.1", 5560))
        other.listen()
        yield
        return
    yield


@pytest.mark.usefixtures("usual_port_in_use")
def test_the_demo_takes_free_ports_by_itself(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    settings = MonitorConfig.model_validate({"journal": {"path": tmp_path / "journal.sqlite3"}})
    with ExitStack() as stack:
        first = open_publishing(settings, stack, demo=True).publisher
        second = open_publishing(settings, stack, demo=True).publisher
        assert ":5560" not in first.alerts_endpoint + second.alerts_endpoint
        assert first.alerts_endpoint != second.alerts_endpoint
    assert not (tmp_path / "journal.sqlite3").exists(), "the demo's journal is temporary"
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert first.alerts_endpoint in told[0]


@pytest.mark.usefixtures("usual_port_in_use")
def test_other_runs_name_every_flag_of_a_port(tmp_path: Path) -> None:
    settings = MonitorConfig.model_validate({"journal": {"path": tmp_path / "journal.sqlite3"}})
    flags = r"--alerts tcp://\S+:\d+ --scores tcp://\S+:\d+ --history tcp://\S+:\d+$"
    with ExitStack() as stack, pytest.raises(BindError, match=flags):
        open_publishing(settings, stack, demo=False)


@pytest.mark.usefixtures("usual_port_in_use")
def test_an_address_that_the_user_gave_to_the_demo_is_not_replaced() -> None:
    given = {
        "publish": {"alerts": "tcp://127.0.0.1:5560", "scores": "tcp://127.0.0.1:*"},
        "journal": {"enabled": False},
    }
    with ExitStack() as stack, pytest.raises(BindError, match="is in use"):
        open_publishing(MonitorConfig.model_validate(given), stack, demo=True)


def test_the_demo_leads_to_its_pictures(tmp_path: Path) -> None:
    assert re.search("--demo --evidence demo-evidence$", where_pictures_are(None))
    assert where_pictures_are(tmp_path) == f"No picture is in {tmp_path} yet."
    picture = tmp_path / "demo" / "2026-01-07" / "101500.000-1-peak.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"")
    assert where_pictures_are(tmp_path) == f"A picture of its last alert: {picture}"
