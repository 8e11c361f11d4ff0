"""The ranking of a day: what is one moment, which are the first, and how rare they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.judging.cool_down import Cause
from monitor.judging.day_ranking import APART_S, DayMoment, DayRanking, PastDay, how_rare
from monitor.judging.fusion import ModelScale
from monitor.scores.smoothing import SmoothingSettings
from monitor.testing.fakes import brightness_model

LEFT, RIGHT = (0.0, 0.0, 0.2, 0.2), (0.8, 0.8, 1.0, 1.0)


def moment(at: float, score: float, place: tuple[float, float, float, float] | None = LEFT) -> DayMoment:
    local = f"2026-03-02T12:00:00.{round(at):06d}"
    return DayMoment(f"m{at:g}", at, local, None, {"brightness": score}, ("m", "h"), score, Cause("motion", place))


def ranked(ranking: DayRanking) -> list[str]:
    return [each.moment_id for each in ranking.moments]


def test_the_most_unusual_come_first_and_the_last_one_goes() -> None:
    ranking = DayRanking(2)
    for number, score in enumerate((0.4, 0.9, 0.6)):
        ranking.offer(moment(1000.0 * number, score))
    assert ranked(ranking) == ["m1000", "m2000"]
    assert not ranking.is_worth(0.6)
    assert ranking.is_worth(0.61)
    assert ranking.offer(moment(9000.0, 0.5)) is None
    change = ranking.offer(moment(9000.0, 0.7))
    assert change is not None
    assert [each.moment_id for each in change.dropped] == ["m2000"]


def test_peaks_close_in_time_and_place_are_one_moment_that_of_the_highest() -> None:
    ranking = DayRanking(10)
    ranking.offer(moment(0.0, 0.5))
    assert ranking.offer(moment(APART_S - 1, 0.4)) is None
    change = ranking.offer(moment(APART_S - 1, 0.6))
    assert change is not None
    assert [each.moment_id for each in change.replaced] == ["m0"]
    ranking.offer(moment(2 * APART_S, 0.3))
    assert ranked(ranking) == ["m299", "m600"]


def test_in_another_place_it_is_another_moment_unless_a_place_is_unknown() -> None:
    ranking = DayRanking(10)
    ranking.offer(moment(0.0, 0.5, LEFT))
    ranking.offer(moment(10.0, 0.4, RIGHT))
    assert ranked(ranking) == ["m0", "m10"]
    assert ranking.offer(moment(20.0, 0.3, None)) is None


def test_what_is_not_above_typical_is_no_moment() -> None:
    ranking = DayRanking(10)
    assert ranking.offer(moment(0.0, 0.0)) is None
    assert ranking.offer(moment(0.0, float("nan"))) is None
    assert ranked(ranking) == []


def test_all_moments_of_a_day_are_ranked_by_the_present_scale() -> None:
    model = brightness_model()
    scale = ModelScale(model, 1.0, SmoothingSettings())
    name = scale.model.name, scale.model.hash
    early = replace(moment(0.0, 5.0), raw={"brightness": 0.2}, model=name)
    later = replace(moment(5000.0, 1.0), raw={"brightness": 0.4}, model=name)
    foreign = moment(9000.0, 0.01)
    ranking = DayRanking(10, [early, later, foreign])
    assert ranked(ranking)[0] == "m0", "the threshold was lower then"
    ranking.rescale(scale)
    assert ranked(ranking) == ["m5000", "m0", "m9000"]
    assert ranking.moments[0].score == scale.at_budget({"brightness": 0.4}) < scale.scales["brightness"].units(0.4)
    assert ranking.moments[2].score == 0.01, "of another model"


def day(*scores: float, hours: float = 24.0, full: bool = False) -> PastDay:
    return PastDay(hours * 3600.0, scores, full)


@pytest.mark.parametrize(
    ("score", "days", "words"),
    [
        (1.0, [day(1.0, 0.5, hours=3)], "nothing like it in 3 h"),
        (0.5, [day(1.0, 0.5, hours=3)], "something like it came once in 3 h"),
        (0.5, [day(1.0, 0.5, full=True)] * 9, "something like it came at least 17 times in 9 days"),
        (0.7, [day(0.7, 0.5, full=True), *[day(0.6)] * 8], "nothing like it in 9 days"),
        (0.5, [day(0.7, 0.6, 0.5), day(0.4, full=True)], "something like it came twice in 2 days"),
    ],
)
def test_how_rare_the_like_is(score: float, days: list[PastDay], words: str) -> None:
    assert how_rare(score, days) == words
