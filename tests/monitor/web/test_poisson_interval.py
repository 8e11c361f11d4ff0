from __future__ import annotations

import pytest
from scipy.stats import chi2

from monitor.judging.alarm_rate import rate_of
from monitor.promise import DAY_S
from monitor.web.poisson_interval import rate_interval


@pytest.mark.parametrize("alarms", [0, 1, 2, 7, 36, 199, 200, 201, 1000, 50_000])
def test_it_is_the_interval_of_the_monitor_and_of_the_textbook(alarms: int) -> None:
    low, high = rate_interval(alarms, 3.0)
    own = rate_of(alarms, 3 * DAY_S, 1.0)
    assert low == pytest.approx(own.low, rel=2e-4)
    assert high == pytest.approx(own.high, rel=2e-4)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * (alarms + 1)) / 6, rel=2e-4)
