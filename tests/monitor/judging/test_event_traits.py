from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.judging.event_traits import MOST_SAMPLES, EventTraits, Sample
from monitor.states import Phase
from tests.helpers.teachable import event_of, monitor_that_learns_on, shown, teachable_model


def test_what_is_kept_of_an_event_can_be_stored_and_read() -> None:
    traits = event_of(200).traits
    assert traits is not None
    again = EventTraits.load(traits.dump(), traits.names)
    assert (again.names, again.hours, again.blocks) == (traits.names, traits.hours, traits.blocks)
    assert [each.time_s for each in again.samples] == [each.time_s for each in traits.samples]
    assert [each.scores for each in again.samples] == [each.scores for each in traits.samples]
    lit = [each for each in again.samples if each.traits]
    assert len(lit) > 10
    assert float(lit[0].traits["brightness"]["level"][0]) == pytest.approx(200 / 255)


def test_the_frames_before_the_smoothed_score_rose_are_kept_too() -> None:
    traits = event_of(200).traits
    assert traits is not None
    assert traits.samples[0].time_s <= 3.0


def test_a_long_event_keeps_no_more_frames() -> None:
    model = teachable_model()
    alerts = shown(model, monitor_that_learns_on(model=model), [25] * 3 + [200] * 40 + [25] * 4)
    (end,) = (alert for alert in alerts if alert.event.phase is Phase.END)
    assert end.traits is not None
    assert MOST_SAMPLES // 2 - 4 <= len(end.traits.samples) <= MOST_SAMPLES
    assert end.traits.samples[-1].time_s > 38, "evenly over the event"
    updates = [alert for alert in alerts if alert.event.phase is Phase.UPDATE]
    assert updates
    assert all(alert.traits is None for alert in updates)


def test_a_low_score_begins_anew() -> None:
    model, monitor = teachable_model(), monitor_that_learns_on()
    alerts = shown(model, monitor, [25] * 2 + [200] * 2 + [25] * 5 + [240] * 2 + [25] * 5)
    second = [alert for alert in alerts if alert.event.phase is Phase.END][1]
    assert second.traits is not None
    levels = {
        round(float(each.traits["brightness"]["level"][0]) * 255) for each in second.traits.samples if each.traits
    }
    assert levels == {240}


@pytest.mark.parametrize("names", [("a", "b"), ("a",)])
def test_scores_of_other_detectors_are_damage(names: tuple[str, ...]) -> None:
    kept = EventTraits(("a",), (Sample(0.0, (1.0,), {}), Sample(0.1, (float("nan"),), {})))
    if len(names) == 1:
        assert np.isnan(EventTraits.load(kept.dump(), names).samples[1].scores[0])
    else:
        with pytest.raises(ValueError, match="other detectors"):
            EventTraits.load(kept.dump(), names)


@given(st.binary(max_size=200))
def test_damage_is_a_value_error(content: bytes) -> None:
    for stored in (content, zlib.compress(content)):
        with pytest.raises(ValueError, match="damaged"):
            EventTraits.load(stored, ("a",))
