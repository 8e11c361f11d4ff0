"""AdamW without the optimizer classes of PyTorch: these load PyTorch's compiler, 1.1 s of CPU and 160 MB per process.

Each camera is learned in a process of its own, so this time and memory were spent for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class LeanAdamW:
    """Gives the same weights as ``torch.optim.AdamW``, bit by bit, and stores the same state.

    parameters     tensors that require gradients
    learning_rate  may be changed between two steps
    weight_decay   share of a weight that is taken away per step, times the learning rate
    state          what is known of each parameter after its first step: ``step``, a scalar, ``exp_avg`` and
                   ``exp_avg_sq``, which have its shape
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, weight_decay: float) -> None:
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self._parameters = list(parameters)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient."""
        changed = [(each, each.grad) for each in self._parameters if each.grad is not None]
        for each, _ in changed:
            if each not in self.state:
                means = {name: torch.zeros_like(each) for name in ("exp_avg", "exp_avg_sq")}
                self.state[each] = {"step": torch.tensor(0.0), **means}
        states = [self.state[each] for each, _ in changed]
        adamw(
            [each for each, _ in changed],
            [gradient for _, gradient in changed],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            eps=_EPSILON,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """The state, in the form of PyTorch's optimizers: ``{"state": {number of the parameter: its state}}``."""
        numbered = enumerate(self._parameters)
        return {"state": {number: self.state[each] for number, each in numbered if each in self.state}}

    def load_state_dict(self, found: dict[str, Any]) -> None:
        """Continue from a state of ``state_dict``. Raises LookupError if it is not of these parameters."""
        state: dict[Tensor, dict[str, Tensor]] = {}
        for number, entry in found["state"].items():
            if not 0 <= number < len(self._parameters):
                raise LookupError(f"there is no parameter {number}")
            parameter = self._parameters[number]
            means = {name: entry[name].clone().to(parameter) for name in ("exp_avg", "exp_avg_sq")}
            state[parameter] = {"step": entry["step"].clone(), **means}
        self.state = state
