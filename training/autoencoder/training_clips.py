"""Footage to learn from: clips held in memory at the network's size, and which part of them is held out.

Frames come through the readers and the resize of the live monitor, so training sees the pixels that the
monitor sees. A frame takes 27 KB and is held up to three times while training, so the default bound of 20,000
frames means at most 1.7 GB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monitor.detector.true_sight.autoencoder import INPUT_SIZE
from monitor.detector.true_sight.published_score import five_sizes
from monitor.errors import CaptureError, SourceError, UsageError
from monitor.sources.source import Source
from monitor.text.wording import counted
from monitor.types import Image
from training.progress import Report
from training.sampling import Sample as Sample
from training.sampling import recorded_sources as recorded_sources
from training.sampling import sampled as sampled

MANY_CLIPS = 12
"""From this many clips on, whole clips are held out; with fewer, the tail of each."""
MIN_HELD_OUT = 16
"""Held-out frames below which neither an epoch can be judged nor a score calibrated."""


@dataclass(frozen=True, eq=False)
class Clip:
    """The sampled frames of a source.

    time_s  (N,) float64, media time in seconds
    frames  (N, 3, 96, 96) uint8 RGB
    """

    source: Source
    time_s: NDArray[np.float64]
    frames: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Footage:
    """Clips, and for each the media time from which it is held out (inf: not at all, 0: as a whole)."""

    clips: tuple[Clip, ...]
    held_from_s: tuple[float, ...]

    def training(self) -> Tensor:
        """Frames to learn from, (N, 3, 96, 96) uint8 RGB."""
        return torch.from_numpy(self._joined([c.frames[:n] for c, n in self._cut()]))

    def held_out(self) -> Tensor:
        """Frames to judge by, (N, 3, 96, 96) uint8 RGB."""
        return torch.from_numpy(self._joined([c.frames[n:] for c, n in self._cut()]))

    def foreground(self) -> Tensor:
        """For each frame of ``training``, how much it differs from its clip's median: (N, 1, 96, 96) uint8."""
        return torch.from_numpy(self._joined([_difference(c.frames)[:n] for c, n in self._cut()]))

    def held_sources(self) -> list[tuple[Source, float]]:
        """Sources with a held-out part, and the media time where it starts, seconds."""
        return [(c.source, s) for c, s in zip(self.clips, self.held_from_s, strict=True) if s < c.time_s[-1]]

    def lengths_s(self) -> tuple[float, float]:
        """Seconds of footage to learn from, and seconds held out."""
        learned = sum(float(np.ptp(clip.time_s[:n])) for clip, n in self._cut() if n)
        held = sum(float(np.ptp(clip.time_s[n:])) for clip, n in self._cut() if n < len(clip.time_s))
        return learned, held

    def digest(self) -> str:
        """A hash of every frame and of the split: the same footage was read again."""
        found = hashlib.blake2b(digest_size=16)
        for clip, start in zip(self.clips, self.held_from_s, strict=True):
            found.update(clip.frames.tobytes())
            found.update(f"{len(clip.frames)} {start}".encode())
        return found.hexdigest()

    def _cut(self) -> list[tuple[Clip, int]]:
        return [
            (clip, int(np.searchsorted(clip.time_s, start)))
            for clip, start in zip(self.clips, self.held_from_s, strict=True)
        ]

    @staticmethod
    def _joined(parts: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        return np.concatenate(parts)


def network_input(image: Image) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR of any size -> (3, 96, 96) uint8 RGB, by the live detector's own resize."""
    return (five_sizes(image, (INPUT_SIZE,))[0] * 255).round().byte().numpy()


def load_clips(sources: Sequence[Source], *, frames_per_s: float, max_frames: int, report: Report) -> list[Clip]:
    """Read the footage. A source that cannot be read to its end is named, left out and counted.

    Raises UsageError when that leaves none. Where more than ``max_frames`` frames would be kept, every second one is
    left out, as often as needed.
    """
    times: list[list[float]] = []
    frames: list[list[NDArray[np.uint8]]] = []
    read: list[Source] = []
    unreadable: list[str] = []  # why
    stride, kept = 1, 0
    with report.steps("reading the footage", len(sources)) as step:
        for source in sources:
            clip_times: list[float] = []
            clip_frames: list[NDArray[np.uint8]] = []
            lost: list[str] = []
            try:
                with source.open() as reader:
                    for seen, sample in enumerate(sampled(reader, frames_per_s)):
                        if sample.image is None:
                            lost.append(sample.name)
                        elif seen % stride == 0:
                            clip_times.append(sample.position.time_s)
                            clip_frames.append(network_input(sample.image))
                            kept += 1
                        while kept > max_frames:
                            times, clip_times = [t[::2] for t in times], clip_times[::2]
                            frames, clip_frames = [f[::2] for f in frames], clip_frames[::2]
                            stride, kept = stride * 2, sum(map(len, times)) + len(clip_times)
            except (SourceError, CaptureError) as error:
                # Its beginning too: the scores of what is held out of it would end in the same place.
                kept -= len(clip_frames)
                clip_times, clip_frames, lost = [], [], []
                unreadable.append(str(error))
                if len(sources) > 1:
                    report.say(f"left out: {error}")
            if lost:
                named = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
                report.say(f"skipped {counted(len(lost), 'unreadable frame')} of {source.label}: {named}")
            if clip_frames:
                times.append(clip_times)
                frames.append(clip_frames)
                read.append(source)
            step()
    if unreadable and not read:
        why = unreadable[0] if len(sources) == 1 else f"none of {len(sources)} sources can be read ({unreadable[0]})"
        raise UsageError(f"{why}: convert the footage or give other files")
    if unreadable:
        report.say(f"{len(unreadable)} of {counted(len(sources), 'source')} left out")
    if stride > 1:
        report.say(f"kept every {stride}th frame, so that at most {max_frames} are in memory")
    # Clip by clip, so that only one of them is in memory twice.
    return [Clip(s, np.array(t), np.stack(frames.pop(0))) for s, t in zip(read, times, strict=True)]


def split(clips: Sequence[Clip], fraction: float, min_training: int) -> Footage:
    """Hold out about ``fraction`` of the frames: the tail of each clip, or whole clips where there are many.

    Never single frames: the neighbour of a frame in training would say nothing of footage not seen.
    Raises UsageError when too little is left to train on or to judge by.
    """
    total = sum(len(clip.frames) for clip in clips)
    if not total:
        raise UsageError("no frames found: give videos, folders of frames or an Avenue tree")
    starts: list[float] = []
    passed = held = 0
    for clip in clips:
        n = len(clip.frames)
        if len(clips) < MANY_CLIPS:
            own = round(n * fraction)
        else:  # evenly over the clips: hold one out whenever the held-out part has fallen behind by half of it
            passed += n
            own = n if passed * fraction - held >= n / 2 else 0
        held += own
        starts.append(0.0 if own == n else float(clip.time_s[n - own]) if own else np.inf)
    needed = max(round(np.ceil(min_training / (1 - fraction))), round(np.ceil(MIN_HELD_OUT / fraction))) + len(clips)
    if held < MIN_HELD_OUT or total - held < min_training:
        raise UsageError(
            f"too few frames: {total} found, about {needed} are needed; "
            "give more footage or set a higher frames_per_s in the recipe"
        )
    return Footage(tuple(clips), tuple(starts))


def _difference(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, 3, 96, 96) -> (N, 1, 96, 96): mean absolute difference from the clip's median, grey levels."""
    median = np.median(frames[:: max(1, len(frames) // 200)], axis=0)
    return np.stack([np.abs(frame - median).mean(axis=0, keepdims=True) for frame in frames]).astype(np.uint8)
