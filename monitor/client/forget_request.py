"""The request to forget, from the words of a command line."""

from __future__ import annotations

import time
from datetime import datetime
from typing import get_args

from pydantic import ValidationError

from monitor.alerts.control import TIMELESS, Forget, Kind
from monitor.errors import UsageError, first_problem
from monitor.text.durations import parse_duration
from monitor.text.outside import safe

WITHOUT_TIMES: tuple[Kind, ...] = get_args(Kind)
WITH_TIMES = tuple(kind for kind in WITHOUT_TIMES if kind not in TIMELESS)


def forget_request(
    camera: str, begin: str | None, end: str | None, what: list[str] | None, *, everything: bool, preview: bool
) -> Forget:
    """The request. Raises UsageError if the words do not say what to forget.

    begin, end  an age (``2h``, ``7d``) or a local time (``2026-03-02T14:00``); None: no limit
    what        kinds of things; None: all that can be forgotten
    everything  of all times
    """
    if not everything and begin is None and end is None:
        raise UsageError("say what to forget: --from and --to, or --all for all times")
    if everything and (begin is not None or end is not None):
        raise UsageError("--all means all times: leave out --from and --to")
    fields = {
        "camera": camera,
        "from_at": None if begin is None else _time(begin, "--from"),
        "to_at": None if end is None else _time(end, "--to"),
        "what": what or (WITHOUT_TIMES if everything else WITH_TIMES),
        "preview": preview,
    }
    try:
        return Forget.model_validate(fields)
    except ValidationError as error:
        place, words = first_problem(error)
        raise UsageError(safe(f"{place}: {words}".removeprefix(": ").removeprefix("Value error, "))) from None


def _time(text: str, flag: str) -> float:
    """Unix seconds."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    try:
        if text.endswith("d"):
            return time.time() - float(text[:-1]) * 86_400
        return time.time() - parse_duration(text)
    except (ValueError, UsageError):
        raise UsageError(
            f"{flag}: {safe(text[:50])!r} is neither an age (2h, 7d) nor a time (2026-03-02T14:00)"
        ) from None
