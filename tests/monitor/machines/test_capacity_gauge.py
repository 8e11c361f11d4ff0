"""What a node can analyse, from what its frames have cost; and the heartbeats that count them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from monitor.alerts.journal import Journal
from monitor.machines.capacity_gauge import MOST_SHARE, WINDOW_S, CapacityGauge, Work, processor_times
from monitor.machines.heartbeat_reader import HeartbeatReader
from tests.monitor.machines.test_fleet_network import wait_for
from tests.monitor.machines.test_gateway_server import open_publisher


class Engine:
    """One whose frames cost so many seconds; of its scoring thread, and of all."""

    def __init__(self, gauge: CapacityGauge) -> None:
        self.gauge, self.now, self.frames, self.cpu_s, self.busiest_s = gauge, 0.0, 0, 0.0, 0.0

    def runs(self, windows: int, frames: int, cost_s: float, busiest_s: float = 0.0, *, usual: bool = True) -> float:
        for _ in range(windows):
            self.now += WINDOW_S
            self.frames += frames
            self.cpu_s += frames * cost_s
            self.busiest_s += frames * busiest_s
            self.gauge.take(self.now, Work("e1", self.frames, self.cpu_s, self.busiest_s), usual=usual)
        return self.gauge.fps


def test_the_capacity_is_what_cores_allow_per_cost_of_a_frame_and_small_changes_are_not_told() -> None:
    engine = Engine(CapacityGauge(4, 200.0))
    assert engine.runs(3, 1000, 0.02) == 200.0  # stated: two windows are not enough
    assert engine.runs(1, 1000, 0.02) == round(MOST_SHARE * 4 / 0.02)
    assert engine.gauge.measured
    assert engine.runs(20, 1000, 0.023) == 190.0  # 165 by now, which is less than a fifth away
    assert engine.runs(20, 1000, 0.04) == 95.0
    assert engine.runs(4, 1000, 0.4) == 95.0  # what lasts for a minute does not count
    assert engine.runs(20, 1000, 0.02, busiest_s=0.01) == 95.0  # one thread scores: it is full before the cores are


def test_nothing_is_measured_without_enough_to_do_while_cameras_are_opened_or_over_a_restart() -> None:
    engine = Engine(CapacityGauge(4, 200.0))
    assert engine.runs(20, 10, 0.05) == 200.0
    assert engine.runs(20, 1000, 0.5, usual=False) == 200.0
    for run in range(20):
        engine.now += WINDOW_S
        engine.gauge.take(engine.now, Work(f"r{run}", 1000 * run, 90.0 * run, 0.0), usual=True)
        engine.gauge.take(engine.now, None, usual=True)
    assert not engine.gauge.measured


def test_the_time_of_a_process_counts_its_threads_and_its_heartbeats_count_frames(tmp_path: Path) -> None:
    whole_s, busiest_s = processor_times(os.getpid())
    assert whole_s >= busiest_s > 0.0
    assert processor_times(2**30) == (0.0, 0.0)
    with (
        Journal(tmp_path / "journal.sqlite3") as journal,
        open_publisher(journal) as publisher,
        HeartbeatReader(publisher.alerts_endpoint) as reader,
    ):
        for frame in range(7):
            publisher.publish_score("cam0", time_s=0.1, frame_index=frame, score=0.0, captured_at=1e9, raw={})

        def heard() -> bool:
            publisher.tick(time.monotonic())
            return reader.frames() is not None

        wait_for(heard, 20.0)
        assert reader.last is not None
        assert reader.frames() == (reader.last.epoch, 7)
