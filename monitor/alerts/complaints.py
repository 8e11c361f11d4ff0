"""Log lines about refused clients, few enough for any number of them."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

log = logging.getLogger(__name__)

COMPLAIN_EVERY_S = 60.0
"""A refused client tries again and again. It is logged once per interval of this many seconds."""
PER_ADDRESS = 5
"""Log lines per interval and address: a client can show a new key with every connection."""
IN_ALL = 20
"""Log lines per interval."""


class Complaints:
    """Logs refused clients with the reason: once per minute per client and reason, and only so many lines in all.

    What is left out is counted, and said at the first refusal after the minute. A complaint takes the same time however
    many there were. clock: seconds, monotonic
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._said: set[tuple[str, str]] = set()
        self._lines: Counter[str] = Counter()
        self._left_out = 0

    def say(self, address: str, reason: str) -> None:
        """Log that a client at ``address`` was refused."""
        now = self._clock()
        if now - self._began >= COMPLAIN_EVERY_S:
            self._begin_anew(now)
        if (address, reason) in self._said:
            return
        if len(self._said) >= IN_ALL or self._lines[address] >= PER_ADDRESS:
            if not self._left_out:
                log.warning("refused more clients: they are counted only, for up to %.0f seconds", COMPLAIN_EVERY_S)
            self._left_out += 1
            return
        self._said.add((address, reason))
        self._lines[address] += 1
        log.warning("refused a client at %s: %s", address, reason)

    def _begin_anew(self, now: float) -> None:
        if self._left_out:
            log.warning("refused clients %d more times in the last %.0f seconds", self._left_out, now - self._began)
        self._began, self._left_out = now, 0
        self._said.clear()
        self._lines.clear()
