"""The files of moments, and the thread that writes them.

    FOLDER/<camera>/<YYYY-MM-DD>/<HHMMSS.mmm>-1-peak.jpg, -normal.jpg, .json, and a clip if evidence is written

Names, deletion and the age of files are those of evidence. Each file is written whole or not at all, so a monitor that
is killed loses only the moment that it has not finished.
"""

from __future__ import annotations

import errno
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from monitor.errors import ConfigError
from monitor.judging.day_ranking import DayMoment
from monitor.private_files import make_private_folder
from monitor.reading import parse_json, read_file
from monitor.sinks.evidence.clips import clip_suffix
from monitor.sinks.evidence.evidence_files import Disk, EvidenceFiles, discard, evidence_of, folder_name
from monitor.sinks.evidence.repair import repair, sole_user
from monitor.sinks.evidence.retention import Retention, dates_in
from monitor.sinks.moments.moments_settings import MomentsSettings
from monitor.text.redaction import redact
from monitor.threads.channel import HandOver
from monitor.threads.stage import Stage, join_all

log = logging.getLogger(__name__)

MOST_DAYS = 60
"""Days of a camera that are remembered, to say how rare a moment is."""
WATCHED = "watched.json"
"""In the folder of a camera: how long it was watched on each day."""
_LARGEST = 1_000_000
_WAITING_BYTES = 64_000_000
_END_S = 5.0


class StoredMoment(BaseModel):
    """The facts of a moment in its JSON file. published: False until it was sent."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    camera: str
    moment: DayMoment
    published: bool


@dataclass(frozen=True, slots=True)
class _Write:
    name: str
    content: bytes


class Drawn:
    """A picture that the thread draws and writes, and a small copy of it to send."""

    def __init__(self, name: str, draw: Callable[[], tuple[bytes, bytes]]) -> None:
        self.name = name
        self._draw: Callable[[], tuple[bytes, bytes]] | None = draw
        self._small: bytes | None = None
        self._done = threading.Event()

    def small(self, timeout_s: float) -> bytes | None:
        """The small copy; None if the picture could not be drawn, or not within this time."""
        self._done.wait(timeout_s)
        return self._small

    def forget(self) -> None:
        """There is no room to draw it."""
        self._draw = None
        self._done.set()

    def make(self) -> bytes | None:
        """Draw it and let go of the frame. Returns the picture; None if it cannot be drawn."""
        draw, self._draw = self._draw, None
        try:
            picture, self._small = draw() if draw is not None else (None, None)
        except (ValueError, MemoryError) as error:
            log.debug("%s cannot be drawn: %s", self.name, error)
            picture = None
        self._done.set()
        return picture


@dataclass(frozen=True, slots=True)
class _Remove:
    names: tuple[str, ...]


def files_of(camera: str, at: float) -> EvidenceFiles:
    """The files of a moment, relative to the folder: picture (``peak``), facts, and clip."""
    return EvidenceFiles.of(camera, at, 1, clip_suffix())


class MomentFiles:
    """The folder of moments. Use it as a context manager.

    Raises ConfigError on entry if the path is not a folder, or if it cannot be created. If the disk is full or
    read-only, only files are lost.
    """

    def __init__(self, folder: Path, settings: MomentsSettings) -> None:
        self.folder = folder
        self._named = settings.folder is not None
        self._disk = Disk(folder)
        self._waiting: HandOver[_Write | Drawn | _Remove] = HandOver()
        self._retention = Retention(folder, settings.keep_days, round(settings.keep_mb * 1e6))
        self._stage = Stage("moments", self._work, self._on_error)

    def __enter__(self) -> Self:
        try:
            make_private_folder(self.folder)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                another = "another with [moments] folder" if self._named else "another state folder with --state"
                raise ConfigError(
                    f"the folder of moments {self.folder} cannot be created ({error.strerror}): choose {another}, "
                    "or set [moments] enabled = false"
                ) from error
        self._stage.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.close()
        for _name in join_all([self._stage], _END_S):
            log.warning("the moments of the day could not be written in time; the monitor does not wait for them")

    def write(self, name: str, content: bytes) -> None:
        """Write a file, later. If too much waits, it is lost."""
        if not self._waiting.offer(_Write(name, content), len(content), _WAITING_BYTES):
            self._disk.lost += 1

    def draw(self, drawn: Drawn, size: int) -> None:
        """Draw and write a picture, later. size: of the frame that it holds until then, bytes."""
        if not self._waiting.offer(drawn, size, _WAITING_BYTES):
            self._disk.lost += 1
            drawn.forget()

    def store(self, camera: str, moment: DayMoment, *, published: bool) -> None:
        """Write the facts of a moment."""
        facts = StoredMoment(camera=camera, moment=moment, published=published)
        self.write(files_of(camera, moment.at).facts, (facts.model_dump_json(indent=1) + "\n").encode())

    def remove(self, camera: str, moments: Sequence[DayMoment]) -> None:
        """Delete the files of moments, later."""
        for moment in moments:
            files = files_of(camera, moment.at)
            self._waiting.offer(_Remove((*files.all, files.normal)), 0, _WAITING_BYTES)

    def remove_watched(self, camera: str) -> None:
        """Delete how long a camera was watched, later."""
        self._waiting.offer(_Remove((_watched_file(camera),)), 0, _WAITING_BYTES)

    def store_watched(self, camera: str, watched_s: dict[str, float]) -> None:
        """Write how long a camera was watched on each day, seconds."""
        latest = dict(sorted(watched_s.items())[-MOST_DAYS:])
        self.write(_watched_file(camera), json.dumps(latest).encode())

    def picture(self, camera: str, moment: DayMoment) -> bytes | None:
        """The picture of a stored moment; None if there is none."""
        try:
            return read_file(self.folder / files_of(camera, moment.at).peak, 20 * _LARGEST)
        except (OSError, ValueError):
            return None

    def load(self, camera: str) -> tuple[list[StoredMoment], dict[str, float]]:
        """The moments that are kept of a camera, and the seconds watched by day. What cannot be read is left out."""
        found: dict[str, StoredMoment] = {}
        for path in self._facts(camera):
            try:
                stored = StoredMoment.model_validate_json(read_file(path, _LARGEST))
            except (OSError, ValueError):  # not ours, or damaged
                continue
            if stored.camera == camera:
                found[stored.moment.moment_id] = stored
        try:
            content = parse_json(read_file(self.folder / _watched_file(camera), _LARGEST))
            watched = _Watched.model_validate({"days": content}).days
        except (OSError, ValueError, ValidationError):
            watched = {}
        return list(found.values()), watched

    def _facts(self, camera: str) -> Iterator[Path]:
        try:
            dates = sorted(date for date in dates_in(self.folder) if date.parent.name == folder_name(camera))
            for date in dates[-MOST_DAYS:]:
                yield from (path for path in date.glob("*.json") if evidence_of(path.name) is not None)
        except OSError as error:
            log.debug("%s cannot be searched for moments: %s", self.folder, error)

    def _work(self) -> None:
        with sole_user(self.folder) as alone:
            if alone:
                repair(Disk(self.folder))
            while not self._waiting.ended:
                item = self._waiting.take(0.5)
                if isinstance(item, _Write):
                    self._disk.write(item.name, item.content)
                elif isinstance(item, Drawn):
                    if (picture := item.make()) is not None:
                        self._disk.write(item.name, picture)
                elif item is not None:
                    for name in item.names:
                        discard(self.folder / name)
                self._retention.check(self._disk.bytes, ())
        self._retention.close()

    def _on_error(self, stage: Stage) -> None:
        self._waiting.close()
        log.error("the moments of the day are kept no more: %s", redact(f"{type(stage.error).__name__}: {stage.error}"))


def _watched_file(camera: str) -> str:
    return f"{folder_name(camera)}/{WATCHED}"


class _Watched(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    days: dict[str, float]
