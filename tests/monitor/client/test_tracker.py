"""Which messages are new and which are missing, according to their numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.client import Gap, SequenceTracker


def test_a_subscriber_that_joins_late_misses_nothing_of_what_came_before() -> None:
    tracker = SequenceTracker()
    assert not tracker.enter("e1")
    assert tracker.received("alert/a/", 57) == (True, None)
    assert tracker.announced({"alert/a/": 57, "alert/b/": 9}) == []
    assert tracker.received("alert/b/", 10) == (True, None)


def test_after_a_heartbeat_a_topic_it_did_not_name_begins_at_1() -> None:
    tracker = SequenceTracker()
    tracker.enter("e1")
    tracker.announced({})
    assert tracker.received("alert/a/", 3) == (True, Gap("alert/a/", 1, 2))


def test_after_a_restart_every_topic_begins_at_1() -> None:
    tracker = SequenceTracker()
    tracker.enter("e1")
    tracker.received("alert/a/", 57)
    assert tracker.enter("e2")
    assert not tracker.enter("e2")
    assert tracker.received("alert/a/", 2) == (True, Gap("alert/a/", 1, 1))
    assert tracker.announced({"alert/b/": 2}) == [Gap("alert/b/", 1, 2)]


def test_a_message_that_comes_twice_is_new_once() -> None:
    tracker = SequenceTracker()
    tracker.enter("e1")
    assert tracker.received("alert/a/", 1) == (True, None)
    assert tracker.received("alert/a/", 1) == (False, None)
    assert tracker.received("alert/a/", 2) == (True, None)


@given(st.lists(st.tuples(st.sampled_from(["alert/a/", "alert/b/", "heartbeat/"]), st.booleans()), max_size=60))
def test_whatever_is_lost_each_message_is_received_or_reported_missing_exactly_once(
    sent: list[tuple[str, bool]],
) -> None:
    tracker = SequenceTracker()
    tracker.enter("e1")
    tracker.announced({})
    last: dict[str, int] = {}
    found: list[tuple[str, int]] = []
    for topic, arrives in [*sent, ("heartbeat/", True)]:
        if topic != "heartbeat/":
            last[topic] = last.get(topic, 0) + 1
        gaps: list[Gap] = []
        if topic == "heartbeat/" and arrives:
            gaps = tracker.announced(last)
        elif arrives:
            new, gap = tracker.received(topic, last[topic])
            assert new
            gaps = [gap] if gap else []
        found += [(gap.topic, seq) for gap in gaps for seq in range(gap.first, gap.last + 1)]
        if topic != "heartbeat/" and arrives:
            found.append((topic, last[topic]))
    assert len(found) == len(set(found))
    assert sorted(found) == sorted((topic, seq) for topic in last for seq in range(1, last[topic] + 1))
    for topic in last:  # also in order
        assert [seq for name, seq in found if name == topic] == list(range(1, last[topic] + 1))
