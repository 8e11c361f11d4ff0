"""From settings to cameras that can be watched: it finds sources, loads models, computes thresholds and checks all."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from monitor.app.config import MonitorConfig
from monitor.app.own_model import Relearning, check_scene
from monitor.app.place_config import place_rules
from monitor.detector.registry import LATER, LEARNABLE, LEARNED, detector_class
from monitor.errors import ConfigError, ModelError, SourceError
from monitor.judging.camera_monitor import CameraMonitor
from monitor.judging.drift import ModelBands
from monitor.judging.fusion import ModelScale
from monitor.judging.warm_up import warm_up
from monitor.learning.calibration_store import CalibrationStore
from monitor.learning.footage import is_footage
from monitor.learning.growing import GrowingPlan
from monitor.learning.hold import Hold
from monitor.learning.learning_plan import LearningPlan
from monitor.live.capture import CaptureSettings
from monitor.live.fleet import Camera
from monitor.model.model_store import Model, learned_folder, load_model
from monitor.model.model_versions import version_folders
from monitor.model.unlearned import unlearned_model
from monitor.places import CameraPlaces
from monitor.reading import real_path
from monitor.scores.calibration import DAY_S
from monitor.sources.finding import open_sources
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.masked import Mask
from monitor.sources.source import Source
from monitor.sources.unreadable import UnreadableSource
from monitor.sources.video import NO_VIDEO, UNKNOWN_CODEC
from monitor.state_folder import CALIBRATIONS
from monitor.stream.frame_rules import UNCHECKED
from monitor.stream.schedule_settings import Schedule
from monitor.text.commands import client_command, training_command
from monitor.text.durations import in_words
from monitor.text.redaction import redact_source
from monitor.text.wording import about
from monitor.threads.switching import quick_switching

log = logging.getLogger("monitor")


def find_sources(
    specs: Sequence[str], settings: MonitorConfig, may_fail: Collection[str] | None = None
) -> list[Source]:
    """The sources named on the command line, otherwise the cameras of the config. Each source has been checked.

    A source that can never give a frame becomes an UnreadableSource: the others are watched.

    may_fail: names of the sources for which this holds; None for all

    Raises SourceError if no source can be read, or one that must not fail; ConfigError if there is no source.
    """
    wanted = settings.added if specs else settings.cameras.keys()
    named = [*specs, *(f"{name}={settings.cameras[name].source}" for name in settings.cameras if name in wanted)]
    if not named:
        raise ConfigError("the config file names no camera: add [cameras.NAME] with a source, or give a SOURCE")
    capture = settings.capture
    found = [
        source
        if isinstance(source, UnreadableSource)
        else isolate(source, capture.isolation, masks_of(source.name, settings))
        for source in _opened(named, settings)
    ]
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = list(pool.map(_checked_source, found))
    lost = [source for source in found if isinstance(source, UnreadableSource)]
    fatal = lost if len(lost) == len(found) else [s for s in lost if not _may_fail(s.name, settings, may_fail)]
    if fatal:
        raise SourceError(fatal[0].reason)
    return found


def _opened(named: Sequence[str], settings: MonitorConfig) -> list[Source]:
    """The sources of these words. A camera that somebody has added, and that cannot exist, must not end the others."""
    try:
        return _open(named, settings)
    except SourceError:
        failed: list[Source] = []
        for name in settings.added:
            source = settings.cameras[name].source
            try:
                _open([f"{name}={source}"], settings)
            except SourceError as error:
                advice = f"{error}; `{client_command(f'remove {name}')}` removes this camera"
                failed.append(UnreadableSource(name, redact_source(source), advice))
        if not failed:
            raise
        gone = {source.name for source in failed}
        rest = [spec for spec in named if spec.partition("=")[0] not in gone]
        return [*(_open(rest, settings) if rest else []), *failed]


def _open(named: Sequence[str], settings: MonitorConfig) -> list[Source]:
    capture = settings.capture
    return open_sources(
        named,
        fps=settings.playback.fps,
        open_timeout_s=capture.open_timeout_s,
        read_timeout_s=capture.read_timeout_s,
        snapshot_fps=capture.snapshot_fps,
        hardware=capture.hardware_decoding,
        keep_unreadable=True,
        links=settings.links,
    )


def _may_fail(name: str, settings: MonitorConfig, may_fail: Collection[str] | None) -> bool:
    return may_fail is None or name in may_fail or name in settings.added


def _checked_source(source: Source) -> Source:
    """The source, or an UnreadableSource in its place if it can never give a frame."""
    if isinstance(source, UnreadableSource):
        return source
    try:
        source.check()
    except SourceError as error:
        return UnreadableSource(source.name, source.label, f"{error}{_what_to_do(str(error))}")
    return source


def _what_to_do(problem: str) -> str:
    """What to do about a source that gives no frame, as the end of the sentence; "" if the sentence says it itself."""
    if problem.endswith((NO_VIDEO, UNKNOWN_CODEC)):
        return ": copy it again, or convert it, for example `ffmpeg -i IN OUT.mp4`"
    return "" if ": " in problem else ": copy it again, or give another one"


def masks_of(camera: str, settings: MonitorConfig) -> list[Mask]:
    """The masks that the settings name for a camera."""
    return [each.mask for _, each in sorted(settings.masks_of(camera).items())]


def plan_cameras(
    sources: Sequence[Source], common: MonitorConfig, max_frames: int | None, relearning: Relearning | None = None
) -> list[Camera]:
    """Give each source its model and its monitor. Each model is loaded once and shared.

    A camera without a model in the settings uses its own model in the folder of models, or learns one first. relearning
    says which cameras learn again.

    Raises ModelError if a model cannot be used, and ConfigError if a model does not belong to a file.
    """
    relearning = relearning or Relearning()
    loaded = _Loaded()
    cameras = []
    for source in sources:
        if isinstance(source, UnreadableSource):
            cameras.append(_camera(source, unlearned_model(), None, None, common.of_camera(source.name), max_frames))
            continue
        named = _named_model(source.name, common)
        settings = common.of_camera(source.name)
        folder = named or learned_folder(settings.models_folder, source.name)
        again = named is None and folder is not None and _learns_again(source.name, folder, settings, relearning)
        if folder is None or again:
            plan = replace(_learning_plan(source, settings.models_folder / source.name, settings), again=again)
            cameras.append(_camera(source, unlearned_model(), None, plan, settings, max_frames))
            continue
        try:
            model, scale, bands = loaded.get(folder, settings)
        except ModelError as error:
            if named is not None or not source.live or len(sources) == 1:
                raise
            # One damaged model must not keep the other cameras from being watched.
            log.error("%s: %s; it learns again now", source.name, error)  # noqa: TRY400 - its traceback helps nobody
            plan = replace(_learning_plan(source, settings.models_folder / source.name, settings), again=True)
            cameras.append(_camera(source, unlearned_model(), None, plan, settings, max_frames))
            continue
        relearning.tell(source.name, folder, model, named=named is not None)
        if named is None:
            check_scene(source, folder, model)
        monitor = _monitor(source.name, scale, bands, settings, model, live=source.live)
        plan_rest = _unfinished(source, folder, model, settings)
        cameras.append(_camera(source, model, monitor, plan_rest, settings, max_frames))
    _import_networks(cameras)
    return cameras


def _learns_again(name: str, folder: Path, settings: MonitorConfig, relearning: Relearning) -> bool:
    since = settings.relearns_from(name)
    return relearning.wanted(name, folder) or (since != "" and newest_version(folder) == since)


def newest_version(folder: Path) -> str:
    """Name of the newest version in a folder; "" without one."""
    return next((version.name for version in version_folders(folder)), "")


def _import_networks(cameras: Sequence[Camera]) -> None:
    """Import now what the networks need that cameras will learn. During the run, it would stop all threads for 1 s."""
    for name in sorted({name for c in cameras if c.learning is not None for name in LATER & set(c.learning.detectors)}):
        detector_class(name)


def watching(camera: Camera, settings: MonitorConfig, model: Model, monitor: CameraMonitor | None) -> Camera:
    """A camera with another model or monitor, and the present settings of the run. None: it still learns."""
    own = settings.of_camera(camera.name)
    return _camera(camera.source, model, monitor, camera.learning, own, camera.capture.max_frames)


def _camera(
    source: Source,
    model: Model,
    monitor: CameraMonitor | None,
    learning: LearningPlan | None,
    settings: MonitorConfig,
    max_frames: int | None,
) -> Camera:
    own = settings.cameras.get(source.name)
    named = _named_model(source.name, settings)
    zone = settings.schedule.time_zone
    places = place_rules(settings.masks_of(source.name), settings.zones_of(source.name), zone)
    capture = replace(_capture(settings, max_frames, places), paused=settings.is_paused(source.name))
    if not settings.is_armed(source.name):
        capture = replace(capture, schedule=Schedule(off=True))
    readable = not isinstance(source, UnreadableSource)
    masks = masks_of(source.name, settings)
    # These change while it stays open.
    still = replace(capture, analysis_fps=0.0, health=UNCHECKED, places=None, schedule=None, recorded_at=None)
    opened = replace(still, paused=False)
    where = (own.source, own.link) if own else source.label
    opened_with = (where, opened, settings.capture, readable, masks)
    # If these settings change while a camera learns, learning starts again.
    judged_by: tuple[object, ...] = (settings.learning, settings.detectors, settings.analysis_fps, settings.health)
    if monitor is not None:
        judged_by = (
            named,
            model.hash,
            settings.smoothing,
            settings.alert,
            settings.false_alarms_per_day,
            settings.precision,
            settings.detectors,
            settings.learning.on,
        )
    return Camera(source, model, capture, monitor, learning, opened_with, judged_by, own_model=named is None)


def _named_model(camera: str, settings: MonitorConfig) -> Path | None:
    """The model folder that the settings name for a camera; None if it uses a model of its own."""
    own = settings.cameras.get(camera)
    return (own.model if own else None) or settings.model


class _Loaded:
    """Models and thresholds, each made once: cameras that share a model are scored together."""

    def __init__(self) -> None:
        self._whole: dict[Path, Model] = {}
        self._models: dict[tuple[Path, tuple[str, ...] | None], Model] = {}
        self._scales: dict[tuple[object, ...], tuple[Model, ModelScale, ModelBands]] = {}

    def get(self, folder: Path, settings: MonitorConfig) -> tuple[Model, ModelScale, ModelBands]:
        """The model in a folder with a camera's settings. Raises ModelError if it cannot be used."""
        key = (folder, settings.detectors)
        scale_key = (*key, settings.false_alarms_per_day, settings.smoothing, settings.alert.lasting)
        if key not in self._models:
            if folder not in self._whole:
                self._whole[folder] = load_model(folder, settings.device, settings.precision)
            self._models[key] = used(self._whole[folder], settings.detectors)
        model = self._models[key]
        if scale_key not in self._scales:
            scale = ModelScale(model, settings.false_alarms_per_day, settings.smoothing, settings.alert.lasting)
            self._scales[scale_key] = model, scale, ModelBands(model, scale, settings.smoothing)
        return self._scales[scale_key]


def calibration_store(settings: MonitorConfig) -> CalibrationStore:
    """Where thresholds that learn on are kept: beside the journal."""
    return CalibrationStore(settings.journal.path.parent / CALIBRATIONS)


def _monitor(
    camera: str, scale: ModelScale, bands: ModelBands, settings: MonitorConfig, model: Model, *, live: bool
) -> CameraMonitor:
    calibration = None
    if live and settings.learning.on:
        store = calibration_store(settings)
        calibration = store.load(camera, scale, settings.smoothing, whole=model.learned_from_all)
    return CameraMonitor(camera, scale, settings.smoothing, settings.alert, bands.watch(), calibration)


def bands_at(model: Model, settings: MonitorConfig, scale: ModelScale) -> ModelBands:
    """The bands of drift for a scale with another budget. Takes long for a model of days; any thread may call it."""
    return ModelBands(model, scale, settings.smoothing)


def _unfinished(source: Source, folder: Path, model: Model, settings: MonitorConfig) -> LearningPlan | None:
    """The plan to complete the learning of an earlier run; None if it is complete, or if this is not known.

    Footage is removed when all detectors have learned from it. A model that has since been learned from other footage
    is not replaced.
    """
    if settings.learning.keep_footage or folder != settings.models_folder / source.name:
        return None
    learned_from = [real_path(Path(data)) for data in model.provenance.data]
    for again in (False, True):
        plan = replace(_learning_plan(source, folder, settings), hold=None, resumed=True, again=again)
        missing = LATER & set(plan.detectors) - {detector.name for detector in model.detectors}
        if missing and is_footage(plan.footage) and learned_from == [real_path(plan.footage)]:
            return plan
    return None


def used(model: Model, detectors: Sequence[str] | None) -> Model:
    """The model with only the named detectors; None for all. Raises ModelError if no detector is left."""
    if detectors is None:
        return model
    kept = tuple(detector for detector in model.detectors if detector.name in detectors)
    if not kept:
        raise ModelError(
            f"the model '{model.name}' has none of the detectors {', '.join(detectors)}, only "
            f"{', '.join(d.name for d in model.detectors)}: change the setting 'detectors'"
        )
    return replace(model, detectors=kept)


def learned(plan: LearningPlan, settings: MonitorConfig) -> tuple[Model, CameraMonitor]:
    """The model that a camera has learned, and a monitor for it. Raises ModelError if the model cannot be used."""
    return _newest(plan.name, plan.folder, settings, live=plan.hold is None)


def grown(plan: GrowingPlan, settings: MonitorConfig) -> tuple[Model, CameraMonitor]:
    """The model that a live camera's memory has given, and a monitor for it. Raises ModelError as ``learned``."""
    return _newest(plan.camera, plan.folder, settings, live=True)


def _newest(name: str, folder: Path, settings: MonitorConfig, *, live: bool) -> tuple[Model, CameraMonitor]:
    own = settings.of_camera(name)
    with quick_switching():  # other cameras are watched meanwhile
        model, scale, bands = _Loaded().get(folder, own)
        warm_up(model, model.learned_size)
    return model, _monitor(name, scale, bands, own, model, live=live)


def growing_plan(camera: Camera, monitor: CameraMonitor, settings: MonitorConfig) -> GrowingPlan | None:
    """How a camera's memory grows; None for a file, a model that the settings name, and one that does not learn on."""
    folder = settings.of_camera(camera.name).models_folder / camera.name
    if not camera.own_model or not monitor.calibration.on or not version_folders(folder):
        return None
    return GrowingPlan.of(folder, camera.model, monitor)


def _learning_plan(source: Source, folder: Path, settings: MonitorConfig) -> LearningPlan:
    for name in settings.detectors or ():
        if name not in LEARNABLE:
            raise ConfigError(
                f"setting 'detectors': '{name}' cannot be learned from a camera, and {source.name} has no model: leave "
                f"it out, or give a model that has it (`{training_command('train')}`)"
            )
    return LearningPlan(
        name=source.name,
        label=source.label,
        folder=folder,
        duration_s=settings.learning.duration_s,
        detectors=settings.detectors or LEARNED,
        hold=None if source.live else Hold(settings.learning.duration_s),
        keep_footage=settings.learning.keep_footage,
        max_ms=settings.learning.max_ms,
        device=settings.device,
        analysis_fps=settings.analysis_fps,
        false_alarms_per_day=settings.false_alarms_per_day,
    )


def _capture(settings: MonitorConfig, max_frames: int | None, places: CameraPlaces | None = None) -> CaptureSettings:
    return CaptureSettings(
        speed=settings.playback.speed,
        loop=settings.playback.loop,
        analysis_fps=settings.analysis_fps,
        max_frames=max_frames,
        gap_s=settings.capture.gap_s,
        stall_after_s=settings.capture.read_timeout_s,
        backoff_min_s=settings.capture.backoff_min_s,
        backoff_max_s=settings.capture.backoff_max_s,
        health=settings.health,
        places=places,
        schedule=settings.schedule.schedule,
        recorded_at=settings.schedule.recorded_at_s,
    )


def warn_of_short_footage(cameras: Iterable[Camera]) -> None:
    """Log a warning, once per model, if a threshold is extrapolated because there is too little held-out footage."""
    scales = {id(c.model): (c.model, c.monitor.scale) for c in cameras if c.monitor is not None}
    for model, scale in scales.values():
        if scale.supported_per_day > scale.false_alarms_per_day:
            log.warning(
                "the threshold of '%s' is an estimate: it was tested on %s of footage, which cannot confirm fewer than "
                "%s false alarms per day; to confirm %s, learn from at least %s. Until a day was watched, more alarms "
                "are allowed, marked early",
                model.name,
                in_words(DAY_S / scale.supported_per_day),
                about(scale.supported_per_day),
                about(scale.false_alarms_per_day),
                in_words(DAY_S / scale.false_alarms_per_day),
            )
