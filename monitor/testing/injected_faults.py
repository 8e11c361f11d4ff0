"""Injects one fault at a time into one of two cameras, and measures its state, detection, recovery and lost frames.

The tests check the results of ``run_fault``, and ``benchmarks/faults.py`` prints them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from itertools import pairwise

from monitor.live.capture import CaptureSettings
from monitor.sources.camera import CameraSource
from monitor.sources.isolated.isolated_source import IsolatedReader, IsolatedSource
from monitor.states import CameraState
from monitor.stream.health.health_settings import HealthSettings
from monitor.testing.captured import Watched, captured, eventually
from monitor.testing.faulty_camera import FPS, ONCE, Fault, FaultyCamera
from monitor.types import CaptureStatus

LOST = (CameraState.OFFLINE, CameraState.STALLED)
EXPECTED: dict[Fault, tuple[CameraState, ...]] = {
    Fault.REFUSES: (CameraState.OFFLINE,),
    Fault.SILENT: (CameraState.STALLED,),
    Fault.DIES: (CameraState.OFFLINE,),
    Fault.GARBAGE: LOST,
    Fault.FROZEN: (CameraState.FROZEN,),
    Fault.BLACK: (CameraState.DARK,),
    Fault.SIZE: (CameraState.OFFLINE,),
    Fault.RESIZED: (),
    Fault.SLOW: (),
    Fault.FLAPS: (CameraState.OFFLINE,),
    Fault.LOSS: (),
    Fault.PASSWORD: (CameraState.OFFLINE,),
    Fault.CODEC: (CameraState.OFFLINE,),
    Fault.DECODER: (CameraState.OFFLINE,),
}
"""The states that a camera may be shown in while it has this fault; empty if it can still be watched."""

DEADLINE_S = 60.0
"""Seconds to wait for a state or a frame, at most."""
_AT_LEAST_S = {Fault.SLOW: 3.2, Fault.LOSS: 2.0, Fault.RESIZED: 2.0, Fault.FLAPS: 4.5}
"""Seconds that a fault lasts at least. RESIZED: a decoder on a busy machine needs some time for the new size."""


@dataclass(frozen=True)
class Deadlines:
    """The monitor's settings for the detection of a fault and the recovery, and the duration of faults.

    hold_s  seconds that a fault lasts after it is shown; if it is not shown, after it was injected
    """

    open_timeout_s: float = 5.0
    read_timeout_s: float = 4.0
    backoff_min_s: float = 0.5
    backoff_max_s: float = 30.0
    health: HealthSettings = HealthSettings()  # noqa: RUF009 - frozen
    hold_s: float = 5.0

    @property
    def capture(self) -> CaptureSettings:
        """Settings of the capture loop."""
        return CaptureSettings(
            analysis_fps=10.0,
            stall_after_s=self.read_timeout_s,
            backoff_min_s=self.backoff_min_s,
            backoff_max_s=self.backoff_max_s,
            health=self.health,
        )


SHORT = Deadlines(1.5, 1.5, 0.1, 0.3, HealthSettings(frozen_after_s=1.0, dark_after_s=0.5), hold_s=0.5)
"""Short times for tests."""


@dataclass(frozen=True)
class FaultResult:
    """The result of a fault. Times are in seconds; frames are pictures of the camera (25 per second).

    state          the camera's state during the fault
    detail         the sentence that describes this state
    detected_s     time from the fault to the first such state; None if the fault is not shown
    recovered_s    time from the camera's recovery to the first picture that is scored again
    missed_during  frames that a camera without a fault would have sent during the fault, but that were not received
    missed_after   frames that were not received after the camera's recovery
    segments       number of new segments, from before the fault to after it
    size           (width, height) of the pictures after the fault
    other_gap_s    longest pause between two analysed frames (10 per second) of a second camera without a fault
    """

    fault: str
    state: CameraState
    detail: str
    detected_s: float | None
    recovered_s: float
    missed_during: int
    missed_after: int
    segments: int
    size: tuple[int, int] | None
    other_gap_s: float


class Noted(IsolatedSource):
    """An isolated source that knows the process id of its latest decoder."""

    pid = 0

    def open(self) -> IsolatedReader:
        """Open the source and store its decoder's process id in ``pid``."""
        reader = super().open()
        self.pid = reader.pid
        return reader


_SAID = dict.fromkeys((Fault.REFUSES, Fault.PASSWORD, Fault.CODEC), "cannot be opened")
"""A part of the detail after an attempt to open the camera again. Before, the detail is that the connection closed."""


def run_fault(fault: Fault, deadlines: Deadlines) -> FaultResult:
    """Inject a fault, then end it. Raises AssertionError if it is not shown, or not over, within a minute."""
    with (
        FaultyCamera() as camera,
        FaultyCamera() as sound,
        captured(source := _source("struck", camera, deadlines), deadlines.capture) as (capture, sink),
        captured(_source("sound", sound, deadlines), deadlines.capture) as (_, steady),
    ):
        assert sink.more(3)
        assert steady.more(3)
        before, segment, calm_from = capture.status, sink.frames[-1].segment, len(steady.frames)
        struck_at = time.monotonic()
        if fault is Fault.DECODER:
            os.kill(source.pid, signal.SIGKILL)
        else:
            camera.strike(fault)
        expected, detected_s = EXPECTED[fault], None
        if expected:
            assert eventually(lambda: capture.status.state in expected, DEADLINE_S), (fault, capture.status)
            detected_s = time.monotonic() - struck_at
        shown = broken = capture.status
        if fault in (*ONCE, Fault.DECODER):
            mended_at, over_from = struck_at, struck_at + (detected_s or 0.0)
        else:
            threading.Event().wait(max(deadlines.hold_s, _AT_LEAST_S.get(fault, 0.0)))
            # On a busy machine, the first attempt to open the camera again may take longer than hold_s.
            assert eventually(lambda: _SAID.get(fault, "") in capture.status.detail, DEADLINE_S), capture.status
            broken, mended_at = capture.status, time.monotonic()
            over_from = mended_at
            shown = broken if broken.state in expected or not expected else shown
            camera.mend()
        recovered_at = _first_good_frame(sink, over_from)
        back, segments = capture.status, sink.frames[-1].segment - segment
        seen = [frame.captured_at for frame in steady.frames[calm_from:]]
    return FaultResult(
        fault.value,
        shown.state,
        shown.detail,
        detected_s,
        recovered_at - mended_at,
        _missed(mended_at - struck_at, before, broken),
        _missed(recovered_at - mended_at, broken, back),
        segments,
        back.size,
        max((b - a for a, b in pairwise(seen)), default=0.0),
    )


def _source(name: str, camera: FaultyCamera, deadlines: Deadlines) -> Noted:
    open_s, read_s = deadlines.open_timeout_s, deadlines.read_timeout_s
    source = CameraSource(name, camera.url, open_timeout_s=open_s, read_timeout_s=read_s)
    return Noted(source, open_timeout_s=open_s, read_timeout_s=read_s)


def _missed(duration_s: float, before: CaptureStatus, after: CaptureStatus) -> int:
    return max(0, round(duration_s * FPS) - (after.frames_in - before.frames_in))


def _first_good_frame(sink: Watched, since: float) -> float:
    """Time at which the first scored frame after ``since`` was read; both are times of time.monotonic()."""

    def found() -> list[float]:
        return [frame.captured_at for frame in sink.frames if frame.captured_at > since and frame.health.scored]

    with sink.changed:
        assert sink.changed.wait_for(lambda: bool(found()), DEADLINE_S), "it did not recover"
        return found()[0]
