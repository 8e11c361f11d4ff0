import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.live.frame_queue import FrameQueue, QueueCounters
from monitor.testing.fakes import frame
from monitor.types import Frame

DEADLINE_S = 10


def queue_of(*cameras: str, live: bool, capacity: int = 3) -> FrameQueue:
    queue = FrameQueue(capacity, max_frame_age_s=1.0, clock=lambda: 0.0)
    for camera in cameras:
        queue.register(camera, live=live)
    return queue


def indices(batch: list[Frame] | None) -> list[tuple[str, int]]:
    assert batch is not None
    return [(f.camera, f.index) for f in batch]


def test_a_full_live_lane_drops_its_oldest_and_counts_it() -> None:
    queue = queue_of("a", live=True)
    for i in range(5):
        assert queue.put(frame(i / 25, camera="a"))
    assert indices(queue.get_batch(10)) == [("a", 2), ("a", 3), ("a", 4)]
    assert queue.counters("a") == QueueCounters(put=5, taken=3, dropped_full=2)


def test_a_full_file_lane_makes_its_reader_wait_and_loses_nothing() -> None:
    queue = queue_of("a", live=False)
    done = threading.Event()

    def read() -> None:
        for i in range(20):
            queue.put(frame(i / 25, camera="a"))
        queue.finish("a")
        done.set()

    threading.Thread(target=read, daemon=True).start()
    taken = []
    while (batch := queue.get_batch(2)) is not None:
        taken += [f.index for f in batch]
        assert queue.depth() <= 3
    assert done.wait(DEADLINE_S)
    assert taken == list(range(20))


def test_a_burst_waits_for_room_and_a_camera_without_one_does_not() -> None:
    queue = FrameQueue(2, max_frame_age_s=1e12)
    queue.register("a", live=True)
    burst = threading.Thread(
        target=lambda: [queue.put(frame(i / 25, camera="a"), wait_s=DEADLINE_S) for i in range(25)], daemon=True
    )
    burst.start()
    taken: list[tuple[str, int]] = []
    while len(taken) < 25:
        taken += indices(queue.get_batch(1, DEADLINE_S))
    burst.join(DEADLINE_S)
    assert [number for _, number in taken] == list(range(25))
    assert queue.counters("a").dropped == 0
    for i in range(4):
        assert queue.put(frame(2 + i / 25, camera="a"), wait_s=0.01)
    assert queue.counters("a").dropped_full == 2, "the wait is over: old frames are dropped"


def test_batches_go_round_the_cameras_so_that_none_starves() -> None:
    queue = queue_of("fast", "slow", live=True, capacity=10)
    for i in range(10):
        queue.put(frame(i / 25, camera="fast"))
    queue.put(frame(0, camera="slow"))
    queue.put(frame(1 / 25, camera="slow"))
    first = indices(queue.get_batch(4))
    assert first == [("fast", 0), ("slow", 0), ("fast", 1), ("slow", 1)]


def test_a_stale_live_frame_is_dropped_and_a_stale_file_frame_is_not() -> None:
    now = [0.0]
    queue = FrameQueue(10, max_frame_age_s=1.0, clock=lambda: now[0])
    queue.register("cam", live=True)
    queue.register("file", live=False)
    queue.put(frame(0, camera="cam", captured_at=0.0))
    queue.put(frame(0, camera="file", captured_at=0.0))
    queue.put(frame(1, camera="cam", captured_at=1.4))
    now[0] = 1.5
    assert sorted(indices(queue.get_batch(10))) == [("cam", 25), ("file", 0)]
    assert queue.counters("cam").dropped_stale == 1


def test_closing_wakes_a_waiting_reader_and_a_waiting_worker() -> None:
    full, empty = queue_of("a", live=False, capacity=1), queue_of("b", live=False)
    full.put(frame(0, camera="a"))
    results: list[object] = []
    threads = [
        threading.Thread(target=lambda: results.append(full.put(frame(1, camera="a"))), daemon=True),
        threading.Thread(target=lambda: results.append(empty.get_batch(1)), daemon=True),
    ]
    for thread in threads:
        thread.start()
    full.close()
    empty.close()
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    assert sorted(map(str, results)) == ["False", "None"]
    assert not full.put(frame(2, camera="a"))


def test_closing_drains_unless_told_to_discard() -> None:
    kept, thrown = queue_of("a", live=True), queue_of("a", live=True)
    for queue in (kept, thrown):
        queue.put(frame(0, camera="a"))
    kept.close()
    thrown.close(discard=True)
    assert indices(kept.get_batch(1)) == [("a", 0)]
    assert kept.get_batch(1) is None
    assert thrown.get_batch(1) is None


def test_a_stop_event_ends_the_wait_for_room() -> None:
    queue = queue_of("a", live=False, capacity=1)
    queue.put(frame(0, camera="a"))
    stop = threading.Event()
    stop.set()
    assert not queue.put(frame(1, camera="a"), stop=stop)


def test_a_timeout_gives_an_empty_batch_and_the_end_gives_none() -> None:
    queue = FrameQueue()
    queue.register("a", live=True)
    assert queue.get_batch(1, timeout_s=0.01) == []
    queue.finish("a")
    assert queue.get_batch(1) is None


def test_wrong_uses_are_refused() -> None:
    queue = queue_of("a", live=True)
    with pytest.raises(ValueError, match="registered already"):
        queue.register("a", live=True)
    with pytest.raises(ValueError, match="at least 1"):
        FrameQueue(0)


@given(st.lists(st.tuples(st.sampled_from(["put a", "put b", "take"]), st.integers(1, 4)), max_size=60))
def test_every_frame_is_taken_dropped_or_waiting(steps: list[tuple[str, int]]) -> None:
    queue = queue_of("a", "b", live=True)
    next_time = 0
    for step, count in steps:
        if step == "take":
            batch = queue.get_batch(count, timeout_s=0)
            assert batch is not None
            assert len(batch) <= count
        else:
            next_time += 1
            queue.put(frame(next_time, camera=step[-1]))
    for camera in ("a", "b"):
        seen = queue.counters(camera)
        assert seen.put == seen.taken + seen.dropped + seen.waiting
        assert seen.waiting <= 3
