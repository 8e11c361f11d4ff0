"""What the benchmark of engines counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from benchmarks.engines import TIMES, Figures, cpu_s, tree, write_videos


def test_the_cost_of_sharing_leaves_decoders_out() -> None:
    figures = Figures(fps=300.0, run=0.25, engines=3.0, decoders=0.5)
    assert figures.watching == pytest.approx(3.25)
    assert figures.all == pytest.approx(3.75)


def test_the_time_of_a_process_and_of_all_below_it_is_counted() -> None:
    inner = "import sys; print('ready', flush=True); sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen([sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        found = tree(process.pid)
        assert (len(found), found[0]) == (2, process.pid)
        assert all(cpu_s(pid) > 0 for pid in found)
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    assert cpu_s(process.pid) == 0.0
    assert tree(process.pid) == [process.pid]


def test_each_camera_has_a_video_of_its_own_that_is_long_enough(tmp_path: Path) -> None:
    sources = write_videos(tmp_path, 2, 3, (64, 36))
    paths = [Path(source.partition("=")[2]) for source in sources]
    assert paths[0].read_bytes() != paths[1].read_bytes()
    for path in paths:
        video = cv2.VideoCapture(str(path))
        assert (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FRAME_WIDTH)) == (3 * TIMES, 64)
        video.release()
