"""Messages in the journal that cannot be read: the client gets all others, and says what is missing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import zmq
from typer.testing import CliRunner

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.client import AlertSubscriber, Item, Malformed, NoRepair, Received, Unreadable
from monitor.client.__main__ import app
from tests.helpers.publishing import ANY, DEADLINE_S, publish_alert, running_publisher


@contextmanager
def damaged(folder: Path, *statements: str) -> Iterator[Publisher]:
    """A monitor that runs in a thread. The journal of its earlier run, with four alerts, has been changed."""
    path = folder / "journal.sqlite3"
    with Journal(path) as journal, Publisher(ANY, ANY, journal=journal) as publisher:
        for _ in range(4):
            publish_alert(publisher)
        publisher._history.open.clear()
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("DELETE FROM open_events")
        for statement in statements:
            rows.execute(statement)
    with running_publisher(path) as publisher:
        yield publisher


SECOND = "WHERE position = (SELECT position FROM messages ORDER BY position LIMIT 1 OFFSET 1)"
BAD_FIELD = f"UPDATE messages SET body = replace(body, '\"notify\"', '\"notice\"') {SECOND}"  # noqa: S608
BAD_ROW = f"UPDATE messages SET epoch = x'00' {SECOND}"  # noqa: S608


def received(publisher: Publisher) -> list[Item]:
    with AlertSubscriber(
        publisher.alerts_endpoint, since="1h", follow=False, timeout_s=DEADLINE_S, silence_s=DEADLINE_S
    ) as subscriber:
        return list(subscriber)


@pytest.mark.parametrize(("change", "kind"), [(BAD_FIELD, Malformed), (BAD_ROW, Unreadable)])
def test_one_bad_message_does_not_hide_the_page(tmp_path: Path, change: str, kind: type[Item]) -> None:
    with damaged(tmp_path, change) as publisher:
        items = received(publisher)
    assert [item.message.seq for item in items if isinstance(item, Received)] == [1, 3, 4]
    assert [type(item) for item in items if isinstance(item, Malformed | Unreadable | NoRepair)] == [kind]


@pytest.mark.parametrize("change", [BAD_FIELD, BAD_ROW])
def test_the_program_shows_the_others_says_what_is_missing_and_ends_with_1(tmp_path: Path, change: str) -> None:
    with damaged(tmp_path, change) as publisher:
        result = CliRunner().invoke(app, ["--endpoint", publisher.alerts_endpoint, "--since", "1h", "--no-follow"])
    assert result.stdout.count("START") == 3
    assert "1 message could not be read and cannot be shown" in result.stderr.splitlines()[-1]
    assert result.exit_code == 1


def test_a_journal_without_faults_ends_with_0(tmp_path: Path) -> None:
    with damaged(tmp_path) as publisher:
        result = CliRunner().invoke(app, ["--endpoint", publisher.alerts_endpoint, "--since", "1h", "--no-follow"])
    assert result.stdout.count("START") == 4
    assert result.exit_code == 0


def test_a_history_elsewhere_is_not_followed_and_said(tmp_path: Path) -> None:
    trap = f"ipc://{tmp_path}/trap"
    with zmq.Context() as context, context.socket(zmq.XPUB) as xpub, context.socket(zmq.ROUTER) as router:
        xpub.linger = router.linger = 0
        xpub.bind(ANY)
        router.bind(trap)
        with AlertSubscriber(xpub.get_string(zmq.LAST_ENDPOINT), timeout_s=DEADLINE_S) as subscriber:
            for _ in range(3):  # alerts, health, heartbeats
                assert xpub.poll(int(DEADLINE_S * 1000))
                xpub.recv()
            body = {"schema": 1, "node": "lab", "epoch": "e1", "seq": 1, "sent_at": 1.5e9, "last_seq": {}}
            xpub.send_multipart([b"heartbeat/", json.dumps(body | {"position": 5, "history": trap}).encode()])
            item = next(item for item in subscriber if isinstance(item, NoRepair))
        assert "to which this client does not go by itself" in item.reason
        assert not router.poll(50)
