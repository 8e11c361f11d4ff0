"""What earlier runs have counted comes back from the journal."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from monitor.alerts.earlier_budgets import earlier_budgets
from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.judging.alarm_rate import rate_of
from tests.helpers.publishing import ANY, publish_alert

HOUR = rate_of(1, 3600.0, 1.0)


def test_all_that_was_added_is_found_and_a_damaged_message_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal(path) as journal, Publisher(ANY, ANY, journal=journal) as publisher:
        for alarms in range(3):
            publisher.publish_budget("door", HOUR, added_alarms=alarms, added_s=60.0)
            publish_alert(publisher)
        publisher.publish_budget("yard", HOUR, added_alarms=0, added_s=0.5, added_blind_s=9.5)
    with Journal(path) as journal:
        assert earlier_budgets(journal, time.time()) == {
            "door": [(60.0, 0, 0.0), (60.0, 1, 0.0), (60.0, 2, 0.0)],
            "yard": [(0.5, 0, 9.5)],
        }
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("UPDATE messages SET body = '{' WHERE topic = 'budget/door/' AND seq = 2")
    with Journal(path) as journal:
        assert earlier_budgets(journal, time.time())["door"] == [(60.0, 0, 0.0), (60.0, 2, 0.0)]
