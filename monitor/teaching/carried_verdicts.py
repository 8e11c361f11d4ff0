"""Verdicts of cameras that move between the nodes of a fleet: each camera has a file of its own, which goes with it.

The file is beside those of its threshold and memory, and is brought to the next node before the camera is opened. It
holds all that people have said about the camera, each verdict with its event, and when events with these names notify.
It is removed before a change is stored and written after it: what it says is never older than what is stored.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from monitor.errors import RunError
from monitor.private_files import make_private_folder, write_private
from monitor.reading import MB, parse_json, read_file
from monitor.state_folder import given_event
from monitor.teaching.verdict_store import KeptEvent, Verdict, VerdictStore

log = logging.getLogger(__name__)

FORMAT = "true-sight taught"
_LARGEST = 500 * MB
_LARGEST_EVENT = 4 * MB


class CarriedVerdicts(VerdictStore):
    """See VerdictStore. folder: of the files that go with cameras; it exists."""

    def __init__(self, path: Path, folder: Path) -> None:
        super().__init__(path)
        self._folder = folder
        self._taken: dict[str, tuple[int, int]] = {}

    def arrive(self, camera: str) -> None:
        """Take over what was said on other nodes: it replaces what this one knows. Raises RunError."""
        path = self._path(camera)
        try:
            status = path.stat()
        except OSError:
            if self.verdicts(camera):  # the program was killed after the change, or this file is new here
                self._write(camera)
            return
        mark = status.st_mtime_ns, status.st_size
        if mark == self._taken.get(camera):
            return
        self._taken[camera] = mark
        try:
            verdicts, alerts = _parsed(camera, read_file(path, _LARGEST))
        except (OSError, ValueError) as error:
            log.warning("%s: what people have said about it on other nodes is not used: %s", camera, error)
            return
        said = {verdict.event_id for verdict, _ in verdicts}
        for old in self.verdicts(camera):
            if old.event_id not in said:
                super().take_back(old.event_id)
        known = {each.event_id: each for each in self.verdicts(camera)}
        for verdict, event in verdicts:
            if known.get(verdict.event_id) != verdict:
                if event is not None:
                    self.keep(event)
                super().give(verdict)
        for name, alert in alerts.items():
            super().set_alert(name, alert)

    def event(self, event_id: str) -> KeptEvent | None:
        """See VerdictStore. Also an event that another node has told, if the head has brought it."""
        if (found := super().event(event_id)) is not None:
            return found
        path = given_event(self._folder, event_id)
        try:
            event = KeptEvent.of_facts(_table(read_file(path, _LARGEST_EVENT)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("event %s of another node cannot be used: %s", event_id, error)
            return None
        if event.event_id != event_id:
            return None
        self.keep(event)
        with suppress(OSError):
            path.unlink()
        return event

    def give(self, verdict: Verdict) -> None:
        """See VerdictStore; likewise the others."""
        with self._changing(verdict.camera):
            super().give(verdict)

    def take_back(self, event_id: str) -> None:  # noqa: D102
        verdict = self.verdict(event_id)
        with self._changing(*(() if verdict is None else (verdict.camera,))):
            super().take_back(event_id)

    def set_alert(self, name: str, alert: str) -> None:  # noqa: D102
        with self._changing(*sorted({each.camera for each in self.verdicts() if each.verdict == name})):
            super().set_alert(name, alert)

    def forget(self, event_id: str) -> None:  # noqa: D102
        verdict = self.verdict(event_id)
        with self._changing(*(() if verdict is None else (verdict.camera,))):
            super().forget(event_id)

    @contextmanager
    def _changing(self, *cameras: str) -> Iterator[None]:
        """What is stored about these cameras changes in here. Raises RunError."""
        for camera in cameras:
            try:
                self._path(camera).unlink(missing_ok=True)
            except OSError as error:
                raise RunError(f"it cannot be stored in {self._folder} ({error.strerror}): check its rights") from error
        try:
            yield
        finally:
            for camera in cameras:
                self._write(camera)

    def _write(self, camera: str) -> None:
        """If this fails, it is logged: what was said holds here, and the file is written with the next change."""
        path = self._path(camera)
        partial = path.with_name(f".{path.name}.partial")
        verdicts = self.verdicts(camera)
        named = {verdict.verdict for verdict in verdicts}
        rows = []
        for verdict in verdicts:
            event = super().event(verdict.event_id)
            kept = None if event is None else event.facts()
            rows.append({**verdict.facts(), "judged": json.dumps(verdict.judged), "kept": kept})
        alerts = {name: alert for name, alert in self.alerts().items() if name in named}
        content = {"format": FORMAT, "version": 1, "camera": camera, "verdicts": rows, "names": alerts}
        try:
            make_private_folder(path.parent)
            write_private(partial, json.dumps(content).encode())
            partial.replace(path)
            status = path.stat()
            self._taken[camera] = status.st_mtime_ns, status.st_size
        except OSError as error:
            log.warning("%s: what people have said cannot go with it to another node: %s", camera, error.strerror)

    def _path(self, camera: str) -> Path:
        return self._folder / f"{camera}.json"


def _table(content: bytes) -> dict[str, Any]:
    """Raises ValueError."""
    table = parse_json(content)
    if not isinstance(table, dict):
        raise ValueError("it is no table")  # noqa: TRY004 - of a file
    return table


def _parsed(camera: str, content: bytes) -> tuple[list[tuple[Verdict, KeptEvent | None]], dict[str, str]]:
    """The verdicts of a file, each with its event, and when events with names notify. Raises ValueError."""
    table = _table(content)
    try:
        if (table["format"], table["version"], table["camera"]) != (FORMAT, 1, camera):
            raise ValueError("it is not a file of this camera")
        found = [(_verdict(row, camera), _event(row, camera)) for row in table["verdicts"]]
        return found, {str(name): str(alert) for name, alert in table["names"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from None


def _verdict(row: dict[str, Any], camera: str) -> Verdict:
    judged = json.loads(row["judged"])  # in a text of its own, because it may hold infinite numbers
    everywhere, all_hours = row["scope"] == "picture", bool(row["all_hours"])
    event_id, said, at, by = str(row["event"]), str(row["verdict"]), float(row["given_at"]), str(row["given_by"])
    return Verdict(event_id, camera, said, everywhere, all_hours, at, by, judged if isinstance(judged, dict) else {})


def _event(row: dict[str, Any], camera: str) -> KeptEvent | None:
    event = None if row["kept"] is None else KeptEvent.of_facts(row["kept"])
    if event is not None and (event.event_id, event.camera) != (row["event"], camera):
        raise ValueError("an event is not that of its verdict")
    return event
