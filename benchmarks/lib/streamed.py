"""Batches that travel from the host to a device while the one before is worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor

from benchmarks.lib.roofline import wait
from monitor.detector.precision import exact

Work = Callable[[Tensor], Tensor]
"""A batch on the device -> what is wanted of it, a row an item."""


class Streamed:
    """Runs work on batches from pinned host memory, by two buffers: one is filled while the other is worked on.

    graph: record the work once as a CUDA graph and replay it; only on a GPU
    """

    def __init__(self, work: Work, batch: Tensor, device: torch.device, *, graph: bool) -> None:
        """batch: on the host; every batch is of its shape. Raises torch.OutOfMemoryError."""
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
        """Work through so many batches, to the end; what came of the last one, on the host."""
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
    """Replays the work on this buffer; its result is overwritten by the next replay."""
    side = _stream(buffer.device)
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # plans and kernels are chosen before they are recorded
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
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch gives it no types


def _event() -> torch.cuda.Event:
    return torch.cuda.Event()  # type: ignore[no-untyped-call]
