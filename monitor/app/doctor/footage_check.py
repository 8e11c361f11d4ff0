"""Reads a video file or a folder of images with the monitor's own readers and counts its defects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from monitor.app.doctor.facts import Failure, FootageFacts, Request, Trouble
from monitor.errors import CaptureError, SourceError
from monitor.sources.folder import FolderSource, read_image
from monitor.sources.video import NO_VIDEO, VideoSource
from monitor.sources.web_address import is_web
from monitor.text.wording import counted
from monitor.types import Image

_EXAMPLES = 3
_GOLDEN = 0.6180339887498949


def look_at(request: Request, say: Callable[[str], None]) -> FootageFacts | Failure:
    """Read footage for at most ``request.seconds``. Calls ``say`` with the name of each stage before it starts."""
    say("reading and decoding")
    try:
        if request.kind == "folder":
            return _folder(FolderSource(Path(request.target), fps=request.fps), request.seconds)
        return _video(VideoSource(request.target if is_web(request.target) else Path(request.target)), request)
    except (CaptureError, SourceError) as error:
        return Failure(Trouble.UNUSABLE, str(error))


def _folder(source: FolderSource, seconds: float) -> FootageFacts | Failure:
    started = time.monotonic()
    sizes: set[tuple[int, int]] = set()
    unreadable: list[str] = []
    first: Image | None = None
    read = 0
    for number in _spread(len(source.files)):
        if time.monotonic() - started > seconds:
            break
        image = read_image(source.files[number])
        read += 1
        if image is None:
            unreadable.append(source.files[number].name)
        else:
            first = image if first is None else first
            sizes.add((image.shape[1], image.shape[0]))
    if first is None:
        return Failure(Trouble.UNUSABLE, f"none of {counted(read, 'image')} checked in {source.path} can be read")
    length = source.indices[-1] + 1
    return FootageFacts(
        total=len(source.files),
        read=read,
        complete=read == len(source.files),
        unreadable=len(unreadable),
        examples=tuple(sorted(unreadable)[:_EXAMPLES]),
        missing=length - len(source.files),
        width=first.shape[1],
        height=first.shape[0],
        sizes=len(sizes),
        fps=source.fps,
        seconds=length / source.fps,
        took_s=time.monotonic() - started,
        length_s=length / source.fps,
    )


def _spread(count: int) -> Iterator[int]:
    """All of 0..count-1, in an order that covers the range evenly at any point where the caller stops."""
    return iter(sorted(range(count), key=lambda number: number * _GOLDEN % 1.0))


def _video(source: VideoSource, request: Request) -> FootageFacts | Failure:
    started = time.monotonic()
    sizes: set[tuple[int, int]] = set()
    read = unreadable = gaps = 0
    first: Image | None = None
    last_s = 0.0
    complete = False
    with source.open() as reader:
        while time.monotonic() - started <= request.seconds:
            position = reader.grab()
            if position is None:
                complete = True
                break
            image = reader.retrieve()
            read += 1
            gaps += position.time_s - last_s > max(request.gap_s, 3.0 / reader.fps)
            last_s = position.time_s
            if image is None:
                unreadable += 1
                continue
            first = image if first is None else first
            sizes.add((image.shape[1], image.shape[0]))
        if first is None:
            return Failure(Trouble.UNUSABLE, f"{source.label} {NO_VIDEO}")
        seconds = last_s + 1.0 / reader.fps
        return FootageFacts(
            total=None,
            read=read,
            complete=complete,
            unreadable=unreadable,
            examples=(),
            missing=gaps,
            width=first.shape[1],
            height=first.shape[0],
            sizes=len(sizes),
            fps=reader.fps,
            seconds=seconds,
            took_s=time.monotonic() - started,
            length_s=seconds if complete else reader.claimed_s,
        )
