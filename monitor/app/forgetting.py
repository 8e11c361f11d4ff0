"""Deletes what is known of a camera: events, their pictures, what was taught, thresholds, models. By choice, in steps.

It works in a run, where a request of the control socket asks for it, and without one, see ``forget_command``.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from monitor.alerts.control import Forget
from monitor.alerts.control_desk import Asker, Done, Steps
from monitor.alerts.journal import Journal, JournalError
from monitor.app.config import MonitorConfig
from monitor.errors import RunError, UsageError
from monitor.sinks.evidence.evidence_files import evidence_of, folder_name
from monitor.state_folder import CALIBRATIONS
from monitor.teaching.verdict_store import VerdictStore
from monitor.text.durations import local_time
from monitor.text.wording import counted, joined

log = logging.getLogger(__name__)

_FILES_PER_STEP = 20


@dataclass(frozen=True)
class Places:
    """Where things are. evidence: None if this run keeps none."""

    journal: Journal
    store: VerdictStore
    evidence: Path | None
    calibrations: Path
    models: Path


def places_of(settings: MonitorConfig, journal: Journal, store: VerdictStore) -> Places:
    """Where a run with these settings keeps things."""
    evidence = settings.evidence.folder if settings.evidence.enabled or settings.evidence.folder.is_dir() else None
    calibrations = settings.journal.path.parent / CALIBRATIONS
    return Places(journal, store, evidence, calibrations, settings.models_folder)


class Forgetter:
    """Answers requests to forget.

    known      says whether a camera is watched now
    forgotten  called after a camera's verdicts or thresholds are gone: (camera, whether its thresholds are)
    """

    def __init__(
        self,
        places: Places,
        known: Callable[[str], bool] = lambda _: False,
        forgotten: Callable[[str, bool], None] = lambda *_: None,
    ) -> None:
        self._places, self._known, self._forgotten = places, known, forgotten

    def serve(self, request: Forget, _: Asker) -> Steps:
        """Say what would be deleted, or delete it. Raises UsageError if nothing is known of the camera."""
        return self._steps(request)

    def _steps(self, request: Forget) -> Generator[None, None, Done]:
        delete = not request.preview
        from_at, to_at = request.from_at or 0.0, math.inf if request.to_at is None else request.to_at
        if from_at > to_at:
            raise UsageError("the time ends before it begins: swap --from and --to")
        counts: dict[str, int] = {}
        if "alerts" in request.what:
            try:
                counts["message"] = yield from self._places.journal.forget(
                    request.camera, from_at, to_at, delete=delete
                )
            except JournalError as error:
                raise RunError(f"the messages of {request.camera} cannot be deleted: {error}") from None
        if "evidence" in request.what and self._places.evidence is not None:
            counts["evidence file"] = yield from self._evidence(request.camera, from_at, to_at, delete=delete)
        if "taught" in request.what:
            verdicts, events = yield from self._taught(request.camera, from_at, to_at, delete=delete)
            counts |= {"verdict": verdicts, "kept event": events}
        if "thresholds" in request.what:
            path = self._places.calibrations / f"{request.camera}.safetensors"
            counts["threshold file"] = int(path.exists())
            if delete:
                path.unlink(missing_ok=True)
        if "models" in request.what:
            counts["model version"] = self._models(request.camera, delete=delete)
        if delete and ({"taught", "thresholds"} & set(request.what)):
            self._forgotten(request.camera, "thresholds" in request.what)
        if not any(counts.values()) and not self._known(request.camera):
            raise UsageError(
                f"nothing is known of a camera '{request.camera}' in that time: check the name and the times"
            )
        return Done(_sentence(request, counts, delete=delete), {"counts": counts, "deleted": delete})

    def _evidence(self, camera: str, from_at: float, to_at: float, *, delete: bool) -> Generator[None, None, int]:
        assert self._places.evidence is not None
        folder, count = self._places.evidence / folder_name(camera), 0
        for path in _evidence_files(folder, from_at, to_at):
            if delete:
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise RunError(f"{path} cannot be deleted ({error.strerror}): check its folder's rights") from None
            count += 1
            if count % _FILES_PER_STEP == 0:
                yield
        if delete:
            for day in sorted(folder.glob("*")) if folder.is_dir() else []:
                with suppress(OSError):  # it holds other files
                    day.rmdir()
            with suppress(OSError):
                folder.rmdir()
        return count

    def _taught(
        self, camera: str, from_at: float, to_at: float, *, delete: bool
    ) -> Generator[None, None, tuple[int, int]]:
        store = self._places.store
        ids = store.event_ids(camera, from_at, to_at)
        judged = [event_id for event_id in ids if store.verdict(event_id) is not None]
        for event_id in ids if delete else []:
            store.forget(event_id)
            yield
        if delete and ids:
            store.shrink()
        return len(judged), len(ids)

    def _models(self, camera: str, *, delete: bool) -> int:
        folder = self._places.models / camera
        versions = [path.parent for path in (*folder.glob("model.json"), *folder.glob("v*/model.json"))]
        if delete and folder.is_dir() and versions:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise RunError(f"{folder} cannot be deleted ({error.strerror}): check its rights") from None
        return len(versions)


def _evidence_files(folder: Path, from_at: float, to_at: float) -> Iterator[Path]:
    """The files of events that began in this time (unix seconds). Files with other names are not ours."""
    for path in sorted(folder.glob("????-??-??/*")) if folder.is_dir() else []:
        stem = evidence_of(path.name)
        if stem is None:
            continue
        try:
            began = datetime.strptime(f"{path.parent.name} {stem[:10]}", "%Y-%m-%d %H%M%S.%f").replace(tzinfo=UTC)
        except ValueError:
            continue
        if from_at <= began.timestamp() <= to_at:
            yield path


def _sentence(request: Forget, counts: dict[str, int], *, delete: bool) -> str:
    found = joined([counted(count, what) for what, count in counts.items() if count]) or "nothing"
    when = "".join(
        f" {word} {local_time(at)}" for word, at in (("from", request.from_at), ("to", request.to_at)) if at is not None
    )
    said = f"{request.camera}: {'deleted' if delete else 'would delete'} {found}{when}"
    if counts.get("model version") and delete:
        said += "; a camera that is watched now keeps its model until the monitor starts again"
    return said
