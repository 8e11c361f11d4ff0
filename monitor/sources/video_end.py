"""Whether a video file holds everything that it should hold: asked when a reader has come to an early end.

The length of a container is that of its longest stream, and its frame count includes frames that an edit list hides.
So an early end alone proves nothing. The packets do: they are read to the end, without decoding.

A part in the middle that cannot be read leaves a jump in time. So does a pause of the recording. The positions of the
packets in the file tell them apart: a pause takes no bytes.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.packet import Packet

_MISSING_SHARE, _MISSING_S = 0.02, 0.5
"""Packets are missing if more than both are: a share of what the file should hold, and seconds of it."""
_JUMP_S = 1.0
"""Shortest time between two frames that may hide lost ones, seconds."""
_HOLE_BYTES, _HOLE_SHARE = 8192, 0.25
"""A hole is a part of the file that is in no packet. Least size of one that lost frames: bytes, because containers have
some of their own between packets, and a share of the bytes that the video has elsewhere in the time of the jump."""
_NEAR = 3  # packets beside a jump that may come before the hole: a decoder of containers finds its place again slowly
_MOST_S = 15.0  # then the question stays open: a reader that waits for longer would be taken for hung
_MOST_RESUMED = 10_000
_TS_SIZES = (188, 192, 204)
_LOOK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Packets:
    """What the packets of a file show.

    held_s     seconds from the start of the file to the end of the last packet of any stream
    start_s    time stamp of that start, seconds: many programs add it to the length of a file that does not begin at 0
    claimed_s  length of the container, seconds; None if it stores none
    frames     packets of the video stream
    listed     frames that the container's index lists for the video stream; 0 if it has no index
    shown_s    seconds of video to be shown: from the first packet that no edit list hides to the end of the last one
    shown      packets of the video stream that no edit list hides
    exact      True if the index lists every frame: mp4, mov and similar
    """

    held_s: float
    claimed_s: float | None
    frames: int
    listed: int
    shown_s: float
    start_s: float = 0.0
    shown: int = 0
    exact: bool = False

    @property
    def complete(self) -> bool:
        """Whether nothing of the file is missing. An index is trusted more than a length."""
        if self.listed:
            return self.frames >= (1.0 if self.exact else 1 - _MISSING_SHARE) * self.listed
        if self.claimed_s is None:
            return True
        lasts_s = self.claimed_s - self.start_s
        return self.held_s >= _least_s(lasts_s if lasts_s > 0 else self.claimed_s)


def _least_s(length_s: float) -> float:
    return min((1 - _MISSING_SHARE) * length_s, length_s - _MISSING_S)


def read_packets(path: Path | str) -> Packets | None:
    """Read all packets of a file; if they are damaged, up to there. None if the file cannot be opened."""
    try:
        return _read(path)
    except (av.error.FFmpegError, OSError, ValueError):  # ValueError: a name that is no text
        return None


def _read(path: Path | str) -> Packets:
    frames, hidden, held_s = 0, 0, 0.0
    shown: list[float] = []  # first and last second of video to be shown
    with av.open(str(path)) as container:
        video = container.streams.video[0] if container.streams.video else None
        claimed_s = None if container.duration is None else container.duration / av.time_base
        start_s = 0.0 if container.start_time is None else container.start_time / av.time_base
        listed = 0 if video is None else video.frames
        try:
            for packet in packets_of(container):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if packet.size == 0 or stamp is None or packet.time_base is None:
                    continue  # the end of a stream
                from_s = float(stamp * packet.time_base) - start_s
                to_s = from_s + float((packet.duration or 0) * packet.time_base)
                held_s = max(held_s, to_s)
                if packet.stream is video:
                    frames += 1
                    if packet.is_discard:
                        hidden += 1
                    else:
                        shown = [min(shown[0], from_s), max(shown[1], to_s)] if shown else [from_s, to_s]
        except av.error.FFmpegError:
            pass  # damaged from here on: what was read counts
        exact = "mp4" in container.format.name
    shown_s = shown[1] - shown[0] if shown else 0.0
    return Packets(held_s, claimed_s, frames, listed, shown_s, start_s, frames - hidden, exact)


def packets_of(container: InputContainer, index: int | None = None) -> Iterator[Packet[Any]]:
    """All packets of a file, or those of one stream, also behind a damaged part that FFmpeg skips step by step.

    Raises av.error.FFmpegError if it cannot be read any further.
    """
    for _ in range(_MOST_RESUMED):
        try:
            yield from container.demux(*([] if index is None else [container.streams[index]]))
        except av.error.BlockingIOError:  # "try again": it has not found the next packet yet
            continue
        return


def lost_in_holes(path: Path) -> float:
    """Seconds of video that are lost in the middle of a file, because parts of it cannot be read.

    A jump in time counts if bytes of the file that would hold its frames are in no packet. Takes at most 15 s; 0.0 if
    this is not enough, or if the file cannot be read.
    """
    try:
        return _lost(path, time.monotonic() + _MOST_S)
    except (av.error.FFmpegError, OSError, ValueError):
        return 0.0


def _lost(path: Path, deadline: float) -> float:
    times, places = array("d"), array("q")  # of the video's packets: seconds, and bytes from the start of the file
    holes: list[tuple[int, int]] = []
    held, end = 0, -1
    with av.open(str(path), metadata_errors="replace") as container:
        video = container.streams.video[0]
        is_ts = "mpegts" in container.format.name
        try:
            for packet in packets_of(container):
                if time.monotonic() > deadline:
                    return 0.0
                place = packet.pos
                if packet.size == 0 or place is None or place < 0:
                    continue
                if end >= 0 and place - end >= _HOLE_BYTES:
                    holes.append((end, place))
                end = max(end, place + packet.size)
                stamp = packet.dts if packet.dts is not None else packet.pts
                if packet.stream is video and stamp is not None and packet.time_base is not None:
                    held += packet.size
                    times.append(float(stamp * packet.time_base))
                    places.append(place)
        except av.error.FFmpegError:
            pass  # damaged from here on: what was read counts
    if is_ts:
        holes = [hole for hole in holes if not _is_ts(path, *hole)]
    return _in_holes(times, places, holes, held) if holes else 0.0


def _in_holes(times: array[float], places: array[int], holes: list[tuple[int, int]], held: int) -> float:
    """Seconds of the jumps in ``times`` that lie at a hole which is large enough for what is missing."""
    steps = [after - before for before, after in pairwise(times)]
    even_s = sum(step for step in steps if 0.0 < step <= _JUMP_S)
    begins = [begin for begin, _ in holes]
    lost_s = 0.0
    for number, step_s in enumerate(steps):
        if step_s <= _JUMP_S:
            continue
        first, last = places[max(0, number - _NEAR)], places[min(len(places) - 1, number + 1 + _NEAR)]
        size = sum(end - begin for begin, end in holes[bisect_left(begins, first) : bisect_left(begins, last)])
        if size and size * even_s >= _HOLE_SHARE * held * step_s:
            lost_s += step_s
    return lost_s


def _is_ts(path: Path, begin: int, end: int) -> bool:
    """Whether bytes of a transport stream are packets of it all the same: padding, or of a stream that is unknown."""
    with path.open("rb") as file:
        file.seek(begin + max(0, (end - begin - _LOOK_BYTES) // 2))
        content = file.read(min(end - begin, _LOOK_BYTES))
    for size in _TS_SIZES:
        count = len(content) // size
        if any(content[phase::size].count(b"\x47") >= 0.9 * count for phase in range(size)):
            return True
    return False
