"""Chooses the held-out parts of long footage and scores them.

Held-out parts are not kept while the footage is read, so they are read a second time. They are windows, spread evenly
over the footage. A window is longer than the chunks to learn from, because ``static`` measures how long something stays
still, and that can be minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.detector.base import Detector
from monitor.errors import CaptureError, SourceError
from monitor.judging.scorer import Bare
from monitor.replay import AS_LIVE, LIVE_FPS, frames, scored
from monitor.scores.held_out import HeldOut
from monitor.sources.source import Source
from monitor.stream.frame_rules import FrameRules
from monitor.stream.health.viewpoint import Viewpoint
from monitor.stream.regimes import regime_number
from monitor.types import Frame
from training.learn.normal_footage import CHUNK_S, Normal
from training.progress import Report

WINDOW_CHUNKS = 4
"""Maximum number of chunks per window: three minutes."""
HELD_OUT_S = 7200.0
"""Maximum length of all windows together, seconds."""
HELD_OUT_FRAMES = 36_000
"""Maximum number of frames of all windows: one hour at 10 frames per second, two hours at 5."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a source, from one media time to another, seconds."""

    source: int
    from_s: float
    to_s: float


def windows(normal: Normal, frames_per_s: float) -> list[Window]:
    """Choose windows of chunks that were not kept, spread evenly over the footage, in order of the footage."""
    found: list[Window] = []
    for source, (chunks, first_s, length_s) in enumerate(
        zip(normal.chunk_numbers(), normal.first_s, normal.lengths_s, strict=True)
    ):
        run: list[int] = []
        for chunk in [*chunks, -1]:
            free = chunk >= 0 and chunk % normal.stride != 0
            if free:
                run.append(chunk)
            if run and (not free or len(run) == WINDOW_CHUNKS):
                from_s = first_s + (run[0] - chunks.start) * CHUNK_S
                to_s = min(first_s + (run[-1] + 1 - chunks.start) * CHUNK_S, first_s + length_s)
                if to_s > from_s:
                    found.append(Window(source, from_s, to_s))
                run = []
    limit_s = min(HELD_OUT_S, HELD_OUT_FRAMES / max(frames_per_s, 1e-3))
    total_s = sum(window.to_s - window.from_s for window in found)
    if total_s > limit_s and found:
        count = max(1, int(len(found) * limit_s / total_s))
        found = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, count).round().astype(int))]
    return found


def score_windows(
    normal: Normal,
    chosen: Sequence[Window],
    detectors: Sequence[Detector],
    report: Report,
    viewpoint: Viewpoint,
    analysis_fps: float = LIVE_FPS,
) -> HeldOut:
    """Compute the raw scores of all detectors. Each window is a clip; a gap within a window starts another clip.

    viewpoint: the usual views of the camera, as the live monitor uses them. If a source cannot be read again to the
    same point, the frames before the error are scored.
    """
    times: list[float] = []
    clips: list[int] = []
    scores: dict[str, list[float]] = {detector.name: [] for detector in detectors}
    regimes: list[int] = []
    sources = sorted({window.source for window in chosen})
    with report.steps("scoring held-out footage", len(sources)) as step:
        for number in sources:
            own = [window for window in chosen if window.source == number]
            source, clip, segment = normal.sources[number], clips[-1] if clips else -1, -1
            rules = FrameRules(replace(AS_LIVE, analysis_fps=analysis_fps), viewpoint)
            try:
                for each in scored(_windows_of(source, own, rules), Bare(tuple(detectors))):
                    frame = each.frame
                    if frame.segment != segment:
                        segment, clip = frame.segment, clip + 1
                    if frame.health.scored:
                        times.append(frame.time_s)
                        clips.append(clip)
                        regimes.append(regime_number(frame.image))
                        for detector, detection in zip(detectors, each.detections, strict=True):
                            scores[detector.name].append(detection.score)
                    step.frame()
            except (CaptureError, SourceError) as error:
                report.say(f"{error}: the held-out footage of this source ends here")
            step()
    raw = {name: np.array(values, np.float64) for name, values in scores.items()}
    return HeldOut(np.array(times, np.float64), np.array(clips, np.int32), raw, np.array(regimes, np.int8))


def _windows_of(source: Source, own: Sequence[Window], rules: FrameRules) -> Iterator[Frame]:
    """The frames of the windows of one source. Each window is a separate segment."""
    present: Window | None = None

    def wanted(time_s: float) -> bool:
        nonlocal present
        window = next((window for window in own if window.from_s <= time_s < window.to_s), None)
        if window is not None and window != present:
            rules.new_segment()
        present = window
        return window is not None

    yield from frames(source, rules, from_s=own[0].from_s, to_s=own[-1].to_s, wanted=wanted)
