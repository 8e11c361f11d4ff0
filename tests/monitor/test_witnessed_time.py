"""Ages that no wall clock can spoil."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.witnessed_time import MAX_BYTES, MOST_OFF_S, Moment, WitnessedTime, read_moment

DAY_S = 86_400.0
START = Moment("boot 1", 1000.0, 1.7e9)


def later(moment: Moment, seconds: float, *, wrong_s: float = 0.0) -> Moment:
    """The moment some seconds later; the wall clock jumps by ``wrong_s`` in between."""
    return replace(moment, uptime_s=moment.uptime_s + seconds, unix_s=moment.unix_s + seconds + wrong_s)


def restarted(witnessed: WitnessedTime, moment: Moment) -> WitnessedTime:
    return WitnessedTime(moment, witnessed.dump())


def test_the_age_is_the_time_that_has_passed() -> None:
    witnessed = WitnessedTime(START)
    witnessed.advance(later(START, 100))
    assert witnessed.age_s(START.unix_s + 40) == pytest.approx(60)
    assert witnessed.age_s(START.unix_s + 100) == 0


def test_what_was_there_before_has_the_age_of_the_record() -> None:
    witnessed = WitnessedTime(START)
    witnessed.advance(later(START, 2 * DAY_S))
    assert witnessed.age_s(START.unix_s - 400 * DAY_S) == 2 * DAY_S


def test_a_clock_ten_years_ahead_for_five_seconds_makes_nothing_old() -> None:
    witnessed, wrong = WitnessedTime(START), 3650 * DAY_S
    ahead = later(START, 60, wrong_s=wrong)
    back = later(ahead, 5, wrong_s=-wrong)
    for moment in (ahead, back, later(back, 100)):
        witnessed.advance(moment)
        assert witnessed.age_s(START.unix_s) == pytest.approx(moment.uptime_s - START.uptime_s)
    assert witnessed.age_s(ahead.unix_s) == pytest.approx(105), "what was written with the wrong clock ages as well"


def test_what_was_written_with_a_clock_400_days_behind_is_of_today() -> None:
    behind = replace(START, unix_s=START.unix_s - 400 * DAY_S)
    witnessed = WitnessedTime(behind)
    witnessed.advance(later(behind, 600))
    witnessed.advance(later(behind, 700, wrong_s=400 * DAY_S))
    assert witnessed.age_s(behind.unix_s + 300) == pytest.approx(400)


@pytest.mark.parametrize(("ahead_s", "counted_s"), [(45 * DAY_S, 120), (1e9, 120), (0, 120), (-400 * DAY_S, 0)])
def test_a_restart_with_a_wrong_clock_adds_what_the_machine_was_up_at_most(ahead_s: float, counted_s: float) -> None:
    witnessed = restarted(WitnessedTime(START), later(START, 120, wrong_s=ahead_s))
    assert witnessed.age_s(START.unix_s) == pytest.approx(counted_s)


def test_a_restart_with_a_wrong_uptime_adds_what_the_wall_clock_shows() -> None:
    """In a container or a time namespace, the uptime may jump."""
    for uptime_s, counted_s in ((START.uptime_s + 45 * DAY_S, 120), (3.0, 120)):
        witnessed = restarted(WitnessedTime(START), Moment("boot 1", uptime_s, START.unix_s + 120))
        assert witnessed.age_s(START.unix_s) == pytest.approx(counted_s)


@pytest.mark.parametrize("boot", ["boot 2", ""])
def test_a_machine_that_was_off_counts_a_day_at_most(boot: str) -> None:
    for off_s, counted_s in ((3600.0, 3600.0), (45 * DAY_S, MOST_OFF_S), (-DAY_S, 0.0)):
        witnessed = restarted(WitnessedTime(START), Moment(boot, 5.0, START.unix_s + off_s))
        assert witnessed.age_s(START.unix_s) == pytest.approx(counted_s)


def test_a_month_off_one_day_at_a_time_makes_old_in_the_end() -> None:
    witnessed = WitnessedTime(START)
    for day in range(1, 41):
        witnessed = restarted(witnessed, Moment(f"boot {day}", 5.0, START.unix_s + day * DAY_S))
    assert witnessed.age_s(START.unix_s) == pytest.approx(40 * DAY_S)


def test_of_a_time_that_nobody_witnessed_nothing_is_known() -> None:
    witnessed = WitnessedTime(START)
    witnessed.advance(later(START, 3600))
    for unix_s in (START.unix_s + DAY_S, float("nan"), float("inf"), "today"):
        assert witnessed.age_s(unix_s) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("saved", ["", "{", "[]", "null", "[" * 100_000, '{"format": "other"}', "\udcff", "1e999"])
def test_a_damaged_record_begins_anew(saved: str) -> None:
    witnessed = WitnessedTime(START, saved)
    assert witnessed.age_s(START.unix_s - 1e6) == 0


@given(
    st.fixed_dictionaries(
        {
            "format": st.just("true-sight-time"),
            "total_s": st.floats() | st.text(max_size=3) | st.none() | st.just(10**400),
            "born": st.floats() | st.lists(st.integers(), max_size=2),
            "last": st.lists(st.floats() | st.text(max_size=3), max_size=4),
            "spans": st.lists(st.lists(st.floats() | st.none(), max_size=4), max_size=3),
        }
    )
)
def test_any_record_gives_an_age_that_is_no_nonsense(told: dict[str, object]) -> None:
    witnessed = WitnessedTime(START, json.dumps(told))
    witnessed.advance(later(START, 10))
    age = witnessed.age_s(START.unix_s)
    assert age is None or 0 <= age < float("inf")


@given(st.lists(st.tuples(st.floats(0, DAY_S), st.floats(-1e10, 1e10), st.booleans()), max_size=300))
def test_nothing_is_ever_older_than_it_is(steps: list[tuple[float, float, bool]]) -> None:
    """However the wall clock jumps, and however often the monitor restarts on a machine that stays up."""
    moment, witnessed = START, WitnessedTime(START)
    written = [(moment.uptime_s, moment.unix_s)]
    for seconds, wrong_s, restarts in steps:
        moment = later(moment, seconds, wrong_s=wrong_s)
        witnessed.advance(moment)
        written.append((moment.uptime_s, moment.unix_s))
        if restarts:
            witnessed = restarted(witnessed, moment)
    for uptime_s, unix_s in written:
        age = witnessed.age_s(unix_s)
        assert age is None or age <= moment.uptime_s - uptime_s + 61
    assert len(witnessed.dump()) < MAX_BYTES


def test_the_record_is_read_from_a_file_of_any_kind(tmp_path: Path) -> None:
    witnessed = WitnessedTime(START)
    (tmp_path / "good").write_text(witnessed.dump())
    (tmp_path / "noise").write_bytes(b"\xff" * 10)
    assert WitnessedTime.read(tmp_path / "good", later(START, 50)).age_s(START.unix_s) == 50
    os.mkfifo(tmp_path / "pipe")
    for name in ("noise", "none", ".", "pipe"):
        assert WitnessedTime.read(tmp_path / name, later(START, 50)).age_s(START.unix_s - DAY_S) == 0


def test_the_machine_has_an_uptime() -> None:
    first, second = read_moment(), read_moment()
    assert first.boot == second.boot
    assert 0 <= second.uptime_s - first.uptime_s < 60
