"""One camera's days: moments are found while it is watched, over midnight and when the clock jumps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from monitor.judging.camera_monitor import Judgement
from monitor.sinks.moments.camera_day import LONGEST_S, SETTLE_S, CameraDay, Complete
from monitor.states import AlertEvent, Phase
from monitor.testing.fakes import monitor_of, scored

BERLIN = "Europe/Berlin"
CALM, ODD = 24, 60
EVENING = datetime(2026, 3, 2, 22, 59, 0, tzinfo=UTC).timestamp()  # 23:59 in Berlin


def judgements(levels: Sequence[int], segment: int = 0, start_s: float = 0.0) -> list[Judgement]:
    """One second per level, at ten frames per second."""
    monitor = monitor_of("cam")
    each = [level for level in levels for _ in range(10)]
    return [monitor.update(scored(start_s + n / 10, level, segment)) for n, level in enumerate(each)]


def watch(camera: CameraDay, found: Sequence[Judgement], at: float = EVENING, zone: str = BERLIN) -> list[Complete]:
    """Show judgements to a camera's day; ``at`` is the time of the stream's second 0. Ranks what is complete."""
    done = []
    for judgement in found:
        complete = camera.take(judgement, at + judgement.scored.frame.time_s, zone)
        if complete is not None:
            done.append(complete)
            camera.ranking(complete.moment.day).offer(complete.moment)
    return done


def test_a_moment_is_complete_when_nothing_higher_has_come_for_a_while() -> None:
    camera = CameraDay("cam", 10)
    done = watch(camera, judgements([CALM] * 3 + [ODD, ODD + 20, ODD] + [CALM] * 15))
    assert len(done) == 1
    moment = done[0].moment
    assert moment.local.startswith("2026-03-02T23:59:0")
    assert moment.day == "2026-03-02"
    assert moment.score > 1
    assert moment.regions == ()
    assert str(moment.reasons[0]).startswith("brightness")
    assert done[0].time_s == pytest.approx(4.3, abs=0.5)
    assert camera.complete(BERLIN) is None
    assert camera.watched_s["2026-03-02"] == pytest.approx(20.9, abs=0.2)


def test_below_the_threshold_there_are_moments_too_and_their_reason_is_the_score() -> None:
    camera = CameraDay("cam", 10)
    (done, *_) = watch(camera, judgements([CALM] * 3 + [27] + [CALM] * 15))
    assert 0 < done.moment.score < 1
    assert done.moment.event_id is None
    assert "of the threshold" in str(done.moment.reasons[0])


def test_a_moment_says_which_alert_covers_it() -> None:
    camera = CameraDay("cam", 10)
    event = AlertEvent(1, Phase.START, 3.0, None, 2.0, 2.0, 3.0, notify=True)
    found = judgements([CALM] * 3 + [ODD] * 2 + [CALM] * 15)
    watch(camera, found[:50])
    camera.event(event, "e-cam-1")
    camera.event(replace(event, phase=Phase.END, ended_s=5.0), "e-cam-1")
    (done,) = watch(camera, found[50:])
    assert done.moment.event_id == "e-cam-1"


def test_over_midnight_each_day_has_its_own_ranking() -> None:
    camera = CameraDay("cam", 10)
    at = EVENING + 50.0  # ten seconds before midnight
    done = watch(camera, judgements([CALM] * 3 + [ODD] * 3 + [CALM] * 8 + [ODD] * 3 + [CALM] * 15), at)
    assert [each.moment.day for each in done] == ["2026-03-02", "2026-03-03"]
    assert [len(camera.days[day].moments) for day in ("2026-03-02", "2026-03-03")] == [1, 1]


def test_a_moment_that_is_open_at_midnight_belongs_to_the_day_on_which_it_was() -> None:
    camera = CameraDay("cam", 10)
    done = watch(camera, judgements([CALM] * 3 + [ODD] * 3 + [CALM] * 8), EVENING + 53.0)
    assert [each.moment.day for each in done] == ["2026-03-02"]
    assert camera.day == "2026-03-03"


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0, -7 * 86_400.0, 400 * 86_400.0])
def test_a_clock_that_jumps_loses_no_moment(jump_s: float) -> None:
    camera = CameraDay("cam", 10)
    found = judgements([CALM] * 3 + [ODD] * 2 + [CALM] * 12 + [ODD + 9] * 2 + [CALM] * 12)
    before = watch(camera, found[:150])
    after = watch(camera, found[150:], EVENING + jump_s)
    assert len(before) == len(after) == 1
    assert sum(len(ranking.moments) for ranking in camera.days.values()) == 2
    assert sum(camera.watched_s.values()) == pytest.approx(len(found) / 10, abs=0.5), "only what was watched counts"


def test_a_gap_completes_a_moment_and_is_no_time_that_was_watched() -> None:
    camera = CameraDay("cam", 10)
    watch(camera, judgements([CALM] * 3 + [ODD] * 2))
    week_s = 7 * 86_400.0
    done = watch(camera, judgements([CALM] * 3, segment=1, start_s=week_s))
    assert [each.moment.day for each in done] == ["2026-03-02"]
    assert camera.day == "2026-03-09"
    assert sum(camera.watched_s.values()) < 10


def test_how_rare_counts_the_days_that_were_watched() -> None:
    camera = CameraDay("cam", 10)
    found = judgements([CALM] * 3 + [ODD] * 2 + [CALM] * 12)
    for day in range(9):
        watch(camera, found if day in (2, 8) else found[:30], EVENING - 3600 + day * 86_400.0)
        camera.watched_s[camera.day] = 86_400.0
        camera._last = None
    last = camera.ranking(camera.day).moments[0]
    assert camera.how_rare(last) == "something like it came once in 9 days"


def test_a_score_that_keeps_rising_is_a_moment_all_the_same() -> None:
    camera = CameraDay("cam", 10)
    done = watch(camera, judgements([CALM] * 3 + [ODD + 2 * n for n in range(70)]), EVENING - 3600)
    assert len(done) == 2
    assert done[1].time_s - done[0].time_s == pytest.approx(LONGEST_S, abs=0.5)
    assert len(camera.days["2026-03-02"].moments) == 1, "the higher one takes its place"


def test_settling_is_a_time_of_the_stream() -> None:
    camera = CameraDay("cam", 10)
    found = judgements([CALM] * 3 + [ODD] + [CALM] * 30)
    done = [judgement for judgement in found if camera.take(judgement, EVENING, BERLIN) is not None]
    assert done[0].scored.frame.time_s == pytest.approx(3.4 + SETTLE_S, abs=0.6)
