"""Numbers in sentences."""

from __future__ import annotations


def plural(number: float, noun: str) -> str:
    """``video`` for 1, ``videos`` for any other number."""
    return noun if number == 1 else f"{noun}s"


def counted(number: float, noun: str) -> str:
    """``1 video``, ``2 videos``, ``0.5 videos``."""
    shown = str(number) if isinstance(number, int) else f"{number:g}"
    return f"{shown} {plural(number, noun)}"
