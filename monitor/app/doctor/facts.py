"""What a probe is asked and what it answers. A probe is a process of its own: these pass through pipes as JSON.

Nothing but the standard library is imported here, so that a probe starts fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Kind = Literal["url", "usb", "video", "folder"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a probe is to look at.

    kind            a network camera's ``url``, a ``usb`` camera, a ``video`` file or a ``folder`` of images
    target          URL, index or path; goes to the probe through its standard input, never its command line, which
                    everyone on the machine can read
    seconds         how long to watch or read
    fps             frames a second of a folder of images
    open_timeout_s  how long connecting may take
    read_timeout_s  how long a picture may be waited for
    gap_s           a longer hole in a video's own clock is a gap
    deadline_s      when the probe is ended, whatever it does
    """

    kind: Kind
    target: str
    seconds: float
    fps: float
    open_timeout_s: float
    read_timeout_s: float
    gap_s: float
    deadline_s: float


class Trouble(StrEnum):
    """Why there is nothing to watch."""

    BAD_ADDRESS = "bad-address"
    UNKNOWN_HOST = "unknown-host"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no-answer"
    REFUSED = "refused"
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
    """A file or folder; the detail is the whole sentence."""
    OTHER = "other"
    """The detail is what FFmpeg said."""
    CRASHED = "crashed"
    HUNG = "hung"
    BROKEN = "broken"
    """The probe itself failed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that cannot be watched."""

    trouble: Trouble
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """A camera that gave pictures.

    codec            FFmpeg's name, such as ``h264``; ``usb`` for a USB camera
    width, height    pixels
    claimed_fps      what the stream says; None where it says nothing
    fps              pictures a second as they came; None where too few came one by one
    open_s           seconds until it was open
    first_picture_s  seconds from the beginning until the first picture was decoded
    pictures         received while it was watched; ``damaged`` of them could not be decoded
    longest_wait_s   longest wait for a picture, seconds; None where too few came
    jitter_s         95 % of the waits differ from their median by less, seconds; None where too few came
    key_frame_s      longest time between two key frames, seconds of the stream's clock; None with fewer than two
    without_key_s    time since the last key frame when the watching ended
    decode_ms        CPU time of decoding a picture, milliseconds
    ended            the stream ended by itself; ``stalled``: it fell silent for the read deadline
    core_wait        share of the time in which the check was ready to run but other programs had all cores, 0..1;
                     None where the system does not tell
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


@dataclass(frozen=True, slots=True)
class FootageFacts:
    """A video file or folder of images that gave pictures.

    total          images in the folder; None for a video, whose own count is not to be trusted
    read           pictures looked at; ``complete``: that was all of them
    unreadable     of these could not be decoded; ``examples`` names some
    missing        numbers left out in the folder's numbering, or holes in the video's clock
    width, height  pixels of the first picture; ``sizes``: how many different ones there are
    seconds        of footage read, on its own clock
    took_s         reading took, seconds
    length_s       seconds of the whole footage; of a video not read to its end what its container says, None where
                   that says nothing
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
    """A line of a probe's output: what it is about to do, or in the last line what it found."""

    stage: str
    stream: StreamFacts | None = None
    footage: FootageFacts | None = None
    failure: Failure | None = None
