"""What is measured of live cameras, and that files give up nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from monitor.live.frame_queue import QueueCounters
from monitor.live.load_control import KEPT_BY_EVENTS, LEVELS, Relief
from monitor.live.load_gauge import STARTS_S, LoadGauge, Times, core_times


class Camera:
    """A camera of which every second frame is dropped, or none."""

    def __init__(self, name: str, *, live: bool = True) -> None:
        self.name, self.live = name, live
        self.counters = QueueCounters()
        self.decoder_pid: int | None = None
        self.relief = Relief()

    def relieve(self, relief: Relief) -> None:
        self.relief = relief

    def give(self, frames: int, dropped: int) -> None:
        old = self.counters
        self.counters = QueueCounters(old.put + frames, old.taken + frames - dropped, old.dropped_full + dropped)


def gauge_of(times: dict[int, Times] | None = None) -> LoadGauge:
    return LoadGauge(lambda: (0.0, 0), lambda: 0.0, (times or {}).get)


def run(gauge: LoadGauge, cameras: list[Camera], seconds: int, dropped: int, eventful: tuple[str, ...] = ()) -> None:
    for second in range(seconds):
        for camera in cameras:
            camera.give(10, dropped)
        gauge.tick(float(second), cameras, eventful)


def test_all_live_cameras_give_up_the_same_and_files_nothing() -> None:
    cameras = [Camera("a"), Camera("b"), Camera("file", live=False)]
    run(gauge := gauge_of(), cameras, round(STARTS_S) + 20, dropped=5)
    assert gauge.level > KEPT_BY_EVENTS
    assert cameras[0].relief == cameras[1].relief == LEVELS[gauge.level]
    assert cameras[2].relief == Relief()


def test_a_camera_with_an_open_event_gives_up_less() -> None:
    cameras = [Camera("a"), Camera("b")]
    run(gauge := gauge_of(), cameras, round(STARTS_S) + 20, dropped=5, eventful=("b",))
    assert cameras[1].relief == LEVELS[gauge.level - KEPT_BY_EVENTS]


def test_nothing_is_decided_while_cameras_start() -> None:
    cameras = [Camera("a")]
    gauge = gauge_of()
    run(gauge, cameras, round(STARTS_S), dropped=5)
    assert gauge.level == 0
    cameras[0].decoder_pid = 7


@pytest.mark.parametrize(("on_core", "waiting", "is_behind"), [(0.3, 0.1, False), (0.5, 0.5, True), (0.05, 0.95, True)])
def test_decoders_without_a_pause_are_behind(on_core: float, waiting: float, *, is_behind: bool) -> None:
    cameras, times = [Camera("a")], {7: (0.0, 0.0)}
    cameras[0].decoder_pid = 7
    gauge = gauge_of(times)
    for second in range(round(STARTS_S) + 10):
        times[7] = (on_core * second, waiting * second)
        cameras[0].give(10, 0)
        gauge.tick(float(second), cameras)
    assert (gauge.level > 0) is is_behind


def test_the_times_of_a_process_and_of_none() -> None:
    with subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], stdin=-1, stdout=-1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        on_core, waiting = core_times(process.pid) or (0.0, 0.0)
        assert on_core > 0
        assert waiting >= 0
        process.stdin.close()
    assert core_times(process.pid) is None
