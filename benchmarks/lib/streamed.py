"""Copies each batch from the host to a device while the device works on the batch before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor

from benchmarks.lib.roofline import wait
from monitor.detector.precision import exact

Work = Callable[[Tensor], Tensor]
"""A batch on the device -> its results, one row per item."""


class Streamed:
    """Runs work on batches from pinned host memory with two buffers: one is filled while the device works on the other.

    graph: record the work once as a CUDA graph and replay it; only on a GPU
    """

    def __init__(self, work: Work, batch: Tensor, device: torch.device, *, graph: bool) -> None:
        """batch: a batch on the host; all batches have its shape. Raises torch.OutOfMemoryError."""
        self._device = device
        self._cuda = device.type == "cuda"
        self._host = batch.pin_memory() if self._cuda else batch
        self._buffers = [torch.empty_like(batch, device=device) for _ in range(2)]
        self._copies = _stream(device) if self._cuda else None
        with self._mode():
            if graph and self._cuda:
                self._steps = [_recorded(work, buffer) for buffer in self._buffers]
            else:
                self._steps = [partial(work, buffer) for buffer in self._buffers]

    def run(self, batches: int) -> Tensor:
        """Process this number of batches and wait for the end. Returns the result of the last one, on the host."""
        with self._mode():
            out = self._overlapped(batches) if self._copies is not None else self._in_turn(batches)
        wait(self._device)
        return out

    def _in_turn(self, batches: int) -> Tensor:
        for number in range(batches):
            self._buffers[number % 2].copy_(self._host)
            out = self._steps[number % 2]()
        return out

    def _overlapped(self, batches: int) -> Tensor:
        assert self._copies is not None
        main = torch.cuda.current_stream(self._device)
        filled = [_event() for _ in range(2)]
        free = [_event() for _ in range(2)]
        out: list[Tensor] = []
        for number in range(batches):
            k = number % 2
            with torch.cuda.stream(self._copies):
                if number >= 2:
                    self._copies.wait_event(free[k])
                self._buffers[k].copy_(self._host, non_blocking=True)
                filled[k].record(self._copies)
            main.wait_event(filled[k])
            rows = self._steps[k]()
            free[k].record(main)
            if len(out) < 2:
                out.append(torch.empty_like(rows, device="cpu").pin_memory())
            out[k].copy_(rows, non_blocking=True)
        wait(self._device)
        return out[k]

    @contextmanager
    def _mode(self) -> Iterator[None]:
        here = torch.cuda.device(self._device) if self._cuda else nullcontext()
        with torch.inference_mode(), exact(self._device), here:
            yield


def _recorded(work: Work, buffer: Tensor) -> Callable[[], Tensor]:
    """A function that replays the work on this buffer. The next replay overwrites its result."""
    side = _stream(buffer.device)
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # PyTorch must select plans and kernels before the recording
            work(buffer)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = work(buffer)

    def replay() -> Tensor:
        graph.replay()
        return out

    return replay


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no types for it


def _event() -> torch.cuda.Event:
    return torch.cuda.Event()  # type: ignore[no-untyped-call]
