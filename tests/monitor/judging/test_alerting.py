import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.judging.alerting import AlertRule, AlertSettings
from monitor.states import AlertEvent, Phase

RULE = AlertSettings(on=1.0, off=0.8, min_duration_s=0.5, merge_gap_s=1.0, update_every_s=2.0, cooldown_s=10.0)


def play(rule: AlertRule, *stretches: tuple[float, float], start_s: float = 0.0) -> list[AlertEvent]:
    """Feed stretches of (seconds, score) at 10 scores per second. Returns the events."""
    events, step = [], round(start_s * 10)
    for seconds, score in stretches:
        for _ in range(round(seconds * 10)):
            event = rule.update(step / 10, score)
            if event is not None:
                events.append(event)
            step += 1
    return events


def test_an_event_starts_after_the_minimum_duration_and_ends_after_the_merge_gap() -> None:
    events = play(AlertRule(RULE), (1, 0), (1, 1.5), (3, 0))
    assert [e.phase for e in events] == [Phase.START, Phase.END]
    start, end = events
    assert (start.number, start.started_s, start.ended_s) == (1, 1.0, None)
    assert (end.number, end.started_s, end.ended_s, end.peak_score) == (1, 1.0, 1.9, 1.5)


def test_a_rise_shorter_than_the_minimum_duration_is_no_event() -> None:
    rule = AlertRule(RULE)
    assert play(rule, (1, 0), (0.4, 9), (3, 0)) == []
    assert rule.events == 0


def test_between_the_two_thresholds_an_event_goes_on_but_none_begins() -> None:
    assert play(AlertRule(RULE), (5, 0.9)) == []
    events = play(AlertRule(RULE), (1, 1.2), (3, 0.9), (2, 0))
    assert events[-1].phase is Phase.END
    assert events[-1].ended_s == 3.9


def test_a_new_rise_within_the_merge_gap_belongs_to_the_same_event() -> None:
    events = play(AlertRule(RULE), (1, 2), (0.9, 0), (1, 3), (2, 0))
    assert [e.phase for e in events if e.phase is not Phase.UPDATE] == [Phase.START, Phase.END]
    assert events[-1].peak_score == 3


def test_a_rise_after_the_merge_gap_is_a_new_event() -> None:
    events = play(AlertRule(RULE), (1, 2), (1.5, 0), (1, 2), (2, 0))
    assert [e.number for e in events] == [1, 1, 2, 2]


def test_an_open_event_is_updated_regularly_with_its_peak() -> None:
    events = play(AlertRule(RULE), (3, 1.1), (3, 2.0))
    updates = [e for e in events if e.phase is Phase.UPDATE]
    assert [e.peak_score for e in updates] == [1.1, 2.0]
    assert updates[1].peak_s == 3.0


def test_the_cool_down_silences_notifications_but_records_every_event() -> None:
    rule = AlertRule(RULE)
    events = play(rule, (1, 2), (2, 0), (1, 2), (2, 0), (1, 2), (7, 0), (1, 2))
    starts = [(e.number, e.started_s, e.notify) for e in events if e.phase is Phase.START]
    # The second and third event do not notify. Such an event starts no cool-down, so the fourth event notifies again,
    # more than 10 s after the end of the first.
    assert starts == [(1, 0.0, True), (2, 3.0, False), (3, 6.0, False), (4, 14.0, True)]


def test_closing_ends_an_open_event_and_forgets_a_candidate() -> None:
    rule = AlertRule(RULE)
    play(rule, (1, 2))
    end = rule.close()
    assert end is not None
    assert (end.phase, end.ended_s) == (Phase.END, 0.9)
    play(rule, (0.3, 2), start_s=5)
    assert rule.close() is None
    assert rule.events == 1


def test_nan_counts_as_low() -> None:
    events = play(AlertRule(RULE), (1, 2), (2, math.nan))
    assert [e.phase for e in events] == [Phase.START, Phase.END]


def test_time_must_move_forward() -> None:
    rule = AlertRule(RULE)
    rule.update(1.0, 0)
    with pytest.raises(ValueError, match="order of time"):
        rule.update(1.0, 0)


@pytest.mark.parametrize("wrong", [{"off": 1.2}, {"min_duration_s": -1}, {"cooldown_s": math.inf}])
def test_senseless_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        AlertSettings(**wrong)


@given(st.lists(st.floats(0, 2) | st.just(math.nan), max_size=200))
def test_every_event_starts_once_ends_once_and_events_do_not_overlap(scores: list[float]) -> None:
    rule = AlertRule(RULE)
    events = [e for i, s in enumerate(scores) if (e := rule.update(i / 10, s)) is not None]
    last = rule.close()
    events += [last] if last else []
    starts = {e.number: e for e in events if e.phase is Phase.START}
    ends = {e.number: e for e in events if e.phase is Phase.END}
    assert starts.keys() == ends.keys() == set(range(1, rule.events + 1))
    assert not any(math.isnan(e.score) for e in events), "messages and records have no NaN"
    previous_end = -math.inf
    for number in sorted(starts):
        end = ends[number]
        assert end.ended_s is not None
        assert previous_end < end.started_s <= end.ended_s
        assert end.ended_s - end.started_s >= RULE.min_duration_s - 1e-6
        assert end.peak_score >= RULE.on
        previous_end = end.ended_s


def test_an_event_outside_the_armed_times_is_recorded_notifies_nobody_and_silences_nothing() -> None:
    rule = AlertRule(RULE)
    quiet = [rule.update(step / 10, 1.5 if step < 20 else 0.0, armed=False) for step in range(50)]
    steps = [event for event in quiet if event is not None and event.phase is not Phase.UPDATE]
    assert [(e.phase, e.notify, e.armed) for e in steps] == [(Phase.START, False, False), (Phase.END, False, False)]
    (start, *_) = play(rule, (2, 1.5), start_s=5.0)
    assert start.notify, "it follows within the cool-down, but nobody was notified of the first one"
    assert start.armed


def test_an_event_that_lasts_into_the_armed_times_notifies_at_once() -> None:
    rule = AlertRule(RULE)
    found = [(step, rule.update(step / 10, 1.5, armed=step >= 12)) for step in range(20)]
    steps = [(step, e.phase, e.notify, e.armed) for step, e in found if e is not None]
    assert steps == [(5, Phase.START, False, False), (12, Phase.UPDATE, True, True)]
    low = [rule.update(2.0 + step / 10, 0.0) for step in range(20)]
    assert [e.notify for e in low if e is not None] == [True]


def test_an_event_that_is_over_when_the_armed_times_begin_does_not_notify() -> None:
    rule = AlertRule(RULE)
    found = [rule.update(step / 10, 1.5 if step < 10 else 0.0, armed=step >= 12) for step in range(40)]
    assert [(e.phase, e.notify) for e in found if e is not None] == [(Phase.START, False), (Phase.END, False)]
