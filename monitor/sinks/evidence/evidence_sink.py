"""The sink that passes frames and events to the evidence thread, and that thread.

The main loop passes references and never waits. If the thread is too slow, frames are lost and counted.
"""

from __future__ import annotations

import errno
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from monitor.allocator import release_free_memory
from monitor.errors import ConfigError
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.live.sink import Sink
from monitor.private_files import make_private_folder
from monitor.reports import CameraReport
from monitor.sinks.evidence.camera_evidence import CameraEvidence, with_normal
from monitor.sinks.evidence.clips import clip_suffix
from monitor.sinks.evidence.evidence_files import RETRY_S, Disk, EvidenceFiles
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.evidence.repair import repair, sole_user
from monitor.sinks.evidence.retention import Retention
from monitor.sinks.normal.normal_pictures import NormalPicture
from monitor.states import Phase
from monitor.text.redaction import redact
from monitor.text.wording import counted
from monitor.threads.channel import HandOver
from monitor.threads.stage import Stage, join_all
from monitor.types import Frame

log = logging.getLogger(__name__)

WAITING_BYTES = 64_000_000
"""Memory limit of the frames that wait for the thread, bytes, all cameras together. Starts and ends of events are more
important: their limit is one and a half times as high."""
END_S = 10.0
"""Seconds that the end of a run waits for evidence, at most."""
HURRY_S = 0.8
"""Seconds that it waits if the user has requested the end. After that, unfinished clips are abandoned."""
GRACE_S = 0.3
"""Additional seconds for the item in progress."""
_USUAL_RISE_S = 1.5
RELEASE_EVERY_S = 10.0
"""The memory of finished clips is returned to the system once in this time at most, seconds."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """A camera's alert rule from now on. It waits in the same queue as frames and events, so that a reload is in order.

    rise_s: seconds for which the score must stay high before an event starts (AlertSettings.min_duration_s)
    """

    camera: str
    rise_s: float


@dataclass(frozen=True, slots=True)
class _Left:
    """A camera is no longer watched."""

    camera: str


@dataclass(frozen=True, slots=True)
class _Around:
    """A clip is wanted. time_s: on the stream's clock; path: of the clip."""

    camera: str
    time_s: float
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """An event starts or ends. normal: the nearest normal picture, or None."""

    camera: str
    alert: Alert
    normal: NormalPicture | None


class EvidenceSink(Sink):
    """Writes evidence. Use it as a context manager.

    nearest gives the nearest normal picture to an alert's event, or None
    kept_s  seconds of frames that are kept in addition to those before an event, for ``clip_around``
    stop: set when the user requests the end of the run; then evidence that is not finished in time is abandoned

    Raises ConfigError on entry if the path of the folder is not a folder, or if it cannot be created. If the disk is
    full or read-only, only evidence is lost: the monitor must start all the same.
    """

    def __init__(
        self,
        settings: EvidenceSettings,
        *,
        stop: threading.Event,
        kept_s: float = 0.0,
        nearest: Callable[[Alert], NormalPicture | None] = lambda _: None,
    ) -> None:
        self.dropped = 0
        """Number of frames and of event steps that were lost because the thread was too slow."""
        self.disk = Disk(settings.folder)
        self._settings = settings
        self._stop = stop
        self._kept_s = kept_s
        self._nearest = nearest
        self._waiting: HandOver[Frame | _Step | _Watched | _Left | _Around] = HandOver()
        self._cameras: dict[str, CameraEvidence] = {}
        self._rise_s: dict[str, float] = {}
        self._silent_until: dict[str, float] = {}  # errors of a camera are logged now and then, not for each frame
        self._retention = Retention(settings.folder, settings.keep_days, settings.keep_bytes)
        self._give_up_at = math.inf
        self._open_names: set[str] = set()
        self._to_release = False
        self._release_at = 0.0
        self._stage = Stage("evidence", self._work, self._on_error)

    def __enter__(self) -> Self:
        folder = self._settings.folder
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder: choose another folder for evidence")
        try:
            make_private_folder(folder)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise ConfigError(
                    f"the evidence folder {folder} cannot be created ({error.strerror}): choose another"
                ) from error
        self._stage.start()
        log.info(
            "evidence is written to %s; up to %g MB per camera in memory, on the disk up to %g days and %g GB",
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
                log.warning("the evidence thread did not end in time; the monitor does not wait for it")
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
        """The event's files, relative to the evidence folder. They are written one by one, the clip last."""
        files = EvidenceFiles.of(alert.camera, alert.started_at, alert.event.number, clip_suffix())
        return with_normal(files, self._nearest(alert))

    def normal_at(self, alert: Alert) -> float | None:
        """When the nearest normal picture of the event was taken, unix seconds; None without one."""
        normal = self._nearest(alert)
        return None if normal is None else normal.at

    def score(self, judgement: Judgement) -> None:
        """Pass the frame to the thread."""
        frame = judgement.scored.frame
        if not self._waiting.offer(frame, frame.image.nbytes, WAITING_BYTES):
            self.dropped += 1

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002 - evidence is about the event alone
        """Pass the start or the end of an event to the thread."""
        if alert.event.phase is Phase.UPDATE:
            return
        size = alert.snapshot.frame.image.nbytes
        step = _Step(alert.camera, alert, self._nearest(alert))
        if not self._waiting.offer(step, size, WAITING_BYTES * 3 // 2):
            self.dropped += 1
            log.warning("%s: evidence of alert %d is lost: its thread is too slow", alert.camera, alert.event.number)

    def added(self, monitor: CameraMonitor) -> None:
        """Keep the frames of as many seconds as the camera's alert rule needs before an event starts."""
        watched = _Watched(monitor.camera, monitor.settings.min_duration_s)
        self._waiting.offer(watched, 0, WAITING_BYTES * 3 // 2)

    def clip_around(self, camera: str, time_s: float, path: Path) -> None:
        """Write a clip around a time that is over, later; if nothing of it is kept any more, there is none."""
        self._waiting.offer(_Around(camera, time_s, path), 0, WAITING_BYTES * 3 // 2)

    def removed(self, camera: str) -> None:
        """Complete the camera's clip and discard its last seconds."""
        self._waiting.offer(_Left(camera), 0, WAITING_BYTES * 3 // 2)

    def _work(self) -> None:
        with sole_user(self._settings.folder) as alone:
            if alone:
                repair(Disk(self._settings.folder))  # its files do not count as those of this run
            self._write_all()
        self._retention.close()

    def _write_all(self) -> None:
        self._check_room()
        while not self._waiting.ended:
            item = self._waiting.take(0.5)
            if item is not None:
                with self._only(item.camera):
                    self._handle(item)
            self._check_room()
            self._release_memory()
        for name, camera in list(self._cameras.items()):
            with self._only(name):
                if self._late():
                    camera.abandon()
                else:
                    camera.finish()

    def _handle(self, item: Frame | _Step | _Watched | _Left | _Around) -> None:
        if isinstance(item, _Step):
            self._camera(item.camera).step(item.alert, item.normal)
        elif isinstance(item, _Watched):
            self._watch(item)
        elif isinstance(item, _Left):
            self._leave(item.camera)
        elif isinstance(item, _Around):
            self._camera(item.camera).clip_around(item.time_s, item.path)
        elif not self._late():
            self._camera(item.camera).frame(item)

    @contextmanager
    def _only(self, name: str) -> Iterator[None]:
        """An error in here costs the camera its open clip and its last seconds, and no other camera anything."""
        try:
            yield
        except Exception as error:  # as at the end of a thread: the evidence of other cameras must go on
            camera = self._cameras.pop(name, None)
            self.disk.lost += 1
            if camera is not None:
                with suppress(Exception):
                    camera.abandon()
            now = time.monotonic()
            if now >= self._silent_until.get(name, 0.0):
                self._silent_until[name] = now + RETRY_S
                log.error(  # noqa: TRY400 - the traceback is for developers
                    "%s: evidence is lost, alerts and the evidence of other cameras continue: %s",
                    name,
                    redact(f"{type(error).__name__}: {error}"),
                )
                log.debug("%s: evidence is lost", name, exc_info=error)

    def _camera(self, name: str) -> CameraEvidence:
        """The camera's evidence. It is new after an error, or if the thread was too slow to hear of the camera."""
        if name not in self._cameras:
            rise_s = self._rise_s.get(name, _USUAL_RISE_S)
            self._cameras[name] = CameraEvidence(
                name, self._settings, self.disk, rise_s=rise_s, after_s=self._kept_s, late=self._late
            )
        return self._cameras[name]

    def _late(self) -> bool:
        return time.monotonic() > self._give_up_at

    def _watch(self, watched: _Watched) -> None:
        """Start with a camera. If it is known already, it gets a new alert rule, and its last seconds are kept."""
        # A step of an event comes with a frame, and frames of one segment may be a second apart (capture.gap_s).
        rise_s = watched.rise_s + 1.0
        self._rise_s[watched.camera] = rise_s
        self._camera(watched.camera).keep_before(rise_s)

    def _leave(self, name: str) -> None:
        """Complete a camera's clip and forget the camera. A camera that has only learned so far is not known here."""
        self._rise_s.pop(name, None)
        self._silent_until.pop(name, None)
        camera = self._cameras.get(name)
        if camera is not None:
            camera.finish()
            del self._cameras[name]

    def _check_room(self) -> None:
        names = {name for camera in self._cameras.values() if (name := camera.open_name) is not None}
        self._to_release |= bool(self._open_names - names)
        self._open_names = names
        self._retention.check(self.disk.bytes, names)

    def _release_memory(self) -> None:
        """Return memory to the system after clips have ended. The C library would keep an encoder's tens of megabytes.

        Clips of many cameras start and end in any order, so freed blocks lie between blocks in use. Without this, the
        monitor's memory would grow for half an hour, and then stay as large as in its busiest moment.
        """
        now = time.monotonic()
        if self._to_release and now >= self._release_at:
            self._to_release, self._release_at = False, now + RELEASE_EVERY_S
            release_free_memory()

    def _on_error(self, stage: Stage) -> None:
        """The thread has failed: alerts continue without evidence."""
        self._waiting.close()
        for camera in self._cameras.values():
            camera.abandon()
        reason = redact(f"{type(stage.error).__name__}: {stage.error}")
        log.error("evidence has stopped, alerts continue without it: %s", reason)
