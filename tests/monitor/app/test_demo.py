from pathlib import Path

from monitor.app.config import MonitorConfig
from monitor.app.demo import Seen, compare, result_sentence, without_traces
from monitor.app.normal_place import normal_folder
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sources.synthetic.script import Episode

RUN, BIKE = Episode("runner", 10.0, 15.0), Episode("bicycle", 30.0, 36.0)


def test_an_alert_belongs_to_the_episode_that_it_overlaps() -> None:
    result = compare([RUN, BIKE], [Seen(11.0, 14.0, 2.0), Seen(33.0, 40.0, 1.5)])
    assert [(r.delay_s, r.peak_score) for r in result.episodes] == [(1.0, 2.0), (3.0, 1.5)]
    assert result.false_alarms == ()
    assert result_sentence(result) == "2 of 2 abnormal episodes caught, no false alarm."


def test_a_missed_episode_and_a_false_alarm_are_told() -> None:
    result = compare([RUN, BIKE], [Seen(20.0, 22.0, 1.1), Seen(16.5, 18.0, 1.2)])
    assert result.caught == 1, "an alert soon after the episode still belongs to it"
    assert result.episodes[1].delay_s is None
    assert result.false_alarms == ((20.0, 22.0),)
    assert result_sentence(result) == "1 of 2 abnormal episodes caught, 1 false alarm."


def test_an_alert_that_was_on_before_an_episode_does_not_catch_it() -> None:
    result = compare([RUN], [Seen(8.0, 14.0, 2.0)])
    assert result.caught == 0
    assert result.false_alarms == ((8.0, 14.0),)


def test_an_episode_of_which_nobody_is_notified_is_told_as_such() -> None:
    quiet = compare([RUN, BIKE], [Seen(11.0, 14.0, 2.0), Seen(33.0, 40.0, 1.5, notify=False)])
    assert quiet.caught == 2
    assert result_sentence(quiet) == (
        "2 of 2 abnormal episodes caught (1 quietly: it repeats an alert of shortly before, so nobody is notified), "
        "no false alarm."
    )
    later = compare([RUN], [Seen(11.0, 12.0, 2.0, notify=False), Seen(13.0, 14.0, 2.5)])
    assert not later.quiet


def test_its_pictures_are_not_among_those_of_the_users_cameras(tmp_path: Path) -> None:
    settings = MonitorConfig(evidence=EvidenceSettings(enabled=True))
    assert normal_folder(without_traces(settings, tmp_path)).is_relative_to(tmp_path)
    assert not normal_folder(settings).is_relative_to(tmp_path)
