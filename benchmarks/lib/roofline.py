"""Counts the arithmetic and the memory traffic of some work, and measures the peak rates of the device."""

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
"""Operations with names that begin like this move no memory."""


@dataclass(frozen=True)
class Cost:
    """Cost of some work.

    flop   floating-point operations of matrix products and convolutions
    moved  bytes that all operations read and write, without the effect of caches
    """

    flop: int
    moved: int


@dataclass(frozen=True)
class Peak:
    """Peak rates of a device.

    flop_s   FLOP per second of a large matrix product
    bytes_s  bytes per second that a large copy reads and writes
    """

    flop_s: float
    bytes_s: float

    def least_s(self, cost: Cost) -> float:
        """Minimum seconds for this work: the larger of the time for arithmetic and the time for memory traffic."""
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
    """Count the cost of one call."""
    with FlopCounterMode(display=False) as flops, _Bytes() as moved:
        work()
    return Cost(int(flops.get_total_flops()), moved.moved)


def peak(device: torch.device, dtype: torch.dtype, side: int = 8192) -> Peak:
    """Measure the peak rates. side: rows and columns of the square matrices."""
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
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
