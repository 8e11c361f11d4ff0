"""The sink that ranks the moments of each camera's day, keeps their pictures and publishes them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from monitor.alerts.message_parts import ModelRef, ReasonBody, RegionBody
from monitor.alerts.messages import RankedMoment
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.judging.day_ranking import DayMoment
from monitor.live.sink import Sink
from monitor.reports import CameraReport, RunReport
from monitor.sinks.evidence.alert_pictures import explained, fit, from_jpeg, to_jpeg
from monitor.sinks.moments.camera_day import CameraDay, Complete
from monitor.sinks.moments.moment_files import Drawn, MomentFiles, files_of
from monitor.sinks.moments.moments_settings import MomentsSettings
from monitor.sinks.normal.normal_pictures import NormalPicture
from monitor.states import Region
from monitor.stream.schedule_settings import ScheduleSettings
from monitor.text.outside import safe
from monitor.types import Image

log = logging.getLogger(__name__)

PUBLISH_AFTER_S = 300.0
"""A moment is published this many seconds after it was found: until then, a higher peak may take its place."""
_SAVE_EVERY_S = 300.0
_SENT_WIDTH, _SENT_QUALITY = 320, 75
_DRAWN_WITHIN_S = 1.0  # a picture is drawn minutes before it is sent, but not at the end of a run

Publish = Callable[[str, Mapping[str, Any], bytes | None], object]
"""Sends a moment of a camera: the fields of MomentMessage, and a picture."""
Nearest = Callable[[str, Image, Sequence[Region]], NormalPicture | None]
"""The nearest normal picture to a camera's picture and its regions."""
Clip = Callable[[str, float, Path], None]
"""Writes a clip of a camera around a time on the stream's clock, later."""


@dataclass(slots=True)
class _Pending:
    moment: DayMoment
    picture: Drawn | bytes | None
    since: float
    replaces: tuple[str, ...]


class MomentsSink(Sink):
    """Ranks moments. Use it as a context manager.

    folder       of the moments
    schedule_of  camera -> its schedule now: its time zone, and when its footage was recorded
    publish      None: nothing is sent
    clip         None: no clips
    epoch        the publisher's, for the ids of alerts
    nearest      finds the nearest normal picture; None: there are none
    """

    def __init__(
        self,
        folder: Path,
        settings: MomentsSettings,
        schedule_of: Callable[[str], ScheduleSettings],
        publish: Publish | None = None,
        clip: Clip | None = None,
        *,
        epoch: str = "",
        nearest: Nearest | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._files = MomentFiles(folder, settings)
        self._schedule_of = schedule_of
        self._publish = publish
        self._clip = clip
        self._epoch = epoch
        self._nearest = nearest
        self._clock = clock
        self._cameras: dict[str, CameraDay] = {}
        self._pending: dict[str, list[_Pending]] = {}
        self._sent: dict[tuple[str, str], list[str]] = {}  # camera and day -> ids in the ranking that was sent last
        self._known: set[str] = set()  # ids that were published
        self._save_at = clock() + _SAVE_EVERY_S

    def __enter__(self) -> Self:
        self._files.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        self._files.__exit__()

    def added(self, monitor: CameraMonitor) -> None:
        """Continue the day where an earlier run, which may have been killed, has left it."""
        name = monitor.camera
        if name in self._cameras:
            return
        stored, watched = self._files.load(name)
        self._cameras[name] = CameraDay(name, self._settings.per_day, [each.moment for each in stored], watched)
        self._known.update(each.moment.moment_id for each in stored if each.published)
        now = self._clock()
        self._pending[name] = [
            _Pending(each.moment, _small(self._files.picture(name, each.moment)), now, ())
            for each in stored
            if not each.published
        ]

    def score(self, judgement: Judgement) -> None:
        """Look whether the frame is one of the most unusual of its day."""
        frame = judgement.scored.frame
        camera = self._cameras.get(frame.camera)
        if camera is None:
            return
        schedule = self._schedule_of(frame.camera)
        recorded_at = schedule.recorded_at_s
        at = frame.wall_time if recorded_at is None or frame.media_s is None else recorded_at + frame.media_s
        before = camera.day
        done = camera.take(judgement, at, schedule.time_zone)
        if done is not None:
            self._keep(camera, done)
        if before not in ("", camera.day):
            self._finish_day(camera, before)

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002 - a moment is about the event alone
        """Remember which moments alarmed."""
        camera = self._cameras.get(alert.camera)
        if camera is not None:
            camera.event(alert.event, f"{self._epoch}-{alert.camera}-{alert.event.number}")

    def removed(self, camera: str) -> None:
        """Complete the camera's day as far as it is known."""
        day = self._cameras.get(camera)  # which stays: the camera may be opened again at once
        if day is not None:
            self._finish(day)
            day.forget_events()

    def tick(self, report: RunReport) -> None:  # noqa: ARG002 - moments come from scores
        """Publish what is due, and write now and then how long cameras were watched."""
        now = self._clock()
        for name, pending in self._pending.items():
            for each in [each for each in pending if now - each.since >= PUBLISH_AFTER_S]:
                self._send(self._cameras[name], each)
        if now >= self._save_at:
            self._save_at = now + _SAVE_EVERY_S
            for name, camera in self._cameras.items():
                self._files.store_watched(name, camera.watched_s)

    def forget(self, camera: str, from_at: float, to_at: float) -> None:
        """Rank the moments of this time (unix seconds) of a camera no more, and delete their files, soon."""
        day = self._cameras.get(camera)
        if day is None:
            return
        gone = day.forget(from_at, to_at)
        self._pending[camera] = [each for each in self._pending[camera] if not from_at <= each.moment.at <= to_at]
        self._known -= {each.moment_id for each in gone}
        self._files.remove(camera, gone)
        if not day.days:
            self._files.remove_watched(camera)
            for key in [key for key in self._sent if key[0] == camera]:
                del self._sent[key]

    def finish(self) -> None:
        """Complete every camera's day: the end of the run."""
        for camera in self._cameras.values():
            self._finish(camera)

    def _finish(self, camera: CameraDay) -> None:
        done = camera.complete(self._schedule_of(camera.camera).time_zone)
        if done is not None:
            self._keep(camera, done)
        for day in {each.moment.day for each in self._pending[camera.camera]} | ({camera.day} - {""}):
            self._finish_day(camera, day)
        self._files.store_watched(camera.camera, camera.watched_s)

    def _finish_day(self, camera: CameraDay, day: str) -> None:
        """Publish what was found on a day, and its ranking if it has changed since it was sent."""
        for each in [each for each in self._pending[camera.camera] if each.moment.day == day]:
            self._send(camera, each)
        ranked = camera.ranking(day).moments
        key = camera.camera, day
        if ranked and key in self._sent and self._sent[key] != [moment.moment_id for moment in ranked]:
            self._send(camera, _Pending(ranked[0], None, 0.0, ()))
        self._sent.pop(key, None)

    def _keep(self, camera: CameraDay, done: Complete) -> None:
        """Rank a moment. If it is among the first of its day, write its files, and publish it later."""
        moment, name = done.moment, camera.camera
        normal = None if self._nearest is None else self._nearest(name, done.image, moment.regions)
        if normal is not None:
            moment = replace(moment, normal_at=normal.at)
        change = camera.ranking(moment.day).offer(moment)
        if change is None:
            return
        gone = {each.moment_id for each in (*change.replaced, *change.dropped)}
        pending = self._pending[name]
        replaced = [each.moment_id for each in change.replaced if each.moment_id in self._known]
        replaced += [one for each in pending if each.moment in change.replaced for one in each.replaces]
        pending[:] = [each for each in pending if each.moment.moment_id not in gone]
        self._files.remove(name, (*change.replaced, *change.dropped))
        files = files_of(name, moment.at)
        drawn = Drawn(files.peak, partial(_drawn, name, done, self._settings))
        self._files.draw(drawn, done.image.nbytes)
        self._files.store(name, moment, published=False)
        if normal is not None:
            self._files.write(files.normal, normal.jpeg)
        if self._clip is not None:
            self._clip(name, done.time_s, self._files.folder / files.clip)
        pending.append(_Pending(moment, drawn, self._clock(), tuple(replaced)))

    def _send(self, camera: CameraDay, pending: _Pending) -> None:
        name, moment = camera.camera, pending.moment
        if pending in self._pending[name]:
            self._pending[name].remove(pending)
            self._known.add(moment.moment_id)
            self._files.store(name, moment, published=True)
        ranked = camera.ranking(moment.day).moments
        self._sent[name, moment.day] = [each.moment_id for each in ranked]
        if self._publish is None:
            return
        files = files_of(name, moment.at)
        body = {
            "moment_id": moment.moment_id,
            "at": moment.at,
            "local": moment.local,
            "day": moment.day,
            "media_s": moment.media_s,
            "score": next((each.score for each in ranked if each.moment_id == moment.moment_id), moment.score),
            "event_id": moment.event_id,
            "regions": tuple(RegionBody.of(region) for region in moment.regions),
            "reasons": tuple(ReasonBody.of(reason) for reason in moment.reasons),
            "model": ModelRef(id=moment.model[0], hash=moment.model[1]),
            "files": (
                files.peak,
                *([files.clip] if (self._files.folder / files.clip).exists() else []),
                *([files.normal] if moment.normal_at is not None else []),
            ),
            "normal_at": moment.normal_at,
            "replaces": pending.replaces,
            "per_day": self._settings.per_day,
            "watched_s": sum(camera.watched_s.values()),
            "ranking": tuple(
                RankedMoment(moment_id=each.moment_id, score=each.score, rare=camera.how_rare(each)) for each in ranked
            ),
        }
        picture = pending.picture
        self._publish(name, body, picture.small(_DRAWN_WITHIN_S) if isinstance(picture, Drawn) else picture)


def _drawn(camera: str, done: Complete, settings: MomentsSettings) -> tuple[bytes, bytes]:
    """The picture of a moment and the small one that is sent, JPEG."""
    lines = _caption(camera, done.moment)
    picture = explained(done.image, done.anomaly_map, done.moment.regions, lines, settings.width)
    small = fit(picture, _SENT_WIDTH)
    return to_jpeg(picture, settings.quality), to_jpeg(small, _SENT_QUALITY)


def _small(picture: bytes | None) -> bytes | None:
    """The picture as it is sent: the journal keeps it, beside the pictures of alerts."""
    if picture is None:
        return None
    try:
        return to_jpeg(fit(from_jpeg(picture), _SENT_WIDTH), _SENT_QUALITY)
    except (AssertionError, ValueError):  # a damaged file
        return None


def _caption(camera: str, moment: DayMoment) -> list[list[str]]:
    when = moment.local[:19].replace("T", " ")
    first = [f"{camera} ", f"{when} ", "alarmed " if moment.event_id else "no alarm ", f"score {moment.score:.2f}"]
    return [first, *(safe(str(reason)).split() for reason in moment.reasons[:1])]
