"""The doctor on a camera that gives frames: the timing of its frames, and advice to improve it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.app.doctor.children import probe
from monitor.app.doctor.cores import CoreWait
from monitor.app.doctor.doctor_report import text_line
from monitor.app.doctor.facts import Failure, StreamFacts, Trouble
from monitor.app.doctor.finding_report import State
from monitor.app.doctor.rhythm import Arrival, rhythm
from monitor.app.doctor.stream_check import _ahead_s
from monitor.app.doctor.verdict import judge_failure, judge_stream
from monitor.processes import ChildWork, Shares
from tests.helpers.examined import GOOD, SECRET, request

# Advice


def advice(facts: StreamFacts) -> str:
    finding = judge_stream("door", facts, request("url", "rtsp://h/x"), 10.0)
    assert finding.state is (State.WARNING if finding.mend else State.OK)
    return finding.mend


def test_a_good_camera_gets_no_advice() -> None:
    assert advice(GOOD) == ""
    assert advice(replace(GOOD, decode_ms=12.4)) == ""  # a smaller stream would hardly cost less
    assert advice(replace(GOOD, width=1920, height=1080)) == ""


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(GOOD, width=2560, height=1440), "sub-stream"),
        (replace(GOOD, width=1920, height=1080, decode_ms=12.4), "1920x1080 at 25 frames/s costs 31 % of a core to"),
        (replace(GOOD, decode_ms=38.0), "640x360 at 25 frames/s costs 95 % of a core to decode: set its sub-stream"),
        (replace(GOOD, claimed_fps=60.0, fps=59.9), "sub-stream"),
        (replace(GOOD, key_frame_s=10.0), "key-frame"),
        (replace(GOOD, key_frame_s=None, without_key_s=4.9), "key-frame"),
        (replace(GOOD, longest_wait_s=1.5), "gaps"),
        (replace(GOOD, damaged=3), "damaged"),
        (replace(GOOD, fps=12.0), "fewer frames"),
        (replace(GOOD, claimed_fps=5.0, fps=5.0), "analysis_fps = 5"),
        (replace(GOOD, stalled=True), "stopped sending"),
        (replace(GOOD, claimed_fps=None, fps=1 / 3, longest_wait_s=3.0), "set analysis_fps = 0.4"),
        (replace(GOOD, claimed_fps=None, fps=1 / 3, longest_wait_s=3.0), "below 0.5 frames per second"),
        (replace(GOOD, claimed_fps=None, fps=1 / 3, longest_wait_s=3.0), "set read_timeout_s = 6 under [capture]"),
        (replace(GOOD, stalled=True, burst_s=20.0), "set read_timeout_s = 40 under [capture]"),
        (replace(GOOD, core_wait=0.9, burst_s=20.0), "set read_timeout_s = 40 under [capture]"),
        (replace(GOOD, open_s=6.0), "set open_timeout_s = 12 under [capture]"),
        (replace(GOOD, claimed_fps=None, fps=None, pictures=3, longest_wait_s=None), "too few frames"),
    ],
)
def test_advice_for_a_camera_that_could_do_better(facts: StreamFacts, said: str) -> None:
    assert said in advice(facts)


def test_the_camera_is_not_blamed_for_a_machine_that_is_too_slow() -> None:
    late = replace(GOOD, fps=6.0, longest_wait_s=1.5)
    busy = advice(replace(late, core_wait=0.4))
    assert busy.startswith("this machine is overloaded: end other programs")
    slow = advice(replace(late, decode_ms=160.0, core_wait=0.02))
    assert "of a core to decode: set its sub-stream" in slow
    for said in (busy, slow):
        assert "network" not in said
        assert "fewer frames" not in said
    assert "raise its frame rate" not in busy
    idle = advice(replace(late, core_wait=0.01))
    assert "gaps: check the network" in idle


def core_s(process: int) -> float:
    """Seconds for which a process has had a core."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="the system does not report it")
def test_waiting_for_a_core_that_another_has_is_measured() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    # It ends by itself, because a busy machine may not let this process end it for a long time.
    burn = "import time\nprint(flush=True)\nend = time.monotonic() + 4\nwhile time.monotonic() < end: pass"
    hog = subprocess.Popen([sys.executable, "-c", burn], stdout=subprocess.PIPE)
    try:
        assert hog.stdout is not None
        hog.stdout.readline()
        wait, burnt_s, began = CoreWait(), core_s(hog.pid), time.monotonic()
        while time.monotonic() < began + 1.0:
            pass
        share, had = wait.share(), (core_s(hog.pid) - burnt_s) / (time.monotonic() - began)
    finally:
        os.sched_setaffinity(0, before)
        hog.kill()
        hog.communicate()
    # How a scheduler divides a core between the two is not known; what one has, the other waits for.
    assert share is not None
    assert share > 0
    assert share > had - 0.1, "or longer: other programs may have the core, too"


def test_portrait_full_hd_is_not_too_large() -> None:
    assert advice(replace(GOOD, width=1080, height=1920)) == ""


@pytest.mark.parametrize("trouble", Trouble)
def test_every_trouble_has_a_sentence_and_a_mend(trouble: Trouble) -> None:
    finding = judge_failure("camera", "a", Failure(trouble, "why"), request("url", f"rtsp://u:{SECRET}@h:99999/x"))
    assert finding.found
    assert finding.mend
    assert not {"{", "}"} & set(finding.found + finding.mend)
    assert SECRET not in text_line(finding)


# The timing of a stream


def test_pictures_in_store_count_for_key_frames_but_not_for_the_rate() -> None:
    stored = [Arrival(1.0, None if i == 0 else 0.04 * i, i % 10 == 0) for i in range(25)]
    live = [Arrival(1.0 + 0.04 * i, 1.0 + 0.04 * i, i % 10 == 5) for i in range(1, 26)]
    beat = rhythm([*stored, *live], 25.0)
    assert beat.fps == pytest.approx(25.0)
    assert beat.longest_wait_s == pytest.approx(0.04)
    assert beat.jitter_s == pytest.approx(0.0, abs=1e-9)
    assert beat.key_frame_s == pytest.approx(0.4, abs=0.05)


def test_a_gap_and_a_last_key_frame_long_ago() -> None:
    times = [0.1 * i for i in range(20)] + [3.5 + 0.1 * i for i in range(20)]
    beat = rhythm([Arrival(t, None, key=t == 0.0) for t in times], 10.0)
    assert beat.longest_wait_s == pytest.approx(1.6)
    assert beat.key_frame_s is None
    assert beat.without_key_s == pytest.approx(5.4)


def test_pictures_that_all_come_at_once_have_no_rate() -> None:
    beat = rhythm([Arrival(0.5, 0.04 * i, key=True) for i in range(50)], 25.0)
    assert (beat.fps, beat.longest_wait_s, beat.jitter_s) == (None, None, None)
    assert rhythm([], 25.0).key_frame_s is None


def test_frames_that_come_long_before_their_time_are_a_burst() -> None:
    assert _ahead_s([Arrival(0.01 * n, 0.1 * n, key=True) for n in range(200)]) == pytest.approx(17.9, abs=0.1)
    assert _ahead_s([Arrival(0.1 * n + 0.5 * (n > 0), 0.1 * n, key=True) for n in range(200)]) == 0.0
    assert _ahead_s([Arrival(0.01 * n, None, key=True) for n in range(200)]) == 0.0


def test_that_a_camera_in_bursts_waits_is_not_blamed_on_the_network() -> None:
    assert "stopped sending" not in advice(replace(GOOD, stalled=True, burst_s=20.0))


@pytest.mark.parametrize(("waited", "trouble"), [(0.9, Trouble.TOO_BUSY), (0.0, Trouble.HUNG)])
def test_a_check_that_got_no_core_does_not_blame_the_camera(
    waited: float, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_MEASURE_S", "_LOOK_AGAIN_S"):
        monkeypatch.setattr(f"monitor.app.doctor.children.{name}", 0.01)
    monkeypatch.setattr(ChildWork, "shares", lambda _: Shares(0.0, waited))
    asked = replace(request("url", "rtsp://127.0.0.1:9/x"), deadline_s=0.01)
    found = probe(asked)
    assert found == Failure(trouble, "starting")
    said = judge_failure("camera", "door", found, asked)
    assert ("restart the camera" in said.mend) == (trouble is Trouble.HUNG)
    assert ("this machine is too busy" in said.found) == (trouble is Trouble.TOO_BUSY)
