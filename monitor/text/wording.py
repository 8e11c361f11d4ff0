"""Formats numbers for sentences, shortens long names and finds the name that a mistyped name means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monitor.text.outside import safe


def plural(number: float, noun: str) -> str:
    """``video`` for 1, ``videos`` for any other number."""
    return noun if number == 1 else f"{noun}s"


def counted(number: float, noun: str) -> str:
    """``1 video``, ``2 videos``, ``0.5 videos``."""
    shown = str(number) if isinstance(number, int) else f"{number:g}"
    return f"{shown} {plural(number, noun)}"


def about(number: float) -> str:
    """The number with two significant digits, as precise as an estimate is: ``2200``, ``5.4``, ``0.034``."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:.0f}" if abs(rounded) >= 10 else f"{rounded:g}"


def joined(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *first, last = names or ("",)
    return f"{', '.join(first)} and {last}" if first else last


def listed(names: Sequence[str], at_most: int) -> str:
    """``a, b``; if there are more than ``at_most`` names, ``a, b and 3 more``."""
    rest = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {rest} more" if rest > 0 else "")


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most similar to ``name``; None if no similarity reaches ``cutoff`` (1 means equal)."""
    from difflib import get_close_matches  # used only after a mistake

    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def shortened(path: str, room: int) -> str:
    """A path, address or name in at most ``room`` characters. It leaves out characters before the last part.

    If the last part alone is too long, it leaves out the middle of that part. The text is safe to show (``safe``): from
    a part of an address, nobody could tell what is a password.
    """
    path = safe(path)
    if len(path) <= room:
        return path
    end = path[path.rstrip("/").rfind("/") :] if "/" in path else path
    if len(end) + 4 > room:  # too few characters before the last part would remain to recognise it
        path = end.lstrip("/")
        if len(path) <= room:
            return path
        end = path[len(path) - (room - 1) // 2 :]
    return f"{path[: room - 1 - len(end)]}…{end}"
