"""What was just notified is not notified again, but everything else is."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.judging.alerting import AlertRule, AlertSettings
from monitor.judging.cool_down import Cause, CoolDown
from monitor.states import AlertEvent, Phase
from monitor.types import Place

RULE = AlertSettings(min_duration_s=0.5, merge_gap_s=1.0, update_every_s=5.0, cooldown_s=30.0)
DOOR: Place = (0.1, 0.2, 0.3, 0.6)
YARD: Place = (0.6, 0.5, 0.9, 0.9)


def play(*events: tuple[float, str, Place | None]) -> list[AlertEvent]:
    """One event of 1 s per (peak score, sense, place), 3 s apart. Returns all steps."""
    rule, steps, at = AlertRule(RULE), [], 0
    for peak, sense, place in events:
        for score in [peak] * 10 + [0.0] * 30:
            cause = Cause(sense, place)
            step = rule.update(at / 10, score, lambda cause=cause: cause)  # type: ignore[misc]
            steps += [step] if step else []
            at += 1
    return steps


def notified(*events: tuple[float, str, Place | None]) -> list[bool]:
    return [step.notify for step in play(*events) if step.phase is Phase.START]


def test_the_same_thing_in_the_same_place_is_notified_once() -> None:
    assert notified((2, "movement", DOOR), (2, "movement", DOOR), (2.5, "movement", DOOR)) == [True, False, False]


def test_another_cause_or_another_place_is_notified() -> None:
    assert notified((2, "movement", DOOR), (1.1, "static", DOOR), (1.1, "movement", YARD)) == [True, True, True]
    # All three are remembered.
    again = ((1.2, "movement", DOOR), (1.2, "static", DOOR), (1.2, "movement", YARD))
    assert notified((2, "movement", DOOR), (1.1, "static", DOOR), (1.1, "movement", YARD), *again)[3:] == [False] * 3


def test_an_unknown_place_may_be_any_place() -> None:
    assert notified((2, "movement", None), (2, "movement", DOOR)) == [True, False]
    assert notified((2, "movement", DOOR), (2, "movement", None)) == [True, False]


def test_a_clearly_higher_score_is_notified_and_is_the_new_measure() -> None:
    assert notified((2, "", DOOR), (2.9, "", DOOR), (3.1, "", DOOR), (4, "", DOOR)) == [True, False, True, False]


def test_a_quiet_event_that_gets_clearly_worse_is_notified_at_once() -> None:
    rule, steps = AlertRule(RULE), []
    scores = [2.0] * 10 + [0.0] * 20 + [1.5] * 20 + [8.0] * 10 + [0.0] * 20
    for at, score in enumerate(scores):
        step = rule.update(at / 10, score, lambda: Cause("", DOOR))
        steps += [(at / 10, step.phase, step.number, step.notify)] if step else []
    second = [entry for entry in steps if entry[2] == 2]
    assert [entry[3] for entry in second] == [False, True, True]
    assert second[1][:2] == (5.0, Phase.UPDATE), "with the first frame of the higher score"


def told(*frames: tuple[str, Place | None], rule: AlertRule | None = None, score: float = 2.0) -> list[float]:
    """Seconds, within an open event, of the updates that another cause brings. Ten frames per second."""
    rule = rule or AlertRule(RULE)
    steps = []
    for at, (sense, place) in enumerate(frames):
        cause = Cause(sense, place)
        step = rule.update(at / 10, score, lambda cause=cause: cause, cause)  # type: ignore[misc]
        steps += [at / 10] if step and step.phase is Phase.UPDATE else []
    return steps


def test_another_thing_in_another_place_is_told_at_once_though_an_event_is_open() -> None:
    walk, bag = ("movement", DOOR), ("static", YARD)
    wait = round(10 * RULE.min_duration_s)
    assert told(*[walk] * 12, *[bag] * 20) == [1.2 + wait / 10]
    assert told(*[walk] * 12, *[bag, walk] * 10) == [], "it must last"
    assert told(*[walk] * 12, *[bag] * 10, *[walk] * 10, *[bag] * 10) == [1.2 + wait / 10], "once"
    third = ("scene", (0.8, 0.0, 0.9, 0.1))
    assert len(told(*[walk] * 12, *[bag] * 10, *[third] * 10)) == 2


def test_what_may_be_the_same_thing_is_no_other_cause() -> None:
    walk = ("movement", DOOR)
    for other in (("movement", YARD), ("static", DOOR), ("static", None)):
        assert told(*[walk] * 12, *[other] * 20) == []
    moved = [("movement", (x / 20, 0.2, x / 20 + 0.1, 0.4)) for x in range(18)]
    assert told(*moved, *[("static", (0.4, 0.2, 0.5, 0.4))] * 10) == [], "where it has been, it may have left something"


def test_a_quiet_event_notifies_of_another_thing_that_nobody_was_told_of() -> None:
    rule, steps = AlertRule(RULE), []
    frames = [(2.0, "movement", DOOR)] * 10 + [(0.0, "", None)] * 20
    frames += [(2.0, "movement", DOOR)] * 10 + [(1.2, "static", YARD)] * 10
    for at, (score, sense, place) in enumerate(frames):
        cause = Cause(sense, place)
        step = rule.update(at / 10, score, lambda cause=cause: cause, cause)  # type: ignore[misc]
        steps += [(step.number, step.phase, step.notify)] if step else []
    assert [step for step in steps if step[0] == 2] == [(2, Phase.START, False), (2, Phase.UPDATE, True)]


def test_places_that_nearly_touch_are_one_place() -> None:
    near = (DOOR[2] + 0.05, DOOR[1], DOOR[2] + 0.15, DOOR[3])
    assert Cause("", DOOR).repeats(Cause("", near))
    assert not Cause("", DOOR).repeats(Cause("", (DOOR[2] + 0.2, 0.2, 0.9, 0.6)))


def test_an_event_that_has_moved_was_in_all_its_places() -> None:
    joined = Cause("movement", DOOR).joined(Cause("movement", YARD))
    assert joined.place == (0.1, 0.2, 0.9, 0.9)
    assert Cause("movement", DOOR).joined(Cause("static", YARD)) == Cause("static", YARD)


def test_a_cool_down_of_0_and_one_of_years_are_bounded() -> None:
    none, endless = CoolDown(0.0), CoolDown(1e9)
    for number in range(1000):
        none.begin(number, Cause(), 1.0)
        endless.begin(number, Cause(str(number)), 1.0)
    assert none.notifies(999.1, Cause(), 1.0)
    assert not endless.notifies(1e6, Cause("999"), 1.0)


scores = st.floats(-2, 50) | st.just(math.nan)
places = st.sampled_from([DOOR, YARD, None])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(scores, st.sampled_from("ab"), places), max_size=150), st.floats(-1, 1))
def test_what_is_quiet_always_repeats_something_notified_that_was_about_as_high(
    frames: list[tuple[float, str, Place | None]], on: float
) -> None:
    rule = AlertRule(RULE.but(on=on, off=on, min_duration_s=0.1, merge_gap_s=0.1))
    steps = []
    for at, (score, sense, place) in enumerate(frames):
        cause = Cause(sense, place)
        step = rule.update(at / 10, score, lambda cause=cause: cause)  # type: ignore[misc]
        steps += [step] if step else []
    told: list[AlertEvent] = []
    quiet_before: dict[int, bool] = {}
    for step in steps:
        if quiet_before.get(step.number):
            assert step.notify, "an event that was notified stays so to its end"
        quiet_before[step.number] = step.notify
        if not step.notify and step.phase is Phase.END:
            assert any(step.peak_score < e.peak_score + 0.5 * max(1.0, e.peak_score) for e in told)
        if step.notify and step.phase is Phase.END:
            told.append(step)
