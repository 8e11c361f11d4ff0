"""Counts alarms on footage without labels, such as whole days: how many per day, when, how high and why."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.errors import UsageError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.model.model_store import Model
from monitor.replay import AS_LIVE, LIVE_FPS, ReplayLog, medians, replay
from monitor.scores.calibration import DAY_S
from monitor.scores.smoothing import SmoothingSettings
from monitor.sources.opencv import FALLBACK_FPS
from monitor.text.durations import in_words
from monitor.text.wording import about, counted
from training.evaluate.evaluation_report import alarm_table, fitted, timings
from training.evaluate.events import Alarm, AlarmLog, poisson_interval
from training.evaluate.joined_recordings import Joined
from training.evaluate.ranking import Interval
from training.progress import Report
from training.recordings import nothing_readable, recorded_sources


@dataclass(frozen=True)
class AlarmCount:
    """Alarms on the footage of one camera. All of the footage is assumed to be normal.

    alarms           their times are seconds of the file that ``video`` names
    at_s             start of each alarm, seconds from the start of all footage
    footage_s        seconds of footage that a detector could judge, without gaps
    per_day          alarms per 24 h of footage
    per_day_interval 95 % Poisson interval
    not_scored       state of health -> number of analysed frames that were not scored because of it
    skipped          one reason for each file that could not be read, or not to its end
    ms               stage -> median milliseconds per analysed frame
    """

    model: str
    files: int
    budget_per_day: float
    supported_per_day: float
    analysis_fps: float
    frames: int
    footage_s: float
    per_day: float
    per_day_interval: Interval
    alarms: tuple[Alarm, ...]
    at_s: tuple[float, ...]
    unreadable: int
    not_scored: dict[str, int]
    skipped: tuple[str, ...]
    ms: dict[str, float]

    def text(self, width: int | None = None) -> str:
        """The report as text for a terminal of ``width`` characters. None: for a file, with lines of any length."""
        low, high = self.per_day_interval
        lines = [
            f"{self.model}: {in_words(self.footage_s)} of footage judged in {counted(self.files, 'file')}, "
            f"{counted(self.frames, 'frame')} analysed",
            f"{counted(len(self.alarms), 'alarm')}: {about(self.per_day)} in 24 h "
            f"[{about(low)}, {about(high)}] (95%, Poisson); the budget is {self.budget_per_day:g}",
        ]
        early = sum(alarm.early for alarm in self.alarms)
        if self.supported_per_day > self.budget_per_day:
            lines.append(
                f"the model's held-out footage can confirm no rate below {about(self.supported_per_day)} per day: at "
                f"first more alarms than the budget are allowed, and {early} of these were early"
            )
        silent = sum(not alarm.notify for alarm in self.alarms)
        if silent:
            lines.append(f"{silent} of them repeat an alarm of shortly before: recorded, but without a notification")
        lost = [f"{frames} {state}" for state, frames in self.not_scored.items()]
        if self.unreadable:
            lost.append(f"{self.unreadable} unreadable")
        if lost:
            lines.append(f"frames without a score: {', '.join(lost)}")
        parts = [fitted("\n".join(lines), width)]
        if self.alarms:
            parts.append(alarm_table(self.alarms, width))
        return "\n\n".join([*parts, fitted(timings(self.ms), width)])


def count_alarms(
    path: Path,
    model: Model,
    budget_per_day: float,
    report: Report,
    analysis_fps: float = LIVE_FPS,
    fps: float = FALLBACK_FPS,
) -> AlarmCount:
    """Watch the recordings at ``path``, in the order of their names, as the stream of one camera. Keeps no frames.

    fps: frames per second of folders of images

    Raises SourceError if nothing can be read, ModelError if the held-out scores give no threshold.
    """
    sources = recorded_sources([str(path)], split="testing_videos", fps=fps)
    skipped: list[str] = []

    def skip(reason: str) -> None:
        skipped.append(reason)
        report.say(f"left out: {reason}")

    source = Joined(sources, skip)
    scale = ModelScale(model, budget_per_day, SmoothingSettings())
    monitor = CameraMonitor(source.name, scale, SmoothingSettings(), AlertSettings())
    replayed, log = ReplayLog(), AlarmLog("")
    rules = replace(AS_LIVE, analysis_fps=analysis_fps)
    frames, footage_s, last = 0, 0.0, (-1, 0.0)
    with report.steps(f"watching {counted(len(sources), 'file')}", len(sources)) as step:
        begun = 1
        for judgement in replay(source, model, monitor, rules, replayed):
            frame = judgement.scored.frame
            for alarm in log.take(judgement.alerts, frame.time_s):
                where, second = source.place(alarm.started_s)
                report.say(f"alarm in {Path(where).name} at {second:.1f} s: peak {alarm.peak_score:.2f}")
            if last[0] == frame.segment and not math.isnan(judgement.score):
                footage_s += frame.time_s - last[1]
            last = frame.segment, frame.time_s
            frames += 1
            step.frame()
            while begun < len(source.parts):
                begun += 1
                step()
    log.take(monitor.close(), math.nan)
    if not frames:
        raise nothing_readable(source)
    if not footage_s:
        why = ", ".join(f"{count} {state}" for state, count in replayed.unscored.items())
        raise UsageError(
            f"no detector could judge any of this footage{why and f' ({why})'}: give footage of the camera that the "
            "model has learned, at its size and rate"
        )
    days = footage_s / DAY_S
    low, high = poisson_interval(len(log.alarms))
    return AlarmCount(
        model=model.id,
        files=len(sources),
        budget_per_day=budget_per_day,
        supported_per_day=scale.supported_per_day,
        analysis_fps=analysis_fps,
        frames=frames,
        footage_s=footage_s,
        per_day=len(log.alarms) / days,
        per_day_interval=(low / days, high / days),
        alarms=tuple(_in_file(alarm, source) for alarm in log.alarms),
        at_s=tuple(alarm.started_s for alarm in log.alarms),
        unreadable=len(replayed.unreadable),
        not_scored=replayed.unscored,
        skipped=tuple(skipped),
        ms=medians([replayed]),
    )


def _in_file(alarm: Alarm, source: Joined) -> Alarm:
    """The alarm with times relative to the recording in which it began."""
    label, second = source.place(alarm.started_s)
    offset = alarm.started_s - second
    return Alarm(
        Path(label).name,
        second,
        alarm.raised_s - offset,
        alarm.ended_s - offset,
        alarm.peak_score,
        alarm.peak_s - offset,
        alarm.detector,
        alarm.reasons,
        alarm.notify,
        alarm.early,
    )
