import numpy as np
import pytest

from monitor.live.stats import Quantiles, Rate, ScoreBins


def test_a_rate_covers_its_window_only() -> None:
    rate = Rate(window_s=2.0)
    assert rate.update(0.0, 0) == 0.0
    for second in range(1, 10):
        last = rate.update(second, second * 10)
    assert last == pytest.approx(10.0)
    for second in range(10, 14):
        last = rate.update(second, 90)
    assert last == 0.0


def test_quantiles_of_the_last_values() -> None:
    quantiles = Quantiles(size=101)
    assert quantiles.quantile(0.5) is None
    for value in range(1000):
        quantiles.add(value)
    assert quantiles.quantile(0.5) == 949
    assert quantiles.count == 1000


@pytest.mark.parametrize("count", [1, 2, 7, 512])
@pytest.mark.parametrize("q", [0.0, 0.37, 0.5, 0.99, 1.0])
def test_quantiles_are_those_of_numpy(count: int, q: float) -> None:
    quantiles, values = Quantiles(), np.random.default_rng(count).exponential(0.1, count)
    for value in values.tolist():
        quantiles.add(value)
    assert quantiles.quantile(q) == pytest.approx(float(np.quantile(values, q)))


def test_history_keeps_the_highest_of_each_second_and_shows_gaps() -> None:
    history = ScoreBins(bins=4)
    for time_s, value in ((0.1, 1.0), (0.9, 3.0), (1.5, 2.0), (3.2, 5.0)):
        history.add(time_s, value)
    assert history.values() == [3.0, 2.0, None, 5.0]
    history.add(4.0, 6.0)
    assert history.values() == [2.0, None, 5.0, 6.0]
