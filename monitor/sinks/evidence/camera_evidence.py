"""Evidence of one camera: takes frames and alerts, writes files. It has no threads; the evidence thread runs it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor.judging.camera_monitor import Alert
from monitor.sinks.alert_facts import alert_facts
from monitor.sinks.evidence.alert_pictures import fit, from_jpeg, resized, snapshot, to_jpeg
from monitor.sinks.evidence.clips import Clip, clip_suffix, open_clip
from monitor.sinks.evidence.evidence_files import Disk, EvidenceFiles
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.evidence.ring import FrameRing, StoredFrame
from monitor.sinks.normal.normal_pictures import NormalPicture
from monitor.states import Phase
from monitor.types import Frame, Image

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _OpenClip:
    """A clip that is being written. Times are on the stream's clock, seconds.

    until_s          the clip ends at this time
    first_s, last_s  times of its first and last frame so far
    """

    clip: Clip
    files: EvidenceFiles
    until_s: float
    size: tuple[int, int]
    first_s: float = 0.0
    last_s: float = 0.0


class CameraEvidence:
    """Keeps the last seconds of a camera, and writes the pictures, facts and clip of each event.

    rise_s  longest time from an event's start to its start alert, seconds; the ring adds it to before_s
    after_s seconds that are kept in addition, for clips of moments that are complete only later
    late    True when the end of the run cannot wait longer: clips are dropped, pictures and facts still written
    """

    def __init__(
        self,
        camera: str,
        settings: EvidenceSettings,
        disk: Disk,
        *,
        rise_s: float = 1.5,
        after_s: float = 0.0,
        late: Callable[[], bool] = lambda: False,
    ) -> None:
        self.camera = camera
        self._settings = settings
        self._disk = disk
        self._kept_s = settings.before_s + after_s
        self._ring = FrameRing(camera, settings.memory_bytes, self._kept_s + rise_s)
        self._late = late
        self._segment: int | None = None
        self._open: _OpenClip | None = None
        self._facts: dict[str, Any] = {}
        self._moments_lost = False  # the last clip of a moment could not be written

    @property
    def open_name(self) -> str | None:
        """Name of the event with the open clip (see EvidenceFiles.name); None if no clip is open."""
        return None if self._open is None else self._open.files.name

    def frame(self, frame: Frame) -> None:
        """Add the next analysed frame."""
        if frame.segment != self._segment:
            self.finish()
            self._ring.clear()
            self._segment = frame.segment
        image = fit(frame.image, self._settings.width)
        self._ring.add(frame.time_s, to_jpeg(image, self._settings.quality))
        if self._open is not None:
            self._extend(frame.time_s, image)
            self._finish_if_over(frame.time_s)

    def keep_before(self, rise_s: float) -> None:
        """Set ``rise_s`` of a new alert rule, see the class. An open clip continues."""
        self._ring.keep_s = self._kept_s + rise_s

    def clip_around(self, time_s: float, path: Path) -> None:
        """Write a clip around a moment that is over, from the frames that are still kept. time_s: of the stream."""
        settings = self._settings
        stored = [
            entry for entry in self._ring.since(time_s - settings.before_s) if entry.time_s <= time_s + settings.after_s
        ]
        if not stored or self._late():
            return
        height, width = from_jpeg(stored[0].jpeg).shape[:2]
        try:
            clip = open_clip(path, width, height, camera=self.camera, started_at=time.time() - self._age_s(stored[0]))
        except OSError as error:
            self._moment_lost(path, error)
            return
        try:
            for entry in stored:
                clip.write(entry.time_s, resized(from_jpeg(entry.jpeg), (width, height)))
            clip.finish()
        except OSError as error:
            clip.abandon()
            self._moment_lost(path, error)
        else:
            self._moments_lost = False

    def _moment_lost(self, path: Path, error: OSError) -> None:
        """Count a lost clip of a moment; logs the first. Moments have a folder of their own: evidence goes on."""
        self._disk.lost += 1
        if not self._moments_lost:
            reason = error.strerror or error
            log.warning("%s: the clip of a moment is lost, %s cannot be written: %s", self.camera, path, reason)
        self._moments_lost = True

    def _age_s(self, first: StoredFrame) -> float:
        """How long ago a frame of the ring was read, seconds of the stream."""
        return self._ring.since(first.time_s)[-1].time_s - first.time_s

    def step(self, alert: Alert, normal: NormalPicture | None = None) -> None:
        """Handle the start or the end of an event. Updates are ignored. normal: the nearest normal picture."""
        if alert.event.phase is Phase.START:
            self._start(alert, normal)
        elif alert.event.phase is Phase.END:
            self._end(alert, normal)

    def finish(self) -> None:
        """Complete the open clip, if there is one, with its frames so far."""
        now_open, self._open = self._open, None
        if now_open is None:
            return
        try:
            self._disk.succeeded(now_open.files.clip, now_open.clip.finish())
        except OSError as error:
            now_open.clip.abandon()
            self._disk.failed(now_open.files.clip, error)
            return
        seconds = round(now_open.last_s - now_open.first_s, 3)
        self._facts["clip"] = {
            "started_s": round(now_open.first_s, 3),
            "seconds": seconds,
            "frames": now_open.clip.frames,
        }
        self._write_facts(now_open.files)

    def abandon(self) -> None:
        """Discard the open clip: there is no time to complete it."""
        now_open, self._open = self._open, None
        if now_open is not None:
            now_open.clip.abandon()
            self._disk.lost += 1
            self._write_facts(now_open.files)

    def _start(self, alert: Alert, normal: NormalPicture | None) -> None:
        self.finish()  # the last event's clip: its missing end is the beginning of the new clip
        files = EvidenceFiles.of(alert.camera, alert.started_at, alert.event.number, clip_suffix())
        self._facts = self._describe(alert, files, normal)
        self._write_picture(files.start, alert)
        if normal is not None:
            self._disk.write(files.normal, normal.jpeg)
        self._write_facts(files)
        self._open_clip(alert, files)

    def _end(self, alert: Alert, normal: NormalPicture | None) -> None:
        files = EvidenceFiles.of(alert.camera, alert.started_at, alert.event.number, clip_suffix())
        clip = self._facts.get("clip") if self._facts.get("event") == alert.event.number else None
        self._facts = {**self._describe(alert, files, normal), "clip": clip}
        self._write_picture(files.peak, alert)
        self._write_facts(files)
        if self._open is not None and alert.event.ended_s is not None:
            self._open.until_s = min(self._open.until_s, alert.event.ended_s + self._settings.after_s)
            self._finish_if_over(self._open.last_s)

    def _open_clip(self, alert: Alert, files: EvidenceFiles) -> None:
        """Begin the clip with the frames in the ring."""
        first_s = alert.event.started_s - self._settings.before_s
        stored = self._ring.since(first_s)
        if not self._disk.usable(files.clip) or not stored or self._late():
            self._disk.lost += 1
            return
        height, width = from_jpeg(stored[0].jpeg).shape[:2]
        path = self._disk.folder / files.clip
        began_at = alert.started_at - (alert.event.started_s - stored[0].time_s)
        try:
            clip = open_clip(path, width, height, camera=self.camera, started_at=began_at)
        except OSError as error:
            self._disk.failed(files.clip, error)
            return
        until_s = stored[0].time_s + self._settings.max_clip_s
        self._open = _OpenClip(clip, files, until_s, (width, height), stored[0].time_s)
        for entry in stored:  # the longest task of the thread
            if self._late():
                self.abandon()
                return
            self._extend(entry.time_s, from_jpeg(entry.jpeg))

    def _extend(self, time_s: float, image: Image) -> None:
        if self._open is None:
            return
        try:
            self._open.clip.write(time_s, image)
        except OSError as error:
            self._disk.failed(self._open.files.clip, error)
            self._open.clip.abandon()
            self._open = None
        else:
            self._open.last_s = time_s

    def _finish_if_over(self, time_s: float) -> None:
        if self._open is not None and time_s >= self._open.until_s:
            self.finish()

    def _write_picture(self, name: str, alert: Alert) -> None:
        self._disk.write(name, to_jpeg(snapshot(alert, self._settings.width), self._settings.quality))

    def _write_facts(self, files: EvidenceFiles) -> None:
        if self._facts["phase"] != "start":  # by then, every file is there, is being written, or was lost
            opened = (files.clip,) if self._open is not None else ()
            there = [
                name
                for name in (*files.all, files.normal)
                if name in (files.facts, *opened) or (self._disk.folder / name).exists()
            ]
            self._facts["files"] = [name.rpartition("/")[2] for name in there]
        self._disk.write(files.facts, (json.dumps(self._facts, indent=1) + "\n").encode())

    def _describe(self, alert: Alert, files: EvidenceFiles, normal: NormalPicture | None) -> dict[str, Any]:
        """Return the facts of the alert, for the JSON file beside the pictures."""
        facts = alert_facts(alert)
        names = ("started_s", "ended_s", "peak_score", "peak_s", "threshold", "expected_false_alarms_per_day", "notify")
        return {
            "camera": facts["camera"],
            "event": facts["number"],
            "phase": facts["phase"],
            "started_at": _iso(facts["started_at"]),
            "ended_at": None if facts["ended_at"] is None else _iso(facts["ended_at"]),
            **{name: facts[name] for name in (*names, "model", "regions", "reasons")},
            "files": [name.rpartition("/")[2] for name in with_normal(files, normal)],
            "normal_at": None if normal is None else _iso(normal.at),
            "clip": None,
        }


def with_normal(files: EvidenceFiles, normal: NormalPicture | None) -> tuple[str, ...]:
    """The names of an event's files, the clip last; with that of the nearest normal picture if there is one."""
    return files.all if normal is None else (*files.all[:-1], files.normal, files.clip)


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")
