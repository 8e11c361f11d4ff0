"""The state of a training after an epoch, in one safetensors file. Loading such a file cannot run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from monitor.errors import ModelError, RunError, first_problem
from monitor.reading import open_file, parse_json
from monitor.text.wording import shortened

CHECKPOINT_FILE = "checkpoint.safetensors"


class StatefulOptimizer(Protocol):
    """What a checkpoint needs of an optimizer: one of PyTorch, or one that stores the same state."""

    @property
    def state(self) -> Mapping[Tensor, Any]:
        """The state of each parameter: tensors by their names."""

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {number of the parameter: its state}}``, and more."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Continue from what ``state_dict`` gives. Raises ValueError or LookupError if it does not fit."""


@dataclass(frozen=True)
class EpochLoss:
    """Losses of a finished epoch.

    epoch     number of the epoch, 0-based
    training  mean of the minimised loss
    held_out  mean absolute error of the reconstruction of held-out normal frames, [0, 1]
    """

    epoch: int
    training: float
    held_out: float


@dataclass(eq=False)
class Checkpoint:
    """Everything that the next epoch needs. The random state is not stored, because it follows from seed and epoch.

    run        identifies the training: recipe, seed, digest of the footage
    losses     losses of the finished epochs
    network    state of the network after the last epoch
    best       state of the network after the epoch with the lowest held-out loss
    optimizer  state per parameter, with keys ``{number}.{name}``
    """

    run: dict[str, Any]
    losses: list[EpochLoss] = field(default_factory=list)
    network: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)

    def best_epoch(self) -> EpochLoss:
        """The epoch with the lowest held-out loss; the earliest one if several are equal."""
        return min(self.losses, key=lambda loss: loss.held_out)

    def save(self, folder: Path) -> None:
        """Replace the folder's checkpoint atomically with this one. Raises RunError if it cannot be written."""
        groups = {"network": self.network, "best": self.best, "optimizer": self.optimizer}
        tensors = {
            f"{group}/{key}": tensor.detach().cpu().contiguous().clone()
            for group, state in groups.items()
            for key, tensor in state.items()
        }
        about = {"run": json.dumps(self.run), "losses": json.dumps([asdict(loss) for loss in self.losses])}
        partial = folder / f"{CHECKPOINT_FILE}.partial"
        try:
            save_file(tensors, partial, metadata=about)
            partial.replace(folder / CHECKPOINT_FILE)
        except (OSError, SafetensorError) as error:
            partial.unlink(missing_ok=True)
            raise RunError(f"cannot write {folder / CHECKPOINT_FILE}: {error}") from None

    @classmethod
    def load(cls, folder: Path) -> Checkpoint:
        """Read the folder's checkpoint. Raises ModelError for a damaged file."""
        path = folder / CHECKPOINT_FILE
        groups: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "optimizer": {}}
        try:
            open_file(path).close()  # what is no file would be waited for
            with safe_open(path, framework="pt") as file:
                about = file.metadata()
                for key in file.keys():  # noqa: SIM118 - the file is not a dictionary
                    group, _, name = key.partition("/")
                    groups[group][name] = file.get_tensor(key)
            losses = TypeAdapter(list[EpochLoss]).validate_python(parse_json(about["losses"]))
            run = TypeAdapter(dict[str, Any]).validate_python(parse_json(about["run"]))
            return cls(run=run, losses=losses, **groups)
        except ValidationError as error:
            raise damaged(folder, " ".join(first_problem(error))) from None
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise damaged(folder, str(error)) from None

    def restore(self, net: torch.nn.Module, optimizer: StatefulOptimizer, folder: Path) -> None:
        """Put the state into the network and the optimizer. Raises ModelError if it does not fit."""
        try:
            net.load_state_dict(self.best)  # only to check it: the end of the training needs it
            net.load_state_dict(self.network)
            restore_optimizer(optimizer, self.optimizer)
            _check_shapes(optimizer)
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise damaged(folder, str(error)) from None


def damaged(folder: Path, what: str) -> ModelError:
    """The error for a checkpoint that cannot be used."""
    first = shortened(next(iter(what.splitlines()), ""), 120)
    return ModelError(f"{folder / CHECKPOINT_FILE} is damaged ({first}): delete {folder} and train again")


def optimizer_tensors(optimizer: StatefulOptimizer) -> dict[str, Tensor]:
    """The optimizer's state as a flat dictionary of tensors; see ``Checkpoint.optimizer``."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, entry in state.items() for name, value in entry.items()}


def restore_optimizer(optimizer: StatefulOptimizer, tensors: dict[str, Tensor]) -> None:
    """The reverse of ``optimizer_tensors``."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def _check_shapes(optimizer: StatefulOptimizer) -> None:
    """Raise ValueError unless each tensor of the state has the shape of its parameter, or is a scalar."""
    for parameter, state in optimizer.state.items():
        for name, tensor in state.items():
            if tensor.shape not in (parameter.shape, torch.Size()):
                raise ValueError(f"the optimizer's {name} is {tuple(tensor.shape)}, not {tuple(parameter.shape)}")
