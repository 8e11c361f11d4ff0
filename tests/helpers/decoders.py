"""Sources for separate decoder processes. Their frames are known, and they fail on request."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from monitor.errors import CaptureError, SourceError
from monitor.sources.source import Position, Reader, Source
from monitor.sources.video import VideoReader, VideoSource
from monitor.types import Image


class Break(Enum):
    """What happens instead of a frame."""

    ABORT = "abort"
    SEGFAULT = "segfault"
    EXIT = "exit"
    HANG = "hang"
    LOST = "lost"
    UNUSABLE = "unusable"
    BUG = "bug"
    UNREADABLE = "unreadable"


def noise(index: int, width: int, height: int) -> Image:
    """The picture with this index, (height, width, 3) uint8."""
    return np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)


@dataclass(frozen=True)
class Plan:
    """Frames in these sizes (width, height) one after another, repeated; at frame ``at``, ``what`` happens."""

    sizes: Sequence[tuple[int, int]] = ((32, 24),)
    frames: int = 1_000_000
    fps: float = 100.0
    at: int = -1
    what: Break = Break.ABORT
    fail_open: Break | None = None


class NoiseSource(Source):
    """Follows a plan. A live source keeps its frame rate. The secret must not be visible from outside."""

    def __init__(self, plan: Plan, *, name: str = "noise", live: bool = False, secret: str = "") -> None:
        super().__init__(name, f"test://{name}")
        self.plan = plan
        self.live = live
        self.secret = secret

    def open(self) -> NoiseReader:
        if self.plan.fail_open is not None:
            break_down(self.plan.fail_open)
        return NoiseReader(self.plan, live=self.live)


class Dying(VideoSource):
    """A video that crashes its decoder. It is defined here, because a decoder process then imports little."""

    def open(self) -> VideoReader:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class NoiseReader(Reader):
    def __init__(self, plan: Plan, *, live: bool) -> None:
        self.fps = plan.fps
        self._plan = plan
        self._live = live
        self._index = -1

    def grab(self) -> Position | None:
        if self._index + 1 == self._plan.frames:
            return None
        self._index += 1
        if self._live:
            time.sleep(1.0 / self.fps)
        if self._index == self._plan.at and self._plan.what is not Break.UNREADABLE:
            break_down(self._plan.what)
        return Position(self._index, self._index / self.fps)

    def retrieve(self) -> Image | None:
        if self._index == self._plan.at:
            return None
        return noise(self._index, *self._plan.sizes[self._index % len(self._plan.sizes)])


def break_down(what: Break) -> None:
    """Fail in this way."""
    if what is Break.ABORT:
        os.abort()
    if what is Break.SEGFAULT:
        os.kill(os.getpid(), signal.SIGSEGV)
    if what is Break.EXIT:
        os._exit(3)
    if what is Break.LOST:
        raise CaptureError("the plug was pulled")
    if what is Break.UNUSABLE:
        raise SourceError("this is no video")
    if what is Break.BUG:
        raise ZeroDivisionError("rtsp://admin:hunter2@10.0.0.9/ divided by zero")
    while True:
        time.sleep(60.0)
