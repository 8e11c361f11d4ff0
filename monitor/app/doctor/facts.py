"""The request to a probe and its answer. A probe is a separate process: both pass through pipes as JSON.

This module imports only the standard library, so that a probe starts fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Kind = Literal["url", "usb", "video", "folder"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a probe must check.

    kind            ``url``: a network camera; ``usb``: a USB camera; ``video``: a file; ``folder``: a folder of images
    target          URL, index or path. It goes to the probe through standard input. It never appears on the command
                    line, because all users of the machine can read that
    seconds         how long to watch or read
    fps             frames per second of a folder of images
    open_timeout_s  longest time to connect
    read_timeout_s  longest wait for a frame
    gap_s           a longer jump of a video's own clock is a gap
    snapshot_fps    requests per second if the address gives one picture per request
    longest_s       how long to watch a camera of which too few frames come to know its rate
    options         of FFmpeg: how the camera is connected
    deadline_s      the probe is killed after this many seconds, unless the machine is too busy to run it
    """

    kind: Kind
    target: str
    seconds: float
    fps: float
    open_timeout_s: float
    read_timeout_s: float
    gap_s: float
    deadline_s: float
    snapshot_fps: float = 2.0
    longest_s: float = 0.0
    options: dict[str, str] = field(default_factory=dict)

    @property
    def patience_s(self) -> float:
        """Longest wait for a frame, seconds. It is longer than that of a run, to find out how slow a camera is."""
        return 2.5 * self.read_timeout_s

    @property
    def longest_deadline_s(self) -> float:
        """The probe is killed after this many seconds also on a busy machine."""
        return 3.0 * self.deadline_s

    @property
    def patient_open_s(self) -> float:
        """Longest time to open a camera that has not given a picture in the time of a run, seconds."""
        return max(20.0, 4 * self.open_timeout_s)


class Trouble(StrEnum):
    """Why a source cannot be watched."""

    BAD_ADDRESS = "bad-address"
    UNKNOWN_HOST = "unknown-host"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no-answer"
    REFUSED = "refused"
    PROXY = "proxy"
    CERTIFICATE = "certificate"
    TRANSPORT = "transport"
    """The detail is the transport that is set, ``UDP`` or ``TCP``."""
    SILENT = "silent"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    CLIENT_ERROR = "client-error"
    SERVER_ERROR = "server-error"
    NOT_VIDEO = "not-video"
    NO_VIDEO_STREAM = "no-video-stream"
    UNKNOWN_CODEC = "unknown-codec"
    NO_PICTURE = "no-picture"
    NO_DEVICE = "no-device"
    UNUSABLE = "unusable"
    """A file or folder; the detail is the complete sentence."""
    OTHER = "other"
    """The detail is FFmpeg's message."""
    CRASHED = "crashed"
    HUNG = "hung"
    TOO_BUSY = "too-busy"
    BROKEN = "broken"
    """The probe itself failed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that cannot be watched."""

    trouble: Trouble
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """A camera that sent frames.

    codec            FFmpeg's name, such as ``h264``; ``usb`` for a USB camera, ``snapshots`` for single pictures
    width, height    pixels
    claimed_fps      frame rate that the stream declares; None if it declares none
    fps              measured frames per second; None if too few frames arrived one by one
    open_s           seconds until the stream was open
    first_picture_s  seconds from the start until the first frame was decoded
    pictures         frames received while the camera was watched
    damaged          number of these that could not be decoded
    longest_wait_s   longest wait for a frame, seconds; None if too few arrived
    jitter_s         95 % of the waits differ from their median by at most this, seconds; None if too few arrived
    key_frame_s      longest time between two key frames, seconds of the stream's clock; None with fewer than two
    without_key_s    seconds from the last key frame to the end of the check
    decode_ms        CPU time to decode a frame, milliseconds
    ended            True if the stream ended by itself
    stalled          True if nothing arrived for the longest wait
    core_wait        share of the time in which the check was ready to run but other programs used all cores, 0..1;
                     None if the system does not report it
    step_s           median step between two frames by the clock that a run uses, seconds; None if too few arrived
    burst_s          by how much frames came too early by the stream's clock; 0 if they came evenly
    longest_step_s   longest step by the same clock: frames of a burst count evenly
    """

    codec: str
    width: int
    height: int
    claimed_fps: float | None
    fps: float | None
    open_s: float
    first_picture_s: float
    pictures: int
    damaged: int
    longest_wait_s: float | None
    jitter_s: float | None
    key_frame_s: float | None
    without_key_s: float
    decode_ms: float
    ended: bool
    stalled: bool
    core_wait: float | None = None
    step_s: float | None = None
    longest_step_s: float | None = None
    burst_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FootageFacts:
    """A video file or folder of images that contains readable frames.

    total          images in the folder; None for a video, because the count in its container is not reliable
    read           frames that were read
    complete       True if all frames were read
    unreadable     number of these that could not be decoded
    examples       names of some unreadable images
    missing        missing numbers in the folder's file names, or gaps in the video's clock
    width, height  pixels of the first frame
    sizes          number of different frame sizes
    fps            frames per second of the footage
    seconds        length of the footage that was read, seconds of its own clock
    took_s         seconds that reading took
    length_s       seconds of the whole footage. For a video that was not read to its end: the length that its container
                   declares, None if it declares none
    """

    total: int | None
    read: int
    complete: bool
    unreadable: int
    examples: tuple[str, ...]
    missing: int
    width: int
    height: int
    sizes: int
    fps: float
    seconds: float
    took_s: float
    length_s: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of a probe's output: the stage that starts now, or in the last line the result."""

    stage: str
    stream: StreamFacts | None = None
    footage: FootageFacts | None = None
    failure: Failure | None = None
