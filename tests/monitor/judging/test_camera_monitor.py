import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detector.base import Detector, Observation
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.judging.live_calibration import LiveCalibration
from monitor.scores.smoothing import SmoothingSettings
from monitor.sinks.evidence.alert_pictures import caption
from monitor.states import CameraState, Phase, Reason
from monitor.testing.fakes import Brightness, brightness_model, brightness_scale, frame, monitor_of, scored
from monitor.types import Detection, Health, ScoredFrame

SMOOTHING = SmoothingSettings()
ALERT = AlertSettings(min_duration_s=0.5, merge_gap_s=1.0)
SCALE = brightness_scale()


def monitor() -> CameraMonitor:
    return CameraMonitor("cam", ModelScale(brightness_model(), 1.0, SMOOTHING), SMOOTHING, ALERT)


def play(watched: CameraMonitor, levels: list[int], start_s: float = 0.0, segment: int = 0) -> list[Alert]:
    alerts: list[Alert] = []
    for i, level in enumerate(levels):
        alerts += watched.update(scored(start_s + i / 10, level, segment)).alerts
    return alerts


def test_normal_footage_scores_about_0_and_raises_nothing() -> None:
    watched = monitor()
    scores = [watched.update(scored(i / 10, 25)).score for i in range(50)]
    assert max(map(abs, scores)) < 0.5
    assert not watched.alarmed


def test_an_abnormal_stretch_is_one_event_with_its_times_place_and_reason() -> None:
    alerts = play(monitor(), [25] * 20 + [200] * 10 + [250] * 10 + [25] * 20)
    assert [a.event.phase for a in alerts] == [Phase.START, Phase.END]
    start, end = alerts
    assert start.started_at == pytest.approx(1e9 + start.event.started_s)
    assert end.ended_at is not None
    assert end.event.ended_s is not None
    assert end.ended_at == pytest.approx(1e9 + end.event.ended_s)
    assert end.started_at == start.started_at
    assert start.reasons[0].term == "brightness"
    assert end.snapshot.frame.image.max() == 250, "the end shows the peak"
    assert start.snapshot.frame.image.max() == 200


def test_a_start_shows_what_it_was_raised_for_though_the_score_has_fallen_since() -> None:
    start = play(monitor(), [25] * 20 + [200] * 4 + [30] * 2)[0]
    assert start.event.phase is Phase.START
    assert start.event.score < 1.0 < start.event.peak_score
    assert start.snapshot.frame.image.max() == 200
    assert start.reasons[0].value == pytest.approx(200 / 255)
    assert f"score {start.event.peak_score:.2f}" in caption(start)[0]


def test_a_judgement_says_why_the_score_is_the_highest_so_far_and_an_update_why_it_is_as_it_is() -> None:
    watched = monitor()
    levels = [25] * 20 + [200] * 5 + [250] * 10 + [120] * 70
    judged = [watched.update(scored(i / 10, level)) for i, level in enumerate(levels)]
    told = [judgement.reasons[0].value for judgement in judged[20:] if judgement.reasons]
    assert (told[0], told[-1]) == pytest.approx((200 / 255, 250 / 255))
    assert not judged[-1].reasons, "the score has been higher before"
    update = next(a for judgement in judged for a in judgement.alerts if a.event.phase is Phase.UPDATE)
    assert update.reasons[0].value == pytest.approx(120 / 255)


def test_an_update_while_an_event_waits_to_be_over_gives_no_reason() -> None:
    # Five seconds after the start, during the second in which the score must stay low.
    alerts = play(monitor(), [25] * 20 + [200] * 52 + [26] * 20)
    assert [a.event.phase for a in alerts] == [Phase.START, Phase.UPDATE, Phase.END]
    assert alerts[1].event.score < ALERT.off
    assert [bool(a.reasons) for a in alerts] == [True, False, True]


def test_an_alert_of_a_file_says_where_in_it_it_began_and_its_picture_where_it_is() -> None:
    watched = monitor()
    alerts: list[Alert] = []
    for i, level in enumerate([25] * 20 + [200] * 10 + [25] * 20):
        seen = scored(100 + i / 10, level)  # looped: the clock of the stream continues
        alerts += watched.update(replace(seen, frame=replace(seen.frame, media_s=i / 10))).alerts
    start, end = alerts
    assert start.media_s == end.media_s == pytest.approx(start.event.started_s - 100)
    assert "at 0:02 of the footage " in caption(start)[0]
    live = play(monitor(), [25] * 20 + [200] * 10)[0]
    assert live.media_s is None
    assert not any("footage" in part for part in caption(live)[0])


def test_an_alert_says_whether_only_a_new_camera_raises_it() -> None:
    early = play(monitor(), [25] * 20 + [34] * 20)
    assert [alert.early for alert in early] == [True]
    assert [alert.early for alert in play(monitor(), [25] * 20 + [200] * 20)] == [False]


def test_the_threshold_of_a_camera_that_learns_on_changes_between_events_and_judgements_name_theirs() -> None:
    scale = ModelScale(brightness_model(), 1.0, SMOOTHING)
    watched = CameraMonitor("cam", scale, SMOOTHING, ALERT, calibration=LiveCalibration(scale, on=True))
    thresholds = []
    for i in range(8000):
        level = 25 + (i % 40 == 0) * 20 + (5000 < i < 5300) * 200
        judgement = watched.update(scored(i / 10, level))
        thresholds.append(judgement.scale.scales["brightness"].threshold)
    assert len(set(thresholds)) > 3
    assert len(set(thresholds[5010:5300])) == 1, "not during an event"
    assert judgement.scale.allowed_per_day == pytest.approx(86_400 / (60 + 780), rel=0.05)


def test_a_new_segment_ends_the_open_event_and_starts_the_median_anew() -> None:
    watched = monitor()
    play(watched, [25] * 10 + [200] * 10)
    assert watched.alarmed
    judgement = watched.update(scored(30.0, 25, segment=1))
    assert [a.event.phase for a in judgement.alerts] == [Phase.END]
    assert judgement.alerts[0].event.ended_s == pytest.approx(1.9)
    assert judgement.score < 0.5, "the median contains no score of the old segment"


def test_closing_ends_what_is_open_once() -> None:
    watched = monitor()
    play(watched, [25] * 10 + [200] * 10)
    assert [a.event.phase for a in watched.close()] == [Phase.END]
    assert watched.close() == []


def test_no_score_while_the_detector_cannot_judge() -> None:
    blind = ScoredFrame(frame(0.0), (Detection(math.nan),), 0.0)
    assert math.isnan(monitor().update(blind).score)


def test_regions_point_at_the_map_s_peak_on_the_source_frame() -> None:
    watched = monitor()
    play(watched, [25] * 10)
    anomaly_map = np.zeros((6, 8), np.float32)
    anomaly_map[2, 3] = 1
    alerts: list[Alert] = []
    for i in range(10, 20):
        bright = ScoredFrame(frame(i / 10, 200), (Detection(0.8, anomaly_map),), 0.0)
        alerts += watched.update(bright).alerts
    region = alerts[0].regions[0]
    assert (region.x, region.y, region.width, region.height) == (12, 8, 4, 4)


def test_an_alert_on_a_frame_in_which_nothing_is_found_gives_the_reason_of_those_just_before() -> None:
    watched = monitor()
    play(watched, [25] * 10)
    heat = np.zeros((6, 8), np.float32)
    heat[2, 3] = 1
    found = Detection(0.8, heat, (Reason("unmoved object for", 9.0, 2.0, "s"),))
    alerts: list[Alert] = []
    for i in range(10, 16):
        detection = found if i % 2 else Detection(0.8, np.zeros_like(heat))
        alerts += watched.update(ScoredFrame(frame(i / 10, 200), (detection,), 0.0)).alerts
    alerts += watched.close()
    assert [alert.event.phase for alert in alerts] == [Phase.START, Phase.END]
    assert all(alert.reasons == found.reasons and alert.regions for alert in alerts[1:])


def test_a_single_frame_that_is_not_scored_ends_nothing() -> None:
    watched = monitor()
    alerts = play(watched, [25] * 20)
    for i in range(20, 40):
        shown = scored(i / 10, 250)
        if i % 4 == 0:
            corrupted = replace(shown.frame, health=Health(scored=False))
            shown = ScoredFrame(corrupted, (Detection(math.nan),), 0.0)
        judgement = watched.update(shown)
        alerts += judgement.alerts
    assert [a.event.phase for a in alerts] == [Phase.START]
    assert alerts[0].event.started_s == pytest.approx(2.2, abs=0.11), "as early as without it, except for the median"
    covered = replace(frame(4.1), health=Health(CameraState.DARK, "dark", scored=False))
    assert math.isnan(watched.update(ScoredFrame(covered, (Detection(math.nan),), 0.0)).score)


def test_the_age_of_an_alert_counts_from_the_frame_that_caused_it_also_at_a_gap_and_at_the_end() -> None:
    watched = monitor_of("cam")

    def at(number: int, level: int, segment: int = 0) -> ScoredFrame:
        seen = scored(number / 10, level, segment=segment)
        return replace(seen, frame=replace(seen.frame, captured_at=100.0 + number / 10))

    for number in range(60):
        watched.update(at(number, 200 if 20 <= number < 30 else 180 if number >= 20 else 25))
    (gap,) = watched.update(at(100, 25, segment=1)).alerts
    assert (gap.event.phase, gap.read_at) == ("end", 110.0), "not the age of the peak, seconds before"
    for number in range(101, 140):
        watched.update(at(number, 200, segment=1))
    (end,) = watched.close()
    assert (end.event.phase, end.read_at) == ("end", 113.9)


class Mute(Brightness):
    """Measures brightness, and gives no reason."""

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        return [replace(found, reasons=()) for found in super().score(batch)]


def of_detectors(*detectors: Detector) -> CameraMonitor:
    """A monitor of a model with these detectors, each with the scores of Brightness in normal footage."""
    model = brightness_model()
    normal = replace(model.held_out, scores={d.name: model.held_out.scores["brightness"] for d in detectors})
    model = replace(model, detectors=detectors, held_out=normal)
    return CameraMonitor("cam", ModelScale(model, 1.0, SMOOTHING), SMOOTHING, ALERT)


def test_an_alert_for_which_no_detector_gives_a_reason_gives_its_score() -> None:
    watched = of_detectors(Mute())
    alerts: list[Alert] = []
    for i, level in enumerate([25] * 20 + [200] * 70 + [25] * 20):
        (found,) = Mute().score([Observation(frame(i / 10, level), [0])])
        alerts += watched.update(ScoredFrame(frame(i / 10, level), (found,), 0.0)).alerts
    assert [alert.event.phase for alert in alerts] == [Phase.START, Phase.UPDATE, Phase.END]
    for alert in alerts:
        (reason,) = alert.reasons
        assert reason.value == pytest.approx(100 * alert.event.peak_score)
        assert str(reason).startswith("score of brightness ")
        assert str(reason).endswith("% of the threshold, usual here up to 100 %")


def test_the_reason_of_a_detector_that_responds_to_the_same_comes_before_the_score() -> None:
    class Silent(Mute):
        name, sees = "silent", "light"

    class Telling(Brightness):
        sees = "light"

    watched = of_detectors(Silent(), Telling())
    alerts: list[Alert] = []
    for i, level in enumerate([25] * 20 + [200] * 10):
        shown = frame(i / 10, level)
        ours = Silent().score([Observation(shown, [0])]) + Telling().score([Observation(shown, [0])])
        ours[0] = replace(ours[0], score=ours[0].score * 1.1)  # the loudest
        alerts += watched.update(ScoredFrame(shown, tuple(ours), 0.0)).alerts
    assert alerts[0].detector == "silent"
    assert alerts[0].reasons[0].term == "brightness"


def test_two_senses_that_are_high_together_are_both_named() -> None:
    class Other(Mute):
        name = "other"

    watched = of_detectors(Mute(), Other())
    scale = watched.scale.scales["other"]
    level = scale.typical + 0.8 * (scale.threshold - scale.typical)
    alerts: list[Alert] = []
    for i in range(20):
        alerts += watched.update(ScoredFrame(frame(i / 10), (Detection(level), Detection(level)), 0.0)).alerts
    (reason,) = alerts[0].reasons
    assert reason.term == "score of brightness and other"
    assert 100 < reason.value < 120


def test_another_thing_in_another_place_during_an_event_is_told_with_its_reason() -> None:
    class Other(Mute):
        name = "other"

    watched = of_detectors(Mute(), Other())
    scale = watched.scale.scales["other"]
    high = scale.typical + 1.5 * (scale.threshold - scale.typical)

    def found(column: int, term: str) -> Detection:
        heat = np.zeros((6, 8), np.float32)
        heat[2, column] = 1
        return Detection(high, heat, (Reason(term, 5.0, 1.0),))

    calm = Detection(scale.typical)
    alerts: list[Alert] = []
    walk, bag = (found(1, "speed"), calm), (calm, found(6, "area"))
    for i, detections in enumerate([(calm, calm)] * 20 + [walk] * 15 + [bag] * 15 + [(calm, calm)] * 40):
        alerts += watched.update(ScoredFrame(frame(i / 10), detections, 0.0)).alerts
    phases = [(alert.event.phase, [reason.term for reason in alert.also]) for alert in alerts]
    assert phases == [(Phase.START, []), (Phase.UPDATE, ["area"]), (Phase.END, ["area"])]
    assert alerts[1].snapshot.frame.time_s < 4.6


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 3) | st.just(math.nan), st.booleans(), st.sampled_from([None, 0.0, 1.0]), st.booleans()),
        max_size=60,
    ),
    st.floats(0.1, 2.0),
)
def test_no_alert_begins_or_ends_without_a_reason(
    shown: list[tuple[float, bool, float | None, bool]], on: float
) -> None:
    alert = ALERT.but(on=on, off=0.5 * on, min_duration_s=0.1, merge_gap_s=0.1, update_every_s=0.2)
    watched = CameraMonitor("cam", SCALE, SMOOTHING, alert)
    alerts: list[Alert] = []
    for i, (score, explained, heat, whole) in enumerate(shown):
        reasons = (Reason("brightness", score, 0.0),) if explained and score > 0 else ()
        heat_map = None if heat is None else np.array([[0.0, heat]], np.float32)
        made = replace(frame(i / 10), health=Health(scored=whole))
        alerts += watched.update(ScoredFrame(made, (Detection(score, heat_map, reasons),), 0.0)).alerts
    alerts += watched.close()
    for step in alerts:
        waits = step.event.phase is Phase.UPDATE and step.event.score < alert.off
        assert step.reasons or waits
        for reason in step.reasons:
            assert not math.isnan(reason.value)


def test_what_moves_in_another_place_is_notified_though_it_comes_soon_after() -> None:
    watched = monitor()
    play(watched, [25] * 20)

    def moves(start_s: float, column: int) -> list[Alert]:
        heat = np.zeros((6, 8), np.float32)
        heat[2, column] = 1
        alerts: list[Alert] = []
        for i in range(40):
            found = Detection(0.8, heat) if i < 10 else Detection(0.1)
            alerts += watched.update(ScoredFrame(frame(start_s + i / 10), (found,), 0.0)).alerts
        return [alert for alert in alerts if alert.event.phase is Phase.START]

    told = [moves(start_s, column)[0].event.notify for start_s, column in ((2, 1), (6, 1), (10, 6), (14, 6))]
    assert told == [True, False, True, False]
