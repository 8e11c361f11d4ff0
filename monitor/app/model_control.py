"""Serves requests about the versions of cameras' models: lists them, and goes back to the one before the newest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from monitor.alerts.control import RollBack, Versions
from monitor.alerts.control_desk import WAITING, Asker, Desk, Done, Steps
from monitor.app.changed_run import ChangedRun, RunCamera
from monitor.errors import ModelError, MonitorError, RunError, UsageError
from monitor.learning.grown_version import roll_back
from monitor.model.model_store import CARD_FILE, LARGEST_CARD, parse_card
from monitor.model.model_versions import version_folders
from monitor.reading import read_file
from monitor.text.outside import safe
from monitor.threads.stage import Stage

_MOST_CARDS = 1000


class ModelControl:
    """Main thread only."""

    def __init__(self, run: ChangedRun) -> None:
        self._run = run
        self._read: dict[tuple[Path, float], dict[str, Any]] = {}  # what a card says, by its file and its time

    def serve_at(self, desk: Desk) -> None:
        """Answer these requests from now on."""
        desk.serve(Versions, self._list)
        desk.serve(RollBack, self._roll_back)

    def _list(self, request: Versions, _: Asker) -> Done:
        if request.camera is not None:
            self._run.camera(request.camera)
        found = [self._facts(camera) for camera in self._run.cameras if request.camera in (None, camera.name)]
        count = sum(len(each["versions"]) for each in found)
        return Done(f"{count} version{'s' * (count != 1)} of models", {"cameras": found})

    def _facts(self, camera: RunCamera) -> dict[str, Any]:
        folder, why_not = self._folder(camera), ""
        used = (camera.model or "").rpartition("@")[2]  # the id of a model ends with the beginning of its hash
        versions = [] if folder is None else [self._card(each) for each in version_folders(folder)]
        try:
            self._check(camera)
        except UsageError as error:
            why_not = str(error)
        for each in versions:
            of_run = each.pop("hash")
            each["used"] = bool(used) and of_run.startswith(used)
        return {"name": camera.name, "versions": versions, "why_not": safe(why_not)}

    def _card(self, version: Path) -> dict[str, Any]:
        """What a version says of itself. Fields are empty if it cannot be read."""
        path = version / CARD_FILE
        try:
            key = path, path.stat().st_mtime
            if key not in self._read:
                content = read_file(path, LARGEST_CARD)
                if len(self._read) >= _MOST_CARDS:
                    self._read.clear()
                made = parse_card(version, content).provenance
                self._read[key] = {
                    "version": version.name,
                    "learned_at": safe(made.trained_at),
                    "learned_on": safe(str(made.notes.get("learned_on", ""))),
                    "hash": hashlib.sha256(content).hexdigest(),
                }
            return dict(self._read[key])
        except (OSError, ModelError):
            return {"version": version.name, "learned_at": "", "learned_on": "", "hash": "-"}

    def _folder(self, camera: RunCamera) -> Path | None:
        """The folder of the camera's versions; None if the config names its model."""
        return self._run.settings().of_camera(camera.name).models_folder / camera.name if camera.own_model else None

    def _check(self, camera: RunCamera) -> Path:
        """The folder whose newest version can be set aside. Raises UsageError."""
        name, folder = camera.name, self._folder(camera)
        if camera.model is None:
            raise UsageError(f"{name} is not watched at the moment: try again soon")
        if folder is None:
            raise UsageError(f"the config names the model of {name}: name the folder of another version there")
        if not camera.model:
            raise UsageError(f"{name} learns now: wait until it has learned")
        self._run.check_reload()
        if len(version_folders(folder)) < 2:
            raise UsageError(f"{name} has no older version to go back to")
        return folder

    def _roll_back(self, request: RollBack, _: Asker) -> Steps:
        return self._going_back(self._run.camera(request.camera))

    def _going_back(self, camera: RunCamera) -> Steps:
        name, folder = camera.name, self._check(camera)
        done: list[tuple[Path, Path]] = []
        stage = Stage(f"going back {name}", lambda: done.append(roll_back(folder)), lambda _: None)
        stage.start()  # it loads the version, which may take seconds
        while stage.alive:
            yield WAITING
        error = stage.error
        if isinstance(error, MonitorError):
            raise error
        if error is not None:
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            raise RunError(f"the newest version of {name} cannot be set aside ({why}): check the rights of {folder}")
        ((aside, used),) = done
        said = f"{name} is watched with version {used.name} from now on; the newer one is kept as {aside.name}"
        if self._run.settings().of_camera(name).learning.on and camera.live:
            said += "; what it watches may give a new version: learning.on = false in the config file keeps this one"
        return (yield from self._run.reloaded(Done(said, {"camera": name, "version": used.name})))
