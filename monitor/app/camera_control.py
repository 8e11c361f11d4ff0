"""Serves requests that change a camera while the run goes on: pause, learn again, masks, zones; and lists the cameras.

What people choose is kept in the store, never in the user's config file. What that file fixes cannot be changed.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from monitor.alerts.control import Cameras, Mask, Pause, Relearn, Zone
from monitor.alerts.control_desk import Asker, Desk, Done, Steps
from monitor.app.changed_run import ChangedRun, RunCamera
from monitor.app.choice_store import Choice
from monitor.app.place_config import MOST_PLACES, MaskConfig, ZoneConfig, check_something_is_left
from monitor.app.planning import newest_version
from monitor.errors import RunError, UsageError, first_problem
from monitor.live.sink import Sink
from monitor.model.model_store import CARD_FILE, learned_folder
from monitor.places import Point, Polygon
from monitor.reports import CameraReport, RunReport
from monitor.text.durations import in_words
from monitor.text.outside import safe


class CameraControl(Sink):
    """Main thread only. A sink, so that it knows how the cameras are doing."""

    def __init__(self, run: ChangedRun) -> None:
        self._run = run
        self._reports: dict[str, CameraReport] = {}

    def serve_at(self, desk: Desk) -> None:
        """Answer these requests from now on."""
        desk.serve(Pause, self._pause)
        desk.serve(Relearn, self._relearn)
        desk.serve(Mask, self._mask)
        desk.serve(Zone, self._zone)
        desk.serve(Cameras, self._list)

    def tick(self, report: RunReport) -> None:
        """Remember how the cameras are doing, and that they have learned again."""
        self._reports = {camera.name: camera for camera in report.cameras}
        for name, choice in list(self._run.store.choices.items()):
            camera = self._run.cameras.get(name) if choice.relearn_from else None
            if camera is not None and camera.model and self._newest(name) != choice.relearn_from:
                # Else, going back to that version would make it learn again.
                self._run.store.choose(name, self._run.store.of(name).but(relearn_from=""))

    def _pause(self, request: Pause, _: Asker) -> Done | Steps:
        name = self._run.camera(request.camera).name
        self._run.store.choose(name, self._run.store.of(name).but(paused=request.paused))
        if request.paused:
            said = f"{name} is paused: nothing is scored until it is resumed, also after a restart"
        else:
            said = f"{name} is watched again"
        return self._run.cameras.renewed(name, Done(said, {"camera": name, "paused": request.paused}))

    def _relearn(self, request: Relearn, _: Asker) -> Done | Steps:
        camera, settings = self._run.camera(request.camera), self._run.settings()
        name = camera.name
        if camera.model is None:
            raise RunError(f"{name} is not watched at the moment: try again soon")
        if not camera.own_model:
            raise UsageError(f"the config names the model of {name}: remove the setting model to let it learn")
        if not camera.model:
            raise UsageError(f"{name} learns already")
        models = settings.of_camera(name).models_folder
        folder = learned_folder(models, name)
        if folder is None or (folder / CARD_FILE).exists():
            raise UsageError(
                f"{name} cannot learn again, because {models / name} is no folder of versions: move it away, then "
                "start the monitor again"
            )
        self._run.check_reload()
        self._run.store.choose(name, self._run.store.of(name).but(relearn_from=newest_version(folder)))
        duration = in_words(settings.of_camera(name).learning.duration_s)
        start = f"next {duration}" if camera.live else "beginning of the file"
        said = f"{name} learns again, from the {start}; it is not watched until then, and its older versions stay"
        return self._run.reloaded(Done(said, {"camera": name}))

    def _newest(self, name: str) -> str:
        return newest_version(self._run.settings().of_camera(name).models_folder / name)

    def _mask(self, request: Mask, _: Asker) -> Done | Steps:
        name = self._run.camera(request.camera).name
        choice = self._run.store.of(name)
        fixed = self._run.fixed(name)
        self._check_name("mask", request.name, fixed.masks if fixed else {}, choice.masks, request.polygon, name)
        masks = {key: mask for key, mask in choice.masks.items() if key != request.name}
        if request.polygon is not None:
            masks[request.name] = _checked(MaskConfig, polygon=request.polygon, look=request.look)
        changed = self._but(choice, name, masks=masks)
        self._run.check_reload()
        self._run.store.choose(name, changed)
        if request.polygon is None:
            said = f"{name}: the mask {request.name} is removed, and what was below it is seen again"
        else:
            said = (
                f"{name}: the mask {request.name} hides its place from now on; what was stored before may show it, and "
                "can be deleted with forget"
            )
        return self._run.reloaded(Done(said, {"camera": name, "mask": request.name}))

    def _zone(self, request: Zone, _: Asker) -> Done | Steps:
        name = self._run.camera(request.camera).name
        choice = self._run.store.of(name)
        fixed = self._run.fixed(name)
        self._check_name("zone", request.name, fixed.zones if fixed else {}, choice.zones, request.polygon, name)
        zones = {key: zone for key, zone in choice.zones.items() if key != request.name}
        if request.polygon is not None:
            rule = {"sensitivity": request.sensitivity, "must_touch": request.must_touch, "times": request.times}
            zones[request.name] = _checked(ZoneConfig, polygon=request.polygon, **rule)
        self._run.store.choose(name, self._but(choice, name, zones=zones))
        what = "is removed" if request.polygon is None else f"holds from now on: {_rule(zones[request.name])}"
        done = Done(f"{name}: the zone {request.name} {what}", {"camera": name, "zone": request.name})
        return self._run.cameras.renewed(name, done)

    def _check_name(
        self, kind: str, place: str, fixed: dict[str, Any], chosen: dict[str, Any], polygon: object, camera: str
    ) -> None:
        if place in fixed:
            raise UsageError(
                f"the config file has the {kind} {place} of {camera}: change it there, or choose another name"
            )
        if polygon is None and place not in chosen:
            raise UsageError(f"{camera} has no {kind} {place}: list its places with the request cameras")
        if polygon is not None and place not in chosen and len(chosen) + len(fixed) >= MOST_PLACES:
            raise UsageError(f"{camera} has {MOST_PLACES} {kind}s already: remove one first")

    def _but(self, choice: Choice, camera: str, **places: Any) -> Choice:
        """The choice with other places. Raises UsageError if a name is wrong, or if nothing is left to be watched."""
        try:
            changed = choice.but(**places)
            own = self._run.fixed(camera)
            masks, zones = (own.masks, own.zones) if own else ({}, {})
            check_something_is_left({**changed.masks, **masks}, {**changed.zones, **zones})
        except ValidationError as error:
            where, what = first_problem(error)
            words = "a name has letters, digits, '-', '_' and '.', and at most 64 of them" if "[key]" in where else what
            raise UsageError(words.removeprefix("Value error, ")) from None
        except ValueError as error:
            raise UsageError(f"{camera}: {error}") from None
        return changed

    def _list(self, request: Cameras, _: Asker) -> Done:
        if request.camera is not None:
            self._run.camera(request.camera)
        found = [self._facts(camera) for camera in self._run.cameras if request.camera in (None, camera.name)]
        return Done(
            f"{len(found)} camera{'s' * (len(found) != 1)}",
            {"cameras": found, "why_not_opened": self._run.why_not_opened},
        )

    def _facts(self, camera: RunCamera) -> dict[str, Any]:
        name, settings, report = camera.name, self._run.settings(), self._reports.get(camera.name)
        own, choice = self._run.fixed(name), self._run.store.of(name)
        progress = None if report is None else report.progress
        return {
            "name": name,
            "source": safe(camera.label),
            "added": name in settings.added,
            "state": None if report is None else str(report.state),
            "detail": "" if report is None else safe(report.detail),
            "fps_in": None if report is None else report.fps_in,
            "learning": None
            if progress is None
            else {"share": progress.fraction, "left_s": progress.left_s, "said": safe(progress.how_far)},
            "model": camera.model or "",
            "may_relearn": camera.own_model and bool(camera.model) and not self._run.why_not_opened,
            "paused": choice.paused,
            "armed": choice.armed,
            "per_day": settings.budget_of(name),
            "fixed_per_day": settings.fixed_budget(name),
            "size": None if camera.size is None else list(camera.size),
            "masks": _places(choice.masks, fixed=False) + _places(own.masks if own else {}, fixed=True),
            "zones": _places(choice.zones, fixed=False) + _places(own.zones if own else {}, fixed=True),
        }


def _places(places: dict[str, Any], *, fixed: bool) -> list[dict[str, Any]]:
    """Places as a client gets them. Corners are shares of the picture. fixed: the config file sets them."""
    found = []
    for name, place in places.items():
        facts = place.model_dump(mode="json", exclude={"polygon", "picture_size"})
        found.append({"name": name, "fixed": fixed, "polygon": [list(point) for point in place.place.points], **facts})
    return found


def _checked(kind: type[Any], *, polygon: tuple[Point, ...], **fields: object) -> Any:
    """A mask or a zone. Raises UsageError with a sentence."""
    try:
        _ = Polygon(polygon)  # before the settings of the file are checked: a request has no picture_size to advise
    except ValueError as error:
        raise UsageError(str(error)) from None
    try:
        return kind(polygon=polygon, **fields)
    except ValidationError as error:
        where, what = first_problem(error)
        what = what.removeprefix("Value error, ")
        raise UsageError(f"the {where.partition('.')[0]} is wrong: {what}" if where else what) from None


def _rule(zone: ZoneConfig) -> str:
    rules = []
    if zone.sensitivity is not None:
        rules.append(f"what happens there counts {zone.sensitivity:g} times as much")
    if zone.must_touch:
        rules.append("only what touches it is scored")
    words = " and ".join(rules) or "nothing that happens there is scored"
    return f"{words}, in its times" if zone.times else words
