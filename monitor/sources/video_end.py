"""Whether a video file holds everything that it should hold: asked when a reader has come to an early end.

The length of a container is that of its longest stream, and its frame count includes frames that an edit list hides.
So an early end alone proves nothing. The packets do: they are read to the end, without decoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import av.error

_MISSING_SHARE, _MISSING_S = 0.02, 0.5
"""Packets are missing if more than both are: a share of what the file should hold, and seconds of it."""


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
            for packet in container.demux():
                time = packet.pts if packet.pts is not None else packet.dts
                if packet.size == 0 or time is None or packet.time_base is None:
                    continue  # the end of a stream
                from_s = float(time * packet.time_base) - start_s
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
