"""What a piece of work calculates and moves, and what a device could do at best, measured in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

_VIEWS_ONLY = ("view", "_unsafe_view", "permute", "expand", "t.", "transpose", "slice", "select", "split", "unsqueeze")
"""Operations whose names begin like this move no memory."""


@dataclass(frozen=True)
class Cost:
    """flop: of matrix products and convolutions; moved: bytes that all operations read and write, caches aside."""

    flop: int
    moved: int


@dataclass(frozen=True)
class Peak:
    """flop_s: FLOP a second of a large matrix product; bytes_s: bytes a second read and written by a large copy."""

    flop_s: float
    bytes_s: float

    def least_s(self, cost: Cost) -> float:
        """Seconds below which the work cannot be done: the larger of calculating and moving alone."""
        return max(cost.flop / self.flop_s, cost.moved / self.bytes_s)


class _Bytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moved = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.__name__.startswith(_VIEWS_ONLY):
            self.moved += _size(args) + _size(out)
        return out


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 0


def cost(work: Callable[[], object]) -> Cost:
    """Count one run."""
    with FlopCounterMode(display=False) as flops, _Bytes() as moved:
        work()
    return Cost(int(flops.get_total_flops()), moved.moved)


def peak(device: torch.device, dtype: torch.dtype, side: int = 8192) -> Peak:
    """Measure; side: of the square matrices."""
    factor = torch.rand(side, side, device=device).to(dtype)
    flop_s = 2 * side**3 / _fastest(lambda: factor @ factor, device)
    source = torch.empty(64 << 20 if device.type == "cuda" else 8 << 20, device=device)  # float32
    target = torch.empty_like(source)
    return Peak(flop_s, 2 * source.nbytes / _fastest(lambda: target.copy_(source), device))


def _fastest(work: Callable[[], object], device: torch.device, rounds: int = 5) -> float:
    times = []
    for _ in range(rounds):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - started)
    return min(times)


def wait(device: torch.device) -> None:
    """Until all work given to the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
