"""The sink that keeps small pictures of calm footage, and finds the nearest of them to an alert or a moment.

    FOLDER/<camera>/<YYYY-MM-DD>/<HHMMSS.mmm>-1-normal.jpg
    FOLDER/<camera>/masks.txt       which privacy masks were burned into them

Names, deletion and the age of files are those of evidence. The main loop passes one picture now and then, and never
waits. The pictures are also kept in memory, so a full or unreadable disk costs only what a later run would know.
"""

from __future__ import annotations

import errno
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from monitor.errors import ConfigError
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.live.sink import Sink
from monitor.private_files import make_private_folder
from monitor.reading import read_file
from monitor.reports import CameraReport
from monitor.sinks.evidence.alert_pictures import from_jpeg, to_jpeg
from monitor.sinks.evidence.evidence_files import Disk, EvidenceFiles, began_at, discard, evidence_of, folder_name
from monitor.sinks.evidence.retention import Retention, dates_in
from monitor.sinks.normal.normal_pictures import NormalPicture, NormalPictures, shrunk, sketch_of
from monitor.sinks.normal.normal_settings import NormalSettings
from monitor.states import Phase, Region
from monitor.stream.schedule_settings import ScheduleSettings
from monitor.text.redaction import redact
from monitor.threads.channel import HandOver
from monitor.threads.stage import Stage, join_all
from monitor.types import Frame, Health, Image, ScoredFrame

log = logging.getLogger(__name__)

EVERY_S = 20.0
"""Time between two pictures, seconds of the stream."""
FIRST_EVERY_S, FIRST = 2.0, 32
"""The first 32 pictures of a run come faster: a new camera soon has some."""
CALM_S = 10.0
"""Nothing is kept of this many seconds before and after an alarm."""
CALM_SCORE = 0.5
"""Only frames with a lower score are kept; 1 is the threshold."""
MASKS = "masks.txt"
"""In the folder of a camera: which masks its pictures were taken with."""
SUFFIX = "-normal.jpg"
_QUALITY = 80
_KEEP_BYTES = 1_000_000_000
_LARGEST = 200_000
_WAITING_BYTES = 32_000_000
_END_S = 3.0
_USUAL = Health()


@dataclass(slots=True)
class _Camera:
    """What the main loop knows of a camera. until_s: no picture is taken before this time of the stream, nor while an
    event is open."""

    pictures: NormalPictures
    until_s: float = -math.inf
    last_s: float = -math.inf
    alarmed: bool = False
    taken: int = 0
    nearest: tuple[int, NormalPicture | None] | None = None  # of the event with this number


@dataclass(frozen=True, slots=True, eq=False)
class _Begin:
    camera: str
    pictures: NormalPictures
    masks: str


@dataclass(frozen=True, slots=True, eq=False)
class _Calm:
    camera: str
    image: Image
    time_s: float
    at: float


@dataclass(frozen=True, slots=True)
class _Alarm:
    camera: str


@dataclass(frozen=True, slots=True)
class _Left:
    camera: str


@dataclass(frozen=True, slots=True)
class _Forget:
    camera: str
    from_at: float
    to_at: float


_Item = _Begin | _Calm | _Alarm | _Left | _Forget


@dataclass(slots=True)
class _Kept:
    """What the thread knows of a camera.

    fresh: pictures, each after its time on the stream's clock, that an alarm could still show to be of its beginning
    """

    pictures: NormalPictures
    masks: str
    fresh: deque[tuple[float, NormalPicture]] = field(default_factory=deque)


class NormalSink(Sink):
    """Keeps pictures. Use it as a context manager.

    schedule_of  camera -> its schedule now: when its footage was recorded
    masks_of     camera -> a text that is another one for other privacy masks

    Raises ConfigError on entry if the path is not a folder, or if it cannot be created. If the disk is full or
    read-only, the pictures are in memory only.
    """

    def __init__(
        self,
        folder: Path,
        settings: NormalSettings,
        schedule_of: Callable[[str], ScheduleSettings],
        masks_of: Callable[[str], str],
    ) -> None:
        self._settings, self._schedule_of, self._masks_of = settings, schedule_of, masks_of
        self._folder, self._disk = folder, Disk(folder)
        self._retention = Retention(folder, settings.keep_days, _KEEP_BYTES)
        self._cameras: dict[str, _Camera] = {}
        self._judged: set[str] = set()
        self._lock = threading.Lock()  # around the pictures that both threads use
        self._kept: dict[str, _Kept] = {}
        self._waiting: HandOver[_Item] = HandOver()
        self._stage = Stage("normal pictures", self._work, self._on_error)

    def __enter__(self) -> Self:
        try:
            make_private_folder(self._folder)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise ConfigError(
                    f"the folder of normal pictures {self._folder} cannot be created ({error.strerror}): choose "
                    "another with [normal] folder, or set [normal] enabled = false"
                ) from error
        self._stage.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.close()
        join_all([self._stage], _END_S)

    def added(self, monitor: CameraMonitor) -> None:
        """From now on, only frames with a low score are kept."""
        self._judged.add(monitor.camera)

    def frame(self, scored: ScoredFrame) -> None:
        """Keep what a camera learns from: all of that is normal."""
        if scored.frame.camera not in self._judged and scored.frame.health == _USUAL:
            self._see(scored.frame)

    def score(self, judgement: Judgement) -> None:
        """Keep the frame now and then, if nothing happens in it."""
        frame = judgement.scored.frame
        camera = self._camera(frame.camera)
        camera.last_s = frame.time_s
        if judgement.score < CALM_SCORE and not camera.alarmed:  # not NaN either
            self._see(frame)

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002 - it is about the event alone
        """Keep nothing of the time around an alarm."""
        camera = self._camera(alert.camera)
        camera.alarmed = alert.event.phase is not Phase.END
        camera.until_s = camera.last_s + CALM_S
        if alert.event.phase is Phase.START:
            self._offer(_Alarm(alert.camera))

    def removed(self, camera: str) -> None:
        """Another camera of this name, perhaps with other masks, begins anew."""
        self._judged.discard(camera)
        if self._cameras.pop(camera, None) is not None:
            self._offer(_Left(camera))

    def nearest(self, camera: str, image: Image, regions: Sequence[Region]) -> NormalPicture | None:
        """The nearest picture to one of a camera, (H, W, 3) uint8 BGR; None without any. regions: pixels of the image.

        About a millisecond.
        """
        known = self._cameras.get(camera)
        if known is None:
            return None
        with self._lock:
            return known.pictures.nearest(image, regions)

    def nearest_to(self, alert: Alert) -> NormalPicture | None:
        """The nearest picture to the start of an alert's event: the same for all of its steps."""
        known = self._camera(alert.camera)
        if known.nearest is None or known.nearest[0] != alert.event.number:
            found = self.nearest(alert.camera, alert.snapshot.frame.image, alert.regions)
            known.nearest = alert.event.number, found
        return known.nearest[1]

    def forget(self, camera: str, from_at: float, to_at: float) -> None:
        """Forget the pictures of this time (unix seconds) of a camera at once, and delete their files soon."""
        known = self._cameras.get(camera)
        if known is not None:
            with self._lock:
                known.pictures.forget(from_at, to_at)
            if known.nearest is not None and known.nearest[1] is not None and from_at <= known.nearest[1].at <= to_at:
                known.nearest = known.nearest[0], None
        self._waiting.offer(_Forget(camera, from_at, to_at), 0, _WAITING_BYTES)

    def _see(self, frame: Frame) -> None:
        camera = self._camera(frame.camera)
        if frame.time_s < camera.until_s:
            return
        camera.taken += 1
        camera.until_s = frame.time_s + (FIRST_EVERY_S if camera.taken < FIRST else EVERY_S)
        recorded_at = self._schedule_of(frame.camera).recorded_at_s
        at = frame.wall_time if recorded_at is None or frame.media_s is None else recorded_at + frame.media_s
        image = frame.small.sample  # it is there already, and small
        self._offer(_Calm(frame.camera, image, frame.time_s, int(1000 * at) / 1000), image.nbytes)

    def _camera(self, name: str) -> _Camera:
        if name not in self._cameras:
            pictures = NormalPictures(self._settings.pictures)
            self._cameras[name] = _Camera(pictures)
            self._offer(_Begin(name, pictures, self._masks_of(name)))
        return self._cameras[name]

    def _offer(self, item: _Item, size: int = 0) -> None:
        """A picture for which there is no room is left out; everything else has its place."""
        self._waiting.offer(item, size, _WAITING_BYTES if size else 2 * _WAITING_BYTES)

    def _work(self) -> None:
        while not self._waiting.ended:
            item = self._waiting.take(0.5)
            if isinstance(item, _Begin):
                self._kept[item.camera] = _Kept(item.pictures, item.masks)
                self._load(item)
            elif isinstance(item, _Calm):
                self._take(item)
            elif isinstance(item, _Alarm):
                self._kept[item.camera].fresh.clear()
            elif isinstance(item, _Left):
                del self._kept[item.camera]
            elif item is not None:
                self._forget(item)
            self._retention.check(self._disk.bytes, ())
        self._retention.close()

    def _take(self, calm: _Calm) -> None:
        """Keep what was calm long enough, and shrink the new picture."""
        kept = self._kept[calm.camera]
        while kept.fresh and calm.time_s - kept.fresh[0][0] >= CALM_S:
            _, picture = kept.fresh.popleft()
            with self._lock:
                gone = kept.pictures.add(picture)
            for each in gone:
                discard(self._disk.folder / _name(calm.camera, each.at))
            self._disk.write(_name(calm.camera, picture.at), picture.jpeg)
            if not self._mark(calm.camera).exists():
                self._disk.write(f"{folder_name(calm.camera)}/{MASKS}", kept.masks.encode())
        small = shrunk(calm.image)
        picture = NormalPicture(calm.at, to_jpeg(small, _QUALITY), sketch_of(small))
        kept.fresh.append((calm.time_s, picture))

    def _load(self, begin: _Begin) -> None:
        """Take over what earlier runs have kept, unless it was taken with other masks: then delete it."""
        try:
            files = sorted(
                path
                for date in dates_in(self._folder)
                if date.parent.name == folder_name(begin.camera)
                for path in date.iterdir()
                if path.name.endswith(SUFFIX) and evidence_of(path.name) is not None
            )
        except OSError as error:
            log.debug("%s cannot be searched for normal pictures: %s", self._folder, error)
            return
        if not files:
            discard(self._mark(begin.camera))
            return
        try:
            same = read_file(self._mark(begin.camera), _LARGEST).decode(errors="replace") == begin.masks
        except OSError:
            same = False
        if not same:
            for path in files:
                discard(path)
            if not any(path.exists() for path in files):
                discard(self._mark(begin.camera))
            return
        for path in files:
            picture = _read(path)
            if picture is None:
                continue
            with self._lock:
                gone = begin.pictures.add(picture)
            for each in gone:
                discard(self._disk.folder / _name(begin.camera, each.at))

    def _forget(self, item: _Forget) -> None:
        kept = self._kept.get(item.camera)
        if kept is not None:
            with self._lock:
                kept.pictures.forget(item.from_at, item.to_at)
            kept.fresh = deque(each for each in kept.fresh if not item.from_at <= each[1].at <= item.to_at)
        for date in [each for each in dates_in(self._folder) if each.parent.name == folder_name(item.camera)]:
            for path in date.glob(f"*{SUFFIX}"):
                at = began_at(path)
                if at is not None and item.from_at <= at <= item.to_at:
                    discard(path)

    def _mark(self, camera: str) -> Path:
        return self._folder / folder_name(camera) / MASKS

    def _on_error(self, stage: Stage) -> None:
        self._waiting.close()
        log.error("normal pictures are kept no more: %s", redact(f"{type(stage.error).__name__}: {stage.error}"))


def _name(camera: str, at: float) -> str:
    return EvidenceFiles.of(camera, at, 1, "").normal


def _read(path: Path) -> NormalPicture | None:
    """The picture in a file; None if it cannot be read. A damaged file is deleted."""
    at = began_at(path)
    if at is None:
        return None
    try:
        jpeg = read_file(path, _LARGEST)
    except OSError as error:
        log.debug("%s cannot be read: %s", path, error)
        return None
    try:
        return NormalPicture(at, jpeg, sketch_of(from_jpeg(jpeg)))
    except (AssertionError, ValueError):
        discard(path)
        return None
