"""Finds the largest count at which something still works, by doubling and bisection."""

from __future__ import annotations

from collections.abc import Callable


def largest(passes: Callable[[int], bool], start: int, limit: int) -> int:
    """The largest count in 1..limit that passes; 0 if none does. It tries each count at most once.

    passes  True up to some count and False above it
    start   the first count to try; it is doubled while it passes
    """
    good, bad, count = 0, limit + 1, min(start, limit)
    while good < count:
        if not passes(count):
            bad = count
            break
        good, count = count, min(2 * count, limit)
    while bad - good > 1:
        middle = (good + bad) // 2
        if passes(middle):
            good = middle
        else:
            bad = middle
    return good


def confirmed(passes: Callable[[int], bool], found: int) -> int:
    """``found`` if it passes a stricter trial, otherwise the next lower count that does; 0 if none does."""
    return next((count for count in range(found, 0, -1) if passes(count)), 0)
