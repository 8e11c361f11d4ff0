"""Detects drift: whether normal scores differ from those at calibration. It is slow and separate for each light regime.

Pure: no clock; times are the stream's own. Scores are calibrated: 0 = typical normal, 1 = the threshold. Nothing is
adapted here, so nobody can train the monitor slowly to accept an anomaly. It only advises a new calibration.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.judging.fusion import ModelScale
from monitor.model.model_store import Model
from monitor.scores.calibration import smooth_clips
from monitor.scores.smoothing import SmoothingSettings
from monitor.stream.regimes import Regime, regime_of, small_picture
from monitor.types import Frame

WINDOW_S = 600.0
"""Length of a window of normal footage, seconds. The median score of each window is one value of the slow statistic."""
WINDOWS = 6
"""Number of windows that are judged together: one hour of normal footage."""

_SAMPLE_S = 1.0  # one score per second is enough for a median over minutes
_LONGEST_STEP_S = 10.0  # a longer pause counts as this long
_FEWEST_WINDOWS = 6  # in the held-out footage of a regime; fewer give no useful band
_LEAST_MARGIN = 0.1
_LEAST_S = 1800.0  # of held-out footage in a regime
_SHORTEST_S = 20.0  # a clip that is shorter gives no median
_REPEAT_S = 86_400.0
_UNKNOWN_S = 600.0  # a regime that was not learned is reported after this time
_ENDLESS_S = 3600.0  # after this much alarm, minus the calm between, the model may be wrong, and not the scene


@dataclass(frozen=True, slots=True)
class Band:
    """The normal range of the hourly median score in a regime: at most ``high``, in units of the threshold."""

    high: float


def learn_bands(
    time_s: NDArray[np.float64], clip: NDArray[np.int32], scores: NDArray[np.float64], regimes: Sequence[Regime]
) -> dict[Regime, Band]:
    """The band of each regime with enough held-out normal footage: at least half an hour and 6 medians.

    time_s, clip, scores: (N,) as in HeldOut, calibrated and smoothed; regimes: N. A median is taken over 10 minutes, or
    over a shorter clip. The band ends at the 99th percentile of the medians plus their interquartile range, or plus 0.1
    if that is more: a few windows do not show how much another day may differ.
    """
    bands = {}
    for regime in Regime:
        own = np.array([found is regime for found in regimes], bool)
        medians: list[float] = []
        seconds = 0.0
        for number in np.unique(clip[own]):
            window = _Window()
            for i in np.flatnonzero(own & (clip == number)):
                median = window.add(float(time_s[i]), float(scores[i]))
                if median is not None:
                    medians.append(median)
                    seconds += WINDOW_S
            # The median of a shorter clip varies more than a median over 10 minutes. This makes the band wider.
            if window.seconds >= _SHORTEST_S:
                medians.append(float(np.median(window.scores)))
                seconds += window.seconds
        if len(medians) >= _FEWEST_WINDOWS and seconds >= _LEAST_S:
            low, high, highest = np.quantile(medians, [0.25, 0.75, 0.99])
            bands[regime] = Band(float(highest + max(high - low, _LEAST_MARGIN)))
    return bands


@dataclass(slots=True, eq=False)
class _Window:
    """Collects at most one score per second. 600 s of them give a median; a longer pause counts as 10 s."""

    last_s: float = -math.inf
    seconds: float = 0.0
    scores: list[float] = field(default_factory=list)

    def add(self, time_s: float, score: float) -> float | None:
        step = time_s - self.last_s
        if math.isnan(score) or step < _SAMPLE_S - 1e-6:
            return None
        self.last_s = time_s
        self.seconds += min(step, _LONGEST_STEP_S)
        self.scores.append(score)
        if self.seconds < WINDOW_S:
            return None
        median = float(np.median(self.scores))
        self.scores.clear()
        self.seconds = 0.0
        return median


class DriftWatch:
    """Watches the drift of one camera. ``update`` takes each judged frame once, in order of time.

    bands    see ``learn_bands``; a regime without a band is not watched
    learned  the regimes that the model learned; if the camera stays in another one, this is reported
    """

    def __init__(self, bands: Mapping[Regime, Band], learned: Sequence[Regime]) -> None:
        self._bands, self._learned = dict(bands), frozenset(learned)
        self._windows = {regime: _Window() for regime in self._bands}
        self._medians: dict[Regime, deque[float]] = {regime: deque(maxlen=WINDOWS) for regime in self._bands}
        self._said_s: dict[str, float] = {}
        self._last_s: float | None = None
        self._unknown_s = 0.0
        self._alarmed_s = 0.0

    def update(self, time_s: float, score: float, alarmed: bool, regime: Regime) -> str | None:
        """Take a frame. Returns a sentence that advises a new calibration and says why, or None.

        score: calibrated and smoothed, NaN if no detector could judge. The statistic does not change while ``alarmed``.
        The same advice is repeated after one day at the earliest.
        """
        step = 0.0 if self._last_s is None else min(max(time_s - self._last_s, 0.0), _SAMPLE_S)
        self._last_s = time_s
        # An hour of alarm counts as endless even if short pauses interrupt it: their length is subtracted.
        self._alarmed_s = min(max(self._alarmed_s + (step if alarmed else -step), 0.0), 2 * _ENDLESS_S)
        if self._alarmed_s >= _ENDLESS_S:
            return self._say(
                "alarm",
                time_s,
                "recalibration advised: the alarm has lasted an hour or more, so the scene itself may have changed; "
                "look at the camera, and train on new footage if the scene is as it should be",
            )
        if alarmed:
            return None
        self._unknown_s = self._unknown_s + step if regime not in self._learned else 0.0
        if self._unknown_s >= _UNKNOWN_S:
            return self._say(
                f"unknown {regime}",
                time_s,
                f"recalibration advised: the picture has been {regime} for {_UNKNOWN_S / 60:.0f} minutes, and the "
                "model has not learned such pictures; train on footage that shows them",
            )
        band = self._bands.get(regime)
        median = None if band is None else self._windows[regime].add(time_s, score)
        if band is None or median is None:
            return None
        medians = self._medians[regime]
        medians.append(median)
        hourly = float(np.median(medians))
        if len(medians) < WINDOWS or hourly <= band.high:
            return None
        return self._say(
            f"band {regime}",
            time_s,
            f"recalibration advised: the usual score of {regime} pictures is {hourly:.2f} of the threshold over an "
            f"hour without alarm, but it was at most {band.high:.2f} at calibration; train on new footage",
        )

    def _say(self, what: str, time_s: float, sentence: str) -> str | None:
        if time_s - self._said_s.get(what, -math.inf) < _REPEAT_S:
            return None
        self._said_s[what] = time_s
        return sentence


class Drift:
    """Watches one camera's judged frames for drift. The watch holds the bands of the camera's model."""

    def __init__(self, watch: DriftWatch) -> None:
        self._watch = watch
        self._regime: Regime | None = None
        self._looked_s = -math.inf

    def update(self, frame: Frame, score: float, *, alarmed: bool) -> str | None:
        """See DriftWatch.update. The light regime is determined once per second."""
        if frame.time_s - self._looked_s >= _SAMPLE_S or self._regime is None:
            self._looked_s = frame.time_s
            self._regime = regime_of(small_picture(frame.small.sample), self._regime)
        return self._watch.update(frame.time_s, score, alarmed, self._regime)


class ModelBands:
    """The drift bands of a model's held-out footage. Compute them once and share them among cameras."""

    def __init__(self, model: Model, scale: ModelScale, smoothing: SmoothingSettings) -> None:
        held_out = model.held_out
        self._bands: dict[Regime, Band] = {}
        self._learned: list[Regime] = []
        if held_out.regime is None or not len(held_out.time_s):
            return
        kinds = tuple(Regime)
        self._learned = [kinds[number] for number in np.unique(held_out.regime)]
        smoothed = [smooth_clips(held_out.scores[name], held_out, smoothing.smoother) for name in scale.names]
        seconds = np.floor(held_out.time_s)
        once = np.concatenate([[True], (np.diff(seconds) != 0) | (np.diff(held_out.clip) != 0)])
        fused = [scale.fuse(row).score for row in np.column_stack(smoothed)[once].tolist()]
        regimes = [kinds[number] for number in held_out.regime[once]]
        self._bands = learn_bands(held_out.time_s[once], held_out.clip[once], np.array(fused), regimes)

    def watch(self) -> Drift | None:
        """A new drift watch for one camera; None if the model has no data about light regimes."""
        return Drift(DriftWatch(self._bands, self._learned)) if self._learned else None
