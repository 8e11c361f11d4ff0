"""Recorded footage, and the frames of it that would be analysed live."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitor.app.config import CaptureConfig
from monitor.errors import UsageError
from monitor.learning.footage import FootageSource, is_footage
from monitor.sources.finding import Split, open_sources
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.source import Position, Reader, Source
from monitor.stream.frame_timing import Sampler
from monitor.types import Image

LIVE_PER_S = 10.0
"""Frames analysed a second live, unless the user says otherwise."""


def recorded_sources(paths: Sequence[str], split: Split) -> list[Source]:
    """The recorded streams at the paths, each a file or folder; of a data set's root, the split that is meant.

    Videos are decoded in processes of their own: a file that crashes the decoder is then an error like any other.

    Raises SourceError for a path that holds no footage, UsageError for a camera.
    """
    recordings = [path for path in paths if is_footage(Path(path))]
    others = [path for path in paths if path not in recordings]
    sources = open_sources(others, split=split)
    sources += [FootageSource(Path(path)) for path in recordings]
    live = [source.label for source in sources if source.live]
    if live:
        raise UsageError(f"{live[0]} is a live camera: record it first and give the file or folder")
    return [isolate(source, "process") for source in sources]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A frame that would be analysed live.

    image    (H, W, 3) uint8 BGR, None where it is unreadable
    name     what to call the frame before people
    segment  grows at each gap and change of frame size, as live
    """

    position: Position
    image: Image | None
    name: str
    segment: int


def sampled(
    reader: Reader, per_s: float, from_s: float = 0.0, wanted: Callable[[float], bool] = lambda _: True
) -> Iterator[Sample]:
    """The frames of a reader from ``from_s`` on that are analysed live at ``per_s`` a second (0: all).

    wanted: told the media time of each, seconds; one that is not wanted is passed over without being decoded.
    """
    sampler = Sampler(per_s)
    longest_s = max(CaptureConfig().gap_s, 3.0 / reader.fps)
    segment, size, last_s = 0, None, -np.inf
    while (position := reader.grab()) is not None:
        if position.time_s < from_s:
            continue
        if position.time_s - last_s > longest_s and np.isfinite(last_s):
            segment, size = segment + 1, None
            sampler.reset()
        if not sampler.due(position.time_s):
            last_s = position.time_s
            continue
        if not wanted(position.time_s):
            last_s = position.time_s
            sampler.take(position.time_s)
            continue
        image = reader.retrieve()
        if image is not None:
            if size not in (None, image.shape):
                segment += 1
                sampler.reset()
            size, last_s = image.shape, position.time_s
            sampler.take(position.time_s)
        yield Sample(position, image, reader.frame_name or f"frame {position.index}", segment)
