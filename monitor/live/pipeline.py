"""Owns every thread: capture threads -> frame queue -> inference worker -> results.

    with Pipeline(cameras, settings).running() as results:
        while (batch := results.get_all(timeout_s=0.1)) is not None:
            ...

Leaving the context stops and joins all of them. The first error of a thread stops the rest and is raised again there.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import cv2

from monitor.allocator import keep_freed_memory
from monitor.errors import MonitorError, StageError
from monitor.judging.scorer import Scorer
from monitor.live.capture import Capture, CaptureSettings
from monitor.live.channel import Channel
from monitor.live.frame_queue import FrameQueue, QueueCounters, QueueSettings
from monitor.live.hold import Hold
from monitor.live.inference import InferenceWorker
from monitor.live.stage import Stage, join_all
from monitor.model.model_store import Model
from monitor.sources.source import Source
from monitor.text.redaction import redact
from monitor.types import CaptureStatus, ScoredFrame

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Camera:
    """A source, the model that watches it, how it is captured, and what holds it while it is learned from."""

    source: Source
    model: Model
    capture: CaptureSettings
    hold: Hold | None = None

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.source.name


@dataclass(frozen=True, eq=False)
class _Feed:
    """One camera's capture, its own stop event and its thread."""

    capture: Capture
    stop: threading.Event
    stage: Stage

    def end(self) -> None:
        self.stop.set()
        self.capture.interrupt()


class Pipeline:
    """Builds the threads; ``running()`` runs them. Cameras may be added and removed while it runs."""

    STOP_TIMEOUT_S = 1.5
    """A thread that has not ended by then (a decoder that never returns) is named and left behind."""
    SEGMENTS_A_CAMERA = 1_000_000
    """Segments of a camera added later begin at a multiple of this: frames of its predecessor cannot be mistaken."""

    def __init__(
        self, cameras: Sequence[Camera], settings: QueueSettings | None = None, *, cpu_fallback: bool = True
    ) -> None:
        settings = settings or QueueSettings()
        self._queue = FrameQueue(settings.capacity, settings.max_frame_age_s)
        self._results: Channel[ScoredFrame] = Channel(4 * settings.max_batch)
        self._feeds: dict[str, _Feed] = {}
        self._models: dict[str, Model] = {}
        self._failed: Stage | None = None
        self._left_behind: list[Stage] = []
        self._stopping = False
        self._added_later = 0
        self._scorer = Scorer({}, cpu_fallback=cpu_fallback)
        for camera in cameras:
            self._register(camera, first_segment=0)
        self._scorer.set_models(self._models)
        worker = InferenceWorker(self._queue, self._scorer, self._results, settings.max_batch)
        self._inference = Stage("inference", worker.run, self._on_error)

    @contextmanager
    def running(self) -> Iterator[Channel[ScoredFrame]]:
        """Start every thread; give the results; stop and join at the end.

        Raises the first MonitorError of a thread as it is, any other as StageError with its cause.
        """
        # Pictures are small and cameras many: threads of OpenCV's own would only get in the way of these.
        cv2.setNumThreads(1)
        keep_freed_memory()
        # What was loaded until here stays: looking through it for garbage takes a tenth of a second, again and again.
        gc.collect()
        gc.freeze()
        for feed in self._feeds.values():
            feed.stage.start()
        self._inference.start()
        try:
            yield self._results
        finally:
            self.stop()
            stages = [*(feed.stage for feed in self._feeds.values()), *self._left_behind, self._inference]
            for name in join_all(stages, self.STOP_TIMEOUT_S):
                log.warning("thread '%s' did not end in time and is left behind", name)
            gc.unfreeze()
        if self._failed is not None and self._failed.error is not None:
            error = self._failed.error
            if isinstance(error, MonitorError):
                raise error
            reason = redact(f"{type(error).__name__}: {error}")
            raise StageError(f"the {self._failed.name} thread failed: {reason}") from error

    def stop(self) -> None:
        """Ask every thread to end; frames that wait are dropped."""
        self._stopping = True
        for feed in self._feeds.values():
            feed.end()
        self._queue.close(discard=True)
        self._results.close()

    @contextmanager
    def reconfiguring(self) -> Iterator[None]:
        """While cameras are removed and added, the run does not end for want of cameras."""
        self._queue.keep_open(True)
        try:
            yield
        finally:
            self._queue.keep_open(False)

    def add(self, camera: Camera) -> int:
        """Start to watch a further camera while running; the others go on. Returns the first of its segments."""
        self._added_later += 1
        first_segment = self._added_later * self.SEGMENTS_A_CAMERA
        feed = self._register(camera, first_segment)
        self._scorer.set_models(self._models)
        feed.stage.start()
        return first_segment

    def remove(self, name: str) -> None:
        """Stop watching a camera; the others go on. A read that hangs is left behind and ends by itself."""
        feed = self._feeds.pop(name)
        feed.end()
        self._queue.unregister(name)
        del self._models[name]
        self._scorer.set_models(self._models)
        self._left_behind = [stage for stage in (*self._left_behind, feed.stage) if stage.alive]

    def set_model(self, name: str, model: Model) -> None:
        """Watch a camera with another model from the next frame on; its capture is not touched."""
        self._models[name] = model
        self._scorer.set_models(self._models)
        self._feeds[name].capture.look_with(model.viewpoint, prepare_small=_looks_at_small(model))

    def _register(self, camera: Camera, first_segment: int) -> _Feed:
        stop = threading.Event()
        inlet = self._queue.register(camera.name, live=camera.source.live)
        capture = Capture(
            camera.source,
            inlet,
            camera.capture,
            stop,
            first_segment=first_segment,
            viewpoint=camera.model.viewpoint,
            hold=camera.hold,
            prepare_small=_looks_at_small(camera.model),
        )
        feed = _Feed(capture, stop, Stage(f"capture {camera.name}", capture.run, self._on_error))
        self._feeds[camera.name] = feed
        self._models[camera.name] = camera.model
        return feed

    def status(self, camera: str) -> CaptureStatus:
        """The capture thread's account of itself."""
        return self._feeds[camera].capture.status

    def counters(self, camera: str) -> QueueCounters:
        """The queue's counters of a camera."""
        return self._queue.counters(camera)

    def depth(self) -> int:
        """Frames waiting in the queue."""
        return self._queue.depth()

    def _on_error(self, stage: Stage) -> None:
        if self._failed is None and not self._stopping:
            self._failed = stage
        self.stop()


def _looks_at_small(model: Model) -> bool:
    return any(detector.small for detector in model.detectors)
