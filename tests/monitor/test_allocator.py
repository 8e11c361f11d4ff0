"""Freed memory is returned to the system."""

import platform
import threading
from pathlib import Path

import numpy as np
import pytest

from monitor.allocator import release_free_memory
from monitor.judging.camera_monitor import CameraMonitor
from monitor.sinks.evidence import evidence_sink
from monitor.sinks.evidence.clips import open_clip
from tests.helpers.bright_events import BRIGHT, CALM, DEADLINE_S, levels, monitor, sink_for, tell

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has malloc_trim")


def resident_mb() -> float:
    """Resident memory of this process that it does not share, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))


@needs_glibc
def test_the_memory_of_finished_clips_goes_back_to_the_system(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    measured: list[float] = []

    def work() -> None:  # in a thread, like evidence, because a thread has another heap than the main thread
        clips = [open_clip(tmp_path / f"{n}.mp4", 640, 360, camera="cam", started_at=0.0) for n in range(4)]
        for clip in clips:
            for number in range(20):
                clip.write(number / 10, noise)
        measured.append(resident_mb())
        for clip in clips:
            clip.finish()
        clips.clear()
        del clip
        assert release_free_memory()
        measured.append(resident_mb())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(DEADLINE_S)
    writing, afterwards = measured
    assert writing - afterwards > 40, "four encoders of about 26 MB; otherwise the C library keeps almost all of it"


def test_the_evidence_thread_gives_memory_back_after_a_clip_and_not_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, times = threading.Event(), []

    def release() -> bool:
        times.append(1)
        released.set()
        return release_free_memory()

    monkeypatch.setattr(evidence_sink, "release_free_memory", release)
    monkeypatch.setattr(evidence_sink, "RELEASE_EVERY_S", 1000.0)  # so that a slow machine does not matter
    watched: CameraMonitor = monitor()
    with sink_for(tmp_path) as sink:
        for item in levels((6, CALM), (2, BRIGHT)):
            tell(sink, watched.update(item))
        assert not times, "no clip has ended yet"
        for item in levels((6, CALM), (2, BRIGHT), (8, CALM), (2, BRIGHT), (8, CALM))[80:]:
            tell(sink, watched.update(item))
        assert released.wait(DEADLINE_S)
    assert len(list(tmp_path.rglob("*.mp4"))) == 2
    assert len(times) == 1, "the second clip ended soon after the first"
