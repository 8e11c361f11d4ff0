"""From what a subscriber received and what the pictures' stamps say to how long everything took."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from monitor.alerts.messages import AlertMessage, ScoreMessage


@dataclass
class Heard:
    """Messages with the time at which a subscriber had them, unix seconds. ``lost``: scores that never came."""

    scores: list[tuple[float, ScoreMessage]] = field(default_factory=list)
    alerts: list[tuple[float, AlertMessage]] = field(default_factory=list)
    lost: int = 0


@dataclass(frozen=True)
class Passage:
    """What became of one frame, in unix seconds.

    glass     when the camera gave it to its encoder
    read      when the monitor had it, decoded
    received  when a subscriber had what came of it
    """

    glass: float
    read: float
    received: float


def score_delays(heard: Heard, stamps: Mapping[tuple[str, int], float]) -> Iterator[Passage]:
    """Of every frame that could be judged and whose stamp could be read.

    stamps: (camera, frame index) -> unix seconds.
    """
    for received, score in heard.scores:
        glass = stamps.get((score.camera, score.frame_index))
        if score.score is not None and glass is not None:
            yield Passage(glass, score.captured_at, received)


def alert_delays(heard: Heard, stamps: Mapping[tuple[str, int], float]) -> Iterator[Passage]:
    """Of every frame that decided an alert: its camera's last whose score was sent before the alert."""
    by_camera: defaultdict[str, list[ScoreMessage]] = defaultdict(list)
    for _, score in heard.scores:
        by_camera[score.camera].append(score)
    for received, alert in heard.alerts:
        scores = by_camera[alert.camera]
        at = bisect_right(scores, alert.sent_at, key=lambda score: score.sent_at) - 1
        if at < 0:
            continue
        glass = stamps.get((alert.camera, scores[at].frame_index))
        if glass is not None:
            yield Passage(glass, scores[at].captured_at, received)
