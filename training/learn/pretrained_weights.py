"""Pre-trained weights of True Sight 2: a folder with ``pretrained.json`` and ``pretrained.safetensors``. No code in it.

``pretrained.json`` says how the weights were made, and holds the SHA-256 of the other file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from monitor.detector.stored import check_tensors
from monitor.detector.true_sight2.clip_inputs import CHANNELS
from monitor.detector.true_sight2.clip_net import ClipNet
from monitor.errors import ModelError, RunError, first_problem
from monitor.reading import MB, parse_json, read_file
from monitor.text.wording import shortened

CARD, WEIGHTS = "pretrained.json", "pretrained.safetensors"
FORMAT, FORMAT_VERSION = "true-sight-2-pretrained", 1
_LARGEST_CARD, _LARGEST_WEIGHTS = 4 * MB, 200 * MB
_Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SceneEntry(_Strict):
    """A scene that was learned from: the name that the user gave, the SHA-256 of its small frames, their number."""

    name: str
    sha256: str
    frames: _Count


class PretrainedCard(_Strict):
    """The content of ``pretrained.json``.

    width     base number of channels of ClipNet
    loss      mean loss of the last steps
    versions  package -> version
    """

    format: Literal["true-sight-2-pretrained"] = "true-sight-2-pretrained"
    format_version: Literal[1] = 1
    width: Annotated[int, Field(ge=1, le=256)]
    scenes: list[SceneEntry] = Field(min_length=2)
    steps: _Count
    seed: _Count
    loss: float
    device: str
    commit: str | None
    versions: dict[str, str]
    trained_at: str
    """ISO 8601, UTC."""
    weights_sha256: str


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Weights to start from.

    network  state of ClipNet, float32
    id       first 8 hex digits of the SHA-256 of the weights
    """

    width: int
    network: Mapping[str, Tensor]
    id: str
    card: PretrainedCard | None = None

    def __str__(self) -> str:
        """For a model's provenance."""
        if self.card is None:
            return self.id
        return f"{self.id}, {len(self.card.scenes)} scenes, {self.card.steps} steps, seed {self.card.seed}"


def dump_network(network: Mapping[str, Tensor]) -> tuple[bytes, str]:
    """The content of the file of weights, and its SHA-256."""
    content = dump_tensors({key: value.detach().cpu().contiguous() for key, value in network.items()})
    return content, hashlib.sha256(content).hexdigest()


def save_pretrained(folder: Path, card: PretrainedCard, weights: bytes) -> None:
    """Write the folder. Weights that are there already are replaced only by complete ones. Raises RunError.

    The weights are written first. If the program is killed between the two files, the old card refuses the new weights.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in ((WEIGHTS, weights), (CARD, (card.model_dump_json(indent=2) + "\n").encode())):
            partial = folder / f".{file}.partial"
            partial.write_bytes(content)
            partial.replace(folder / file)
    except OSError as error:
        raise RunError(f"cannot write the pre-trained weights to {folder}: {error.strerror}") from error


def load_pretrained(folder: Path) -> Pretrained:
    """Read a folder that ``pretrain`` has written. Every field is checked.

    Raises ModelError if it is missing, damaged, or from another version.
    """
    content = _read(folder, CARD, _LARGEST_CARD)
    try:
        found: Any = parse_json(content)
    except ValueError as error:
        raise _damaged(folder, f"{CARD} is not valid JSON ({error})") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ModelError(f"{folder} does not hold pre-trained weights: give a folder that `pretrain` has written")
    if found.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"the pre-trained weights in {folder} have format version "
            f"{shortened(str(found.get('format_version')), 20)}, this program reads version {FORMAT_VERSION}: "
            "pre-train again"
        )
    try:
        card = PretrainedCard.model_validate(found)
    except ValidationError as error:
        where, what = first_problem(error)
        raise _damaged(folder, f"{CARD}, {where}: {what}") from error
    weights = _read(folder, WEIGHTS, _LARGEST_WEIGHTS)
    digest = hashlib.sha256(weights).hexdigest()
    if digest != card.weights_sha256:
        raise _damaged(folder, f"{WEIGHTS} does not have the checksum in {CARD}")
    try:
        network = load_tensors(weights)
        _check(network, card.width)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(folder, f"{WEIGHTS} cannot be read ({shortened(str(error), 200)})") from error
    return Pretrained(card.width, network, digest[:8], card)


def _check(network: Mapping[str, Tensor], width: int) -> None:
    """Raise ModelError unless the tensors are those of a ClipNet of this width."""
    with torch.device("meta"):  # only shapes
        expected = ClipNet(CHANNELS, width).state_dict()
    kinds = {key: (tuple(value.shape), str(value.dtype).removeprefix("torch.")) for key, value in expected.items()}
    if any(value.dtype == torch.bfloat16 for value in network.values()):  # NumPy has no such type
        raise ValueError("bfloat16 numbers")
    check_tensors("pre-trained true-sight-2", {key: value.numpy() for key, value in network.items()}, kinds)


def _read(folder: Path, file: str, at_most: int) -> bytes:
    try:
        return read_file(folder / file, at_most)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError(f"{folder} does not hold pre-trained weights: it has no {file}; check the path") from error
    except OSError as error:
        raise ModelError(f"cannot read {folder / file}: {error.strerror}; copy the folder again") from error


def _damaged(folder: Path, what: str) -> ModelError:
    return ModelError(
        f"the pre-trained weights in {folder} are damaged: {what}; copy the folder again, or pre-train again"
    )
