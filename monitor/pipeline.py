"""Owns every thread: capture threads -> frame queue -> inference worker -> results.

    with Pipeline(cameras, settings).running() as results:
        while (batch := results.get_all(timeout_s=0.1)) is not None:
            ...

Leaving the context stops and joins all of them. The first error of a thread stops the rest and is raised again there.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from monitor.capture import Capture, CaptureSettings
from monitor.channel import Channel
from monitor.errors import MonitorError, StageError
from monitor.frame_queue import FrameQueue, QueueCounters, QueueSettings
from monitor.inference import InferenceWorker, Scorer
from monitor.model_store import Model
from monitor.redact import redact
from monitor.sources.base import Source
from monitor.stage import Stage, join_all
from monitor.types import CaptureStatus, ScoredFrame

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Camera:
    """A source, the model that watches it, and how it is captured."""

    source: Source
    model: Model
    capture: CaptureSettings

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.source.name


class Pipeline:
    """Builds the threads; ``running()`` runs them."""

    STOP_TIMEOUT_S = 1.5
    """A thread that has not ended by then (a decoder that never returns) is named and left behind."""

    def __init__(self, cameras: Sequence[Camera], settings: QueueSettings | None = None) -> None:
        settings = settings or QueueSettings()
        self._stop = threading.Event()
        self._queue = FrameQueue(settings.capacity, settings.max_frame_age_s)
        self._results: Channel[ScoredFrame] = Channel(4 * settings.max_batch)
        self._captures: dict[str, Capture] = {}
        self._failed: Stage | None = None
        self._stages: list[Stage] = []
        for camera in cameras:
            self._queue.register(camera.name, live=camera.source.live)
            capture = Capture(camera.source, self._queue, camera.capture, self._stop)
            self._captures[camera.name] = capture
            self._stages.append(Stage(f"capture {camera.name}", capture.run, self._on_error))
        scorer = Scorer({camera.name: camera.model for camera in cameras})
        worker = InferenceWorker(self._queue, scorer, self._results, settings.max_batch)
        self._stages.append(Stage("inference", worker.run, self._on_error))

    @contextmanager
    def running(self) -> Iterator[Channel[ScoredFrame]]:
        """Start every thread; give the results; stop and join at the end.

        Raises the first MonitorError of a thread as it is, any other as StageError with its cause.
        """
        for stage in self._stages:
            stage.start()
        try:
            yield self._results
        finally:
            self.stop()
            for name in join_all(self._stages, self.STOP_TIMEOUT_S):
                log.warning("thread '%s' did not end in time and is left behind", name)
        if self._failed is not None and self._failed.error is not None:
            error = self._failed.error
            if isinstance(error, MonitorError):
                raise error
            reason = redact(f"{type(error).__name__}: {error}")
            raise StageError(f"the {self._failed.name} thread failed: {reason}") from error

    def stop(self) -> None:
        """Ask every thread to end; frames that wait are dropped."""
        self._stop.set()
        for capture in self._captures.values():
            capture.interrupt()
        self._queue.close(discard=True)
        self._results.close()

    def status(self, camera: str) -> CaptureStatus:
        """The capture thread's account of itself."""
        return self._captures[camera].status

    def counters(self, camera: str) -> QueueCounters:
        """The queue's counters of a camera."""
        return self._queue.counters(camera)

    def depth(self) -> int:
        """Frames waiting in the queue."""
        return self._queue.depth()

    def _on_error(self, stage: Stage) -> None:
        if self._failed is None:
            self._failed = stage
        self.stop()
