"""Keeps normal footage in memory, small and in colour: all of it if it is short, otherwise chunks spread over it.

A frame of 320x176 takes 84 KB (luma for each pixel, colour for every four pixels). So ten minutes at 10 frames per
second take 500 MB. Hours take no more than the limit. The length of the footage need not be known in advance: whenever
too much is in memory, every second chunk is dropped, and from then on only every second chunk is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

import cv2
import numpy as np

from monitor.errors import CaptureError, SourceError, UsageError
from monitor.learning.footage import FootageSource, shrunk
from monitor.replay import AS_LIVE, LIVE_FPS, ReplayLog, frames
from monitor.sources.source import Source
from monitor.states import CameraState
from monitor.stream.frame_rules import UNCHECKED, FrameRules
from monitor.text.wording import counted
from monitor.types import Frame, Image
from training.progress import Report, Steps

CHUNK_S = 45.0
"""Seconds per chunk of long footage."""
WHOLE_FRAMES, WHOLE_BYTES = 12_000, 800_000_000
"""Footage up to these limits is kept completely: 20 minutes at 10 frames per second."""
CHUNKED_FRAMES, CHUNKED_BYTES = 8_000, 600_000_000
"""Limits of what is kept of longer footage."""


@dataclass(frozen=True, eq=False)
class Stretch(Sequence[Frame]):
    """Frames of one source without a gap between them. Each frame is unpacked when it is requested.

    source   number of the source
    times    seconds on the source's clock, increasing
    packed   one (h * 3 / 2, w) uint8 array per frame, YUV 4:2:0
    """

    source: int
    name: str
    times: Sequence[float]
    packed: Sequence[Image]

    @overload
    def __getitem__(self, index: int) -> Frame: ...

    @overload
    def __getitem__(self, index: slice) -> Stretch: ...

    def __getitem__(self, index: int | slice) -> Frame | Stretch:
        """A frame, or a part of the stretch."""
        if isinstance(index, slice):
            return Stretch(self.source, self.name, self.times[index], self.packed[index])
        number = range(len(self.times))[index]
        image = np.asarray(cv2.cvtColor(self.packed[index], cv2.COLOR_YUV2BGR_I420), dtype=np.uint8)
        return Frame(self.name, number, self.times[index], image)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last."""
        return self.times[-1] - self.times[0] if self.times else 0.0


@dataclass(frozen=True, eq=False)
class Normal:
    """The normal footage that is kept in memory.

    stretches   in the order of the sources
    sources     the sources that were read, without unreadable ones
    lengths_s   seconds from the first to the last frame of each source, kept or not
    first_s     media time of the first frame of each source, seconds
    unscored    state of health -> number of frames left out, because a live monitor would not score them
    stride      1: everything is kept; n: one of n chunks of CHUNK_S seconds is kept, counted over all sources
    size        (width, height) px of the original frames
    """

    stretches: tuple[Stretch, ...]
    sources: tuple[Source, ...]
    lengths_s: tuple[float, ...]
    first_s: tuple[float, ...]
    stride: int
    size: tuple[int, int]
    unscored: Mapping[str, int] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """True if all of the footage is kept."""
        return self.stride == 1

    @property
    def frames(self) -> int:
        """Number of frames kept."""
        return sum(len(stretch) for stretch in self.stretches)

    @property
    def kept_s(self) -> float:
        """Seconds of footage kept."""
        return sum(stretch.duration_s for stretch in self.stretches)

    @property
    def footage_s(self) -> float:
        """Seconds of footage, kept or not. Gaps count only if the footage is not kept completely."""
        return self.kept_s if self.whole else sum(self.lengths_s)

    def chunk_numbers(self) -> tuple[range, ...]:
        """The numbers of the chunks of each source. A chunk is kept if its number is divisible by ``stride``."""
        found, base = [], 0
        for length_s in self.lengths_s:
            count = int(length_s // CHUNK_S) + 1
            found.append(range(base, base + count))
            base += count
        return tuple(found)


@dataclass(eq=False)
class _Part:
    """The kept frames of one chunk between two gaps."""

    source: int
    name: str
    chunk: int
    segment: int
    times: list[float] = field(default_factory=list)
    packed: list[Image] = field(default_factory=list)


class _Keeper:
    """Takes frames in order and keeps no more than the limits allow."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.stride = 1
        self.size: tuple[int, int] | None = None
        self._frames = self._bytes = 0

    def take(self, source: int, name: str, chunk: int, segment: int, time_s: float, image: Image) -> None:
        """Keep a frame of a wanted chunk. If there are then too many frames, drop every second chunk."""
        size = (image.shape[1], image.shape[0])
        if self.size is None:
            self.size = size
        elif size != self.size:
            raise UsageError(
                f"the frames differ in size: {name} has {size[0]}x{size[1]}, frames before it have "
                f"{self.size[0]}x{self.size[1]}; give footage of one camera with one frame size"
            )
        part = self.parts[-1] if self.parts else None
        if part is None or (part.source, part.chunk, part.segment) != (source, chunk, segment):
            part = _Part(source, name, chunk, segment)
            self.parts.append(part)
        packed = np.asarray(cv2.cvtColor(shrunk(image), cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)
        part.times.append(time_s)
        part.packed.append(packed)
        self._frames += 1
        self._bytes += packed.nbytes
        while self._too_much():
            self.stride *= 2
            self.parts = [part for part in self.parts if part.chunk % self.stride == 0]
            self._frames = sum(len(part.times) for part in self.parts)
            self._bytes = sum(packed.nbytes for part in self.parts for packed in part.packed)
            if len({part.chunk for part in self.parts}) < 2:
                break

    def _too_much(self) -> bool:
        if self.stride == 1:
            return self._frames > WHOLE_FRAMES or self._bytes > WHOLE_BYTES
        return self._frames > CHUNKED_FRAMES or self._bytes > CHUNKED_BYTES

    def stretches(self) -> Iterator[Stretch]:
        """The kept stretches. Chunks that follow each other without a gap are joined."""
        joined: list[_Part] = []
        for part in self.parts:
            before = joined[-1] if joined else None
            if (
                before is not None
                and (before.source, before.segment) == (part.source, part.segment)
                and part.chunk - before.chunk <= 1
            ):
                joined[-1] = _Part(
                    part.source,
                    part.name,
                    part.chunk,
                    part.segment,
                    before.times + part.times,
                    before.packed + part.packed,
                )
            else:
                joined.append(part)
        for part in joined:
            yield Stretch(part.source, part.name, part.times, part.packed)


def read_normal(
    sources: Sequence[Source],
    report: Report,
    *,
    from_s: float = 0.0,
    to_s: float = np.inf,
    analysis_fps: float = LIVE_FPS,
) -> Normal:
    """Read the footage with the rules of a live camera, from ``from_s`` to ``to_s`` of each source, seconds.

    analysis_fps: frames per second; 0: every frame. Frames that a live monitor would not score (frozen, dark, during a
    change of the light) are left out. A recording made by the monitor contains no such frames.

    A source that cannot be read to its end is reported, and the frames before the error are used. Raises UsageError if
    nothing can be read or if the frames have different sizes.
    """
    keeper = _Keeper()
    read: list[Source] = []
    lengths: list[float] = []
    firsts: list[float] = []
    failed: list[str] = []
    log = ReplayLog()
    base = 0
    with report.steps("reading the footage", len(sources)) as step:
        for source in sources:
            try:
                first_s, last_s = _read(source, len(read), base, keeper, step, from_s, to_s, analysis_fps, log)
            except _BrokenOffError as error:
                failed.append(str(error))
                if len(sources) > 1 or keeper.size is not None:  # otherwise the error below reports it
                    since = " from this point on" if error.last_s > error.first_s else ""
                    report.say(f"{error}: left out{since}")
                first_s, last_s = error.first_s, error.last_s
            if np.isfinite(first_s):
                read.append(source)
                firsts.append(first_s)
                lengths.append(last_s - first_s)
                base += int(lengths[-1] // CHUNK_S) + 1
            step()
    if keeper.size is None:
        raise UsageError(f"{_nothing(sources, failed)}: convert the footage or give other files")
    stretches = tuple(stretch for stretch in keeper.stretches() if len(stretch) > 1)
    size = next((source.camera_size for source in read if isinstance(source, FootageSource)), keeper.size)
    return Normal(stretches, tuple(read), tuple(lengths), tuple(firsts), keeper.stride, size, log.unscored)


class _BrokenOffError(Exception):
    """Reading a source failed. Has the media times of the first and last frame before that, seconds; NaN if none."""

    def __init__(self, text: str, first_s: float, last_s: float) -> None:
        super().__init__(text)
        self.first_s, self.last_s = first_s, last_s


def _read(
    source: Source,
    number: int,
    base: int,
    keeper: _Keeper,
    step: Steps,
    from_s: float,
    to_s: float,
    analysis_fps: float,
    log: ReplayLog,
) -> tuple[float, float]:
    """Read a source. Returns the media times of its first and last frame, seconds; NaN if it contains no frame."""
    first_s = last_s = np.nan
    passed_over = False
    # The frames of a recording were checked when they were recorded.
    checked = UNCHECKED if isinstance(source, FootageSource) else AS_LIVE.health
    rules = FrameRules(replace(AS_LIVE, analysis_fps=analysis_fps, health=checked))
    lost_before = len(log.unreadable)

    def wanted(time_s: float) -> bool:
        nonlocal first_s, last_s, passed_over
        step.frame()
        if not np.isfinite(first_s):
            first_s = time_s
        last_s = time_s
        keep = _chunk(base, time_s - first_s) % keeper.stride == 0
        if keep and passed_over:
            rules.new_segment()  # the chunks in between were skipped
        passed_over = not keep
        return keep

    try:
        for frame in frames(source, rules, from_s=from_s, to_s=to_s, wanted=wanted, log=log):
            if frame.health.scored:
                chunk = _chunk(base, frame.time_s - first_s)
                keeper.take(number, source.label, chunk, frame.segment, frame.time_s, frame.image)
    except (CaptureError, SourceError) as error:
        raise _BrokenOffError(str(error), first_s, last_s) from error
    lost = len(log.unreadable) > lost_before
    if not np.isfinite(first_s) or (lost and all(part.source != number for part in keeper.parts)):
        end = f" to {to_s:g} s" if np.isfinite(to_s) else ""
        part = "" if (from_s, to_s) == (0.0, np.inf) else f" from {from_s:g} s{end}"
        what = "cannot be read: none of its frames can be decoded" if lost else f"contains no frame{part}"
        raise _BrokenOffError(f"{source.label} {what}", np.nan, np.nan)
    return first_s, last_s


def left_out(unscored: Mapping[str, int]) -> str:
    """The numbers of frames that are left out, as text: ``120 frames dark, 30 frames frozen``."""
    shown = {state: "unsteady or corrupted" if state == CameraState.ONLINE else state for state in unscored}
    words = [f"{counted(count, 'frame')} {shown[state].replace('_', ' ')}" for state, count in unscored.items()]
    return ", ".join(words)


def _chunk(base: int, since_first_s: float) -> int:
    return base + int(since_first_s // CHUNK_S)


def _nothing(sources: Sequence[Source], failed: Sequence[str]) -> str:
    if len(sources) == 1 and failed:
        return failed[0]
    why = f" ({failed[0]})" if failed else ""
    return f"none of {counted(len(sources), 'source')} can be read{why}"
