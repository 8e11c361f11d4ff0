"""Footage to learn from: clips in memory at the network's input size, and the part of them that is held out.

Frames pass through the readers and the resize of the live monitor, so training sees the same pixels as the monitor. A
frame takes 27 KB, and training keeps up to three copies of it. So the default limit of 20,000 frames means at most
1.7 GB.
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
from monitor.replay import ReplayLog
from monitor.replay import frames as replay_frames
from monitor.sources.source import Source
from monitor.stream.frame_rules import FrameRules, RuleSettings
from monitor.text.wording import counted
from monitor.types import Image
from training.progress import Report

MANY_CLIPS = 12
"""From this many clips on, whole clips are held out; with fewer clips, the end of each."""
MIN_HELD_OUT = 16
"""Minimum number of held-out frames. With fewer, it is not possible to judge an epoch or to calibrate a score."""


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
    """Clips, and for each the media time in seconds from which it is held out (inf: not held out, 0: completely)."""

    clips: tuple[Clip, ...]
    held_from_s: tuple[float, ...]

    def training(self) -> Tensor:
        """Frames to learn from, (N, 3, 96, 96) uint8 RGB."""
        return torch.from_numpy(self._joined([c.frames[:n] for c, n in self._cut()]))

    def held_out(self) -> Tensor:
        """Held-out frames, (N, 3, 96, 96) uint8 RGB."""
        return torch.from_numpy(self._joined([c.frames[n:] for c, n in self._cut()]))

    def foreground(self) -> Tensor:
        """Difference of each frame of ``training`` from the median of its clip: (N, 1, 96, 96) uint8."""
        return torch.from_numpy(self._joined([_difference(c.frames)[:n] for c, n in self._cut()]))

    def held_sources(self) -> list[tuple[Source, float]]:
        """Sources with a held-out part, and the media time in seconds at which this part starts."""
        return [(c.source, s) for c, s in zip(self.clips, self.held_from_s, strict=True) if s < c.time_s[-1]]

    def lengths_s(self) -> tuple[float, float]:
        """Seconds of footage to learn from, and seconds of held-out footage."""
        learned = sum(float(np.ptp(clip.time_s[:n])) for clip, n in self._cut() if n)
        held = sum(float(np.ptp(clip.time_s[n:])) for clip, n in self._cut() if n < len(clip.time_s))
        return learned, held

    def digest(self) -> str:
        """A hash of all frames and of the split. It shows whether a resumed training reads the same footage."""
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
    """(H, W, 3) uint8 BGR of any size -> (3, 96, 96) uint8 RGB, with the resize of the live detector."""
    return (five_sizes(image, (INPUT_SIZE,))[0] * 255).round().byte().numpy()


def load_clips(sources: Sequence[Source], *, frames_per_s: float, max_frames: int, report: Report) -> list[Clip]:
    """Read the footage. A source that cannot be read to its end is reported, skipped and counted.

    Raises UsageError if no source is left. If there are more than ``max_frames`` frames, every second frame is dropped,
    as often as needed.
    """
    times: list[list[float]] = []
    frames: list[list[NDArray[np.uint8]]] = []
    read: list[Source] = []
    unreadable: list[str] = []  # the reasons
    stride, kept = 1, 0
    with report.steps("reading the footage", len(sources)) as step:
        for source in sources:
            clip_times: list[float] = []
            clip_frames: list[NDArray[np.uint8]] = []
            log = ReplayLog()
            rules = FrameRules(RuleSettings(analysis_fps=frames_per_s))  # every frame as it is, as published
            try:
                for seen, frame in enumerate(replay_frames(source, rules, log=log)):
                    if seen % stride == 0:
                        clip_times.append(frame.time_s)
                        clip_frames.append(network_input(frame.image))
                        kept += 1
                    while kept > max_frames:
                        times, clip_times = [t[::2] for t in times], clip_times[::2]
                        frames, clip_frames = [f[::2] for f in frames], clip_frames[::2]
                        stride, kept = stride * 2, sum(map(len, times)) + len(clip_times)
            except (SourceError, CaptureError) as error:
                # Its beginning is skipped too, because scoring its held-out part would fail at the same place.
                kept -= len(clip_frames)
                clip_times, clip_frames, log = [], [], ReplayLog()
                unreadable.append(str(error))
                if len(sources) > 1:
                    report.say(f"skipped: {error}")
            if lost := log.unreadable:
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
        report.say(f"{len(unreadable)} of {counted(len(sources), 'source')} skipped")
    if stride > 1:
        report.say(f"kept one of {stride} frames, so that at most {max_frames} are in memory")
    # Clip by clip, so that at most one clip is in memory twice.
    return [Clip(s, np.array(t), np.stack(frames.pop(0))) for s, t in zip(read, times, strict=True)]


def split(clips: Sequence[Clip], fraction: float, min_training: int) -> Footage:
    """Hold out about ``fraction`` of the frames: the end of each clip, or whole clips if there are many.

    It never holds out single frames, because they look like their neighbours in the training part and would not show
    how the network handles unseen footage. Raises UsageError if too little is left for training or is held out.
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
        else:  # evenly over the clips: hold a clip out if the held-out part is behind by at least half of this clip
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
    """(N, 3, 96, 96) -> (N, 1, 96, 96): mean absolute difference from the clip's median, in grey levels."""
    median = np.median(frames[:: max(1, len(frames) // 200)], axis=0)
    return np.stack([np.abs(frame - median).mean(axis=0, keepdims=True) for frame in frames]).astype(np.uint8)
