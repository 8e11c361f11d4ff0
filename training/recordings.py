"""Opens recorded footage for learning, evaluation and submission."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monitor.errors import SourceError, UsageError
from monitor.learning.footage import FootageSource, is_footage
from monitor.sources.finding import Split, open_sources
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.opencv import FALLBACK_FPS
from monitor.sources.source import Source


def recorded_sources(paths: Sequence[str], split: Split, fps: float = FALLBACK_FPS) -> list[Source]:
    """Open the recorded footage at the paths. Each path is a file or a folder.

    split  the part to use if a path is the root of a data set
    fps    frames per second of folders of images; a recording of the monitor knows its own times

    Each video is decoded in a separate process, so a file that crashes the decoder only causes a normal error. Raises
    SourceError for a path without footage and UsageError for a camera.
    """
    recordings = [path for path in paths if is_footage(Path(path))]
    others = [path for path in paths if path not in recordings]
    sources = open_sources(others, split=split, fps=fps)
    sources += [FootageSource(Path(path)) for path in recordings]
    live = [source.label for source in sources if source.live]
    if live:
        raise UsageError(f"{live[0]} is a live camera: record it first and give the file or folder")
    return [isolate(source, "process") for source in sources]


def nothing_readable(source: Source) -> SourceError:
    """The error for a source without any readable frame."""
    return SourceError(f"{source.label} contains no readable frame: remove it or give another path")
