"""A model is ready before it joins a run, and a network computes in one thread whenever it joins."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

from monitor.detector.network_threads import one_thread_per_network
from monitor.judging.scorer import Bare, Scorer
from monitor.judging.warm_up import warm_up
from monitor.live.frame_queue import FrameQueue
from monitor.live.inference import InferenceWorker
from monitor.testing.fakes import Brightness, frame
from monitor.threads.channel import Channel
from monitor.types import Detection, ScoredFrame


class Counting(Brightness):
    """Notes the size and the time of each frame."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, float]] = []

    def score(self, batch: Sequence[Any]) -> list[Detection]:
        self.seen += [(o.frame.image.shape[1], o.frame.image.shape[0], o.frame.time_s) for o in batch]
        return super().score(batch)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The calls of ``set_num_threads`` of a library that is not loaded yet: thread and number."""
    found: list[tuple[str, int]] = []
    library = ModuleType("torch")
    library.set_num_threads = lambda n: found.append((threading.current_thread().name, n))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.later", library)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return found


def test_each_detector_scores_a_second_of_frames_of_the_camera_s_size() -> None:
    first, second = Counting(), Counting()
    warm_up(Bare((first, second)), (64, 48))
    assert first.seen == second.seen
    assert {seen[:2] for seen in first.seen} == {(64, 48)}
    assert first.seen[-1][2] - first.seen[0][2] >= 1.0


def test_a_detector_that_fails_fails_before_it_joins() -> None:
    class Broken(Brightness):
        def score(self, batch: Sequence[Any]) -> list[Detection]:  # noqa: ARG002
            raise ZeroDivisionError("the network fell over")

    with pytest.raises(ZeroDivisionError):
        warm_up(Bare((Broken(),)))


def test_a_library_that_is_not_loaded_or_half_loaded_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert not one_thread_per_network()
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    assert not one_thread_per_network()


def test_the_scoring_thread_computes_alone_also_with_a_network_that_joins_later(
    threads: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, results = FrameQueue(4, 1e9), Channel[ScoredFrame](16)
    inlet = queue.register("cam", live=False)
    worker = InferenceWorker(queue, Scorer({"cam": Bare((Brightness(),))}), results, 1)
    thread = threading.Thread(target=worker.run, name="inference")
    thread.start()
    stop = threading.Event()

    def scored(number: int) -> None:
        inlet.put(frame(number / 10), stop=stop)
        assert results.get_all(10.0)

    scored(0)
    assert threads == []
    monkeypatch.setitem(sys.modules, "torch", sys.modules["torch.later"])
    scored(1)
    scored(2)
    queue.close(discard=False)
    thread.join(10.0)
    assert threads == [("inference", 1)]
