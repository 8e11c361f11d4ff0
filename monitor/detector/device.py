"""Finds the torch device for a name."""

from __future__ import annotations

import torch

from monitor.errors import UsageError


def find_device(name: str) -> torch.device:
    """The torch device for a name (auto, cpu, cuda, cuda:N). Raises UsageError if the device is not available."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UsageError(f"'{name}' is not a device: use cpu, cuda or cuda:0")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise UsageError("this machine has no CUDA device: run with --device cpu")
        if device.index is not None and device.index >= count:
            raise UsageError(f"this machine has no {name}: the last CUDA device is cuda:{count - 1}")
    return device
