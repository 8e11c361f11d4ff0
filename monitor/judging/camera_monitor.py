"""Turns the raw detections of one camera into scores and events: smooth, fuse on a common scale, decide.

Pure: no threads and no clock. Times are the stream's own, so the same frames give the same events at any playback
speed. A high score is abnormal; 0 is typical normal footage, 1 is the threshold.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, replace

from monitor.detector.lessons import hour_at, hour_of
from monitor.judging.alerting import AlertRule, AlertSettings
from monitor.judging.cool_down import Cause
from monitor.judging.drift import Drift
from monitor.judging.event_traits import EventTraits, TraitCollector
from monitor.judging.fusion import Fused, ModelScale
from monitor.judging.live_calibration import LiveCalibration
from monitor.judging.prototypes import Named, Prototypes
from monitor.judging.regions import find_regions
from monitor.scores.smoothing import SmoothingSettings
from monitor.states import PAUSED, AlertEvent, Phase, Reason, Region
from monitor.text.wording import joined
from monitor.types import Detection, FloatArray, Frame, Place, ScoredFrame

HOLD_S = 1.0
"""Seconds for which the last score, and the last reasons, are used for frames that have none."""
PLACED = 0.5
"""The place of the anomaly is determined from this score on."""
_COUNTS = 0.5
"""A sense is named as the cause of a score if its own score is at least this share of the highest one."""


@dataclass(frozen=True, slots=True, eq=False)
class Alert:
    """One step of an event (start, update or end), with the evidence for it.

    started_at   unix time at which the event's first frame was read, seconds
    ended_at     unix time at which the last frame with a high score was read, seconds; None while the event is open
    read_at      time.monotonic() at which the frame that caused this step was read, seconds; for an end without a
                 frame (the end of the run, another model), the last frame
    snapshot     the frame to show: at the start and the end, the frame with the highest score so far; in an update, the
                 current frame
    regions      boxes in pixels of the snapshot's frame, highest first
    reasons      terms that rose on the snapshot's frame. If none rose on it, those of the second before it, those of
                 other detectors, or the score itself. Empty only for updates sent after the score has dropped
    anomaly_map  (h, w) float32, the sum of the maps of ``detector`` and all detectors that respond to the same; None if
                 none of them gives a map
    detector     name of the detector that contributes most to the snapshot's score
    scale        the scale that the scores are measured on; it names the model and the false-alarm budget
    media_s      position in the file or folder at which the event starts, seconds; None for a live camera
    early        True if it is raised only because a camera that is new may raise more alarms, see ``allowed_per_day``
    also         what else the event is about: the first reason of each further cause, of a different kind in a
                 different place
    traits       what to keep of the event, so that people can teach by it; only at its start and its end
    named        the name that people gave to an event like this one, if there is one
    """

    camera: str
    event: AlertEvent
    started_at: float
    ended_at: float | None
    read_at: float
    snapshot: ScoredFrame
    regions: tuple[Region, ...]
    reasons: tuple[Reason, ...]
    scale: ModelScale
    anomaly_map: FloatArray | None = None
    detector: str = ""
    media_s: float | None = None
    early: bool = False
    also: tuple[Reason, ...] = ()
    traits: EventTraits | None = None
    named: Named | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """The result for one scored frame.

    score        smoothed and fused; NaN while no detector can judge
    alerts       steps of events to report now: the end of an event that a gap cut off, then the step of this frame
    scale        the scale that the score is measured on; it names the model and the false-alarm budget
    by_detector  each detector's smoothed score, raw units, in the model's order; NaN if it cannot judge
    loudest      index, in the model's order, of the detector that contributes most to the score; None while none can
                 judge
    advice       a sentence that advises to learn the camera again; None if there is no new advice
    reasons      terms that explain the score if it is the highest so far of an event or of a rise that may become one;
                 otherwise empty
    place        where the picture is most abnormal, for scores of 0.5 or more; None for others, or if no detector says
                 it. It is known below the threshold, too, so that a record tells what another threshold would have done
    """

    scored: ScoredFrame
    score: float
    alerts: tuple[Alert, ...]
    scale: ModelScale
    by_detector: tuple[float, ...]
    loudest: int | None = None
    advice: str | None = None
    reasons: tuple[Reason, ...] = ()
    place: Place | None = None


class CameraMonitor:
    """Takes one camera's scored frames in order of time. The only frame it keeps is the peak frame of an event.

    scale        of the model; ``calibration`` may change its thresholds
    calibration  None: the thresholds do not follow what is watched, see LiveCalibration
    """

    def __init__(
        self,
        camera: str,
        scale: ModelScale,
        smoothing: SmoothingSettings,
        alert: AlertSettings,
        drift: Drift | None = None,
        calibration: LiveCalibration | None = None,
    ) -> None:
        self.camera = camera
        self.calibration = calibration or LiveCalibration(scale)
        self.scale = self.calibration.scale
        self.smoothing = smoothing
        self._medians = [smoothing.smoother() for _ in scale.names]
        self._rule = AlertRule(alert)
        self._drift = drift
        self._segment: int | None = None
        self._peak: tuple[ScoredFrame, int | None] | None = None
        self._read: deque[tuple[float, float, float | None]] = deque(maxlen=1024)  # time_s, wall_time, media_s
        self._started_at = self._read_at = 0.0
        self._media_s: float | None = None
        self._early = False
        self._also: tuple[Reason, ...] = ()
        self.prototypes = Prototypes()
        """Events that people have named. Replace it at any time."""
        self._traits = TraitCollector(scale.names)
        self._from_hour: float | None = None
        self._forget()

    @property
    def settings(self) -> AlertSettings:
        """The alert rule's settings."""
        return self._rule.settings

    @property
    def alarmed(self) -> bool:
        """True while an event is open."""
        return self._rule.open

    @property
    def events(self) -> int:
        """Events started so far."""
        return self._rule.events

    def count_from(self, events: int) -> None:
        """Continue the numbering of events after ``events``, the number of the camera's events before this monitor."""
        self._rule.count_from(events)

    def update(self, scored: ScoredFrame) -> Judgement:
        """Take the next frame."""
        frame = scored.frame
        alerts: list[Alert] = []
        self._read_at = frame.captured_at
        if self._segment is not None and frame.segment != self._segment:
            alerts.extend(self.close())
            for median in self._medians:
                median.reset()
            self._forget()
        self._segment = frame.segment
        self._read.append((frame.time_s, frame.wall_time, frame.media_s))
        for i, detection in enumerate(scored.detections):
            if detection.reasons:
                self._last_reasons[i] = frame.time_s, scored.detections
        fused, by_detector = self._held(frame, *self._fuse(scored))
        loudest = fused.detector or 0
        reasons: tuple[Reason, ...] = ()
        place = scored.place
        if place is None and fused.score >= min(PLACED, self.settings.on):
            place = self._place(scored, loudest)

        def new_peak() -> Cause:
            """The score is the highest of a rise so far: its frame is what an alert shows."""
            nonlocal reasons
            detections = self._with_reasons(scored, loudest, fused.score, by_detector)
            self._peak = replace(scored, detections=detections), fused.detector
            self._early = self.scale.early(by_detector, self.settings.on)
            reasons = detections[loudest].reasons
            return Cause(self.scale.sense_of(loudest), place)

        causes = self._rule.causes
        now = Cause(self.scale.sense_of(loudest), place)
        self._traits.take(scored, self.calibration.block)
        event = self._rule.update(frame.time_s, fused.score, new_peak, now, armed=frame.armed)
        if event is not None:
            if event.phase is Phase.START:
                self._also = ()
            elif self._rule.causes > causes:
                self._also += self._with_reasons(scored, loudest, fused.score, by_detector)[loudest].reasons[:1]
            alerts.append(self._alert(event, scored, fused.detector, by_detector))
        if self._rule.peak_s is None:
            self._traits.begin_anew()
        scale = self.scale
        if self.calibration.take(frame.segment, frame.time_s, by_detector, alarmed=self._rule.peak_s is not None):
            self.scale = self.calibration.scale
        advice = None if self._drift is None else self._drift.update(frame, fused.score, alarmed=self.alarmed)
        return Judgement(scored, fused.score, tuple(alerts), scale, by_detector, fused.detector, advice, reasons, place)

    def close(self) -> list[Alert]:
        """End an open event at a gap or at the end of the run. Returns its last step; empty if no event is open."""
        event = self._rule.close()
        found = [self._alert(event, *self._peak)] if event is not None and self._peak is not None else []
        self._traits.begin_anew()
        return found

    def _fuse(self, scored: ScoredFrame) -> tuple[Fused, tuple[float, ...]]:
        smoothed = tuple(
            median.update(scored.frame.time_s, detection.score)
            for detection, median in zip(scored.detections, self._medians, strict=True)
        )
        return self.scale.fuse(smoothed), smoothed

    def _forget(self) -> None:
        # Index of a detector -> time of the last frame for which it gave reasons, and all detections of that frame.
        self._last_reasons: dict[int, tuple[float, tuple[Detection, ...]]] = {}
        self._known: tuple[Fused, tuple[float, ...]] = Fused(math.nan, None), ()
        self._known_s = -math.inf

    def _held(self, frame: Frame, fused: Fused, smoothed: tuple[float, ...]) -> tuple[Fused, tuple[float, ...]]:
        """The result to use: for a single frame that is not scored (a corrupted one), the result of the last frame.

        So such a frame neither starts nor ends an event.
        """
        if not math.isnan(fused.score):
            self._known, self._known_s = (fused, smoothed), frame.time_s
        elif not frame.health.scored and frame.health.state not in PAUSED and frame.time_s - self._known_s <= HOLD_S:
            return self._known
        return fused, smoothed

    def _place(self, scored: ScoredFrame, loudest: int) -> Place | None:
        """The box around the highest part of a frame's anomaly map."""
        height, width = scored.frame.image.shape[:2]
        heat = self.scale.anomaly_map(self._with_own_reasons(scored, loudest), loudest)
        boxes = [] if heat is None else find_regions(heat, width, height, most=1)
        for box in boxes:
            # Rounded, so that a record of scores holds exactly what was judged.
            left, top = round(box.x / width, 3), round(box.y / height, 3)
            return left, top, round((box.x + box.width) / width, 3), round((box.y + box.height) / height, 3)
        return None

    def _alert(
        self, event: AlertEvent, scored: ScoredFrame, loudest: int | None, by_detector: tuple[float, ...] = ()
    ) -> Alert:
        if event.phase is not Phase.UPDATE and self._peak is not None:
            scored, loudest = self._peak
        if event.phase is Phase.START:
            self._started_at, self._media_s = self._when_read(event.started_s)
            self._from_hour = hour_of(scored.frame)
        ended_at = None if event.ended_s is None else self._when_read(event.ended_s)[0]
        detections = self._with_reasons(scored, loudest or 0, event.score, by_detector)
        height, width = scored.frame.image.shape[:2]
        heat = self.scale.anomaly_map(detections, loudest or 0)
        regions = () if heat is None else tuple(find_regions(heat, width, height))
        # The score has dropped, and the event only waits for its end: a small rise now is not the reason for the event.
        hours = None
        if self._from_hour is not None:
            until = None if ended_at is None else hour_at(ended_at)
            hours = self._from_hour, self._from_hour if until is None else until
        kept = self._traits.found(event, hours, self.calibration.block)
        named = self.prototypes.match(kept)
        if named is not None and named.notify is not None:
            event = replace(event, notify=named.notify)
        calm = event.phase is Phase.UPDATE and event.score < self._rule.settings.off
        return Alert(
            self.camera,
            event,
            self._started_at,
            ended_at,
            self._read_at,
            scored,
            regions,
            () if calm else detections[loudest or 0].reasons,
            self.scale,
            heat,
            self.scale.names[loudest or 0],
            self._media_s,
            self._early,
            self._also,
            kept if event.phase is not Phase.UPDATE else None,
            named,
        )

    def _with_reasons(
        self, scored: ScoredFrame, loudest: int, score: float, by_detector: tuple[float, ...]
    ) -> tuple[Detection, ...]:
        """The detections of a frame, with a reason in that of the loudest detector whatever has raised the score.

        Its own reasons come first, then those of detectors that respond to the same, then the score itself.
        """
        detections = self._with_own_reasons(scored, loudest)
        if detections[loudest].reasons:
            return detections
        alike = self.scale.senses[self.scale.sense_of(loudest)].members
        for name, own in zip(self.scale.names, detections, strict=True):
            if name in alike and own.reasons:
                return _explained(detections, loudest, own.reasons)
        return _explained(detections, loudest, (self._score_as_reason(score, by_detector),))

    def _score_as_reason(self, score: float, by_detector: tuple[float, ...]) -> Reason:
        """The reason of a score that no single term explains: several small differences at once."""
        by_sense = self.scale.by_sense(by_detector) if by_detector else {}
        most = max(by_sense.values(), default=0.0)
        named = [name for name, units in by_sense.items() if units >= _COUNTS * most] or list(self.scale.senses)
        rule = self._rule.settings
        usual = rule.on if score >= rule.on else rule.off
        return Reason(f"score of {joined(named)}", 100 * score, 100 * usual, "%", "of the threshold")

    def _with_own_reasons(self, scored: ScoredFrame, loudest: int) -> tuple[Detection, ...]:
        """The detections of a frame with reasons from shortly before, if the loudest detector gives no reason for it.

        The smoothed score may be high on a frame that has a low score itself: the reason was in the frames before it.
        If the detector finds nothing in this frame at all, all detections are those of the earlier frame.
        """
        now = scored.detections[loudest]
        time_s, before = self._last_reasons.get(loudest, (-math.inf, scored.detections))
        if now.reasons or not 0 <= scored.frame.time_s - time_s <= HOLD_S:
            return scored.detections
        if now.anomaly_map is None or not (now.anomaly_map > 0).any():
            return before
        return _explained(scored.detections, loudest, before[loudest].reasons)

    def _when_read(self, time_s: float) -> tuple[float, float | None]:
        """Unix time in seconds at which the frame at ``time_s`` on the stream's clock was read, and its ``media_s``."""
        at = bisect_right(self._read, time_s, key=lambda entry: entry[0])
        return self._read[max(0, at - 1)][1:]


def _explained(detections: tuple[Detection, ...], index: int, reasons: tuple[Reason, ...]) -> tuple[Detection, ...]:
    """The detections, one of them with these reasons."""
    return (*detections[:index], replace(detections[index], reasons=reasons), *detections[index + 1 :])
