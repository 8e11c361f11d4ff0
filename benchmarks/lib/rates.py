"""Frames per second of several streams that are read in parallel."""

from __future__ import annotations

from collections.abc import Sequence

Times = list[list[float]]
"""One list per stream: time.monotonic() at which each of its frames was finished, in order."""


def steady_rate(times: Times) -> float:
    """Frames per second of all streams together, in the time in which all of them ran. Start and end do not count.

    Raises ValueError if no frame was finished in that time.
    """
    begins, ends = max(stream[0] for stream in times), min(stream[-1] for stream in times)
    frames = sum(begins < at <= ends for stream in times for at in stream)
    if not frames or ends <= begins:
        raise ValueError("the streams never ran at the same time: use a longer video")
    return frames / (ends - begins)


def of_baseline(rates: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """The rate of each round as a share of the baseline of that round."""
    return [rate / base for rate, base in zip(rates, baseline, strict=True)]
