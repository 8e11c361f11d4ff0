"""Which torch device a name means."""

from __future__ import annotations

import torch

from monitor.errors import UsageError


def find_device(name: str) -> torch.device:
    """The torch device of a name (auto, cpu, cuda, cuda:N). Raises UsageError for one that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UsageError(f"'{name}' is no device: use cpu, cuda or cuda:0")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise UsageError("no CUDA device here: run with --device cpu")
        if device.index is not None and device.index >= count:
            raise UsageError(f"there is no {name} here: the last CUDA device is cuda:{count - 1}")
    return device
