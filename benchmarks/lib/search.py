"""How many: the largest count at which something still works, found by doubling and bisecting."""

from __future__ import annotations

from collections.abc import Callable


def largest(passes: Callable[[int], bool], start: int, limit: int) -> int:
    """The largest count of 1..limit that passes, 0 if none does; each count is tried once at most.

    passes  True up to some count and False beyond; start: the first that is tried, doubled while it passes
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
    """``found`` if it passes a stricter trial, or else the next lower count that does; 0 if none does."""
    return next((count for count in range(found, 0, -1) if passes(count)), 0)
