"""A source as the contract suite checks it, and what the checks share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from monitor.errors import CaptureError, SourceError
from monitor.sources.source import Position, Reader, Source
from monitor.types import Image

CREDENTIALS = re.compile(r"://[^/\s]*:(?!\*\*\*)[^/\s@]*@")
_MANY_FRAMES = 1000
"""A recorded source under test must be short, because each check reads all of it."""


@dataclass(frozen=True)
class SourceCase:
    """A source under test.

    make         makes a new source. All recorded sources that it makes give the same frames, and only a few
    live_frames  number of frames to read from a live source
    repeats      False for a recorded source that documents that a second ``open`` gives other frames
    secret       a password that must not be in the label; "" if there is none
    """

    make: Callable[[], Source]
    live_frames: int = 12
    repeats: bool = True
    secret: str = ""


Step = tuple[Position, Image | None]


@contextmanager
def opened(source: Source) -> Iterator[Reader]:
    """An open reader. An error while it is opened or read fails the check."""
    with only_capture_errors("open"):
        reader = source.open()
    with only_capture_errors("reading"), reader:
        yield reader


def positions_of(reader: Reader, source: Source, case: SourceCase) -> Iterator[Position]:
    """The positions of all frames; for a live source, of some."""
    limit = case.live_frames if source.live else _MANY_FRAMES + 1
    for number in range(limit):
        position = reader.grab()
        if position is None:
            return
        assert number < _MANY_FRAMES, f"the recording under test has over {_MANY_FRAMES} frames: use a shorter one"
        yield position


def steps_of(reader: Reader) -> Iterator[Step]:
    """The positions of all frames that are left, each with its picture."""
    while (position := reader.grab()) is not None:
        yield position, reader.retrieve()


def walked(case: SourceCase) -> list[Step]:
    """All frames of a new recorded source."""
    source = case.make()
    with opened(source) as reader:
        return [(position, reader.retrieve()) for position in positions_of(reader, source, case)]


def same_picture(one: Image | None, other: Image | None) -> bool:
    """Whether two pictures are equal in every byte, or are both missing."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and one.dtype == other.dtype and np.array_equal(one, other)


def assert_same_steps(found: list[Step], expected: list[Step], when: str) -> None:
    """Fail with a sentence if two readings of a source differ."""
    assert len(found) == len(expected), f"{when}, there are {len(found)} frames and not {len(expected)}"
    for (position, image), (other, its) in zip(found, expected, strict=True):
        assert position == other, f"{when}, a frame is {position} and not {other}"
        assert same_picture(image, its), f"{when}, frame {position.index} is another picture"


def assert_pictures_unchanged(held: list[tuple[Position, Image, Image]]) -> None:
    """held: positions, the pictures that the reader returned, and copies made at that moment."""
    for position, image, copy in held:
        assert np.array_equal(image, copy), f"the picture of frame {position.index} changed after it was returned"


def assert_source_sentence(error: Exception, secret: str = "") -> None:
    """Fail if an error is not one line that says something, or if it shows a secret."""
    text = str(error)
    assert text.strip(), f"{type(error).__name__} has no text"
    assert "\n" not in text, f"an error is more than one line: {text}"
    assert "Traceback" not in text, f"an error is a traceback: {text}"
    assert not secret or secret not in text, "an error contains the password"
    assert not CREDENTIALS.search(text), "an error contains credentials"


@contextmanager
def only_capture_errors(doing: str) -> Iterator[None]:
    """A working source raises no error here. An error of another type than promised is reported as such."""
    try:
        yield
    except AssertionError:
        raise
    except (CaptureError, SourceError) as error:
        raise AssertionError(f"{doing} fails: {error}") from error
    except Exception as error:
        raise AssertionError(f"{doing} raises {error!r}, which is neither a CaptureError nor a SourceError") from error


@contextmanager
def allowed_to_fail(what: str, secret: str = "") -> Iterator[None]:
    """What happens inside may fail, with a CaptureError or a SourceError that is a sentence."""
    try:
        yield
    except AssertionError:
        raise
    except (CaptureError, SourceError) as error:
        assert_source_sentence(error, secret)
    except Exception as error:
        raise AssertionError(f"{what} raises {error!r}, which is neither a CaptureError nor a SourceError") from error


@contextmanager
def no_errors(doing: str) -> Iterator[None]:
    """What happens inside may not fail."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{doing} raises {error!r}") from error
