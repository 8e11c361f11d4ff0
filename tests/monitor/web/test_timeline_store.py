from __future__ import annotations

from monitor.states import CameraState
from monitor.web.timeline_store import MINUTES, MOST_CAMERA_DAYS, MOST_SPANS, TimelineStore
from tests.helpers.web_page import a_health, a_score

MIDNIGHT = 1_500_076_800.0  # 2017-07-15 00:00 UTC


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def watched(store: TimelineStore, begin: float, end: float, score: float = 0.2) -> None:
    for step in range(int(end - begin) + 1):
        store.take_score(a_score("door", score, MIDNIGHT + begin + step))


def test_a_gap_is_found_with_its_reason_and_the_share_that_was_watched() -> None:
    clock = Clock(MIDNIGHT + 600)
    store = TimelineStore(clock)
    store.take_health(a_health("door", CameraState.ONLINE, since=MIDNIGHT, sent_at=MIDNIGHT), live=True)
    watched(store, 0, 130)
    store.take_health(a_health("door", CameraState.STALLED, since=MIDNIGHT + 131, detail="no frame"), live=True)
    watched(store, 370, 600)
    store.take_score(a_score("door", 1.4, MIDNIGHT + 400))
    found = store.timeline("door", MIDNIGHT, MIDNIGHT + 86_400)
    assert [(gap.begin - MIDNIGHT, gap.end - MIDNIGHT, gap.why) for gap in found.gaps] == [(130, 370, "stalled")]
    assert (found.watched_s, found.known_s) == (360, 600), "the rest of the day has not come yet"
    assert [score and round(score, 2) for score in found.scores[:8]] == [0.2, 0.2, 0.2, None, None, None, 1.4, 0.2]
    assert len(found.scores) == MINUTES
    assert [state.state for state in found.states] == ["online", "stalled"]


def test_a_monitor_that_is_not_heard_and_a_score_that_cannot_be_judged_leave_gaps() -> None:
    clock = Clock(MIDNIGHT)
    store = TimelineStore(clock)
    store.link(heard=True)
    watched(store, 0, 60)
    clock.now = MIDNIGHT + 61
    store.link(heard=False)
    clock.now = MIDNIGHT + 120
    store.link(heard=True)
    watched(store, 120, 180)
    for step in range(181, 200):
        store.take_score(a_score("door", 0.0, MIDNIGHT + step).model_copy(update={"score": None}))
    watched(store, 200, 210)
    clock.now = MIDNIGHT + 210
    why = [gap.why for gap in store.timeline("door", MIDNIGHT, MIDNIGHT + 300).gaps]
    assert why == ["the monitor was not heard", "no score"]


def test_what_was_before_the_page_is_not_known_and_an_end_is_no_gap() -> None:
    clock = Clock(MIDNIGHT + 3600)
    store = TimelineStore(clock)
    store.take_health(a_health("door", CameraState.ONLINE, since=MIDNIGHT), live=False)
    nothing = store.timeline("door", MIDNIGHT, MIDNIGHT + 86_400)
    assert (nothing.known_from, nothing.gaps, nothing.known_s) == (None, [], 0.0)
    assert [state.state for state in nothing.states] == ["online"]
    watched(store, 1000, 1100)
    store.take_health(a_health("door", CameraState.ENDED, since=MIDNIGHT + 1100), live=True)
    found = store.timeline("door", MIDNIGHT, MIDNIGHT + 86_400)
    assert (found.known_from, found.gaps, found.watched_s) == (MIDNIGHT + 1000, [], 100)
    assert store.timeline("yard", MIDNIGHT, MIDNIGHT + 60).scores == [None]


def test_a_clock_that_is_set_back_and_messages_out_of_order_do_no_harm() -> None:
    store = TimelineStore(Clock(MIDNIGHT + 500))
    watched(store, 100, 200)
    watched(store, 50, 120)
    for since in (30.0, 10.0, 20.0, 20.0):
        store.take_health(a_health("door", CameraState.ONLINE, since=MIDNIGHT + since), live=False)
    found = store.timeline("door", MIDNIGHT, MIDNIGHT + 240)
    assert [state.since - MIDNIGHT for state in found.states] == [10, 20, 30]
    assert found.watched_s == 100


def test_it_is_bounded() -> None:
    store = TimelineStore(Clock(MIDNIGHT))
    for day in range(MOST_CAMERA_DAYS + 5):
        store.take_score(a_score("door", 0.5, MIDNIGHT + day * 86_400))
    for number in range(MOST_SPANS + 10):
        store.take_score(a_score("yard", 0.5, MIDNIGHT + 10 * number))
        store.take_health(a_health("yard", CameraState.ONLINE, since=MIDNIGHT + number), live=False)
    assert len(store._days) == MOST_CAMERA_DAYS
    assert len(store._cameras["yard"].spans) == len(store._cameras["yard"].states) == MOST_SPANS
