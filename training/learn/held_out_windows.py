"""Chooses the held-out parts of long footage: windows, spread evenly over it.

A window is longer than the chunks to learn from, because ``static`` measures how long something stays still, and that
can be minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.learn.normal_footage import CHUNK_S, Normal

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
