"""A camera's alarms beside its budget are sent once per hour and on change, and nothing is sent twice."""

from monitor.judging.alarm_rate import AlarmCount
from monitor.sinks.budget_news import EVERY_S, BudgetNews


def test_figures_come_soon_at_first_then_once_per_hour() -> None:
    news, count = BudgetNews(), AlarmCount()
    sent = [second for second in range(0, 5 * 3600, 10) if news.take("door", count.rate, float(second)) is not None]
    assert sent == [0, 60, 120, 240, 480, 960, 1920, 3840, 3840 + 3600, 3840 + 7200, 3840 + 10800]


def test_the_first_then_changes_then_once_per_hour() -> None:
    news, count = BudgetNews(), AlarmCount()
    count.recall(86_400.0, 5)
    first = news.take("door", count.rate, EVERY_S)
    assert first is not None
    assert (first.added_alarms, first.added_s) == (0, 0.0), "an earlier run has sent this"
    count.add(10.0, 0)
    assert news.take("door", count.rate, EVERY_S + 10.0) is None
    count.add(10.0, 1)
    alarm = news.take("door", count.rate, EVERY_S + 20.0)
    assert alarm is not None
    assert (alarm.added_alarms, alarm.added_s, alarm.rate.alarms) == (1, 20.0, 6)
    count.add(EVERY_S - 1, 0)
    assert news.take("door", count.rate, 19.0 + 2 * EVERY_S) is None
    count.add(1.0, 0)
    hourly = news.take("door", count.rate, 20.0 + 2 * EVERY_S)
    assert hourly is not None
    assert (hourly.added_alarms, hourly.added_s) == (0, EVERY_S)
    count.promised_per_day = 3.0
    assert news.take("door", count.rate, 21.0 + 2 * EVERY_S) is not None


def test_the_rest_is_sent_once_at_the_end() -> None:
    news, count = BudgetNews(), AlarmCount()
    for name in ("door", "yard"):
        assert news.take(name, count.rate, 0.0) is not None
    count.add(7.0, 0)
    assert news.take("door", count.rate, 7.0) is None
    (rest,) = news.take_rest("door")
    assert (rest[0], rest[1].added_s) == ("door", 7.0)
    assert news.take_rest() == [], "nothing is new about the other"
    assert news.take_rest("door") == []
