"""Keeps what cameras' thresholds have learned from what was watched, one file per camera, for the next run.

A file is written whole, under another name first. So it survives the end of the program, or a full disk, at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from monitor.judging.fusion import ModelScale
from monitor.judging.live_calibration import MOST_BLOCKS, LiveCalibration, Peaks
from monitor.private_files import make_private_folder, open_private
from monitor.reading import read_file
from monitor.scores.smoothing import SmoothingSettings

log = logging.getLogger(__name__)

_LARGEST = 20_000_000  # bytes; a file of two weeks and three senses has 1 MB
_MOST_S = 1e10  # seconds, 300 years


class CalibrationStore:
    """The files of one folder. It is made when something is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._failed: set[str] = set()

    def path(self, camera: str) -> Path:
        """The file of a camera."""
        return self._folder / f"{camera}.safetensors"

    def load(
        self, camera: str, scale: ModelScale, smoothing: SmoothingSettings, *, whole: bool = False
    ) -> LiveCalibration:
        """The camera's calibration, which goes on where an earlier run with this model ended.

        A file that is damaged, or belongs to another model, is not used; the next one replaces it.
        """
        kept = LiveCalibration(scale, on=True, whole=whole)
        try:
            content = read_file(self.path(camera), _LARGEST)
        except FileNotFoundError:
            return kept
        except OSError as error:
            log.warning("%s: what its threshold has learned cannot be read: %s", camera, error.strerror or error)
            return kept
        try:
            arrays = load(content)
            if arrays["of"].tobytes() != _mark(scale, smoothing):
                return kept
            peaks = {name: _peaks(arrays, name) for name in scale.senses}
            watched_s = _seconds(arrays)
        except (SafetensorError, KeyError, ValueError, IndexError, TypeError):
            log.warning("%s: what its threshold has learned is damaged, so it begins again", camera)
            return kept
        return LiveCalibration(scale, on=True, whole=whole, peaks=peaks, watched_s=watched_s)

    def save(self, camera: str, calibration: LiveCalibration, smoothing: SmoothingSettings) -> None:
        """Write what a camera's threshold has learned. If this fails, it is logged once, and tried again next time."""
        arrays: dict[str, NDArray[np.generic]] = {
            "of": np.frombuffer(_mark(calibration.scale, smoothing), np.uint8),
            "watched_s": np.array([calibration.watched_s], np.float64),
        }
        for name, peaks in calibration.peaks.items():
            arrays[f"{name}.highest"] = np.array(peaks.highest, np.float64)
            arrays[f"{name}.limits"] = np.array(peaks.limits, np.float64)
            arrays[f"{name}.numbers"] = np.array(peaks.numbers, np.int64)
        path = self.path(camera)
        partial = path.with_name(f".{path.name}.partial")
        try:
            make_private_folder(self._folder)
            with open_private(partial, "wb") as file:
                file.write(save(arrays))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            if camera not in self._failed:
                self._failed.add(camera)
                log.warning(
                    "%s: what its threshold has learned cannot be written to %s: %s; it is tried again",
                    camera, path, error.strerror or error,
                )  # fmt: skip
        else:
            self._failed.discard(camera)


def _mark(scale: ModelScale, smoothing: SmoothingSettings) -> bytes:
    """What the scores depend on: 32 bytes."""
    text = f"{scale.model.hash} {','.join(scale.names)} {smoothing.model_dump_json()}"
    return hashlib.sha256(text.encode()).digest()


def _seconds(arrays: Mapping[str, NDArray[np.generic]]) -> float:
    """Raises KeyError, IndexError and ValueError."""
    watched_s = float(np.asarray(arrays["watched_s"], np.float64)[0])
    if not 0 <= watched_s <= _MOST_S:
        raise ValueError
    return watched_s


def _peaks(arrays: Mapping[str, NDArray[np.generic]], name: str) -> Peaks:
    """Raises KeyError and ValueError."""
    highest = np.asarray(arrays[f"{name}.highest"], np.float64)
    limits = np.asarray(arrays[f"{name}.limits"], np.float64)
    if highest.ndim != 1 or highest.shape != limits.shape or len(highest) > MOST_BLOCKS:
        raise ValueError
    if not np.isfinite(highest).all() or np.isnan(limits).any():
        raise ValueError
    numbers = np.asarray(arrays.get(f"{name}.numbers", np.arange(len(highest))), np.int64)  # older files have none
    if numbers.shape != highest.shape or (np.diff(numbers) <= 0).any() or (numbers < 0).any():
        raise ValueError
    return Peaks(highest.tolist(), limits.tolist(), numbers.tolist())
