"""The calculations of the soak benchmark, without a run of hours."""

import json
from collections import Counter

import pytest

from benchmarks.lib.soak_figures import Sample, Tally, trends
from benchmarks.soak import Soak, as_json


def sample(minute: float, rss_mb: float) -> Sample:
    return Sample(60 * minute, rss_mb, 400.0, 16, 59, 8, 10.0, None)


def test_a_soak_s_figures_are_json_with_every_sample_and_fault() -> None:
    tally = Tally(faults=Counter({"a decoder is killed": 3}), alerts_sent=5, alerts_received=5)
    soak = Soak((sample(1, 200), sample(2.5, 210.5)), tally, survived=True, exit_code=0)
    said = json.loads(as_json(soak))
    assert said["tally"]["faults"] == {"a decoder is killed": 3}
    assert [each["rss_mb"] for each in said["samples"]] == [200, 210.5]
    assert said["failures"] == []


def test_the_slope_leaves_the_warm_up_out() -> None:
    samples = [sample(0.5, 0), *(sample(minute, 200 + minute) for minute in (3, 33, 63))]
    first, last, slope = trends(samples)["rss_mb"]
    assert (first, last) == (203, 263)
    assert slope == pytest.approx(60)


def test_what_must_not_be_is_said() -> None:
    tally = Tally(alerts_sent=5, alerts_received=3, alerts_lost=1, tracebacks=2)
    soak = Soak((), tally, survived=False, exit_code=None, cut_short="a server did not start")
    assert len(soak.failures) == 5
