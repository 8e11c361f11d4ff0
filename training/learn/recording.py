"""Records normal footage from a live camera for a given time."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from monitor.errors import CaptureError, RunError, UsageError
from monitor.learning.footage import FootageSource, FootageWriter, is_footage, recording_rate
from monitor.live.pacing import Backoff
from monitor.replay import AS_LIVE, frames
from monitor.sources.finding import open_sources
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.opencv import FALLBACK_FPS
from monitor.sources.source import Source
from monitor.stream.frame_rules import FrameRules
from monitor.text.durations import in_words
from training.progress import Report
from training.recordings import recorded_sources

_NOTHING_FOR_S = 60.0
"""After this many seconds without a frame, recording fails."""


def footage_of(
    specs: Sequence[str], folder: Path, for_s: float, report: Report, analysis_fps: float, fps: float = FALLBACK_FPS
) -> list[Source]:
    """Open the recorded sources that the user names. For a live camera, record ``for_s`` seconds of footage first.

    fps: frames per second of folders of images

    Raises UsageError for several cameras and for a camera together with files, because a model belongs to one camera.
    """
    live = [source for source in open_sources(specs_of_cameras(specs)) if source.live]
    if not live:
        return recorded_sources(specs, split="training_videos", fps=fps)
    if len(specs) > 1:
        raise UsageError(f"{live[0].label} is a live camera: give it alone, because a model belongs to one camera")
    footage = folder / "footage"
    record(isolate(live[0], "process"), footage, for_s, report, analysis_fps)
    if not is_footage(footage):
        raise UsageError(f"no usable frame came from {live[0].label} within {in_words(for_s)}: check the address")
    return [FootageSource(footage)]


def specs_of_cameras(specs: Sequence[str]) -> list[str]:
    """The specs that are not paths on the disk."""
    # Path.exists would raise OSError for text that is too long for a path.
    return [spec for spec in specs if not os.path.exists(spec)]  # noqa: PTH110


def record(source: Source, folder: Path, for_s: float, report: Report, analysis_fps: float) -> None:
    """Record a live camera for ``for_s`` seconds into a folder of footage. If the connection is lost, it reconnects.

    The rules of a live camera choose the frames. Only frames that would be scored are recorded.

    Raises UsageError if the camera gives no frame for a minute, RunError if the disk cannot be written.
    """
    backoff = Backoff(0.5, 10.0, 0.3, random.Random())
    rules = FrameRules(replace(AS_LIVE, analysis_fps=analysis_fps))
    writer: FootageWriter | None = None
    started = last_at = time.monotonic()
    with report.steps(f"recording {source.label} for {in_words(for_s)}", round(for_s)) as step:
        seconds = 0
        segment = None
        while time.monotonic() - started < for_s:
            try:
                for frame in frames(source, rules):
                    last_at = now = time.monotonic()
                    if now - started >= for_s:
                        return
                    while seconds < now - started:
                        seconds += 1
                        step()
                    if not frame.health.scored:
                        continue
                    size = (frame.image.shape[1], frame.image.shape[0])
                    writer = writer or FootageWriter(folder, source.label, size, recording_rate(analysis_fps))
                    if frame.segment != segment:
                        segment = frame.segment
                        writer.new_stretch()
                    writer.add(frame.time_s, frame.image)
            except CaptureError as error:
                if time.monotonic() - last_at > _NOTHING_FOR_S:
                    raise UsageError(f"{error}: no frame came for {_NOTHING_FOR_S:.0f} s; check the address") from error
                report.say(f"{error}; trying again")
                rules.new_segment()
                time.sleep(backoff.next())
            except OSError as error:
                raise RunError(f"cannot record to {folder}: {error.strerror}") from error
