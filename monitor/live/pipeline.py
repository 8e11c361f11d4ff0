"""Owns every thread: capture threads -> frame queue -> inference worker -> results.

    pipeline = Pipeline(settings)
    fleet = Fleet(pipeline, cameras)
    with pipeline.running() as results:
        while (batch := results.get_all(timeout_s=0.1)) is not None:
            ...

The end of the context stops and joins all threads. An error of the inference thread stops the others and is raised
there. An error of a capture thread costs only its camera.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import cv2

from monitor.allocator import keep_freed_memory
from monitor.errors import MonitorError, StageError
from monitor.judging.scorer import Scorer
from monitor.learning.hold import Hold
from monitor.live.capture import Capture, CaptureSettings
from monitor.live.frame_queue import FrameQueue, QueueCounters, QueueSettings
from monitor.live.inference import InferenceWorker
from monitor.live.load_control import Relief
from monitor.live.load_gauge import LoadGauge
from monitor.model.model_store import Model
from monitor.sources.source import Source
from monitor.text.redaction import redact
from monitor.threads.channel import Channel
from monitor.threads.stage import Stage, join_all
from monitor.types import CaptureStatus, ScoredFrame

log = logging.getLogger(__name__)

OBJECTS_OF_PYTHON = 10_000
"""More than Python freezes by itself (some hundreds), and fewer than the libraries of a run."""


class Feed:
    """One camera's capture, its own stop event and its thread."""

    def __init__(
        self, name: str, capture: Capture, stop: threading.Event, stage: Stage, queue: FrameQueue, *, live: bool
    ) -> None:
        self.name = name
        self.capture = capture
        self._stop = stop
        self.stage = stage
        self.live = live
        """False for a file."""
        self._queue = queue

    @property
    def status(self) -> CaptureStatus:
        """The status of the capture thread."""
        return self.capture.status

    @property
    def counters(self) -> QueueCounters:
        """The camera's counters in the queue."""
        return self._queue.counters(self.name)

    @property
    def decoder_pid(self) -> int | None:
        """The process that decodes it now; None if there is none."""
        return self.capture.decoder_pid

    @property
    def relief(self) -> Relief:
        """What it gives up, because the machine is too busy."""
        return self.capture.relief

    def relieve(self, relief: Relief) -> None:
        """Give this up from the next frame on."""
        if self.capture.relief != relief:
            self.capture.relief = relief

    def end(self) -> None:
        """Ask the thread to end, and interrupt a read that waits."""
        self._stop.set()
        self.capture.interrupt()


class Pipeline:
    """Builds the threads; ``running()`` runs them. Cameras may be opened and closed while it runs.

    It knows only the feeds of cameras. The table of cameras is in the fleet (``monitor.live.fleet``).
    """

    STOP_TIMEOUT_S = 1.5
    """A thread that has not ended after this time (a decoder that never returns) is logged and left running."""

    def __init__(self, settings: QueueSettings | None = None, *, cpu_fallback: bool = True) -> None:
        settings = settings or QueueSettings()
        self._queue = FrameQueue(settings.capacity, settings.max_frame_age_s)
        self._results: Channel[ScoredFrame] = Channel(4 * settings.max_batch)
        self._feeds: tuple[Feed, ...] = ()  # replaced as a whole, because a thread that fails reads it in ``stop``
        self._failed: Stage | None = None
        self._left_behind: list[Stage] = []
        self._running = self._stopping = False
        self._scorer = Scorer({}, cpu_fallback=cpu_fallback, isolated=True)
        worker = InferenceWorker(self._queue, self._scorer, self._results, settings.max_batch)
        self._gauge = LoadGauge(self._queue.waited, lambda: worker.busy_s)
        self._inference = Stage("inference", worker.run, self._on_error)

    @contextmanager
    def running(self) -> Iterator[Channel[ScoredFrame]]:
        """Start every thread and give the results. Stop and join all threads at the end.

        Raises the error of the inference thread: a MonitorError as it is, any other error as the cause of a StageError.
        """
        # There are many cameras with small pictures: OpenCV's own threads would only slow down the capture threads.
        cv2.setNumThreads(1)
        keep_freed_memory()
        # Everything loaded so far stays loaded. Without ``freeze``, each search for garbage in it would take 0.1 s.
        # A process that has frozen what it loaded keeps it so: another search, per run, would find nothing.
        freezes = gc.get_freeze_count() < OBJECTS_OF_PYTHON
        if freezes:
            gc.collect()
            gc.freeze()
        self._running = True
        for feed in self._feeds:
            feed.stage.start()
        self._inference.start()
        try:
            yield self._results
        finally:
            self.stop()
            stages = [*(feed.stage for feed in self._feeds), *self._left_behind, self._inference]
            for name in join_all(stages, self.STOP_TIMEOUT_S):
                log.warning("thread '%s' did not end in time; the monitor does not wait for it", name)
            if freezes:
                gc.unfreeze()
        if self._failed is not None and self._failed.error is not None:
            error = self._failed.error
            if isinstance(error, MonitorError):
                raise error
            reason = redact(f"{type(error).__name__}: {error}")
            raise StageError(f"the {self._failed.name} thread failed: {reason}") from error

    def stop(self) -> None:
        """Ask every thread to end. Waiting frames are dropped."""
        self._stopping = True
        for feed in self._feeds:
            feed.end()
        self._queue.close(discard=True)
        self._results.close()

    @contextmanager
    def reconfiguring(self) -> Iterator[None]:
        """While cameras are removed and added, the run does not end even if there is no camera for a moment."""
        self._queue.keep_open(True)
        try:
            yield
        finally:
            self._queue.keep_open(False)

    def open(
        self,
        source: Source,
        model: Model,
        settings: CaptureSettings,
        first_segment: int = 0,
        hold: Hold | None = None,
    ) -> Feed:
        """Capture a source from now on, or from the start of ``running``."""
        stop = threading.Event()
        inlet = self._queue.register(source.name, live=source.live)
        capture = Capture(source, inlet, settings, stop, first_segment=first_segment, model=model, hold=hold)
        stage = Stage(f"capture {source.name}", capture.run, lambda stage: capture.give_up(str(stage.error)))
        feed = Feed(source.name, capture, stop, stage, self._queue, live=source.live)
        self._feeds = (*self._feeds, feed)
        if self._running:
            stage.start()
        return feed

    def close(self, feed: Feed) -> None:
        """Stop capturing a source. A read that hangs is left to end by itself."""
        self._feeds = tuple(other for other in self._feeds if other is not feed)
        feed.end()
        self._queue.unregister(feed.name)
        self._left_behind = [stage for stage in (*self._left_behind, feed.stage) if stage.alive]

    def balance(self, now: float, eventful: Collection[str] = ()) -> None:
        """Measure the load, and let live cameras give up what is too much. Call it a few times per second.

        now       time.monotonic(), seconds
        eventful  names of the cameras with an open event: they give up less
        """
        self._gauge.tick(now, self._feeds, eventful)

    def set_models(self, models: Mapping[str, Model]) -> None:
        """Camera name -> the model that scores its frames, from the next batch on."""
        self._scorer.set_models(models)

    def depth(self) -> int:
        """Frames waiting in the queue."""
        return self._queue.depth()

    def _on_error(self, stage: Stage) -> None:
        if self._failed is None and not self._stopping:
            self._failed = stage
        self.stop()
