"""What is left of the analysis if there are more cameras than a machine can watch: one line per count of cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.lib.load import Measured, quantile
from benchmarks.lib.watched import ANALYSED_PER_S, CAMERA_FPS

FACTORS = (1.0, 1.5, 2.0)
"""Counts of cameras that are tried, as multiples of the count that the machine can watch."""
LEAST_SHARE, MOST_P99_S = 0.85, 0.6
"""Limits at twice the cameras: share of the best sum of analysed frames, and frame to score, seconds."""


@dataclass(frozen=True)
class Bend:
    """What one count of cameras gave.

    cameras     how many
    per_s       frames analysed per second, all cameras together
    share       of the frames due
    low, high   analysed frames per second of the camera with the fewest, and with the most
    came        share of the frames that the cameras gave which arrived
    dropped     frames dropped per second, all cameras together
    p99_s       99th percentile of the time from reading a frame to its score, seconds; NaN without scores
    behind_s    99th percentile of the time by which a score came later than the stream, seconds: also that of a decoder
                that cannot keep up
    cpu, other  cores used by the monitor and its decoders, and by other programs
    """

    cameras: int
    per_s: float
    share: float
    low: float
    high: float
    came: float
    dropped: float
    p99_s: float
    behind_s: float
    cpu: float
    other: float

    @classmethod
    def of(cls, measured: Measured) -> Bend:
        """Made from a step that could be measured."""
        cameras, seconds = measured.cameras, measured.seconds
        per_s = sum(measured.analysed) / seconds
        return cls(
            cameras,
            per_s,
            per_s / (cameras * ANALYSED_PER_S),
            min(measured.analysed) / seconds,
            max(measured.analysed) / seconds,
            sum(measured.frames_in) / (seconds * cameras * CAMERA_FPS),
            sum(measured.dropped) / seconds,
            quantile(measured.score_ages_s, 0.99),
            quantile(measured.behind_s, 0.99),
            measured.cpu,
            measured.other,
        )

    def line(self) -> str:
        """As one line."""
        return (
            f"watching {self.cameras:3d}  analysed {self.per_s:6.1f} per second, {self.share:6.1%} of those due, "
            f"per camera {self.low:4.1f} to {self.high:4.1f}  frames in {self.came:6.1%}  "
            f"dropped {self.dropped:5.1f} per second  p99 {self.p99_s * 1e3:5.0f} ms, "
            f"behind the stream {self.behind_s * 1e3:5.0f} ms  "
            f"CPU {self.cpu:.2f} cores, other programs {self.other:.2f}"
        )


def verdict(bends: Sequence[Bend]) -> list[str]:
    """The result, line by line. The last of ``bends`` is the one with the most cameras."""
    best, last = max(bends, key=lambda bend: bend.per_s), bends[-1]
    share = last.per_s / best.per_s if best.per_s else 0.0
    kept = share >= LEAST_SHARE and last.p99_s <= MOST_P99_S and last.behind_s <= MOST_P99_S
    return [
        f"with {last.cameras} cameras: {share:.0%} of the best sum ({best.per_s:.0f} per second with {best.cameras}), "
        f"limit {LEAST_SHARE:.0%}; p99 {last.p99_s * 1e3:.0f} ms, and {last.behind_s * 1e3:.0f} ms behind the stream, "
        f"limit {MOST_P99_S * 1e3:.0f} ms: "
        f"{'kept' if kept else 'not kept'}",
        f"spread over cameras: {last.low:.1f} to {last.high:.1f} analysed per second",
    ]
