from __future__ import annotations

import time

import pytest

from monitor.states import Phase
from monitor.web.event_store import EventStore, Wanted, key_of
from tests.helpers.publishing import an_alert
from tests.helpers.web_page import JPEG, a_budget, a_page, a_reason, fill


def test_the_last_message_of_an_event_wins_whatever_the_order_in_which_they_come() -> None:
    start = an_alert(event_id="e", position=1, reasons=(a_reason("fast"),))
    update = an_alert(event_id="e", position=2, phase=Phase.UPDATE, peak_score=2.0)
    end = an_alert(
        event_id="e", position=3, phase=Phase.END, peak_score=3.0, ended_at=1.5e9 + 5, reasons=(a_reason("x"),)
    )
    for order in ([start, update, end], [end, start, update], [update, end, start]):
        with EventStore() as store:
            for message in order:
                store.take_alert(message, JPEG)
            event = store.event(key_of("e"))
            assert event is not None
            assert event.alert == end
            assert store.pictures(event.key) == {"picture", "heat"}


def test_an_update_without_reasons_keeps_those_from_before() -> None:
    with EventStore() as store:
        store.take_alert(an_alert(event_id="e", position=1, reasons=(a_reason("fast"),), evidence=("a",)), None)
        store.take_alert(an_alert(event_id="e", position=2, phase=Phase.UPDATE), None)
        event = store.event(key_of("e"))
        assert event is not None
        assert [reason.text for reason in event.alert.reasons] == ["fast"]
        assert event.alert.evidence == ("a",)


def test_pages_give_each_event_once_the_newest_first() -> None:
    with a_page() as page:
        fill(page, 25)
        for number in range(5):  # the same time: the order must still be certain
            page.store.take_alert(an_alert(camera="yard", event_id=f"same-{number}", started_at=1.5e9 + 3), None)
        seen: list[float] = []
        keys: set[str] = set()
        after = None
        while True:
            events, after = page.store.page(Wanted(), after, 4)
            seen += [event.alert.started_at for event in events]
            keys |= {event.key for event in events}
            if after is None:
                break
        assert seen == sorted(seen, reverse=True)
        assert len(keys) == len(seen) == 30


def test_events_are_found_by_camera_time_words_and_quiet() -> None:
    with a_page() as page:
        fill(page, 10, "door")
        fill(page, 10, "yard")
        page.store.take_alert(
            an_alert(camera="yard", event_id="q", notify=False, reasons=(a_reason("50 % ÄRGER_"),)), None
        )

        def found(wanted: Wanted) -> int:
            assert len(page.store.page(wanted, None, 200)[0]) == page.store.count(wanted)
            return page.store.count(wanted)

        assert found(Wanted(camera="yard")) == 11
        assert found(Wanted(camera="yar")) == 0
        assert found(Wanted(since=1.5e9 + 2, until=1.5e9 + 4)) == 4
        assert found(Wanted(quiet=True)) == 1
        assert found(Wanted(search="ärger_ 50")) == 1
        assert found(Wanted(search="% %")) == 1
        assert found(Wanted(search="_")) == 1
        assert found(Wanted(search="' OR 1=1 --")) == 0
        assert found(Wanted(search="7 door")) == 1


def test_the_rank_counts_only_events_of_the_same_camera_and_kind() -> None:
    with a_page() as page:
        fill(page, 10, "door")
        page.store.take_alert(an_alert(camera="door", event_id="lost", about="camera_lost", peak_score=0.0), None)
        page.store.take_alert(an_alert(camera="yard", event_id="other", peak_score=9.0), None)
        event = page.store.event(key_of("e1-door-7"))
        assert event is not None
        assert page.store.rank(event.alert) == (3, 10)


def test_events_and_pictures_are_bounded() -> None:
    with EventStore(most_events=1000, most_picture_bytes=10 * len(JPEG)) as store:
        for number in range(1500):
            store.take_alert(an_alert(event_id=f"e{number}", started_at=1.5e9 + number), JPEG)
        assert store.count(Wanted()) <= 1000
        assert store.picture(key_of("e1499"), "picture") == JPEG
        assert store.picture(key_of("e1489"), "picture") is None
        assert store.event(key_of("e0")) is None


def test_budgets_are_the_last_per_camera_and_alarms_are_counted_once() -> None:
    with EventStore() as store:
        for camera in ("door", "yard"):
            for seq in (1, 2, 2):
                store.take_budget(a_budget(camera, seq, sent_at=1.5e9 + seq, alarms=seq))
        assert [(budget.camera, budget.alarms) for budget in store.budgets()] == [("door", 2), ("yard", 2)]
        assert store.alarms("door", 1.5e9) == (6, 4 * 86_400.0)
        assert store.alarms("door", 1.5e9 + 2) == (3, 2 * 86_400.0)


@pytest.mark.flaky(reruns=2)
def test_pages_of_ten_thousand_events_come_fast() -> None:
    with a_page() as page:
        fill(page, 100)
        copies = "SELECT key || '-' || value, camera, about, started_at + value, peak, notify, open, 1, 1, words, body"
        numbers = "WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 99)"
        page.store._database.execute(f"{numbers} INSERT INTO events {copies}, '', 0 FROM events, n")
        assert page.store.count(Wanted()) == 10_000
        started = time.process_time()
        after = None
        for _ in range(20):
            events, after = page.store.page(Wanted(camera="door"), after, 30)
        assert len(events) == 30
        assert page.store.count(Wanted(search="speed 77")) == 100
        assert time.process_time() - started < 1.0
