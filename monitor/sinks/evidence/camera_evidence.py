"""One camera's evidence: frames and steps of events in, files out. Without threads; the evidence thread runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from monitor.alerts.messages import ModelRef, ReasonBody, RegionBody
from monitor.judging.camera_monitor import Alert
from monitor.sinks.evidence.alert_pictures import fit, from_jpeg, snapshot, to_jpeg
from monitor.sinks.evidence.clips import Clip, clip_suffix, open_clip
from monitor.sinks.evidence.evidence_files import Disk, EvidenceFiles
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.evidence.ring import FrameRing
from monitor.states import Phase
from monitor.types import Frame, Image


@dataclass(slots=True)
class _OpenClip:
    """A clip that grows. until_s: the stream's time up to which; first_s, last_s: of its frames so far."""

    clip: Clip
    files: EvidenceFiles
    until_s: float
    size: tuple[int, int]
    first_s: float = 0.0
    last_s: float = 0.0


class CameraEvidence:
    """Keeps the camera's last seconds and writes an event's pictures, facts and clip.

    model                 the model that watches the camera
    false_alarms_per_day  what the threshold stands for
    rise_s                seconds from an event's start to its first step, at most: what the ring keeps beyond before_s
    late                  True once the run's end can wait no longer: clips are given up, pictures and facts are not
    """

    def __init__(
        self,
        camera: str,
        settings: EvidenceSettings,
        disk: Disk,
        *,
        model: ModelRef | None = None,
        false_alarms_per_day: float | None = None,
        rise_s: float = 1.5,
        late: Callable[[], bool] = lambda: False,
    ) -> None:
        self.camera = camera
        self._settings = settings
        self._disk = disk
        self._model = model
        self._false_alarms_per_day = false_alarms_per_day
        self._ring = FrameRing(camera, settings.memory_bytes, settings.before_s + rise_s)
        self._late = late
        self._segment: int | None = None
        self._open: _OpenClip | None = None
        self._facts: dict[str, Any] = {}

    @property
    def open_name(self) -> str | None:
        """The name of the event whose clip is being written, if any (see EvidenceFiles.name)."""
        return None if self._open is None else self._open.files.name

    def frame(self, frame: Frame) -> None:
        """Take the next analysed frame."""
        if frame.segment != self._segment:
            self.finish()
            self._ring.clear()
            self._segment = frame.segment
        image = fit(frame.image, self._settings.width)
        self._ring.add(frame.time_s, to_jpeg(image, self._settings.quality))
        if self._open is not None:
            self._extend(frame.time_s, image)
            self._finish_if_over(frame.time_s)

    def judged_by(self, model: ModelRef | None, false_alarms_per_day: float | None, rise_s: float) -> None:
        """Events from now on are described by this; see the class. A clip that is open goes on, under its own model."""
        self._model, self._false_alarms_per_day = model, false_alarms_per_day
        self._ring.keep_s = self._settings.before_s + rise_s

    def step(self, alert: Alert) -> None:
        """Take a step of an event: its start or its end; updates say nothing new."""
        if alert.event.phase is Phase.START:
            self._start(alert)
        elif alert.event.phase is Phase.END:
            self._end(alert)

    def finish(self) -> None:
        """Complete the open clip, if there is one, as it is now."""
        now_open, self._open = self._open, None
        if now_open is None:
            return
        try:
            self._disk.succeeded(now_open.clip.finish())
        except OSError as error:
            now_open.clip.abandon()
            self._disk.failed(error)
            return
        seconds = round(now_open.last_s - now_open.first_s, 3)
        self._facts["clip"] = {
            "started_s": round(now_open.first_s, 3),
            "seconds": seconds,
            "frames": now_open.clip.frames,
        }
        self._write_facts(now_open.files)

    def abandon(self) -> None:
        """Throw the open clip away: there is no time to complete it."""
        if self._open is not None:
            self._open.clip.abandon()
            self._disk.lost += 1
            self._open = None

    def _start(self, alert: Alert) -> None:
        self.finish()  # the last event's: what it lacks of its end is in the new clip's beginning
        files = EvidenceFiles.of(alert.camera, alert.started_at, alert.event.number, clip_suffix())
        self._facts = self._describe(alert, files)
        self._write_picture(files.start, alert)
        self._write_facts(files)
        self._open_clip(alert, files)

    def _end(self, alert: Alert) -> None:
        files = EvidenceFiles.of(alert.camera, alert.started_at, alert.event.number, clip_suffix())
        clip = self._facts.get("clip") if self._facts.get("event") == alert.event.number else None
        self._facts = {**self._describe(alert, files), "clip": clip}
        self._write_picture(files.peak, alert)
        self._write_facts(files)
        if self._open is not None and alert.event.ended_s is not None:
            self._open.until_s = min(self._open.until_s, alert.event.ended_s + self._settings.after_s)
            self._finish_if_over(self._open.last_s)

    def _open_clip(self, alert: Alert, files: EvidenceFiles) -> None:
        """Begin the clip with what the ring holds."""
        first_s = alert.event.started_s - self._settings.before_s
        stored = self._ring.since(first_s)
        if not self._disk.usable or not stored or self._late():
            self._disk.lost += 1
            return
        height, width = from_jpeg(stored[0].jpeg).shape[:2]
        path = self._disk.folder / files.clip
        began_at = alert.started_at - (alert.event.started_s - stored[0].time_s)
        try:
            clip = open_clip(path, width, height, camera=self.camera, started_at=began_at)
        except OSError as error:
            self._disk.failed(error)
            return
        until_s = stored[0].time_s + self._settings.max_clip_s
        self._open = _OpenClip(clip, files, until_s, (width, height), stored[0].time_s)
        for entry in stored:  # the longest piece of work there is
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
            self._open.clip.abandon()
            self._open = None
            self._disk.failed(error)
        else:
            self._open.last_s = time_s

    def _finish_if_over(self, time_s: float) -> None:
        if self._open is not None and time_s >= self._open.until_s:
            self.finish()

    def _write_picture(self, name: str, alert: Alert) -> None:
        self._disk.write(name, to_jpeg(snapshot(alert, self._settings.width), self._settings.quality))

    def _write_facts(self, files: EvidenceFiles) -> None:
        self._disk.write(files.facts, (json.dumps(self._facts, indent=1) + "\n").encode())

    def _describe(self, alert: Alert, files: EvidenceFiles) -> dict[str, Any]:
        """What the alert says, for the file beside the pictures."""
        event = alert.event
        return {
            "camera": alert.camera,
            "event": event.number,
            "phase": event.phase,
            "started_at": _iso(alert.started_at),
            "ended_at": None if alert.ended_at is None else _iso(alert.ended_at),
            "started_s": event.started_s,
            "ended_s": event.ended_s,
            "peak_score": float(event.peak_score),
            "peak_s": event.peak_s,
            "threshold": 1.0,
            "expected_false_alarms_per_day": self._false_alarms_per_day,
            "notify": event.notify,
            "model": None if self._model is None else self._model.model_dump(),
            "regions": [RegionBody.of(region).model_dump() for region in alert.regions],
            "reasons": [ReasonBody.of(reason).model_dump() for reason in alert.reasons],
            "files": [name.rpartition("/")[2] for name in files.all],
            "clip": None,
        }


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")
