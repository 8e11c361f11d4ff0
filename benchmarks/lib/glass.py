"""Computes latencies from the messages that a subscriber received and from the time stamps in the frames."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from monitor.alerts.messages import AlertMessage, ScoreMessage


@dataclass
class Heard:
    """Messages with the time of their receipt in unix seconds. ``lost``: number of messages that never arrived."""

    scores: list[tuple[float, ScoreMessage]] = field(default_factory=list)
    alerts: list[tuple[float, AlertMessage]] = field(default_factory=list)
    lost: int = 0


@dataclass(frozen=True)
class Passage:
    """The times of one frame, in unix seconds.

    glass     when the camera gave it to its encoder
    read      when the monitor had decoded it
    received  when a subscriber had received its score or alert
    """

    glass: float
    read: float
    received: float


def score_delays(heard: Heard, stamps: Mapping[tuple[str, int], float]) -> Iterator[Passage]:
    """The times of every frame that has a score and a readable stamp.

    stamps: (camera, frame index) -> unix seconds.
    """
    for received, score in heard.scores:
        glass = stamps.get((score.camera, score.frame_index))
        if score.score is not None and glass is not None:
            yield Passage(glass, score.captured_at, received)


def alert_delays(heard: Heard, stamps: Mapping[tuple[str, int], float]) -> Iterator[Passage]:
    """The times of every frame that triggered an alert: the last frame of the camera with a score sent before it."""
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
