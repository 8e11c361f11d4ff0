"""Frames a second of several streams that were read side by side."""

from __future__ import annotations

from collections.abc import Sequence

Times = list[list[float]]
"""One list a stream: time.monotonic() at which each of its frames was done, in order."""


def steady_rate(times: Times) -> float:
    """Frames a second, all streams together, while all of them ran: starting and ending are not counted.

    Raises ValueError where no two frames lie in that time.
    """
    begins, ends = max(stream[0] for stream in times), min(stream[-1] for stream in times)
    frames = sum(begins < at <= ends for stream in times for at in stream)
    if not frames or ends <= begins:
        raise ValueError("the streams never ran at the same time: take a longer video")
    return frames / (ends - begins)


def of_baseline(rates: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """Each round's rate as a share of that round's baseline."""
    return [rate / base for rate, base in zip(rates, baseline, strict=True)]
