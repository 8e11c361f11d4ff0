"""The ranked day: collects the moments that a monitor has sent, and shows them as a table or as JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from monitor.alerts.messages import MomentMessage
from monitor.client.saved_pictures import file_name
from monitor.errors import ConfigError, RunError
from monitor.private_files import make_private_folder, write_private
from monitor.text.durations import place
from monitor.text.outside import safe

LOOK_BACK_DAYS = 8
"""Without a date, the latest day of each camera within this many days is shown."""
_WIDEST_ZONE = timedelta(hours=15)
_HEADS = ("camera", "rank", "time", "score", "alarm", "how rare", "why")


@dataclass(frozen=True, slots=True)
class RankedRow:
    """A moment in the ranking of its day: its rank from 1, its score there, and how rare it is in words."""

    rank: int
    score: float
    rare: str
    message: MomentMessage
    jpeg: bytes | None

    def json_line(self) -> str:
        """The moment as one JSON object: the message without its ranking, with its own place in it."""
        body = self.message.model_dump(mode="json", by_alias=True, exclude={"ranking"})
        own = {"kind": "moment", "rank": self.rank, "rare": self.rare}
        return json.dumps(own | body | {"score": self.score, "jpeg_bytes": len(self.jpeg or b"")})

    def cells(self) -> tuple[str, ...]:
        """The cells of the table."""
        message = self.message
        when = message.local[11:19] + ("" if message.media_s is None else f" (at {place(message.media_s)})")
        why = message.reasons[0].text if message.reasons else ""
        alarm = "no" if message.event_id is None else "yes"
        texts = (message.camera, str(self.rank), when, f"{self.score:.2f}", alarm, self.rare, why)
        return tuple(safe(text) for text in texts)


class RankedDays:
    """Takes messages in the order in which they came. day: YYYY-MM-DD; None: the latest of each camera.

    Raises ConfigError if the day is no date.
    """

    def __init__(self, day: str | None) -> None:
        self._day = None if day is None else _checked(day)
        self._latest: dict[tuple[str, str], MomentMessage] = {}
        self._known: dict[tuple[str, str], tuple[MomentMessage, bytes | None]] = {}

    @property
    def since(self) -> datetime | timedelta:
        """From when on a monitor may have sent what is shown."""
        if self._day is None:
            return timedelta(days=LOOK_BACK_DAYS)
        begins = datetime.fromisoformat(self._day).replace(tzinfo=UTC)
        return begins - _WIDEST_ZONE

    def take(self, message: MomentMessage, jpeg: bytes | None) -> None:
        """Take a message. Those of other days are left out."""
        if self._day is not None and message.day != self._day:
            return
        self._latest[message.camera, message.day] = message
        key = message.camera, message.moment_id
        before = self._known.get(key)
        self._known[key] = message, jpeg or (before[1] if before else None)

    def ranked(self) -> list[RankedRow]:
        """The moments, by camera and rank. A moment whose message is not kept any more is left out."""
        days = {camera: max(day for name, day in self._latest if name == camera) for camera, _ in self._latest}
        rows = []
        for camera, day in sorted(days.items()):
            for rank, ranked in enumerate(self._latest[camera, day].ranking, 1):
                known = self._known.get((camera, ranked.moment_id))
                if known is not None:
                    rows.append(RankedRow(rank, ranked.score, ranked.rare, *known))
        return rows

    def nothing(self, cameras: Sequence[str]) -> str:
        """The sentence for a day without moments."""
        when = f"in the last {LOOK_BACK_DAYS} days: name an earlier one with --date" if self._day is None else ""
        which = f" of {', '.join(cameras)}" if cameras else ""
        return (
            f"the monitor has sent no moment{which} {when or f'of {self._day}'}; a moment comes some minutes after it "
            "was found, as soon as a camera is watched with a model"
        )


class MomentPictures:
    """A folder for pictures of moments, ``<camera>/<day>/<rank>-<moment>.jpg``.

    Raises ConfigError if it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            make_private_folder(folder)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from error

    def save(self, rows: Sequence[RankedRow]) -> None:
        """Write the pictures. Raises RunError."""
        for row in rows:
            if row.jpeg is None:
                continue
            message = row.message
            folder = self._folder / file_name(message.camera) / file_name(message.day)
            file = folder / f"{row.rank:02d}-{file_name(message.moment_id)}.jpg"
            try:
                make_private_folder(folder)
                write_private(file, row.jpeg)
            except OSError as error:
                raise RunError(f"cannot write {file}: {error.strerror}") from error


def table_lines(rows: Sequence[RankedRow]) -> list[str]:
    """The moments as a table, one line each, below a line of its day for each day."""
    lines: list[str] = []
    days = dict.fromkeys(safe(row.message.day) for row in rows)
    for day in days:
        cells = [_HEADS, *(row.cells() for row in rows if safe(row.message.day) == day)]
        widths = [max(len(line[at]) for line in cells) for at in range(len(_HEADS))]
        lines += ["", day] if lines else [day]
        lines += [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]
    return lines


def _checked(text: str) -> str:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise ConfigError(f"{text[:40]!r} is no day: write one such as 2026-03-02")
