"""Cross-fitting: every second of short footage is scored by a detector that has not learned from it.

The footage is split into folds: whole stretches if there are many, contiguous parts of each stretch if there are few.
For each fold, a detector is fitted on the other folds and scores this fold. The detector for the model is fitted on all
folds (Stone, Cross-validatory choice and assessment of statistical predictions, 1974). A detector that is slow to fit
is fitted only once, without the last fold, and scores only that fold.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from monitor.detector.base import Detector
from monitor.processes import die_first, end_with_parent
from monitor.replay import score_frames
from monitor.scores.held_out import HeldOut
from monitor.stream.regimes import regime_number
from monitor.types import Frame
from training.learn.normal_footage import Stretch
from training.stopping import kill_children

FOLDS = 4
_LOOK_EVERY = 10  # frames

Fit = Callable[[Sequence[Sequence[Frame]]], Detector]
"""A function that fits a detector to clips of normal footage, each in order of time."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of the footage that is held out as a whole.

    stretch      number of the stretch
    start, stop  first frame of the part in the stretch, and the frame after its last one
    fold         number of the fold; all pieces of a fold are held out together
    """

    stretch: int
    start: int
    stop: int
    fold: int


def deal(lengths: Sequence[int], folds: int = FOLDS) -> list[Piece]:
    """Split stretches with these numbers of frames into folds of about equal length, in order of the footage."""
    if len(lengths) >= 3 * folds:
        held = [0] * folds
        pieces = []
        for number, length in enumerate(lengths):
            fold = held.index(min(held))
            held[fold] += length
            pieces.append(Piece(number, 0, length, fold))
        return pieces
    pieces = []
    for number, length in enumerate(lengths):
        cuts = [round(length * k / folds) for k in range(folds + 1)]
        pieces += [Piece(number, a, b, fold) for fold, (a, b) in enumerate(pairwise(cuts)) if b > a]
    return pieces


def without(stretches: Sequence[Stretch], pieces: Sequence[Piece], fold: int) -> list[Stretch]:
    """The footage without a fold. The part after a removed piece becomes a separate clip."""
    found: list[tuple[int, int, int]] = []
    for piece in pieces:
        if piece.fold == fold:
            continue
        if found and found[-1][0] == piece.stretch and found[-1][2] == piece.start:
            found[-1] = (piece.stretch, found[-1][1], piece.stop)
        else:
            found.append((piece.stretch, piece.start, piece.stop))
    return [stretches[number][start:stop] for number, start, stop in found if stop - start > 1]


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """A detector for the model, and scores of unseen footage: one (n,) float64 per piece, NaN for unscored frames."""

    detector: Detector
    scores: list[NDArray[np.float64]]


def cross_fit(
    stretches: Sequence[Stretch],
    pieces: Sequence[Piece],
    fit: Fit,
    *,
    refit: bool,
    workers: int = 1,
    step: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda _: None,
) -> CrossFitted:
    """Fit and score fold by fold.

    refit    False: fit only once, without the last fold
    workers  number of processes that fit folds; with more than 1, this process fits on all folds at the same time. The
             scores do not depend on it
    step     called after each fold and after the last fit
    say      called with a sentence if a process was killed
    """
    folds = sorted({piece.fold for piece in pieces})
    scores = [np.full(piece.stop - piece.start, np.nan) for piece in pieces]
    detector: Detector | None = None
    known: dict[int, list[NDArray[np.float64]]] = {}
    task = _Task(stretches, pieces, fit)

    def keep(fold: int, found: list[NDArray[np.float64]]) -> None:
        own = [number for number, piece in enumerate(pieces) if piece.fold == fold]
        for number, values in zip(own, found, strict=True):
            scores[number] = values

    if not refit:
        detector, found = task.fold(folds[-1])
        keep(folds[-1], found)
        step()
        return CrossFitted(detector, scores)
    if workers > 1:
        detector, known = _in_processes(task, folds, workers, step)
        if len(known) < len(folds):
            say(
                "warning: a process that learns was killed, perhaps because memory ran out: its part is learned again, "
                "in one process"
            )
    for fold in folds:
        if fold not in known:
            known[fold] = task.fold(fold)[1]
            step()
        keep(fold, known[fold])
    if detector is None:
        detector = fit(stretches)
        step()
    return CrossFitted(detector, scores)


def _in_processes(
    task: _Task, folds: Sequence[int], workers: int, step: Callable[[], None]
) -> tuple[Detector, dict[int, list[NDArray[np.float64]]]]:
    """A detector fitted on all folds in this process, and fold -> scores from processes that ran meanwhile.

    Folds are missing if their process was killed or could not be started. No process outlives the call.
    """
    global _task  # forked processes inherit it, because it is too large to send
    _task = task
    found: dict[int, list[NDArray[np.float64]]] = {}
    # The pool uses all workers, because the fit in this process ends early. With one worker less, a core would then be
    # idle.
    pool = ProcessPoolExecutor(workers, get_context("fork"), initializer=_begin_worker, initargs=(os.getpid(),))
    futures: dict[int, Future[list[NDArray[np.float64]]]] = {}
    try:
        with suppress(BrokenProcessPool, OSError):
            for fold in folds:
                futures[fold] = pool.submit(_scores_of_fold, fold)
                futures[fold].add_done_callback(lambda done: step() if _succeeded(done) else None)
        detector = task.fit(task.stretches)
        step()
        for fold, future in futures.items():
            with suppress(BrokenProcessPool):
                found[fold] = future.result()
        pool.shutdown()
    except BaseException:
        kill_children()  # otherwise the end of the pool would wait for work that no one needs any more
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        _task = None
    return detector, found


def _succeeded(done: Future[list[NDArray[np.float64]]]) -> bool:
    return not done.cancelled() and done.exception() is None


def _begin_worker(parent: int) -> None:
    """Begin a forked process: it ends with its parent, and Ctrl-C reaches only the parent."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL, parent)
    die_first()


@dataclass(frozen=True, eq=False)
class _Task:
    stretches: Sequence[Stretch]
    pieces: Sequence[Piece]
    fit: Fit

    def fold(self, fold: int) -> tuple[Detector, list[NDArray[np.float64]]]:
        """A detector fitted without this fold, and its scores of the fold's pieces."""
        detector = self.fit(without(self.stretches, self.pieces, fold))
        own = [piece for piece in self.pieces if piece.fold == fold]
        return detector, [score_frames(self.stretches[p.stretch][p.start : p.stop], detector) for p in own]


_task: _Task | None = None


def _scores_of_fold(fold: int) -> list[NDArray[np.float64]]:
    assert _task is not None
    return _task.fold(fold)[1]


def held_out_of(stretches: Sequence[Stretch], pieces: Sequence[Piece], fitted: Sequence[CrossFitted]) -> HeldOut:
    """The scores of all detectors on one time axis. Every piece is a clip."""
    times = [np.array(stretches[p.stretch].times[p.start : p.stop], np.float64) for p in pieces]
    clips = [np.full(p.stop - p.start, number, np.int32) for number, p in enumerate(pieces)]
    scores = {each.detector.name: np.concatenate(each.scores) for each in fitted}
    regimes = [_regimes(stretches[p.stretch][p.start : p.stop]) for p in pieces]
    return HeldOut(np.concatenate(times), np.concatenate(clips), scores, np.concatenate(regimes))


def _regimes(stretch: Stretch) -> NDArray[np.int8]:
    """(n,) regime of each frame, computed once per 10 frames, because light does not change from frame to frame."""
    found = np.empty(len(stretch), np.int8)
    for start in range(0, len(stretch), _LOOK_EVERY):
        found[start : start + _LOOK_EVERY] = regime_number(stretch[start].image)
    return found
