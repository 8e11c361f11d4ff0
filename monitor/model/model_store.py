"""The self-describing model folder: ``model.json`` and ``weights.safetensors``. It contains no executable code.

``model.json`` lists the detectors and their settings, the training footage, and the scores on held-out normal footage.
It also contains the SHA-256 of the weights file, so the two files must belong together. A folder is only replaced by a
complete new folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from monitor import __version__
from monitor.detector.base import Detector, Precision
from monitor.detector.registry import detector_class
from monitor.errors import ModelError, RunError, first_problem
from monitor.model.model_versions import CARD_FILE as CARD_FILE
from monitor.model.model_versions import WEIGHTS_FILE as WEIGHTS_FILE
from monitor.model.model_versions import is_ours, newest_usable, remove_model, version_folders, warn_of_damage
from monitor.private_files import make_private_folder, open_private
from monitor.reading import MB, parse_json, read_file
from monitor.scores.calibration import typical_score
from monitor.scores.held_out import HeldOut
from monitor.stream.health.viewpoint import Viewpoint
from monitor.stream.regimes import Regime
from monitor.text.commands import learn_command
from monitor.text.wording import shortened

COPY_AGAIN = "copy the model folder again"
FORMAT_VERSION = 1
LARGEST_CARD, LARGEST_WEIGHTS = 4 * MB, 500 * MB
_MOST_DETECTORS = 16
_LARGEST = 2**63 - 1
_LARGEST_SIDE = 65_536  # px


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Provenance(_Strict):
    """How a model was made."""

    recipe: str
    data: list[str]
    """Paths or names of the footage, as the user gave them."""
    frames: int = Field(ge=0, le=_LARGEST)
    """Number of frames used for training."""
    seed: int = Field(ge=-_LARGEST, le=_LARGEST)
    commit: str | None
    """Commit of the training code, with ``-dirty`` if files were modified; None outside a git checkout."""
    device: str
    trained_at: str
    """ISO 8601, UTC."""
    notes: dict[str, str | Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)] | float] = Field({}, max_length=100)


class DetectorEntry(_Strict):
    """A detector's registry name and settings (preprocessing included)."""

    name: str = Field(max_length=64)
    settings: dict[str, Any]


class ScoreStatistics(_Strict):
    """Summary of the raw scores of held-out normal footage, for display. All scores are in the weights file."""

    median: float
    p95: float
    p99: float
    highest: float


class HeldOutSummary(_Strict):
    """The amount of held-out footage, and the statistics of its scores per detector."""

    frames: int
    clips: int
    duration_s: float
    scores: dict[str, ScoreStatistics]


class ModelCard(_Strict):
    """The content of ``model.json``."""

    format: Literal["true-sight-model"]
    format_version: int
    name: str
    monitor_version: str
    detectors: list[DetectorEntry] = Field(min_length=1, max_length=_MOST_DETECTORS)
    weights_sha256: str
    held_out: HeldOutSummary
    provenance: Provenance

    @field_validator("detectors")
    @classmethod
    def _each_once(cls, value: list[DetectorEntry]) -> list[DetectorEntry]:
        names = [entry.name for entry in value]
        if len(set(names)) < len(names):
            raise ValueError("a detector is named twice")
        return value


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model: detectors that are ready to score, and the held-out scores that set the thresholds."""

    card: ModelCard
    detectors: tuple[Detector, ...]
    held_out: HeldOut
    hash: str
    """SHA-256 of ``model.json``. As that file contains the SHA-256 of the weights, it identifies the whole folder."""
    viewpoint: Viewpoint | None = None
    """The camera's usual views, for its health checks; None if they were not learned."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.card.name

    @property
    def id(self) -> str:
        """The name and the first 8 hex digits of the hash, for display."""
        return f"{self.card.name}@{self.hash[:8]}"

    @property
    def learned_size(self) -> tuple[int, int] | None:
        """(width, height) px of the pictures that the model learned from; None if it does not say."""
        width, height = (self.provenance.notes.get(key) for key in ("width", "height"))
        if isinstance(width, int) and isinstance(height, int) and all(0 < n <= _LARGEST_SIDE for n in (width, height)):
            return width, height
        return None

    @property
    def learned_from_all(self) -> bool:
        """Whether it was learned from long footage: then its held-out scores are those of ordinary hours."""
        return self.provenance.notes.get("cross_fitted") == 0

    @property
    def watched_s(self) -> float:
        """Seconds watched before it was made, of which its held-out scores are a sample; 0 if it has not grown."""
        watched_s = self.provenance.notes.get("watched_s", 0.0)
        return float(watched_s) if isinstance(watched_s, int | float) and watched_s > 0 else 0.0

    @property
    def looks_at_small(self) -> bool:
        """Whether a detector looks at the frames' small pictures."""
        return any(detector.small for detector in self.detectors)

    @property
    def provenance(self) -> Provenance:
        """How the model was made."""
        return self.card.provenance


def save_model(
    folder: Path,
    name: str,
    detectors: Sequence[Detector],
    held_out: HeldOut,
    provenance: Provenance,
    viewpoint: Viewpoint | None = None,
) -> None:
    """Write a model folder. An older model is replaced only when the new one is complete.

    Raises ModelError if ``folder`` exists and is not a model folder, and RunError if the model cannot be written.
    """
    check_replaceable(folder)
    tensors: dict[str, NDArray[Any]] = {
        "held_out/time_s": held_out.time_s.astype(np.float64),
        "held_out/clip": held_out.clip.astype(np.int32),
        **({} if held_out.regime is None else {"held_out/regime": held_out.regime.astype(np.int8)}),
    }
    for detector in detectors:
        tensors[f"held_out/score/{detector.name}"] = held_out.scores[detector.name].astype(np.float64)
        for key, array in detector.tensors().items():
            tensors[f"{detector.name}/{key}"] = np.asarray(array, order="C")
    if viewpoint is not None:
        tensors |= {f"viewpoint/{key}": np.asarray(array, order="C") for key, array in viewpoint.tensors().items()}
    weights = dump_tensors(tensors)
    if len(weights) > LARGEST_WEIGHTS:
        raise RunError(f"the model is larger than {LARGEST_WEIGHTS / MB:g} MB: learn from less footage")
    card = ModelCard(
        format="true-sight-model",
        format_version=FORMAT_VERSION,
        name=name,
        monitor_version=__version__,
        detectors=[DetectorEntry(name=d.name, settings=d.settings()) for d in detectors],
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        held_out=_summary(held_out),
        provenance=provenance,
    )
    _replace_folder(folder, {CARD_FILE: (card.model_dump_json(indent=2) + "\n").encode(), WEIGHTS_FILE: weights})


def check_replaceable(folder: Path) -> None:
    """Raise ModelError if a model must not be written to ``folder``, because it exists and is not a model folder."""
    if folder.is_dir() and any(folder.iterdir()) and not is_ours(folder):
        raise ModelError(f"{folder} exists and is not a model folder: choose another place for the model")
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder} is a file: choose another place for the model")


def load_model(
    folder: Path,
    device: str = "cpu",
    precision: Precision = "auto",
    on_damage: Callable[[ModelError, Path], None] = warn_of_damage,
    only: str | None = None,
) -> Model:
    """Load a model folder, or the newest usable version in a folder of versions (``monitor.model.model_versions``).

    on_damage  see ``newest_usable``
    only       the one detector to build, by name: networks need much memory; None for all

    Every field is checked. Raises ModelError if the model is missing, damaged or not compatible, and UsageError if this
    machine does not support the device or the precision.
    """
    try:
        versions = [] if (folder / CARD_FILE).exists() else version_folders(folder)
    except OSError as error:  # a name too long, or a folder of someone else
        raise ModelError(f"cannot read the model folder {folder} ({error.strerror}): check the path") from error
    if versions:
        return newest_usable(versions, lambda version: _load(version, device, precision, only), on_damage)
    return _load(folder, device, precision, only)


def learned_folder(models: Path, name: str) -> Path | None:
    """The folder of a camera's model, within the folder of all cameras' models; None if the camera has no model yet."""
    folder = models / name
    return folder if (folder / CARD_FILE).exists() or version_folders(folder) else None


def _load(folder: Path, device: str, precision: Precision, only: str | None) -> Model:
    if folder.is_file():
        raise ModelError(f"{folder} is a file, but a model is a folder: give the folder that holds {CARD_FILE}")
    if not folder.is_dir():
        raise ModelError(f"no model folder at {folder}: check the path, or learn a model with `{learn_command()}`")
    card_bytes = _read(folder, CARD_FILE, LARGEST_CARD)
    card = parse_card(folder, card_bytes)
    weights = _read(folder, WEIGHTS_FILE, LARGEST_WEIGHTS)
    if hashlib.sha256(weights).hexdigest() != card.weights_sha256:
        raise _damaged(folder, f"{WEIGHTS_FILE} does not have the checksum in {CARD_FILE}")
    try:
        tensors = load_tensors(weights)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:  # also for bfloat16
        raise _damaged(folder, f"{WEIGHTS_FILE} cannot be read ({shortened(str(error), 200)})") from error
    detectors, names = [], {"held_out", "viewpoint"}
    for entry in card.detectors:
        names.add(entry.name)
        if only not in (None, entry.name):
            continue
        try:
            kind, part = detector_class(entry.name), _part(tensors, entry.name)
            detectors.append(kind.load(entry.settings, part, device, precision))
        except ModelError as error:
            raise ModelError(f"the model in {folder} cannot be used: {error}") from error
    foreign = sorted(key for key in tensors if key.split("/")[0] not in names)
    if foreign:
        raise ModelError(
            f"the model in {folder} holds unknown tensors ({shortened(foreign[0], 60)}): it is from another version"
        )
    held_out = _held_out(folder, card, tensors)
    for detector in detectors:
        known = held_out.scores[detector.name][~np.isnan(held_out.scores[detector.name])]
        if len(known):
            detector.typical = max(typical_score(known), detector.usual)
    return Model(card, tuple(detectors), held_out, hashlib.sha256(card_bytes).hexdigest(), _viewpoint(folder, tensors))


def _damaged(folder: Path, what: str) -> ModelError:
    """The error for a damaged folder. It advises for both cases: the model was copied here, or learned here."""
    return ModelError(
        f"the model in {folder} is damaged: {what}; {COPY_AGAIN}, or delete {folder} and learn the camera again"
    )


def _part(tensors: dict[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    """The tensors with the prefix ``name/``; the prefix is removed."""
    return {key.removeprefix(f"{name}/"): array for key, array in tensors.items() if key.startswith(f"{name}/")}


def _viewpoint(folder: Path, tensors: dict[str, NDArray[Any]]) -> Viewpoint | None:
    own = _part(tensors, "viewpoint")
    if not own:
        return None
    try:
        return Viewpoint.load(own)
    except ModelError as error:
        raise _damaged(folder, str(error)) from error


def _read(folder: Path, file: str, at_most: int) -> bytes:
    try:
        return read_file(folder / file, at_most)
    except FileNotFoundError as error:
        raise ModelError(f"{folder} is not a model folder: it has no {file}; check the path") from error
    except OSError as error:
        raise ModelError(f"cannot read {folder / file}: {error.strerror}; {COPY_AGAIN}") from error


def parse_card(folder: Path, card_bytes: bytes) -> ModelCard:
    """The card of a model folder, from the content of its file. Raises ModelError. folder: for words only."""
    try:
        content = parse_json(card_bytes)
    except ValueError as error:
        raise _damaged(folder, f"{CARD_FILE} is not valid JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != "true-sight-model":
        raise ModelError(
            f"{folder} is not a model of this program, its {CARD_FILE} has another format: give a folder that `learn` "
            "or `train` has written"
        )
    if content.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"the model in {folder} has format version {shortened(str(content.get('format_version')), 20)}, "
            f"this program reads version {FORMAT_VERSION}: train it again"
        )
    try:
        return ModelCard.model_validate(content)
    except ValidationError as error:
        where, what = first_problem(error)
        raise _damaged(folder, f"{CARD_FILE}, {where}: {what}") from error


def _held_out(folder: Path, card: ModelCard, tensors: dict[str, NDArray[Any]]) -> HeldOut:
    expected: dict[str, type[np.generic]] = {"held_out/time_s": np.float64, "held_out/clip": np.int32}
    if "held_out/regime" in tensors:
        expected["held_out/regime"] = np.int8
    expected |= {f"held_out/score/{entry.name}": np.float64 for entry in card.detectors}
    for key, kind in expected.items():
        array = tensors.get(key)
        if array is None or array.shape != (card.held_out.frames,):
            raise _damaged(folder, f"{key} is missing or not {card.held_out.frames} long")
        # A score is NaN if it could not be judged.
        if array.dtype != kind or (np.isinf(array) if "score" in key else ~np.isfinite(array)).any():
            raise _damaged(folder, f"{key} does not hold finite {np.dtype(kind)} numbers")
    time_s, clip = tensors["held_out/time_s"], tensors["held_out/clip"]
    by_clip = np.argsort(clip, kind="stable")
    if (np.diff(time_s[by_clip])[np.diff(clip[by_clip]) == 0] < 0).any():
        raise _damaged(folder, "held_out/time_s goes back within a clip")
    scores = {entry.name: tensors[f"held_out/score/{entry.name}"] for entry in card.detectors}
    regime = tensors.get("held_out/regime")
    if regime is not None and regime.size and not 0 <= regime.min() <= regime.max() < len(Regime):
        raise _damaged(folder, "held_out/regime holds unknown regimes")
    return HeldOut(time_s, clip, scores, regime)


def _summary(held_out: HeldOut) -> HeldOutSummary:
    statistics = {}
    for name, scores in held_out.scores.items():
        known = scores[~np.isnan(scores)]
        if not known.size:
            raise ModelError(f"'{name}' could not score any held-out frame: use longer footage")
        median, p95, p99 = (float(q) for q in np.quantile(known, (0.5, 0.95, 0.99)))
        statistics[name] = ScoreStatistics(median=median, p95=p95, p99=p99, highest=float(known.max()))
    return HeldOutSummary(
        frames=held_out.time_s.size,
        clips=int(np.unique(held_out.clip).size),
        duration_s=held_out.duration_s(),
        scores=statistics,
    )


def _replace_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files to a folder next to ``folder``, then swap. A reader sees the complete old or new folder.

    Files of others in the old folder move to the new one.
    """
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        make_private_folder(fresh)
        for file, content in files.items():
            with open_private(fresh / file, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise RunError(f"cannot write the model to {folder}: {error.strerror}; nothing was changed") from error
    with suppress(OSError):
        for other in [entry for entry in old.iterdir() if entry.name not in files]:
            other.rename(folder / other.name)
    remove_model(old)


def utc_now() -> str:
    """The present time, ISO 8601 in UTC, without fractions of a second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
