"""Chooses the detectors of a model by their time per frame: the most useful ones that fit into a budget stay.

Their time is measured on the footage that was learned, on one thread. How useful they are is measured with synthetic
anomalies: an object of the scene is pasted into two clips, in one as it usually moves, in the other too fast or where
nothing moves. A detector is useful if it scores the second clip higher.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from monitor.detector.base import Detector, Observation
from monitor.detector.network_threads import one_thread_per_network
from monitor.errors import UsageError
from monitor.replay import score_frames
from monitor.types import Frame
from training.learn.normal_footage import Stretch
from training.learn.pasted_clips import ClipPair, clip_pairs
from training.progress import Report

_WARM_UP, _FRAMES, _ROUNDS = 10, 80, 3
_CHANCE = 0.5


def ms_per_frame(detector: Detector, stretch: Stretch) -> float:
    """Milliseconds per analysed frame, frame by frame, with the small pictures that the detector looks at.

    The lowest mean of three rounds counts, because other programs may slow one of them down.
    """
    one_thread_per_network()
    lowest = np.inf
    for _ in range(_ROUNDS):
        stream = detector.new_stream()
        took = []
        for number in range(min(len(stretch), _FRAMES + _WARM_UP)):
            frame = stretch[number]  # a new one: its small pictures are made again
            started = time.perf_counter()
            detector.score([Observation(frame, stream)])
            took.append(time.perf_counter() - started)
        lowest = min(lowest, float(np.mean(took[_WARM_UP:] or took)))
    return lowest * 1000


def usefulness(detector: Detector, pairs: Sequence[ClipPair]) -> float:
    """AUC of the highest scores of abnormal clips above those of normal ones; 0.5 is chance."""
    normal, abnormal = (np.array([_highest(detector, pair[k]) for pair in pairs]) for k in (0, 1))
    higher = abnormal[:, None] > normal[None]
    equal = abnormal[:, None] == normal[None]
    return float(np.mean(higher + 0.5 * equal))


def _highest(detector: Detector, clip: Sequence[Frame]) -> float:
    scores = score_frames(clip, detector)
    known = scores[np.isfinite(scores)]
    return float(known.max()) if len(known) else -np.inf


def within(ms: Mapping[str, float], useful: Mapping[str, float], max_ms: float) -> list[str]:
    """The names that stay, the most useful first: each one that still fits into what is left of the budget.

    ms: name -> milliseconds; useful: name -> AUC. Of equally useful ones, the faster one comes first.
    """
    kept: list[str] = []
    left = max_ms
    for name in sorted(ms, key=lambda name: (-useful[name], ms[name])):
        if ms[name] <= left:
            kept.append(name)
            left -= ms[name]
    return kept


class TimeBudget:
    """Keeps to a budget of milliseconds per analysed frame, and remembers what was measured.

    max_ms     for all detectors of a model together; None: no budget
    stretches  the footage that was learned
    """

    def __init__(self, max_ms: float | None, stretches: Sequence[Stretch], seed: int, report: Report) -> None:
        self._max_ms, self._stretches, self._seed, self._report = max_ms, stretches, seed, report
        self._ms: dict[str, float] = {}
        self._useful: dict[str, float] = {}
        self._pairs: list[ClipPair] | None = None
        self._said: set[str] = set()

    def keep(self, detectors: Sequence[Detector]) -> list[Detector]:
        """The detectors that fit together, in their order. Each other one is reported with its time.

        Raises UsageError if none fits.
        """
        if self._max_ms is None:
            return list(detectors)
        longest = max(self._stretches, key=len)
        for detector in detectors:
            if detector.name not in self._ms:
                self._ms[detector.name] = ms_per_frame(detector, longest)
        ms = {detector.name: self._ms[detector.name] for detector in detectors}
        if sum(ms.values()) <= self._max_ms:
            self._say("all", f"time per frame: {_listed(ms)}; the budget is {self._max_ms:g} ms")
            return list(detectors)
        kept = within(ms, self._judged(detectors), self._max_ms)
        if not kept:
            fastest = min(ms, key=lambda name: ms[name])
            raise UsageError(
                f"no detector fits into {self._max_ms:g} ms per frame: the fastest, '{fastest}', takes "
                f"{ms[fastest]:.2g} ms on this machine; raise --max-ms (max_ms of [learning])"
            )
        used = sum(ms[name] for name in kept)
        for name in sorted(ms.keys() - set(kept)):
            useful = self._useful.get(name)
            found = "" if useful is None else f", and finds synthetic anomalies with an AUC of {useful:.2f}"
            self._say(
                name,
                f"warning: '{name}' is left out: it takes {ms[name]:.2g} ms per frame{found}; {', '.join(kept)} use "
                f"{used:.2g} of {self._max_ms:g} ms",
            )
        return [detector for detector in detectors if detector.name in kept]

    def _judged(self, detectors: Sequence[Detector]) -> dict[str, float]:
        """Name -> how useful; the same for all if this footage allows no synthetic anomalies."""
        if self._pairs is None:
            try:
                self._pairs = clip_pairs(self._stretches, self._seed)
            except UsageError as error:
                self._pairs = []
                self._report.say(f"warning: faster detectors stay, because none can be judged here: {error}")
        fresh = [detector for detector in detectors if detector.name not in self._useful] if self._pairs else []
        if fresh:
            with self._report.steps("measuring how useful the detectors are", len(fresh)) as step:
                for detector in fresh:
                    self._useful[detector.name] = usefulness(detector, self._pairs)
                    step()
        return {detector.name: self._useful.get(detector.name, _CHANCE) for detector in detectors}

    def _say(self, about_what: str, text: str) -> None:
        """Say it once, not again for the second version."""
        if about_what not in self._said:
            self._said.add(about_what)
            self._report.say(text)


def _listed(ms: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2g} ms" for name, value in ms.items())
