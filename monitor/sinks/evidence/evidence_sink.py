"""The sink that hands frames and events over to the evidence thread, and that thread.

The main loop gives references and never waits: a thread that is behind loses frames, which are counted.
"""

from __future__ import annotations

import errno
import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import Self

from monitor.allocator import release_free_memory
from monitor.errors import ConfigError
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.live.sink import Sink
from monitor.reports import CameraReport
from monitor.sinks.evidence.camera_evidence import CameraEvidence
from monitor.sinks.evidence.clips import clip_suffix
from monitor.sinks.evidence.evidence_files import Disk, EvidenceFiles
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.evidence.retention import Retention
from monitor.states import Phase
from monitor.text.redaction import redact
from monitor.text.wording import counted
from monitor.threads.channel import HandOver
from monitor.threads.stage import Stage, join_all
from monitor.types import Frame

log = logging.getLogger(__name__)

WAITING_BYTES = 64_000_000
"""Frames that wait for the thread take at most this much memory, all cameras together; starts and ends of events half
as much again, since these matter more."""
END_S = 10.0
"""How long the end of a run may wait for evidence."""
HURRY_S = 0.8
"""How long it may when the user asked for the end; then clips are given up."""
GRACE_S = 0.3
"""How much longer for what is in hand."""
RELEASE_EVERY_S = 10.0
"""The memory of finished clips is given back to the system at most this often."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """A camera's alert rule from here on: it waits in line with frames and events, as a reload comes between them.

    rise_s: seconds for which its score has to stay up before an event starts (AlertSettings.min_duration_s)
    """

    camera: str
    rise_s: float


@dataclass(frozen=True, slots=True)
class _Left:
    """A camera is no longer watched."""

    camera: str


class EvidenceSink(Sink):
    """Writes evidence while inside its context.

    stop: set when the user asks for the end of the run; then what is not done in time is given up

    Raises ConfigError on entry where the folder's path is something else. A folder that cannot be written costs
    evidence only: a monitor whose disk is full must start all the same.
    """

    def __init__(self, settings: EvidenceSettings, *, stop: threading.Event) -> None:
        self.dropped = 0
        """Frames and steps of events that the thread was too slow for."""
        self.disk = Disk(settings.folder)
        self._settings = settings
        self._stop = stop
        self._waiting: HandOver[Frame | Alert | _Watched | _Left] = HandOver()
        self._cameras: dict[str, CameraEvidence] = {}
        self._retention = Retention(settings.folder, settings.keep_days, settings.keep_bytes)
        self._give_up_at = math.inf
        self._open_names: set[str] = set()
        self._to_release = False
        self._release_at = 0.0
        self._stage = Stage("evidence", self._work, self._on_error)

    def __enter__(self) -> Self:
        folder = self._settings.folder
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is no folder: choose another for evidence")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise ConfigError(
                    f"the evidence folder {folder} cannot be made ({error.strerror}): choose another"
                ) from error
        self._stage.start()
        log.info(
            "evidence goes to %s; up to %g MB a camera in memory, on the disk up to %g days and %g GB",
            folder,
            self._settings.memory_mb,
            self._settings.keep_days,
            self._settings.keep_gb,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.close()
        closing_at = time.monotonic()
        while self._stage.alive:
            self._give_up_at = closing_at + (HURRY_S if self._stop.is_set() else END_S)
            if time.monotonic() > self._give_up_at + GRACE_S:
                log.warning("the evidence thread did not end in time and is left behind")
                break
            join_all([self._stage], 0.02)
        log.info(
            "evidence: %s written, %.1f MB; %s lost, %s dropped",
            counted(self.disk.written, "file"),
            self.disk.bytes / 1e6,
            counted(self.disk.lost, "file"),
            counted(self.dropped, "frame"),
        )

    def names(self, alert: Alert) -> tuple[str, ...]:
        """The event's files, relative to the evidence folder; they appear one by one, the clip last."""
        return EvidenceFiles.of(alert.camera, alert.started_at, alert.event.number, clip_suffix()).all

    def score(self, judgement: Judgement) -> None:
        """Hand the frame over."""
        frame = judgement.scored.frame
        if not self._waiting.offer(frame, frame.image.nbytes, WAITING_BYTES):
            self.dropped += 1

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002 - evidence is about the event alone
        """Hand an event's start or end over."""
        if alert.event.phase is Phase.UPDATE:
            return
        size = alert.snapshot.frame.image.nbytes
        if not self._waiting.offer(alert, size, WAITING_BYTES * 3 // 2):
            self.dropped += 1
            log.warning("%s: evidence of alert %d is lost, its thread is behind", alert.camera, alert.event.number)

    def added(self, monitor: CameraMonitor) -> None:
        """Keep frames for as long as the camera's alert rule needs before an event starts."""
        watched = _Watched(monitor.camera, monitor.settings.min_duration_s)
        self._waiting.offer(watched, 0, WAITING_BYTES * 3 // 2)

    def removed(self, camera: str) -> None:
        """Complete its clip and let go of its last seconds."""
        self._waiting.offer(_Left(camera), 0, WAITING_BYTES * 3 // 2)

    def _work(self) -> None:
        self._check_room()
        while not self._waiting.ended:
            item = self._waiting.take(0.5)
            if isinstance(item, Alert):
                self._cameras[item.camera].step(item)
            elif isinstance(item, _Watched):
                self._watch(item)
            elif isinstance(item, _Left):
                self._leave(item.camera)
            elif item is not None and not self._late():
                self._cameras[item.camera].frame(item)
            self._check_room()
            self._release_memory()
        for camera in self._cameras.values():
            if self._late():
                camera.abandon()
            else:
                camera.finish()

    def _late(self) -> bool:
        return time.monotonic() > self._give_up_at

    def _watch(self, watched: _Watched) -> None:
        """Take a camera up, or give a present one another alert rule: its last seconds stay."""
        # A step comes with a frame, and frames of one segment may be a second apart (capture.gap_s).
        rise_s = watched.rise_s + 1.0
        present = self._cameras.get(watched.camera)
        if present is not None:
            present.keep_before(rise_s)
            return
        self._cameras[watched.camera] = CameraEvidence(
            watched.camera, self._settings, self.disk, rise_s=rise_s, late=self._late
        )

    def _leave(self, name: str) -> None:
        """Complete a camera's clip and forget it; a camera that has only learned so far was never taken up."""
        camera = self._cameras.pop(name, None)
        if camera is not None:
            camera.finish()

    def _check_room(self) -> None:
        names = {name for camera in self._cameras.values() if (name := camera.open_name) is not None}
        self._to_release |= bool(self._open_names - names)
        self._open_names = names
        self._retention.check(self.disk.bytes, names)

    def _release_memory(self) -> None:
        """After clips have ended: an encoder holds tens of megabytes, which the C library would keep for good.

        Clips of many cameras begin and end in every order, so the freed pieces lie between those still in use: a
        monitor with evidence would grow for its first half hour, and stay as large as in its busiest moment.
        """
        now = time.monotonic()
        if self._to_release and now >= self._release_at:
            self._to_release, self._release_at = False, now + RELEASE_EVERY_S
            release_free_memory()

    def _on_error(self, stage: Stage) -> None:
        """The thread has failed: alerts go on without evidence."""
        self._waiting.close()
        for camera in self._cameras.values():
            camera.abandon()
        reason = redact(f"{type(stage.error).__name__}: {stage.error}")
        log.error("evidence has stopped, alerts go on without it: %s", reason)
