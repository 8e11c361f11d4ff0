"""No delivery is lost or doubled when the monitor is killed, again and again."""

from pathlib import Path

from benchmarks.outbox import measure_latency, run


def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    figures = run(8, tmp_path, seed=1)
    assert figures.good, str(figures)
    assert figures.journalled >= 8


def test_the_latency_is_measured_beside_receivers_that_hang() -> None:
    took = measure_latency(20, "hang")
    assert len(took) == 20
    assert took == sorted(took)
