"""Parses where a subscriber begins, as given by a person or a program."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from monitor.client.follower import Start
from monitor.errors import ConfigError

Since = str | timedelta | datetime | None
"""A token; an age (timedelta, or ``90s``, ``30m``, ``2h``, ``7d``); a time (datetime, or ISO 8601); or None."""

_OLDEST_S = 36_500 * 86_400.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def token_of(position: int) -> str:
    """Return the token with which a subscriber continues after a position."""
    return f"p{position}"


def start_of(since: Since) -> Start | None:
    """Return where to begin; None for the events open now. Times without a zone are local. Raises ConfigError."""
    if since is None:
        return None
    if isinstance(since, timedelta):
        return _ago(since.total_seconds(), str(since))
    if isinstance(since, str):
        if match := re.fullmatch(r"p(\d{1,18})", since):
            return Start(after=int(match[1]))
        if match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", since):
            return _ago(float(match[1]) * _UNITS[match[2]], since)
        try:
            since = datetime.fromisoformat(since)
        except ValueError:
            raise ConfigError(
                f"cannot begin at {since!r}: write an age such as 90s, 30m, 2h or 7d, a time such as 2026-03-02T14:00, "
                "or a token from this client"
            ) from None
    try:
        return Start(since=max(0.0, since.timestamp()))
    except (OverflowError, OSError, ValueError):
        raise ConfigError(f"cannot begin at {since}: that time is out of range") from None


def _ago(age_s: float, said: str) -> Start:
    if not age_s >= 0:  # also NaN
        raise ConfigError(f"cannot begin {said} ago: give an age of 0 or more")
    if age_s > _OLDEST_S:
        raise ConfigError(f"cannot begin {said} ago: that is too long; give at most {_OLDEST_S / 86_400:.0f}d")
    return Start(age_s=age_s)
