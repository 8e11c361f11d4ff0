"""Watches a camera for some seconds: a network camera with PyAV (reports codec and key frames), USB with OpenCV."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from monitor.app.doctor.cores import CoreWait
from monitor.app.doctor.facts import Failure, Request, StreamFacts, Trouble
from monitor.app.doctor.rhythm import Arrival, rhythm
from monitor.sources.link import certificate_problem
from monitor.sources.reach import find_barrier
from monitor.sources.source import Source
from monitor.text.wording import counted

_NEARLY = 0.9
_FALLBACK_FPS = 25.0
_BURST_S = 2.0
"""Frames that come this much too early come in bursts: a server sends a second or so at once in the beginning."""
_MANY = 100
"""Frames of a check. If so many came, their rate will not be clearer later."""
# PyAV's FFmpeg and OpenCV's FFmpeg both decode these codecs. The check tries any other codec with OpenCV, because the
# monitor decodes with OpenCV.
_USUAL = ("h264", "hevc", "mjpeg", "mpeg4", "mpeg2video", "vp8", "vp9")

_OTHER = {"udp": "tcp", "tcp": "udp"}
_UNTOLD = (Trouble.OTHER, Trouble.SILENT, Trouble.NO_PICTURE, Trouble.NOT_VIDEO, Trouble.CLIENT_ERROR)
"""What a camera that refuses the transport looks like."""

_BY_ERROR: tuple[tuple[type[Exception], Trouble], ...] = (
    (av.error.HTTPUnauthorizedError, Trouble.UNAUTHORIZED),
    (av.error.HTTPForbiddenError, Trouble.FORBIDDEN),
    (av.error.HTTPNotFoundError, Trouble.NOT_FOUND),
    (av.error.HTTPClientError, Trouble.CLIENT_ERROR),
    (av.error.HTTPServerError, Trouble.SERVER_ERROR),
    (ConnectionRefusedError, Trouble.REFUSED),
)


def watch_url(request: Request, say: Callable[[str], None]) -> StreamFacts | Failure:
    """Open a network camera and watch it. Calls ``say`` with the name of each stage before it starts.

    A camera with a frame every few seconds is not open within the time of a run. It is tried again with more time.
    """
    started = time.monotonic()
    found = _watch_url(request, say)
    silent = isinstance(found, Failure) and found.trouble is Trouble.NO_PICTURE and found.detail == "nothing"
    if silent and time.monotonic() - started >= _NEARLY * request.open_timeout_s:
        patient = replace(request, open_timeout_s=request.patient_open_s)
        again = _watch_url(patient, say)
        found = found if isinstance(again, Failure) else again
    if isinstance(found, Failure) and found.trouble in _UNTOLD:
        say("trying the other transport")
        if (refused := _refused_transport(request)) is not None:
            return Failure(Trouble.TRANSPORT, refused)
    return found


def _refused_transport(request: Request) -> str | None:
    """The transport that the config sets, if the camera gives pictures only over the other one; otherwise None."""
    given = request.options.get("rtsp_transport")
    if given not in _OTHER:
        return None
    options = request.options | {"rtsp_transport": _OTHER[given]}
    try:
        timeout = (request.open_timeout_s, request.read_timeout_s)
        with av.open(request.target, options=options, timeout=timeout, metadata_errors="replace") as container:
            video = container.streams.best("video")
            opened = video is not None and any(packet.size for packet in container.demux(video))
    except (av.error.FFmpegError, ValueError):
        return None
    return given.upper() if opened else None


def _watch_url(request: Request, say: Callable[[str], None]) -> StreamFacts | Failure:
    url = request.target
    try:
        _ = urlsplit(url).port
    except ValueError:
        return Failure(Trouble.BAD_ADDRESS)
    say("connecting")
    started = time.monotonic()
    try:
        container = av.open(
            url,
            options={"rtsp_flags": "prefer_tcp"} | request.options,  # as OpenCV does
            timeout=(request.open_timeout_s, request.patience_s),
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        in_time = time.monotonic() - started < _NEARLY * request.open_timeout_s
        say("finding out why it cannot be opened")
        return _explain(error, request, in_time=in_time)
    with container:
        if container.format.name == "image2" or container.format.name.endswith("_pipe"):  # one picture per request
            container.close()
            return _watch_snapshots(request, say)
        found = container.streams.best("video")
        if not isinstance(found, VideoStream):
            return Failure(Trouble.NO_VIDEO_STREAM, ", ".join(sorted({stream.type for stream in container.streams})))
        # The type stubs say that it is never None, but it is None for a codec that FFmpeg does not know.
        if found.codec_context is None:
            return Failure(Trouble.UNKNOWN_CODEC)
        if found.codec_context.name not in _USUAL:
            say("decoding with OpenCV")
            if not _opencv_decodes(request):
                return Failure(Trouble.UNKNOWN_CODEC, found.codec_context.codec.canonical_name)
        say("reading and decoding")
        return _watch(container, found, request, started)


def _watch(container: InputContainer, video: VideoStream, request: Request, started: float) -> StreamFacts | Failure:
    open_s = time.monotonic() - started
    video.codec_context.thread_count = 1
    claimed = float(video.average_rate or 0.0) or None
    arrivals: list[Arrival] = []
    first_picture_s: float | None = None
    size = (video.codec_context.width, video.codec_context.height)
    decoded = damaged = 0
    decode_s = 0.0
    ended, stalled = True, False
    cores = CoreWait()
    try:
        for packet in container.demux():
            now_s = time.monotonic() - started
            if packet.stream.index == video.index and packet.size:
                media_s = None if packet.pts is None else float(packet.pts * packet.time_base)
                arrivals.append(Arrival(now_s, media_s, packet.is_keyframe))
                cpu_s = time.thread_time()
                try:
                    frames = video.decode(packet)
                except av.error.FFmpegError:
                    frames = []
                    damaged += first_picture_s is not None  # nothing can be decoded before the first key frame
                decode_s += time.thread_time() - cpu_s
                decoded += len(frames)
                if frames and first_picture_s is None:
                    first_picture_s = time.monotonic() - started
                    size = (frames[0].width, frames[0].height)
            last_s = arrivals[-1].arrived_s if arrivals else open_s
            stalled = now_s - last_s >= request.patience_s  # audio packets alone keep a read from timing out
            if stalled or _seen_enough(request, now_s - open_s, arrivals, claimed):
                ended = False
                break
    except av.error.FFmpegError:
        last_s = arrivals[-1].arrived_s if arrivals else open_s
        # The frames of a burst are decoded while the wait for the next one has long begun.
        stalled = time.monotonic() - started - last_s >= _NEARLY * request.patience_s or _ahead_s(arrivals) > 0
        ended = not stalled
    core_wait = cores.share()
    if first_picture_s is None:
        return Failure(Trouble.NO_PICTURE, counted(len(arrivals), "damaged frame") if arrivals else "nothing")
    beat = rhythm(arrivals, _plausible(claimed))
    return StreamFacts(
        codec=video.codec_context.name,
        width=size[0],
        height=size[1],
        claimed_fps=claimed,
        fps=beat.fps,
        open_s=open_s,
        first_picture_s=first_picture_s,
        pictures=len(arrivals),
        damaged=damaged,
        longest_wait_s=beat.longest_wait_s,
        jitter_s=beat.jitter_s,
        key_frame_s=beat.key_frame_s,
        without_key_s=beat.without_key_s,
        decode_ms=1000.0 * decode_s / decoded,
        ended=ended,
        stalled=stalled,
        core_wait=core_wait,
        step_s=beat.step_s,
        longest_step_s=beat.longest_step_s,
        burst_s=_ahead_s(arrivals),
    )


def _plausible(claimed: float | None) -> float:
    return claimed if claimed and 1.0 <= claimed <= 240.0 else _FALLBACK_FPS


def _seen_enough(request: Request, watched_s: float, arrivals: Sequence[Arrival], claimed: float | None) -> bool:
    """Whether the check may end. If few frames came, it goes on until their rate is known, or for ``longest_s``."""
    if watched_s < request.seconds:
        return False
    few = (len(arrivals) < _MANY or _ahead_s(arrivals)) and rhythm(arrivals, _plausible(claimed)).fps is None
    return not few or watched_s >= request.longest_s


def _ahead_s(arrivals: Sequence[Arrival]) -> float:
    """By how much the frames came too early by their own clock, seconds: the length of a burst; 0 if they did not."""
    known = [arrival for arrival in arrivals if arrival.media_s is not None]
    ahead = 0.0
    for arrival in known:
        assert arrival.media_s is not None
        assert known[0].media_s is not None
        ahead = max(ahead, arrival.media_s - known[0].media_s - (arrival.arrived_s - known[0].arrived_s))
    return ahead if ahead >= _BURST_S else 0.0


def _explain(error: av.error.FFmpegError, request: Request, *, in_time: bool) -> Failure:
    """Find out why opening failed. FFmpeg itself reports many causes only as invalid data or input/output error."""
    for kind, trouble in _BY_ERROR:
        if isinstance(error, kind):
            return Failure(trouble)
    if (barrier := find_barrier(request.target)) is not None:
        return Failure(Trouble(barrier[0]), barrier[1])
    if (ca_file := request.options.get("ca_file")) is not None:
        refused = certificate_problem(request.target, ca_file, request.open_timeout_s)
        if refused is not None:
            return Failure(Trouble.CERTIFICATE, refused)
    if not in_time or isinstance(error, (av.error.ExitError, TimeoutError)):
        return Failure(Trouble.SILENT)
    if isinstance(error, (av.error.InvalidDataError, av.error.EOFError)):
        return Failure(Trouble.NOT_VIDEO)
    return Failure(Trouble.OTHER, error.strerror or type(error).__name__)


def _opencv_decodes(request: Request) -> bool:
    from monitor.errors import CaptureError
    from monitor.sources.camera import CameraSource

    source = CameraSource(
        "probe", request.target, open_timeout_s=request.open_timeout_s, read_timeout_s=request.read_timeout_s
    )
    try:
        with source.open() as reader:
            reader.grab()
            return reader.retrieve() is not None
    except CaptureError:
        return False


def watch_usb(request: Request, say: Callable[[str], None]) -> StreamFacts | Failure:
    """Open a USB camera and watch it."""
    from monitor.sources.camera import CameraSource

    address = int(request.target) if request.target.isdecimal() else Path(request.target)
    source = CameraSource("probe", address, read_timeout_s=request.read_timeout_s)
    return _watch_source(source, "usb", Trouble.NO_DEVICE, request, say)


def _watch_snapshots(request: Request, say: Callable[[str], None]) -> StreamFacts | Failure:
    """Poll a camera that gives one picture per request."""
    from monitor.sources.camera import CameraSource

    source = CameraSource(
        "probe",
        request.target,
        open_timeout_s=request.open_timeout_s,
        read_timeout_s=request.patience_s,
        snapshot_fps=request.snapshot_fps,
    )
    return _watch_source(source, "snapshots", Trouble.NOT_VIDEO, request, say)


def _watch_source(
    source: Source, codec: str, if_unopened: Trouble, request: Request, say: Callable[[str], None]
) -> StreamFacts | Failure:
    """Watch a camera as the monitor does. codec: what its pictures are, for the report."""
    from monitor.errors import CaptureError

    say("opening")
    started = time.monotonic()
    arrivals: list[Arrival] = []
    ended = stalled = False
    try:
        reader = source.open()
    except CaptureError:
        return Failure(if_unopened)
    with reader:
        open_s = time.monotonic() - started
        say("reading")
        cores = CoreWait()
        decode_s, size, first_picture_s = 0.0, (0, 0), 0.0
        try:
            while not _seen_enough(request, time.monotonic() - started - open_s, arrivals, reader.fps):
                reader.grab()
                cpu_s = time.thread_time()
                image = reader.retrieve()
                decode_s += time.thread_time() - cpu_s
                now_s = time.monotonic() - started
                arrivals.append(Arrival(now_s, None, key=True))
                if image is not None and not first_picture_s:
                    first_picture_s, size = now_s, (image.shape[1], image.shape[0])
        except CaptureError:
            stalled = True
        if not first_picture_s:
            return Failure(Trouble.NO_PICTURE, "nothing")
        beat = rhythm(arrivals, reader.fps)
        return StreamFacts(
            codec=codec,
            width=size[0],
            height=size[1],
            claimed_fps=reader.fps,
            fps=beat.fps,
            open_s=open_s,
            first_picture_s=first_picture_s,
            pictures=len(arrivals),
            damaged=0,
            longest_wait_s=beat.longest_wait_s,
            jitter_s=beat.jitter_s,
            key_frame_s=None,
            without_key_s=0.0,
            decode_ms=1000.0 * decode_s / len(arrivals),
            ended=ended,
            stalled=stalled,
            core_wait=cores.share(),
            step_s=beat.step_s,
            longest_step_s=beat.longest_step_s,
        )
