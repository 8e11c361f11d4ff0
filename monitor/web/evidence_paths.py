"""Finds the evidence files of an event, and never a file outside the evidence folder.

The names come from messages, so they are text from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monitor.sinks.evidence.evidence_files import found_evidence

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
        if name.endswith(_KINDS[kind]) and (path := found_evidence(folder, name)) is not None:
            return path
    return None
