"""No descriptor left, or a signal to all processes of a service: the camera is tried again, or not even lost."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from monitor.errors import ShortageError
from monitor.testing.captured import eventually
from tests.helpers.decoders import Plan
from tests.helpers.isolated import alive, isolated


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def few_descriptors(more: int) -> Iterator[None]:
    """Only so many more descriptors can be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 30, before[1]))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for _ in range(more):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in taken:
            os.close(fd)


def test_without_descriptors_a_source_is_tried_again_and_nothing_leaks() -> None:
    source = isolated(Plan(frames=3))
    before = open_descriptors()
    refused = 0
    for more in range(20):
        with few_descriptors(more):
            try:
                source.open().close()
            except ShortageError as error:  # any other error would be unexpected in the capture thread
                refused += 1
                sentence = str(error)
            else:
                break
        assert open_descriptors() == before
    assert refused > 3
    assert sentence == "the process that decodes test://noise cannot be started: Too many open files"


def test_a_signal_to_all_processes_of_a_service_does_not_end_a_decoder() -> None:
    with isolated(Plan()).open() as reader:
        assert reader.grab() is not None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(reader.pid, number)
        for _ in range(20):
            assert reader.grab() is not None
    assert eventually(lambda: not alive(reader.pid), within_s=5), "closing ends it"
