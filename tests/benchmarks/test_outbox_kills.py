"""No delivery is lost or doubled when the monitor is killed, again and again."""

from pathlib import Path

from benchmarks.outbox import run


def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    figures = run(8, tmp_path, seed=1)
    assert figures.good, str(figures)
    assert figures.journalled >= 8
