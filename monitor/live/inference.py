"""The inference thread: it passes batches of frames from the queue to the scorer. Only this thread runs models."""

from __future__ import annotations

import time

from monitor.detector.network_threads import one_thread_per_network
from monitor.judging.scorer import Scorer
from monitor.live.frame_queue import FrameQueue
from monitor.threads.channel import Channel
from monitor.types import ScoredFrame


class InferenceWorker:
    """Takes frames from the queue, scores them and puts them into the results, until the queue has ended."""

    def __init__(self, queue: FrameQueue, scorer: Scorer, results: Channel[ScoredFrame], max_batch: int) -> None:
        self._queue = queue
        self._scorer = scorer
        self._results = results
        self._max_batch = max_batch
        self.busy_s = 0.0
        """Seconds that scoring has taken so far. Any thread may read it."""

    def run(self) -> None:
        """Work until there are no more frames, then close the results."""
        ready = False  # a model with a network may join later
        try:
            while (batch := self._queue.get_batch(self._max_batch)) is not None:
                ready = ready or one_thread_per_network()
                started = time.perf_counter()
                scored = self._scorer.score(batch)
                self.busy_s += time.perf_counter() - started
                if not self._results.put_all(scored):
                    return
        finally:
            self._results.close()
