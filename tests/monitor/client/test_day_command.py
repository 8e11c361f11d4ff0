"""``python -m monitor.client day``: the most unusual moments of a day, ranked, with how rare they are."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitor.alerts.message_parts import ModelRef, ReasonBody
from monitor.alerts.messages import AlertMessage, MomentMessage, RankedMoment
from monitor.alerts.publisher import Publisher
from monitor.client import AlertSubscriber, Received
from monitor.client.__main__ import app
from monitor.client.ranked_days import RankedDays
from monitor.errors import ConfigError
from monitor.states import Reason
from tests.helpers.publishing import DEADLINE_S, publish_alert, running_publisher

TODAY = date.today()
YESTERDAY = TODAY - timedelta(days=1)
Ranks = Sequence[tuple[str, float, str]]


def body(moment_id: str, day: date, ranking: Ranks, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "moment_id": moment_id,
        "at": time.time(),
        "local": f"{day}T14:07:31.000+01:00",
        "day": str(day),
        "media_s": None,
        "score": 0.5,
        "event_id": None,
        "reasons": (ReasonBody.of(Reason("speed", 88.0, 24.0, "px/s")),),
        "model": ModelRef(id="street", hash="ab12"),
        "per_day": 10,
        "watched_s": 60.0,
        "ranking": tuple(RankedMoment(moment_id=one, score=score, rare=rare) for one, score, rare in ranking),
    }
    return values | changes


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Publisher]:
    """A monitor that runs in a thread and has sent moments of two cameras and days, and an alert."""

    def begin(publisher: Publisher) -> None:
        publisher.publish_moment("door", body("d0", YESTERDAY, [("d0", 3.0, "nothing like it in 2 days")]), b"old")
        publisher.publish_moment("door", body("d1", TODAY, [("d1", 0.4, "nothing like it in 1 h")]), b"one")
        publish_alert(publisher)
        second = [("d2", 2.1, "nothing like it in 9 days"), ("d1", 0.9, "something like it came once in 9 days")]
        publisher.publish_moment("door", body("d2", TODAY, second, event_id="e-door-1"), b"two")
        publisher.publish_moment("yard", body("y1", TODAY, [("y1", 1.0, "x"), ("lost", 0.1, "x")]), None)

    with running_publisher(tmp_path / "journal.sqlite3", begin) as publisher:
        yield publisher


def test_the_latest_day_of_each_camera_is_a_table_in_order_of_rank(monitor: Publisher) -> None:
    done = CliRunner().invoke(app, ["day", "--endpoint", monitor.alerts_endpoint])
    assert done.exit_code == 0, done.output
    why = "speed 88 px/s, usual here up to 24 px/s"
    assert done.stdout.splitlines() == [
        str(TODAY),
        "camera  rank  time      score  alarm  how rare                               why",
        f"door    1     14:07:31  2.10   yes    nothing like it in 9 days              {why}",
        f"door    2     14:07:31  0.90   no     something like it came once in 9 days  {why}",
        f"yard    1     14:07:31  1.00   no     x                                      {why}",
    ]


def test_a_date_and_a_camera_are_chosen_and_json_holds_the_rank(monitor: Publisher, tmp_path: Path) -> None:
    arguments = [
        "day",
        "--endpoint",
        monitor.alerts_endpoint,
        "--camera",
        "door",
        "--json",
        "--save",
        str(tmp_path / "p"),
    ]
    done = CliRunner().invoke(app, [*arguments, "--date", str(YESTERDAY)])
    assert done.exit_code == 0, done.output
    (line,) = [json.loads(text) for text in done.stdout.splitlines()]
    assert (line["kind"], line["rank"], line["score"], line["rare"]) == ("moment", 1, 3.0, "nothing like it in 2 days")
    assert (line["moment_id"], line["jpeg_bytes"]) == ("d0", 3)
    assert "ranking" not in line
    assert (tmp_path / "p" / "door" / str(YESTERDAY) / "01-d0.jpg").read_bytes() == b"old"


def test_a_day_without_moments_is_one_sentence(monitor: Publisher) -> None:
    done = CliRunner().invoke(app, ["day", "--endpoint", monitor.alerts_endpoint, "--date", "2026-03-02"])
    assert done.exit_code == 1
    assert "the monitor has sent no moment of 2026-03-02; a moment comes some minutes after it" in done.stderr


@pytest.mark.parametrize("wrong", ["2026-02-30", "today", "2026-3-2", "20260302", ""])
def test_what_is_no_day_is_one_sentence(wrong: str) -> None:
    with pytest.raises(ConfigError, match="is no day: write one such as 2026-03-02"):
        RankedDays(wrong)
    done = CliRunner().invoke(app, ["day", "--date", wrong])
    assert done.exit_code == 2
    assert "is no day: write one such as 2026-03-02" in done.stderr


def test_no_monitor_is_one_sentence() -> None:
    done = CliRunner().invoke(app, ["day", "--endpoint", "tcp://127.0.0.1:9", "--timeout", "0.2"])
    assert done.exit_code == 1
    assert "no monitor answered at tcp://127.0.0.1:9 within 0.2 s" in done.stderr


def test_moments_between_alerts_hold_up_no_subscriber_of_alerts(monitor: Publisher) -> None:
    with AlertSubscriber(monitor.alerts_endpoint, since="1h", follow=False, timeout_s=DEADLINE_S) as subscriber:
        messages = [item.message for item in subscriber if isinstance(item, Received)]
    assert [type(message) for message in messages] == [AlertMessage]


def test_a_program_gets_moments_if_it_asks_for_them(monitor: Publisher) -> None:
    with AlertSubscriber(
        monitor.alerts_endpoint, since="1h", follow=False, timeout_s=DEADLINE_S, alerts=False, moments=True
    ) as subscriber:
        messages = [item.message for item in subscriber if isinstance(item, Received)]
    assert [type(message) for message in messages] == [MomentMessage] * 4


def test_text_of_others_reaches_the_table_cleaned() -> None:
    days = RankedDays("2026-03-02")
    sent = {"schema": 1, "node": "n", "epoch": "e", "seq": 1, "sent_at": 1.0, "position": 1}
    evil = "a\x1b[2Jb"
    message = MomentMessage(**sent, camera="cam", **body(evil, date(2026, 3, 2), [(evil, 1.0, evil)]))
    days.take(message, None)
    (row,) = days.ranked()
    assert not any("\x1b" in cell for cell in row.cells())
