"""One thread a process: on a busy machine the threads of many small operations wait for each other most of the time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Tiny networks gain nothing from more, and lose much where others want the cores."""
    import torch  # not by every test

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
