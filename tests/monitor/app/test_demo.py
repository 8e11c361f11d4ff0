from monitor.app.demo import compare, result_sentence
from monitor.sources.synthetic.script import Episode

RUN, BIKE = Episode("runner", 10.0, 15.0), Episode("bicycle", 30.0, 36.0)


def test_an_alert_belongs_to_the_episode_that_it_overlaps() -> None:
    result = compare([RUN, BIKE], [(11.0, 14.0, 2.0), (33.0, 40.0, 1.5)])
    assert [(r.delay_s, r.peak_score) for r in result.episodes] == [(1.0, 2.0), (3.0, 1.5)]
    assert result.false_alarms == ()
    assert result_sentence(result) == "2 of 2 abnormal episodes caught, no false alarm."


def test_a_missed_episode_and_a_false_alarm_are_told() -> None:
    result = compare([RUN, BIKE], [(20.0, 22.0, 1.1), (16.5, 18.0, 1.2)])
    assert result.caught == 1, "an alert soon after the episode still belongs to it"
    assert result.episodes[1].delay_s is None
    assert result.false_alarms == ((20.0, 22.0),)
    assert result_sentence(result) == "1 of 2 abnormal episodes caught, 1 false alarm."


def test_an_alert_that_was_on_before_an_episode_does_not_catch_it() -> None:
    result = compare([RUN], [(8.0, 14.0, 2.0)])
    assert result.caught == 0
    assert result.false_alarms == ((8.0, 14.0),)
