"""One camera's days: finds its most unusual moments while it is watched. No threads, no files."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from monitor.judging.camera_monitor import Judgement
from monitor.judging.cool_down import Cause
from monitor.judging.day_ranking import DayMoment, DayRanking, PastDay, how_rare
from monitor.judging.fusion import ModelScale
from monitor.judging.regions import find_regions
from monitor.sinks.moments.moment_files import MOST_DAYS
from monitor.states import AlertEvent, Reason
from monitor.types import FloatArray, Image

SETTLE_S = 10.0
"""A moment is complete when no higher score has come for this long, seconds of the stream."""
LONGEST_S = 30.0
"""A score that keeps rising is a moment after this many seconds; a higher one later takes its place."""
_LONGEST_STEP_S = 2.0  # a longer pause between two frames is not time that was watched
_REASON_S = 1.0  # reasons of this much earlier explain a smoothed score
_EVENTS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Complete:
    """A moment, and what its picture is drawn from. time_s: on the stream's clock."""

    moment: DayMoment
    image: Image
    anomaly_map: FloatArray | None
    time_s: float


@dataclass(slots=True, eq=False)
class _Open:
    judgement: Judgement
    raw: dict[str, float]
    score: float
    at: float
    reasons: tuple[Reason, ...]
    since_s: float  # of the stream, when its rise was first looked at


class CameraDay:
    """Takes a camera's judgements in order. It keeps one frame: that of the moment that is not complete yet.

    most     moments per day
    moments  those of earlier runs
    watched  day -> seconds watched in earlier runs
    """

    def __init__(
        self, camera: str, most: int, moments: Sequence[DayMoment] = (), watched: Mapping[str, float] | None = None
    ) -> None:
        self.camera, self.most = camera, most
        self.watched_s = dict(watched or {})
        self.days: dict[str, DayRanking] = {}
        for day in {moment.day for moment in moments}:
            self.days[day] = DayRanking(most, [moment for moment in moments if moment.day == day])
        self.day = ""
        """The day of the last frame."""
        self._open: _Open | None = None
        self._scale: ModelScale | None = None
        self._last: tuple[int, float] | None = None
        self._why: tuple[float, int | None, tuple[Reason, ...]] = (-math.inf, None, ())
        self._events: deque[tuple[AlertEvent, str]] = deque(maxlen=_EVENTS)

    def ranking(self, day: str) -> DayRanking:
        """The ranking of a day. Days that are long over are forgotten."""
        if day not in self.days:
            self.days[day] = DayRanking(self.most)
            for old in sorted(self.days)[:-MOST_DAYS]:
                if old != day:
                    del self.days[old]
                    self.watched_s.pop(old, None)
        return self.days[day]

    def forget(self, from_at: float, to_at: float) -> list[DayMoment]:
        """Forget the moments of this time (unix seconds), and with the last of them the days. Returns the moments."""
        gone = []
        for ranking in self.days.values():
            gone += [each for each in ranking.moments if from_at <= each.at <= to_at]
            ranking.moments = [each for each in ranking.moments if each not in gone]
        if self._open is not None and from_at <= self._open.at <= to_at:
            self._open = None
        if math.isinf(to_at) and from_at <= 0:
            self.days.clear()
            self.watched_s.clear()
        return gone

    def forget_events(self) -> None:
        """The camera is watched no more; another one of its name numbers its events anew."""
        self._events.clear()

    def event(self, event: AlertEvent, event_id: str) -> None:
        """An event starts, continues or ends."""
        if self._events and self._events[-1][1] == event_id:
            self._events.pop()
        self._events.append((event, event_id))

    def take(self, judgement: Judgement, at: float, zone: str) -> Complete | None:
        """Take a frame. Returns a moment that is complete now, or None. at: unix seconds; zone: of the camera."""
        frame, done = judgement.scored.frame, None
        day = _local(at, zone)[:10]
        if self._open is not None and self._is_over(judgement, day):
            done = self.complete(zone)
        self.day = day
        ranking = self.ranking(day)
        self._count(frame.segment, frame.time_s)
        if math.isnan(judgement.score):
            return done
        if judgement.scale is not self._scale:
            self._scale = judgement.scale
            ranking.rescale(judgement.scale)
            if self._open is not None:
                self._open.score = judgement.scale.at_budget(self._open.raw)
        self._explain(judgement)
        raw = judgement.scale.raw_by_sense(judgement.by_detector)
        score = judgement.scale.at_budget(raw)
        if score > self._open.score if self._open is not None else ranking.is_worth(score):
            since_s = frame.time_s if self._open is None else self._open.since_s
            self._open = _Open(judgement, raw, score, at, self._reasons_near(judgement), since_s)
        return done

    def complete(self, zone: str) -> Complete | None:
        """The open moment, now; None if there is none."""
        now, self._open = self._open, None
        if now is None:
            return None
        scored, scale = now.judgement.scored, now.judgement.scale
        frame, loudest = scored.frame, now.judgement.loudest or 0
        height, width = frame.image.shape[:2]
        heat = scale.anomaly_map(scored.detections, loudest)
        regions = () if heat is None else tuple(find_regions(heat, width, height))
        place = now.judgement.place
        if place is None and regions:
            box = regions[0]
            place = box.x / width, box.y / height, (box.x + box.width) / width, (box.y + box.height) / height
        sense = scale.sense_of(loudest)
        reasons = now.reasons or (Reason(f"score of {sense}", 100 * now.score, 100.0, "%", "of the threshold"),)
        stamp = datetime.fromtimestamp(now.at, UTC)
        moment = DayMoment(
            moment_id=f"{self.camera}-{stamp:%Y%m%dT%H%M%S}.{stamp.microsecond // 1000:03d}",
            at=now.at,
            local=_local(now.at, zone),
            media_s=frame.media_s,
            raw={name: value for name, value in now.raw.items() if math.isfinite(value)},
            model=(scale.model.name, scale.model.hash),
            score=now.score,
            cause=Cause(sense, place),
            reasons=reasons,
            regions=regions,
            event_id=self._event_at(frame.time_s),
        )
        return Complete(moment, frame.image, heat, frame.time_s)

    def how_rare(self, moment: DayMoment) -> str:
        """In words how often something like it has come in all days that are remembered."""
        names = self.days.keys() | self.watched_s.keys()
        days = [
            PastDay(self.watched_s.get(name, 0.0), tuple(known.score for known in ranked), len(ranked) >= self.most)
            for name in names
            for ranked in [self.days[name].moments if name in self.days else []]
        ]
        return how_rare(moment.score, days)

    def _is_over(self, judgement: Judgement, day: str) -> bool:
        assert self._open is not None
        first, frame = self._open.judgement, judgement.scored.frame
        return (
            day != self.day
            or frame.segment != first.scored.frame.segment
            or frame.time_s - first.scored.frame.time_s > SETTLE_S
            or frame.time_s - self._open.since_s > LONGEST_S
            or judgement.scale.model != first.scale.model
        )

    def _count(self, segment: int, time_s: float) -> None:
        last, self._last = self._last, (segment, time_s)
        step_s = time_s - last[1] if last is not None and last[0] == segment else 0.0
        if 0 < step_s <= _LONGEST_STEP_S:
            self.watched_s[self.day] = self.watched_s.get(self.day, 0.0) + step_s

    def _explain(self, judgement: Judgement) -> None:
        """Remember the reasons of the loudest detector: they may come before or after the peak of the score."""
        loudest, time_s = judgement.loudest, judgement.scored.frame.time_s
        reasons = judgement.reasons or judgement.scored.detections[loudest or 0].reasons
        if not reasons:
            return
        self._why = time_s, loudest, reasons
        now = self._open
        if now is None or now.reasons or now.judgement.loudest != loudest:
            return
        if time_s - now.judgement.scored.frame.time_s <= _REASON_S:
            now.reasons = reasons

    def _reasons_near(self, judgement: Judgement) -> tuple[Reason, ...]:
        time_s, loudest, reasons = self._why
        near = 0 <= judgement.scored.frame.time_s - time_s <= _REASON_S
        return reasons if near and loudest == judgement.loudest else ()

    def _event_at(self, time_s: float) -> str | None:
        for event, event_id in reversed(self._events):
            ended_s = math.inf if event.ended_s is None else event.ended_s
            if event.started_s - _REASON_S <= time_s <= ended_s + _REASON_S:
                return event_id
        return None


def _local(at: float, zone: str) -> str:
    """A time as ISO 8601 text by the clock of a time zone, to the millisecond."""
    there = datetime.fromtimestamp(at, ZoneInfo(zone)) if zone else datetime.fromtimestamp(at).astimezone()
    return there.isoformat(timespec="milliseconds")
