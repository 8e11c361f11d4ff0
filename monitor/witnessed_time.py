"""How old is what was written at some wall-clock time? The answer counts only time that a monitor has witnessed.

A wall clock may be years ahead for a few seconds, or start in 1970. Whatever deletes by age must not believe it. So the
age of a time is measured by the machine's uptime, which only ever runs forward. A small record, kept beside the data,
carries the count over restarts and lists which wall-clock times were shown when.

Between two runs, both clocks must agree that time has passed: the lesser counts. After a restart of the machine, only
the wall clock can say how long it was off, so at most one day counts.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from monitor.reading import open_file

MOST_OFF_S = 86_400.0
"""Most seconds that count for the time in which the machine was off."""
SAVE_EVERY_S = 60.0
"""A caller saves the record at least this often, seconds."""
MAX_BYTES = 100_000
"""Largest size of a saved record, bytes."""
_JUMP_S = 60.0  # the wall clock has jumped if it differs by more than this from what the uptime lets expect
_NEAR_S = 2 * SAVE_EVERY_S  # a kill loses the last minute of the record: times this near to a span belong to it
_SPANS = 100
_FORMAT = "true-sight-time"


@dataclass(frozen=True, slots=True)
class Moment:
    """What the machine's clocks show at one moment.

    boot      identifies the start of the machine; empty if it is not known
    uptime_s  seconds since the start of the machine; a forward-running clock of the process if ``boot`` is empty
    unix_s    the wall clock, unix seconds; it may be wrong
    """

    boot: str
    uptime_s: float
    unix_s: float


def read_moment() -> Moment:
    """The present moment on this machine."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        uptime_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return Moment("", time.monotonic(), time.time())
    return Moment(boot, uptime_s, time.time())


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch in which the wall clock ran without a jump: from and to, unix seconds.

    offset  witnessed seconds = wall clock + offset
    """

    begin: float
    end: float
    offset: float


class WitnessedTime:
    """Counts the time that monitors have witnessed. Call ``advance`` often.

    moment  the present moment
    saved   what ``dump`` has returned in an earlier run; anything else begins a new record
    """

    def __init__(self, moment: Moment, saved: str = "") -> None:
        self._total_s = 0.0
        self._born = moment.unix_s
        self._last = moment
        self._spans = [_Span(moment.unix_s, moment.unix_s, -moment.unix_s)]
        try:
            self._load(saved)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return
        same_boot = self._last.boot == moment.boot != "" and moment.uptime_s >= self._last.uptime_s
        most_s = moment.uptime_s - self._last.uptime_s if same_boot else MOST_OFF_S
        self._count(moment, min(max(moment.unix_s - self._last.unix_s, 0.0), most_s))

    @classmethod
    def read(cls, path: Path, moment: Moment) -> Self:
        """Continue the record in a file. A missing or damaged file begins a new one."""
        try:
            with open_file(path) as file:
                saved = file.read(MAX_BYTES).decode(errors="replace")
        except OSError:
            saved = ""
        return cls(moment, saved)

    def advance(self, moment: Moment) -> None:
        """Count the time since the last moment."""
        self._count(moment, max(0.0, moment.uptime_s - self._last.uptime_s))

    def age_s(self, unix_s: float) -> float | None:
        """The age of what was written when the wall clock showed this time, witnessed seconds.

        If the wall clock has shown this time more than once, the last time counts. None if no monitor has witnessed
        this time: then nothing is known. What was there before the record began has the age of the record.
        """
        if not isinstance(unix_s, int | float) or not math.isfinite(unix_s):  # a damaged journal may hold anything
            return None
        near = [span.offset for span in self._spans if span.begin - _NEAR_S <= unix_s <= span.end + _NEAR_S]
        if near:
            return max(0.0, self._total_s - (unix_s + max(near)))
        return self._total_s if unix_s <= self._born else None

    def dump(self) -> str:
        """The record as text, for ``saved``."""
        return json.dumps(
            {
                "format": _FORMAT,
                "total_s": self._total_s,
                "born": self._born,
                "last": [self._last.boot, self._last.uptime_s, self._last.unix_s],
                "spans": [[span.begin, span.end, span.offset] for span in self._spans],
            }
        )

    def _count(self, moment: Moment, elapsed_s: float) -> None:
        self._total_s += elapsed_s
        self._last = moment
        for span in reversed(self._spans):
            if abs(moment.unix_s + span.offset - self._total_s) <= _JUMP_S:  # the clock runs on, or was set right again
                self._spans.remove(span)
                both = _Span(min(span.begin, moment.unix_s), max(span.end, moment.unix_s), span.offset)
                self._spans.append(both)
                return
        self._spans.append(_Span(moment.unix_s, moment.unix_s, self._total_s - moment.unix_s))
        if len(self._spans) > _SPANS:
            first, second, *rest = self._spans
            both = _Span(min(first.begin, second.begin), max(first.end, second.end), max(first.offset, second.offset))
            self._spans = [both, *rest]

    def _load(self, saved: str) -> None:
        """Take over a saved record. Raises one of the errors caught in the constructor, and then changes nothing."""
        told: Any = json.loads(saved)
        if told["format"] != _FORMAT:
            raise ValueError(saved)
        boot, uptime_s, unix_s = told["last"]
        spans = [_Span(*map(_finite, span)) for span in told["spans"]][-_SPANS:]
        if not spans:
            raise ValueError(saved)
        last = Moment(str(boot), _finite(uptime_s), _finite(unix_s))
        total_s, born = max(0.0, _finite(told["total_s"])), _finite(told["born"])
        self._total_s, self._born, self._last, self._spans = total_s, born, last, spans


def _finite(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]  # TypeError for what is no number
    if not math.isfinite(number):
        raise ValueError(f"{value} is not finite")
    return number
