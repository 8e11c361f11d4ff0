"""``python -m monitor.client budget``: the promise beside what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.alerts.messages import AlertMessage
from monitor.alerts.publisher import Publisher
from monitor.client import AlertSubscriber, Received
from monitor.client.__main__ import app
from monitor.judging.alarm_rate import rate_of
from monitor.promise import DAY_S
from tests.helpers.publishing import DEADLINE_S, publish_alert, running_publisher


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Publisher]:
    """A monitor that runs in a thread and has sent the figures of two cameras, and an alert."""

    def begin(publisher: Publisher) -> None:
        publisher.publish_budget("door", rate_of(0, 60.0, 1.0), added_alarms=0, added_s=60.0)
        publish_alert(publisher)
        publisher.publish_budget("yard", rate_of(61, DAY_S, 1.0), added_alarms=61, added_s=DAY_S)
        publisher.publish_budget("door", rate_of(4, 3 * DAY_S, 1.0), added_alarms=4, added_s=3 * DAY_S)

    with running_publisher(tmp_path / "journal.sqlite3", begin) as publisher:
        yield publisher


def test_the_last_figures_of_each_camera_are_shown_and_a_broken_promise_is_an_exit_code(monitor: Publisher) -> None:
    done = CliRunner().invoke(app, ["budget", "--endpoint", monitor.alerts_endpoint])
    assert done.exit_code == 3, done.output
    assert done.stdout.splitlines() == [
        "door  1.3 alarms per day (0.36 to 3.4) in 72 h, promised 1",
        "yard  61 alarms per day (47 to 78) in 24 h, promised 1: the promise is broken",
    ]
    one = CliRunner().invoke(app, ["budget", "--endpoint", monitor.alerts_endpoint, "--camera", "door", "--json"])
    assert one.exit_code == 0, one.output
    assert json.loads(one.stdout)["alarms"] == 4


def test_no_monitor_is_one_sentence() -> None:
    done = CliRunner().invoke(app, ["budget", "--endpoint", "tcp://127.0.0.1:9", "--timeout", "0.2"])
    assert done.exit_code == 1
    assert "no monitor answered at tcp://127.0.0.1:9 within 0.2 s" in done.stderr


def test_budgets_between_alerts_hold_up_no_subscriber_of_alerts(monitor: Publisher) -> None:
    with AlertSubscriber(monitor.alerts_endpoint, since="1h", follow=False, timeout_s=DEADLINE_S) as subscriber:
        messages = [item.message for item in subscriber if isinstance(item, Received)]
    assert [type(message) for message in messages] == [AlertMessage]
