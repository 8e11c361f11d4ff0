"""Decodes only a part of a live stream, if the machine cannot decode all of it.

Most frames of H.264 and H.265 are differences from the frame before. So single frames cannot be left out, but the last
frames before each key frame can: nothing depends on them. Frames that no other frame refers to are left out, too.

OpenCV decodes every frame that it reads. So the packets are read by OpenCV as before, and decoded by PyAV, from the
first key frame on after less was asked for. Until then, OpenCV decodes, as it does for every stream that is decoded
whole.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from monitor.allocator import keep_freed_memory
from monitor.sources.source import Position
from monitor.types import Image

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

_CODECS = {
    cv2.VideoWriter.fourcc(*letters): codec
    for letters, codec in (
        *(("h264", "h264"), ("H264", "h264"), ("avc1", "h264"), ("AVC1", "h264")),
        *(("hevc", "hevc"), ("HEVC", "hevc"), ("hev1", "hevc"), ("hvc1", "hevc"), ("HEV1", "hevc"), ("HVC1", "hevc")),
    )
}
LONGEST_REST_S = 2.5
"""At most so many seconds before a key frame are left out."""
SILENT_S = 1.0
"""After so many seconds, a frame that is not decoded is returned all the same: a reader must not be silent for long."""
LATE_S = 1.0
"""A reader that is later than this leaves out all but key frames, until it has caught up."""
_DRIFT = 1e-3
_EARLIER = 3  # see Position.earlier_s
_LONGEST_GROUP_S = 10.0  # streams with rarer key frames are decoded whole: too little can be left out


class Sparing:
    """Passes over the frames that are not decoded. Takes the position of each frame of a stream, in order."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._passed = 0
        self._earlier: deque[float] = deque(maxlen=_EARLIER)  # see Position.earlier_s
        self._last_s: float | None = None  # time of the last frame
        self._steps = (0.0, 0.0)  # the last two
        self._given_s = 0.0  # time of the last frame that was returned

    def take(self, position: Position, *, spared: bool) -> Position | None:
        """The position to return for this frame; None if it is passed over. See ``Reader.spare``.

        A frame that may come after a gap is returned, so that the gap is known: see ``Reader.skip_to``.
        """
        step_s = 0.0
        if self._last_s is None:
            self._given_s = position.time_s
        else:
            step_s = position.time_s - self._last_s
        after_gap = step_s > max(3.0 / self._fps, 3.0 * min(self._steps))
        self._last_s, self._steps = position.time_s, (self._steps[1], step_s)
        if spared and not after_gap and position.time_s - self._given_s < SILENT_S:
            self._passed += 1
            self._earlier.append(position.time_s)
            return None
        given = replace(position, passed=self._passed, earlier_s=tuple(self._earlier), spared=spared)
        self._passed, self._given_s = 0, position.time_s
        self._earlier.clear()
        return given


class Lateness:
    """Whether a reader falls behind its stream. Frames that come in bursts are late, too, but not all of them."""

    def __init__(self) -> None:
        self._least_s = math.inf  # by how much the soonest frame came after its time
        self._blocks = (math.inf, math.inf)  # the same of the last two pieces of time
        self._begin_s: float | None = None  # of the present piece
        self._last_s = 0.0

    def take(self, now_s: float, time_s: float, longest_wait_s: float = 0.0) -> bool:
        """Take a frame of stream time ``time_s``, read at ``now_s``, seconds. True if all came late for a while.

        longest_wait_s: how long the stream may give nothing between two bursts, seconds
        """
        late_s = now_s - time_s
        if self._begin_s is None:
            self._begin_s = self._last_s = now_s
        # The camera's clock may be slower than this machine's.
        self._least_s = min(self._least_s + _DRIFT * (now_s - self._last_s), late_s)
        self._last_s = now_s
        before_s, present_s = self._blocks
        if now_s - self._begin_s >= max(LATE_S, 2.0 * longest_wait_s):
            self._begin_s, before_s, present_s = now_s, present_s, math.inf
        self._blocks = before_s, min(present_s, late_s)
        return math.isfinite(before_s) and min(self._blocks) - self._least_s > LATE_S


class SparingCapture:
    """Stands in for an open ``cv2.VideoCapture`` of a live stream: the part of it that readers use.

    capture  the stream, read by nothing else
    fps      nominal frames per second
    whole    True: never decode it in part

    ``able`` is True if the stream is of a kind that can be decoded in part.
    ``spared`` is True after a ``grab`` that stepped to a frame which is not decoded, on purpose.
    """

    def __init__(self, capture: cv2.VideoCapture, fps: float, *, whole: bool = False) -> None:
        self._capture = capture
        self._fps = fps
        self._codec = None if whole else _CODECS.get(int(capture.get(cv2.CAP_PROP_FOURCC)))
        self.able = self._codec is not None
        self._share = 1.0
        self._group: int | None = None  # frames from a key frame to the next; None before two key frames
        self._since = 0  # frames since the last key frame
        self._seen_key = False
        self._converter: VideoReformatter | None = None
        self._colours = 0
        self._decoder: VideoCodecContext | None = None  # once the packets are decoded here
        self._whole = False  # all frames since the last key frame have been decoded
        self._now: VideoFrame | None = None
        self._at_ms = 0.0
        self.spared = False

    def spare(self, share: float) -> None:
        """Decode about this share of the frames, above 0, at most 1, if the stream allows it."""
        self._share = share
        if self._decoder is not None:
            self._decoder.skip_frame = "DEFAULT" if share >= 1.0 else "NONREF"

    def catch_up(self) -> None:
        """Leave out everything before the next key frame, if the stream is decoded in part: the reader is late."""
        if self._share < 1.0:
            self._whole = False

    def grab(self) -> bool:
        """Step to the next frame, and decode it unless it is spared. False if it cannot be decoded, and at the end."""
        self.spared = False
        if self._decoder is None and self._share < 1.0 and self._key_is_next():
            self._take_over()
        if not self._capture.grab():
            return False
        if self._codec is None:
            return True
        is_key = bool(self._capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME))
        self._count(is_key=is_key)
        if self._decoder is None:
            return True
        at_ms = float(self._capture.get(cv2.CAP_PROP_POS_MSEC))
        if is_key:
            self._whole = True
        elif self._rests():
            self._whole = False
        if not self._whole:
            self._pass(at_ms)
            return True
        return self._decode(self._decoder, at_ms)

    def _count(self, *, is_key: bool) -> None:
        if is_key:
            self._group = self._since + 1 if self._seen_key else None
            self._since, self._seen_key = 0, True
        else:
            self._since += 1

    def _key_is_next(self) -> bool:
        """Whether the next frame is a key frame, if they come as regularly as before."""
        group = self._group
        return (
            self._codec is not None
            and group is not None
            and group <= _LONGEST_GROUP_S * self._fps
            and self._since == group - 1
        )

    def _rests(self) -> bool:
        """Whether the frame that was just read is among those left out before the next key frame."""
        if self._share >= 1.0 or self._group is None or not self._whole:
            return not self._whole
        kept = max(1.0, self._share * self._group, self._group - LONGEST_REST_S * self._fps)
        # If the next key frame is later than expected, too much has been left out already.
        return kept <= self._since < self._group

    def _take_over(self) -> None:
        """From the next packet on, OpenCV only reads, and PyAV decodes. It stays so: OpenCV knows no way back."""
        import av
        from av.video.reformatter import Colorspace, VideoReformatter

        if not self._capture.set(cv2.CAP_PROP_FORMAT, -1):
            self._codec = None  # this OpenCV cannot
            return
        assert self._codec is not None
        decoder = cast("VideoCodecContext", av.CodecContext.create(self._codec, "r"))
        decoder.thread_count = 1  # each further thread would delay every frame
        decoder.extradata = self._extradata()
        self._decoder, self._whole = decoder, False
        self._converter = VideoReformatter()  # one for all frames keeps its tables
        self._colours = int(Colorspace.ITU601)
        keep_freed_memory()
        self.spare(self._share)

    def _extradata(self) -> bytes | None:
        """What describes the stream outside of its packets (from SDP), in the form of the packets; None if nothing."""
        index = int(self._capture.get(cv2.CAP_PROP_CODEC_EXTRADATA_INDEX))
        found, data = self._capture.retrieve(flag=index)
        raw = bytes(np.asarray(data).tobytes()) if found else b""
        # Only Annex B: with the other form, OpenCV's filter puts the same into each key frame.
        return raw if raw.startswith((b"\0\0\1", b"\0\0\0\1")) else None

    def _decode(self, decoder: VideoCodecContext, at_ms: float) -> bool:
        import av

        found, data = self._capture.retrieve()
        if not found:
            return False
        packet = av.Packet(np.asarray(data).tobytes())
        packet.pts = round(at_ms * 1000.0)
        try:
            frames = decoder.decode(packet)
        except av.error.FFmpegError:
            return False
        if not frames:  # it is held back, or no other frame refers to it
            self._pass(at_ms)
            return True
        self._now = frames[-1]
        pts = self._now.pts
        self._at_ms = max(at_ms if pts is None else pts / 1000.0, self._at_ms + 1e-3)
        return True

    def _pass(self, at_ms: float) -> None:
        self.spared = True
        self._at_ms = max(at_ms, self._at_ms + 1e-3)

    def retrieve(self, memory: Image | None = None) -> tuple[bool, Image | None]:
        """The last frame as (H, W, 3) uint8 BGR; in ``memory`` if it has this size."""
        if self._decoder is None:
            return cast("tuple[bool, Image | None]", self._capture.retrieve(memory))
        if self._now is None or self.spared:
            return False, None
        # As OpenCV converts: other coefficients would change the colours that the camera's model has learned.
        assert self._converter is not None
        picture = self._converter.reformat(
            self._now, format="bgr24", interpolation="BICUBIC", src_colorspace=self._colours
        )
        plane = picture.planes[0]
        image = np.frombuffer(memoryview(plane), np.uint8).reshape(picture.height, plane.line_size)[
            :, : 3 * picture.width
        ]
        image = image.reshape(picture.height, picture.width, 3)
        if memory is None or memory.shape != image.shape:
            return True, image.copy()
        np.copyto(memory, image)
        return True, memory

    def get(self, what: int) -> float:
        """A property of the stream; the time (CAP_PROP_POS_MSEC) is that of the last frame."""
        if self._decoder is not None and what == cv2.CAP_PROP_POS_MSEC:
            return self._at_ms
        return float(self._capture.get(what))

    def set(self, what: int, value: float) -> bool:
        """Set a property of the stream. The next frame may then be any: nothing is decoded until a key frame."""
        self._whole = self._seen_key = False
        return bool(self._capture.set(what, value))

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether it can be read."""
        return bool(self._capture.isOpened())

    def release(self) -> None:
        """Close the stream. Safe to call twice."""
        self._capture.release()
        self._decoder = self._now = None
