"""The inference thread: it passes batches of frames from the queue to the scorer. Only this thread runs models."""

from __future__ import annotations

import sys

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

    def run(self) -> None:
        """Work until there are no more frames, then close the results."""
        if "torch" in sys.modules:  # a model without a network does not load it
            # For such small networks one thread is as fast as two. It adds in a fixed order, so that the results are
            # the same bytes every time.
            sys.modules["torch"].set_num_threads(1)
        try:
            while (batch := self._queue.get_batch(self._max_batch)) is not None:
                if not self._results.put_all(self._scorer.score(batch)):
                    return
        finally:
            self._results.close()
