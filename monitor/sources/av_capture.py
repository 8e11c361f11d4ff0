"""Decodes with PyAV what OpenCV shows wrongly or not at all: a file of several video streams, or of the codec AV1.

OpenCV always shows the first video stream, even if it is a small preview or the picture on a cover.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import av
import av.error
import cv2
import numpy as np
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from monitor.sources.video_end import packets_of
from monitor.types import Image

_NOT_IN_OPENCV = frozenset(["av1", "libdav1d", "libaom-av1", "libgav1"])
"""Names under which FFmpeg decodes AV1. OpenCV's FFmpeg opens such a file, and then decodes nothing."""

_TIMEOUT_S = 30.0
"""For a web server that does not answer any more, seconds."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The video stream to show: the largest one that is no cover.

    index    of the stream in its container
    codec    FFmpeg's name; empty if this FFmpeg does not know it
    opencv   True if OpenCV shows this stream
    """

    index: int
    codec: str
    opencv: bool


def survey(target: str) -> Survey | None:
    """Look at the streams of a file or URL; None if it cannot be opened, or holds no video."""
    try:
        with av.open(target, metadata_errors="replace", timeout=_TIMEOUT_S) as container:
            first, *_ = videos = list(container.streams.video)
            films = [stream for stream in videos if not stream.disposition & Disposition.attached_pic]
            best = max(films or videos, key=_pixels)
            # The type stubs say that it is never None, but it is None for a codec that FFmpeg does not know.
            codec = best.codec_context.name if best.codec_context is not None else ""
            return Survey(best.index, codec, best.index == first.index and codec not in _NOT_IN_OPENCV)
    except (av.error.FFmpegError, OSError, ValueError):
        return None


def has_only_sound(target: str) -> bool:
    """Whether a file or URL can be opened, and holds sound but no pictures."""
    try:
        with av.open(target, metadata_errors="replace", timeout=_TIMEOUT_S) as container:
            return bool(container.streams.audio) and not container.streams.video
    except (av.error.FFmpegError, OSError, ValueError):
        return False


def _pixels(stream: VideoStream) -> int:
    return stream.width * stream.height if stream.codec_context is not None else 0


class AvCapture:
    """Stands in for a ``cv2.VideoCapture``: the part of it that a VideoReader uses. Raises OSError if it cannot open.

    target   a path or URL
    index    of the video stream to decode
    threads  number of decoding threads; None: FFmpeg decides
    """

    def __init__(self, target: str, index: int, threads: int | None = None) -> None:
        self._container = av.open(target, metadata_errors="replace", timeout=_TIMEOUT_S)
        stream = self._container.streams[index]
        assert isinstance(stream, VideoStream)
        self._stream = stream
        stream.thread_type = "AUTO"
        if threads is not None:
            stream.codec_context.thread_count = threads
        self._frames = self._decoded()
        self._now: VideoFrame | None = None

    def grab(self) -> bool:
        """Decode the next frame. False if it cannot be decoded, as for OpenCV, and at the end."""
        self._now = next(self._frames, None)
        return self._now is not None

    def retrieve(self, memory: Image | None = None) -> tuple[bool, Image | None]:
        """The last frame, upright, as (H, W, 3) uint8 BGR; in ``memory`` if it has this size."""
        if self._now is None:
            return False, None
        image = cast(Image, self._now.to_ndarray(format="bgr24"))
        if turns := round(self._now.rotation / 90) % 4:
            image = np.ascontiguousarray(np.rot90(image, turns))
        if memory is None or memory.shape != image.shape:
            return True, image
        np.copyto(memory, image)
        return True, memory

    def get(self, what: int) -> float:
        """One of the properties that are asked for; -1 for any other."""
        stream = self._stream
        if what == cv2.CAP_PROP_FPS:
            return float(stream.average_rate or 0.0)
        if what == cv2.CAP_PROP_POS_MSEC:
            return 1000.0 * (self._now.time or 0.0) if self._now is not None else 0.0
        if what == cv2.CAP_PROP_FRAME_COUNT:
            return float(stream.frames)
        if what == cv2.CAP_PROP_FRAME_WIDTH:
            return float(stream.width)
        if what == cv2.CAP_PROP_FRAME_HEIGHT:
            return float(stream.height)
        return -1.0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether it can be read."""
        return True

    def release(self) -> None:
        """Close the file. Safe to call twice."""
        self._container.close()

    def _decoded(self) -> Iterator[VideoFrame | None]:
        try:
            for packet in packets_of(self._container, self._stream.index):
                try:
                    yield from self._stream.decode(packet)
                except av.error.FFmpegError:
                    yield None
        except av.error.FFmpegError:
            return  # the file ends in the middle of a packet: the reader finds out how much is missing
