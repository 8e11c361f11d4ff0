"""Recorded footage to learn from, to evaluate on and to submit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monitor.errors import SourceError, UsageError
from monitor.learning.footage import FootageSource, is_footage
from monitor.sources.finding import Split, open_sources
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.source import Source


def recorded_sources(paths: Sequence[str], split: Split) -> list[Source]:
    """The recorded streams at the paths, each a file or folder; for the root of a data set, the split that is meant.

    Each video is decoded in a process of its own: a file that crashes the decoder is then an error like any other.

    Raises SourceError for a path that holds no footage, UsageError for a camera.
    """
    recordings = [path for path in paths if is_footage(Path(path))]
    others = [path for path in paths if path not in recordings]
    sources = open_sources(others, split=split)
    sources += [FootageSource(Path(path)) for path in recordings]
    live = [source.label for source in sources if source.live]
    if live:
        raise UsageError(f"{live[0]} is a live camera: record it first and give the file or folder")
    return [isolate(source, "process") for source in sources]


def nothing_readable(source: Source) -> SourceError:
    """The error for a source that gave no frame."""
    return SourceError(f"{source.label} holds no readable frame: take it out or give another path")
