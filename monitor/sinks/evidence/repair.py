"""At the start: completes the evidence that a killed monitor left unfinished.

A clip keeps its frames up to the kill. The facts of an event (JSON) name only files that are there, and say that the
event was interrupted. Only files with names of evidence are touched, and only if no other monitor uses the folder.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.reading import parse_json, read_file
from monitor.sinks.evidence.clips import complete_clip
from monitor.sinks.evidence.evidence_files import Disk, discard, evidence_of, is_partial
from monitor.sinks.evidence.retention import dates_in
from monitor.text.wording import counted

log = logging.getLogger(__name__)

_MAX_FACTS_BYTES = 1_000_000


@contextmanager
def sole_user(folder: Path) -> Iterator[bool]:
    """Use the folder until the end of the block. Yields True if no other monitor uses it now."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield False
        return
    try:
        yield _is_sole_user(handle)
    finally:
        os.close(handle)  # which also releases the lock


def repair(disk: Disk) -> None:
    """Complete what is unfinished in the evidence folder. Never raises OSError."""
    clips = events = 0
    try:
        for date in dates_in(disk.folder):
            for partial in [path for path in date.iterdir() if is_partial(path.name) and path.is_file()]:
                clips += _complete(partial)
            present: defaultdict[str, set[str]] = defaultdict(set)
            for path in date.iterdir():
                if (event := evidence_of(path.name)) is not None:
                    present[event].add(path.name)
            for event, names in present.items():
                events += _correct(disk, date, f"{event}.json", names)
    except OSError as error:
        log.debug("%s cannot be searched for unfinished evidence: %s", disk.folder, error)
    if clips or events:
        log.warning(
            "the last run was killed while it wrote evidence: %s and the facts of %s completed in %s",
            counted(clips, "clip"),
            counted(events, "event"),
            disk.folder,
        )


def _is_sole_user(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # in use, or a file system without locks: then nobody can tell
        alone = False
    else:
        alone = True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return alone


def _complete(partial: Path) -> bool:
    """Make a clip of an unfinished one. Any other unfinished file is deleted. True if there is a clip now."""
    path = partial.with_name(partial.name.removeprefix(".").replace(".partial", ""))
    if path.suffix in (".mp4", ".webm") and evidence_of(path.name) is not None and not path.exists():
        try:
            if complete_clip(partial, path):
                return True
        except OSError as error:
            log.warning("the unfinished clip %s cannot be completed: %s", partial, error)
            return False
    discard(partial)
    return False


def _correct(disk: Disk, date: Path, facts_name: str, present: set[str]) -> bool:
    """Correct the facts of an event that was interrupted. True if they were wrong."""
    path = date / facts_name
    if facts_name not in present:
        return False
    try:
        facts = parse_json(read_file(path, _MAX_FACTS_BYTES))
    except (OSError, ValueError):  # not ours, or not to be read
        return False
    if not isinstance(facts, dict) or not isinstance(facts.get("files"), list) or "phase" not in facts:
        return False
    named = [name for name in facts["files"] if isinstance(name, str)]
    kept = [name for name in named if name in present]
    if kept == named and facts["phase"] == "end":
        return False
    corrected = facts | {"phase": "end", "files": kept}
    if facts["phase"] != "end":
        corrected["interrupted"] = True
    disk.write(path.relative_to(disk.folder).as_posix(), (json.dumps(corrected, indent=1) + "\n").encode())
    return True
