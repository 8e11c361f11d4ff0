"""Writes what a camera's memory has learned as the next version of its model, beside the others; and goes back."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.detector.base import Detector
from monitor.errors import ModelError, MonitorError, RunError, UsageError
from monitor.judging.fusion import ModelScale
from monitor.learning.growing_memory import Grown
from monitor.model.model_store import Model, load_model, save_model, utc_now
from monitor.model.model_versions import next_version, prune, remove_model, set_aside, version_folders, version_number
from monitor.scores.held_out import HeldOut
from monitor.scores.smoothing import SmoothingSettings
from monitor.text.durations import in_words

_CANDIDATE = "grown"
_KEPT_ROWS = "kept_rows"


def write_version(folder: Path, grown: Grown) -> Path:
    """Write the next version of the model in a folder of versions. Returns its folder; old versions are pruned.

    Detectors that do not grow, and their held-out scores, are those of the newest version. Raises ModelError if it
    cannot be used, or if the new version gives no threshold, and RunError if the disk refuses it. Then nothing changes.
    """
    before = load_model(folder)
    names = [detector.name for detector in before.detectors]
    detectors = [grown.detectors.get(name, own) for name, own in zip(names, before.detectors, strict=True)]
    held_out, kept = _joined(before, grown, detectors)
    version = next_version(folder)
    notes = before.provenance.notes | {
        "version": version_number(version),
        "cross_fitted": 0,
        "learned_on": f"{in_words(grown.watched_s)} watched, {in_words(grown.known_s)} of it known",
        "watched_s": round(grown.watched_s, 1),
        _KEPT_ROWS: kept,
    }
    provenance = before.provenance.model_copy(update={"trained_at": utc_now(), "notes": notes})
    candidate = folder / _CANDIDATE
    save_model(candidate, before.name, detectors, held_out, provenance, before.viewpoint)
    try:
        ModelScale(load_model(candidate), 1.0, SmoothingSettings())
    except ModelError:
        remove_model(candidate)
        raise
    candidate.rename(version)
    prune(folder)
    return version


def write_version_apart(folder: Path, grown: Grown) -> Path:
    """Like ``write_version``, in a forked process: what networks need in memory is needed for seconds only.

    Raises RunError, too, if that process is killed. The caller must have no other threads.
    """
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_write_and_send, args=(sender, folder, grown))
    process.start()
    sender.close()
    try:
        told: Path | Exception = receiver.recv()
    except EOFError:
        told = RunError("the process that writes it was killed, perhaps because memory ran out")
    process.join()
    if isinstance(told, Exception):
        raise told
    return told


def _write_and_send(sender: Connection, folder: Path, grown: Grown) -> None:
    try:
        sender.send(write_version(folder, grown))
    except (MonitorError, OSError) as error:
        sender.send(error)


def grown_model(before: Model, grown: Grown) -> Model:
    """The same in memory, for a replay: nothing is written, and the hash is that of the model before."""
    detectors = [grown.detectors.get(detector.name, detector) for detector in before.detectors]
    held_out, kept = _joined(before, grown, detectors)
    notes = before.provenance.notes | {"cross_fitted": 0, "watched_s": round(grown.watched_s, 1), _KEPT_ROWS: kept}
    card = before.card.model_copy(update={"provenance": before.provenance.model_copy(update={"notes": notes})})
    return replace(before, card=card, detectors=tuple(detectors), held_out=held_out)


def roll_back(folder: Path) -> tuple[Path, Path]:
    """Set the newest version aside. Returns its new place, and the version that is used from now on.

    Raises UsageError if there is no other version, and OSError if the folder cannot be changed.
    """
    versions = version_folders(folder)
    if not versions:
        raise UsageError(f"{folder} holds no versions of a model: check the name of the camera, or --models")
    if len(versions) < 2:
        raise UsageError(f"{versions[0]} is the only version, so there is none to go back to")
    load_model(versions[1])  # a damaged one must not replace one that works
    return set_aside(versions[0]), versions[1]


def _joined(before: Model, grown: Grown, detectors: list[Detector]) -> tuple[HeldOut, int]:
    """Held-out scores: earlier ones of detectors that do not grow, then those of the memory; number of the former.

    What an earlier version has taken from the memory is not kept: the memory still has it.
    """
    old, new = before.held_out, grown.held_out
    count = before.provenance.notes.get(_KEPT_ROWS, len(old.time_s))
    kept = np.arange(int(count) if isinstance(count, int) else 0)
    kept = kept[kept < len(old.time_s)]
    others = [detector.name for detector in detectors if detector.name not in grown.detectors]
    if not any(np.isfinite(old.scores[name][kept]).any() for name in others):
        kept = kept[:0]
    clips = old.clip[kept]
    first = int(clips.max()) + 1 if len(clips) else 0
    regime = np.zeros(len(kept), np.int8) if old.regime is None else old.regime[kept]
    assert new.regime is not None

    def scores(name: str) -> NDArray[np.float64]:
        own = old.scores[name][kept] if name in others else np.full(len(kept), np.nan)
        return np.concatenate([own, new.scores.get(name, np.full(len(new.time_s), np.nan))])

    held_out = HeldOut(
        np.concatenate([old.time_s[kept], new.time_s]),
        np.concatenate([clips, new.clip + first]).astype(np.int32),
        {detector.name: scores(detector.name) for detector in detectors},
        np.concatenate([regime, new.regime]).astype(np.int8),
    )
    return held_out, len(kept)
