"""The number format in which a network calculates, and settings that make GPU results exact."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from monitor.detector.base import Precision
from monitor.errors import UsageError


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the hardware supports bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def trunk_type(precision: Precision, device: torch.device, fast: bool | None = None) -> torch.dtype:
    """The type for the layers that allow a lower precision: float32 or bfloat16.

    fast: whether the device supports bfloat16 natively; None: detect it. Raises UsageError for bfloat16 if the device
    would only emulate it.
    """
    if fast is None:
        fast = bfloat16_is_fast(device)
    if precision == "bfloat16" and not fast:
        raise UsageError(f"{device} only emulates bfloat16, which is slower than float32: use float32 or auto")
    return torch.bfloat16 if fast and precision != "float32" else torch.float32


def exact(device: torch.device) -> AbstractContextManager[Any]:
    """A context for exact results on a GPU: full float32, no TF32, and kernels with a fixed order of summation."""
    if device.type == "cpu":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
