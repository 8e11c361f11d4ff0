from __future__ import annotations

from pathlib import Path

import pytest

from monitor.alerts.earlier_alerts import earlier_alerts
from monitor.alerts.journal import Journal
from monitor.alerts.journal_rows import Entry
from monitor.alerts.messages import encode
from tests.helpers.alert_messages import an_alert_message

NOW = 1.7e9
HOUR_S = 3600.0


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.sqlite3")


def store(journal: Journal, ages_s: list[float], *, topic: str = "alert/gate/", body: bytes | None = None) -> None:
    for age_s in ages_s:
        position, sent_at = journal.last_position + 1, NOW - age_s
        told = encode(an_alert_message(event_id=f"event-{position}", sent_at=sent_at)) if body is None else body
        assert journal.append(Entry(position, sent_at, "e1", topic, position, told, b"picture"), {})


def ages_s(journal: Journal) -> list[float]:
    return [round(NOW - message.sent_at) for message in earlier_alerts(journal, NOW)]


def test_it_looks_back_as_far_as_it_must(journal: Journal) -> None:
    with journal:
        assert ages_s(journal) == []
        store(journal, [8 * 24 * HOUR_S])
        assert ages_s(journal) == [], "too long ago"
        store(journal, [6 * 24 * HOUR_S, 3 * HOUR_S, 60.0])
        assert ages_s(journal) == [6 * 24 * HOUR_S, 3 * HOUR_S, 60.0]
        store(journal, [50.0] * 50)
        assert ages_s(journal) == [60.0] + [50.0] * 50, "enough of the last hour"


def test_one_bad_message_hides_no_other(journal: Journal) -> None:
    with journal:
        store(journal, [90.0])
        store(journal, [80.0], body=b"{")
        store(journal, [80.0], body=b"")
        store(journal, [70.0], topic="health/gate/", body=b"{}")
        store(journal, [60.0], topic="alert/another/")
        store(journal, [50.0])
        assert ages_s(journal) == [90.0, 50.0]


def test_very_many_are_bounded_and_the_last_ones_are_kept(journal: Journal) -> None:
    with journal:
        store(journal, [float(age) for age in range(1000, 0, -1)])
        assert ages_s(journal) == list(range(400, 0, -1))
