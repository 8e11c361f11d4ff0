"""Finds the evidence files of an event, and never a file outside the evidence folder.

The names come from messages, so they are text from outside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from monitor.sinks.evidence.evidence_files import evidence_of

_FOLDERS = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*/\d{4}-\d{2}-\d{2}")
CLIPS = (".mp4", ".webm")
_KINDS = {
    "picture": ("-start.jpg",),
    "heat": ("-peak.jpg",),
    "clip": CLIPS,
    "normal": ("-normal.jpg",),
}


def evidence_file(folder: Path | None, names: Sequence[str], kind: str) -> Path | None:
    """The complete path of the file of this kind; None if there is none, or if its name is not a name of evidence.

    folder  the evidence folder; None if there is none
    names   names relative to the folder, as a message lists them
    kind    ``picture``, ``heat``, ``clip`` or ``normal``
    """
    if folder is None:
        return None
    for name in names:
        place, _, file = name.rpartition("/")
        if not (file.endswith(_KINDS[kind]) and evidence_of(file) and _FOLDERS.fullmatch(place)):
            continue
        try:
            path = (folder / name).resolve(strict=True)
            inside = path.is_relative_to(folder.resolve(strict=True)) and path.is_file()
        except (OSError, RuntimeError, ValueError):  # it is not there (yet), or a link leads round
            continue
        if inside:
            return path
    return None
