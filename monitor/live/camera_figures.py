"""The current figures of one camera, and the report made from them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from monitor.judging.alarm_rate import AlarmCount
from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.judging.judged_time import JudgedTime
from monitor.live.blind_time import BlindTime
from monitor.live.frame_queue import QueueCounters
from monitor.live.stats import Quantiles, Rate, ScoreBins
from monitor.reports import CameraReport
from monitor.states import LOST, PAUSED, CameraState
from monitor.types import CaptureStatus, ScoredFrame

_BEHIND_S, _NEARLY_S = 2.0, 1.0
"""A file that is more than the first value behind its pace, seconds, is overloaded until it is within the second."""
_HANGS_AFTER_S = 10.0  # a network that joins may hold up scoring for some seconds
_HANGING = "frames wait, but none is scored any more: the device or this machine hangs; start the monitor again"
_UNWATCHED = "nearly nothing has been judged for a minute"
_LEFT_OUT = "their pictures are damaged, or change as a whole"
_MOST_CAUSES = 50  # causes that are counted by name: a detail may hold figures
_TOO_MANY = "the threshold does not hold what it promises here; learn the camera again, from longer footage"
_OWN_STATE = (*LOST, *PAUSED, CameraState.CONNECTING, CameraState.LEARNING)
"""States that say by themselves that nothing is watched."""


class CameraFigures:
    """Counts and measurements of one camera since it was added."""

    def __init__(self, *, live: bool = False) -> None:
        """live: False for a file, of which no time is lost."""
        self._blind = BlindTime() if live else None
        self._blind_s = 0.0  # that is counted
        self.seen = 0
        """Frames that have come out of the pipeline."""
        self.fault = ""
        """An error while its last frame was judged, as a sentence; "" if there was none."""
        self._score = math.nan
        self._history = ScoreBins()
        self._fps_in, self._fps_analysed = Rate(), Rate()
        self._overload = Rate()
        self._behind = False  # a file is played more slowly than it should be
        self._age = Quantiles()
        self._unscored: str | None = ""  # why no frame has been scored so far; None once one has
        self._unjudged = False  # no detector could judge a frame, and none has judged one since
        self._with_model = self._judged = 0  # frames that a model was to judge, and that it has judged
        self._causes: Counter[str] = Counter()  # why the others were not judged
        self._advice = ""
        self._watched = JudgedTime()
        self.alarms = AlarmCount()
        """Its alarms beside its budget, also those of earlier runs."""
        self._counted_s, self._notified = 0.0, 0  # watched time that is counted; number of the last alarm counted
        self._taken, self._waiting_since = -1, math.inf  # frames taken out of the queue; since when none has been
        self._state: tuple[CameraState, str] | None = None  # as reported last
        self._since = self._looked_s = -math.inf  # when that state began; when it was last checked

    def arrived(self, scored: ScoredFrame) -> None:
        """A frame has come out of the pipeline, judged or not."""
        self._age.add(scored.scored_at - scored.frame.captured_at)

    def judged(self, judgement: Judgement) -> None:
        """A frame has been judged."""
        frame = judgement.scored.frame
        self.fault = ""
        self._score = judgement.score
        if frame.health.state is CameraState.PAUSED:
            return  # somebody wants it so: it is no time in which the monitor failed to judge
        self._advice = judgement.advice or self._advice
        self._watched.take(frame, judgement.scale.names, judgement.by_detector)
        if self._blind is not None and not math.isnan(judgement.score):
            self._blind.judged(judgement.scored.scored_at)
        self._count_alarms(judgement)
        self._with_model += 1
        # The smoothed score lasts over a few frames that are not scored: they are not judged for all that.
        if frame.health.scored and not math.isnan(judgement.score):
            self._judged += 1
        else:
            cause = (frame.health.detail or _LEFT_OUT) if not frame.health.scored else self._watched.cause
            if cause in self._causes or len(self._causes) < _MOST_CAUSES:
                self._causes[cause] += 1
        if not math.isnan(judgement.score):
            self._history.add(frame.time_s, judgement.score)
            self._unscored, self._unjudged = None, False
        elif self._unscored is not None and not frame.health.scored:
            self._unscored = frame.health.detail or self._unscored
        elif self._unscored is not None:
            self._unjudged = True

    def _count_alarms(self, judgement: Judgement) -> None:
        """Count the alarms that people are notified of, and the time in which a detector judged.

        Early ones are not counted: the promise does not exclude them.
        """
        told = (alert for alert in judgement.alerts if alert.event.notify and not alert.early)
        numbers = [alert.event.number for alert in told]
        fresh = [number for number in dict.fromkeys(numbers) if number > self._notified]
        self._notified = max([self._notified, *fresh])
        watched_s = self._watched.watched_s - self._watched.unscored_s
        self.alarms.promised_per_day = judgement.scale.false_alarms_per_day
        self.alarms.add(max(0.0, watched_s - self._counted_s), len(fresh))
        self._counted_s = max(self._counted_s, watched_s)

    def changed(self, report: CameraReport, now: float) -> bool:
        """Whether the state differs from the one reported last; the new one is then taken as reported."""
        told = (report.state, _worth_telling(report))
        differs = self._state != told
        self._state = told
        self._since, self._looked_s = report.since, now
        return differs

    def report(
        self,
        name: str,
        label: str,
        status: CaptureStatus,
        queue: QueueCounters,
        monitor: CameraMonitor | None,
        now: float,
        amend: Callable[[CameraReport], CameraReport] = lambda report: report,
        relief: str = "",
    ) -> CameraReport:
        """The camera's report at ``now`` (time.monotonic(), seconds).

        amend   completes the report, for example while the camera learns
        relief  what it gives up because the machine is too busy, in words; "" if nothing
        """
        self._count_blind(monitor, now)
        state, detail, unjudged = status.state, status.detail, self._watched.now
        if monitor is not None:  # also before the first frame: the camera may never open
            self.alarms.promised_per_day = monitor.scale.false_alarms_per_day
        promise = None
        if monitor is not None:
            promise = replace(self.alarms.rate, supported_per_day=monitor.scale.supported_per_day)
        self._behind = status.behind_s > (_NEARLY_S if self._behind else _BEHIND_S)
        dropping = self._overload.update(now, queue.dropped) > 0
        by_hand = state is CameraState.PAUSED
        if self._hangs(queue, now) and state not in _OWN_STATE:
            state, detail = CameraState.UNSCORED, _HANGING
        elif self.fault and state not in _OWN_STATE:
            state, detail = CameraState.UNSCORED, self.fault
        elif unjudged.nothing and state not in _OWN_STATE:
            found = f"no detector can judge its frames: {unjudged.why}"
            state, detail = CameraState.UNSCORED, f"{found}; {detail}" if detail else found
        elif (
            self._watched.lately.nothing
            and not by_hand
            and state not in (*LOST, CameraState.CONNECTING, CameraState.LEARNING)
        ):
            detail = f"{_UNWATCHED}: {detail or self._why_not_judged(queue, status)}"
            state = state if state in PAUSED else CameraState.UNSCORED
        elif state is CameraState.ONLINE and relief:
            state, detail = CameraState.OVERLOADED, relief
        elif state is CameraState.ONLINE and dropping:
            state, detail = CameraState.OVERLOADED, "frames are dropped: lower analysis_fps or use a faster device"
        elif state is CameraState.ONLINE and self._behind:
            state, detail = CameraState.OVERLOADED, "played more slowly than requested: lower analysis_fps or the speed"
        elif state is CameraState.ONLINE and self._advice:
            state, detail = CameraState.DRIFTED, self._advice
        elif state is CameraState.ONLINE and promise is not None and promise.broken:
            state, detail = CameraState.OVER_BUDGET, f"{promise.text}: {_TOO_MANY}"
        elif state is CameraState.ONLINE and unjudged.silent:
            state, detail = CameraState.LIMITED, f"not judged by {' and '.join(unjudged.silent)}: {unjudged.why}"
        report = amend(
            CameraReport(
                name=name,
                source=label,
                state=state,
                since=status.since,
                detail=detail,
                score=math.nan if state is CameraState.UNSCORED else self._score,
                alarmed=monitor is not None and monitor.alarmed,
                history=tuple(self._history.values()),
                fps_in=self._fps_in.update(now, status.frames_in),
                fps_analysed=self._fps_analysed.update(now, self._age.count),
                age_p50_s=self._age.quantile(0.5),
                age_p99_s=self._age.quantile(0.99),
                frames_in=status.frames_in,
                analysed=self._age.count,
                unscored=self._why_unscored(),
                unscored_s=self._watched.unscored_s,
                watched_s=self._watched.watched_s,
                to_judge=self._with_model + self._lost_frames(queue, status),
                judged=self._judged,
                unjudged=self._why_not_judged(queue, status),
                unwatched=self._watched.lately.nothing and not by_hand,
                dropped=queue.dropped,
                reconnects=status.reconnects,
                stalls=status.stalls,
                missing=status.missing,
                unreadable=status.unreadable,
                events=0 if monitor is None else monitor.events,
                rests_on_s=None if monitor is None else monitor.scale.rests_on_s,
                promise=promise,
            )
        )
        # The reported state may differ from the state of the capture. It starts when it is first reported.
        if self._state is not None and status.since < self._looked_s:
            report = replace(report, since=self._since if report.state is self._state[0] else now)
        return report

    def _count_blind(self, monitor: CameraMonitor | None, now: float) -> None:
        """Count the time in which nobody watched the camera, from its first model on."""
        if self._blind is None or monitor is None:
            return
        self._blind.begin(now)
        self._blind.look(now)
        self.alarms.add(0.0, 0, self._blind.blind_s - self._blind_s)
        self._blind_s = self._blind.blind_s

    def _hangs(self, queue: QueueCounters, now: float) -> bool:
        """Whether frames have waited in the queue for seconds, and none has been taken out."""
        if not queue.waiting or queue.taken != self._taken:
            self._taken, self._waiting_since = queue.taken, now
        return now - self._waiting_since >= _HANGS_AFTER_S

    def _lost_frames(self, queue: QueueCounters, status: CaptureStatus) -> int:
        """Frames that never reached the model; 0 while the camera has none."""
        return queue.dropped + status.unreadable if self._with_model else 0

    def _why_not_judged(self, queue: QueueCounters, status: CaptureStatus) -> str:
        """Why most of the frames that were not judged were not; "" if all were."""
        causes = self._causes + Counter(
            {
                "frames were dropped: lower analysis_fps or use a faster device": queue.dropped,
                "frames could not be decoded": status.unreadable,
            }
        )
        return causes.most_common(1)[0][0] if causes else ""

    def _why_unscored(self) -> str:
        """Why no frame has been scored so far; "" if one has."""
        if self._unscored or not self._unjudged:
            return self._unscored or ""
        return f"no detector could judge its frames: {self._watched.now.why or 'there are too few of them'}"


def _worth_telling(report: CameraReport) -> str:
    """The detail, without what only grows: the time watched would make a new report every few seconds."""
    if report.state is CameraState.OVER_BUDGET and report.promise is not None:
        return f"{report.promise.alarms} of {report.promise.promised_per_day}"
    return report.detail
