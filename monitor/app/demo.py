"""The demo: runs a synthetic street through the real pipeline and compares the alerts with the ground truth."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from monitor.app.config import MonitorConfig
from monitor.judging.camera_monitor import Alert, Judgement
from monitor.live.sink import Sink
from monitor.reports import CameraReport
from monitor.sources.source import Position, Reader, Source
from monitor.sources.synthetic.script import Episode
from monitor.sources.synthetic.synthetic_scene import FPS, SyntheticScene
from monitor.state_folder import NORMAL
from monitor.text.commands import monitor_command
from monitor.text.wording import counted
from monitor.types import Image
from monitor.web.installed import is_installed

log = logging.getLogger("monitor")

MODEL_FOLDER = Path(__file__).resolve().parents[1] / "assets" / "demo"
"""The small model that ships with the project. ``python -m training.autoencoder.demo_model`` creates it."""

LEARNED_S = 60.0
"""The demo learns from this many seconds of the street without any episode."""
DEMO_FALSE_ALARMS_PER_DAY = 10.0
"""The demo's false-alarm budget. With a budget of 1 per day, the threshold from a minute of street is so high that the
weakest episode may stay below it."""
LEARNED_SEED = 11
DEMO_DETECTORS = ("motion", "static")
"""Detectors that the demo learns. A network would take longer to learn than the demo lasts."""
_PAUSE_S = 2.0  # between the learned footage and the watched scene, because they are two streams

TOLERANCE_S = 2.0
"""An alert belongs to an episode if it begins at most this many seconds after the episode has left the picture."""


class DemoStreet(Source):
    """A minute without any episode, with other people and other light, followed by a scene. For a camera that learns.

    The minute has negative times, so that the times of the scene do not change. It is played once: a second ``open``
    begins with the scene.
    """

    def __init__(self, scene: SyntheticScene, learned_s: float = LEARNED_S) -> None:
        super().__init__(scene.name, scene.label)
        self._parts = [SyntheticScene(seed=LEARNED_SEED, duration_s=learned_s, abnormal=False), scene]

    def open(self) -> Reader:
        """Open at the first frame that has not been shown before."""
        parts, self._parts = self._parts, self._parts[-1:]
        return _StreetReader(parts)


class _StreetReader(Reader):
    fps = FPS

    def __init__(self, parts: Sequence[SyntheticScene]) -> None:
        before = parts[0].duration_s + _PAUSE_S if len(parts) > 1 else 0.0
        starts = [-before, 0.0] if len(parts) > 1 else [0.0]
        self._frames = (
            (part, number, start + number / FPS)
            for part, start in zip(parts, starts, strict=True)
            for number in range(part.frames)
        )
        self._index = -1
        self._now: tuple[SyntheticScene, int] | None = None

    def grab(self) -> Position | None:
        step = next(self._frames, None)
        if step is None:
            return None
        self._now = step[:2]
        self._index += 1
        return Position(self._index, step[2])

    def retrieve(self) -> Image | None:
        assert self._now is not None
        return self._now[0].render(self._now[1])


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """The result for one abnormal episode.

    delay_s     seconds from the start of the episode to the start of the alert; None if it was missed
    peak_score  highest score of its alerts; None if it was missed
    quiet       True if none of its alerts notifies anyone
    """

    episode: Episode
    delay_s: float | None
    peak_score: float | None
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Alerts compared with the ground truth. false_alarms: (started_s, ended_s) of alerts that belong to no episode."""

    episodes: tuple[EpisodeResult, ...]
    false_alarms: tuple[tuple[float, float], ...]

    @property
    def caught(self) -> int:
        """Episodes with at least one alert."""
        return sum(result.delay_s is not None for result in self.episodes)

    @property
    def quiet(self) -> int:
        """Caught episodes of which nobody is notified."""
        return sum(result.quiet for result in self.episodes)


class Seen(NamedTuple):
    """An alert of the demo, up to now. Times in seconds of the stream."""

    started_s: float
    ended_s: float
    peak_score: float
    notify: bool = True


class DemoJudge(Sink):
    """Collects the demo's alerts. Also tells the dashboard which episode is in the scene now."""

    def __init__(self, scene: SyntheticScene) -> None:
        self._lap = scene.truth
        self._lap_s = scene.duration_s
        self._now_s = -math.inf
        self._alerts: dict[int, Seen] = {}

    def score(self, judgement: Judgement) -> None:
        """Remember the current time of the stream."""
        self._now_s = judgement.scored.frame.time_s

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002 - only the event counts
        """Remember the event up to now."""
        event = alert.event
        ended_s = self._now_s if event.ended_s is None else event.ended_s
        self._alerts[event.number] = Seen(event.started_s, ended_s, event.peak_score, event.notify)

    def _truth(self) -> list[Episode]:
        """The episodes that have started so far. A looped scene repeats them."""
        laps = range(int(self._now_s // self._lap_s) + 1) if self._now_s >= 0 else ()
        shifted = [
            Episode(e.kind, e.started_s + lap * self._lap_s, e.ended_s + lap * self._lap_s)
            for lap in laps
            for e in self._lap
        ]
        return [episode for episode in shifted if episode.started_s <= self._now_s]

    def note(self) -> str:
        """A sentence about what happens in the scene now."""
        if self._now_s < 0:
            return "learning this street from a minute in which nothing unusual happens"
        now = [e.kind for e in self._truth() if e.ended_s >= self._now_s]
        return f"in the street now: {', '.join(now) if now else 'nothing unusual'}"

    def result(self) -> DemoResult:
        """Compare the alerts so far with the episodes so far. An unfinished episode counts only after it is caught."""
        alerts = list(self._alerts.values())
        over = [e for e in self._truth() if e.ended_s <= self._now_s or any(a.started_s >= e.started_s for a in alerts)]
        return compare(over, alerts)


def compare(truth: Sequence[Episode], alerts: Sequence[Seen]) -> DemoResult:
    """Match alerts with the episodes in which, or soon after which, they started."""
    results, matched = [], set()
    for episode in truth:
        hits = [alert for alert in alerts if episode.started_s <= alert.started_s <= episode.ended_s + TOLERANCE_S]
        matched.update(hits)
        first = min(hits, default=None)
        delay = None if first is None else first.started_s - episode.started_s
        quiet = bool(hits) and not any(hit.notify for hit in hits)
        results.append(EpisodeResult(episode, delay, max((hit.peak_score for hit in hits), default=None), quiet))
    false = tuple((alert.started_s, alert.ended_s) for alert in alerts if alert not in matched)
    return DemoResult(tuple(results), false)


def without_traces(settings: MonitorConfig, scratch: Path) -> MonitorConfig:
    """The demo's settings, so that its pictures of calm footage are not among those of the user's cameras.

    scratch: a folder that is deleted after the demo
    """
    return settings.model_copy(update={"normal": settings.normal.model_copy(update={"folder": scratch / NORMAL})})


def with_page(settings: MonitorConfig, scratch: Path) -> MonitorConfig:
    """The demo's settings with the page and its pictures, if the page's packages are installed and it has what to show.

    scratch  a folder that is deleted after the demo
    """
    if not settings.publish.enabled:
        return settings
    if not (settings.web.enabled or is_installed()):
        log.info("the demo would show a page in a browser, too, with the packages of 'true-sight[web]'")
        return settings
    evidence = settings.evidence
    if not evidence.enabled:
        evidence = evidence.model_copy(update={"enabled": True, "folder": scratch / "evidence"})
    return settings.model_copy(update={"web": settings.web.model_copy(update={"enabled": True}), "evidence": evidence})


def where_pictures_are(evidence: Path | None) -> str:
    """A sentence that leads to the pictures of the alerts. evidence: the folder of the run's evidence; None if off."""
    if evidence is None:
        return f"To see its alerts as pictures and clips: {monitor_command('--demo --evidence demo-evidence')}"
    peaks = evidence.glob("*/*/*-peak.jpg")
    last = max(peaks, key=lambda path: path.stat().st_mtime, default=None)
    return f"No picture is in {evidence} yet." if last is None else f"A picture of its last alert: {last}"


def result_table(result: DemoResult) -> Table:
    """The comparison as a table, for the end of the demo."""
    table = Table(title="Alerts compared with the ground truth", title_justify="left", box=None, pad_edge=False)
    for column in ("episode", "visible", "alert after", "peak score", "notified"):
        table.add_column(column, justify="left" if column == "episode" else "right")
    for entry in result.episodes:
        visible = f"{entry.episode.started_s:.1f} - {entry.episode.ended_s:.1f} s"
        if entry.delay_s is None:
            table.add_row(entry.episode.kind, visible, Text("missed", "bold red"), "", "")
        else:
            delay = Text(f"{entry.delay_s:.1f} s", "green")
            table.add_row(entry.episode.kind, visible, delay, f"{entry.peak_score:.2f}", "no" if entry.quiet else "yes")
    return table


def result_sentence(result: DemoResult) -> str:
    """The comparison in one sentence."""
    if not result.episodes:
        return "The demo ended before its first abnormal episode was over."
    false = len(result.false_alarms)
    alarms = counted(false, "false alarm") if false else "no false alarm"
    quiet = (
        f" ({result.quiet} quietly: it repeats an alert of shortly before, so nobody is notified)"
        if result.quiet
        else ""
    )
    return f"{result.caught} of {counted(len(result.episodes), 'abnormal episode')} caught{quiet}, {alarms}."
