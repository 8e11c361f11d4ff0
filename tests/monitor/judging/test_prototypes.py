from __future__ import annotations

import numpy as np
import pytest

from monitor.judging.event_traits import EventTraits, Sample
from monitor.judging.prototypes import Named, Prototypes
from monitor.states import Phase
from tests.helpers.teachable import monitor_that_learns_on, shown, teachable_model

RNG = np.random.default_rng(0)
CYCLIST, SKATER = RNG.uniform(0, 1, 32), RNG.uniform(0, 1, 32)


def looks(centre: np.ndarray, spread: float = 0.02, seed: int = 1) -> EventTraits:
    """An event whose frames have features near a centre."""
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(10):
        features = (centre + spread * rng.standard_normal(len(centre))).astype(np.float16)
        of = {"features": features, "map": np.full((2, 2), float(number), np.float16)}
        samples.append(Sample(number / 10, (1.0,), {"net": of}))
    return EventTraits(("net",), tuple(samples))


def moves(ratio: float) -> EventTraits:
    """An event without a network, that many times as fast as usual."""
    of = {
        "ratios": np.full((8, 4), ratio, np.float16),
        "scores": np.full(8, 2.0, np.float16),
        "terms": np.full((8, 12), 0.1, np.float16),
    }
    return EventTraits(("motion",), tuple(Sample(number / 10, (1.0,), {"motion": of}) for number in range(5)))


def test_an_event_near_one_example_gets_its_name_and_how_alike_it_is() -> None:
    known = Prototypes([("cyclist", looks(CYCLIST))])
    same, like, other = (known.match(each) for each in (looks(CYCLIST), looks(CYCLIST, seed=2), looks(SKATER)))
    assert same == Named("cyclist", 1.0)
    assert like is not None
    assert 0.5 <= like.alike < 1.0
    assert other is None


def test_the_nearest_name_counts_and_a_normal_example_takes_no_name() -> None:
    known = Prototypes([("cyclist", looks(CYCLIST)), ("skater", looks(SKATER))])
    assert [match.name for each in (CYCLIST, SKATER) if (match := known.match(looks(each, seed=3)))] == [
        "cyclist", "skater",
    ]  # fmt: skip
    between = 0.9 * CYCLIST + 0.1 * SKATER
    assert Prototypes([("cyclist", looks(CYCLIST)), ("", looks(between))]).match(looks(between, seed=4)) is None


def test_of_several_examples_one_odd_one_gives_no_name() -> None:
    known = Prototypes([("cyclist", looks(CYCLIST)), ("cyclist", looks(CYCLIST, seed=5)), ("cyclist", looks(SKATER))])
    assert known.match(looks(CYCLIST, seed=6)) is not None
    assert known.match(looks(SKATER, seed=6)) is None


def test_without_a_network_motion_is_compared() -> None:
    known = Prototypes([("runner", moves(3.0))])
    assert known.match(moves(3.1)) is not None
    assert known.match(moves(9.0)) is None
    assert known.match(looks(CYCLIST)) is None, "nothing to compare"


@pytest.mark.parametrize(("notify", "told"), [(None, True), (False, False), (True, True)])
def test_a_name_can_decide_whether_events_notify(notify: bool | None, told: bool) -> None:
    model, monitor = teachable_model(), monitor_that_learns_on()

    class Known(Prototypes):
        def match(self, traits: EventTraits) -> Named | None:
            return Named("lamp", 0.8, notify) if traits.samples else None

    monitor.prototypes = Known()
    alerts = shown(model, monitor, [25] * 3 + [200] * 3 + [25] * 4)
    assert [(alert.event.phase, alert.event.notify) for alert in alerts] == [(Phase.START, told), (Phase.END, told)]
    assert {alert.named.name for alert in alerts if alert.named} == {"lamp"}
