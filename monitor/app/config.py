"""The settings of a run. Each has a default and a unit and is validated; unknown keys are errors.

A config file lists only the settings that differ from their defaults:

    model = "models/street"
    false_alarms_per_day = 1

    [cameras.door]
    source = "rtsp://user:secret@192.168.1.20/sub"

    [alert]
    min_duration_s = 1.0
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PrivateAttr,
    StringConstraints,
    TypeAdapter,
    field_validator,
    model_validator,
)

from monitor.app.choice_store import ChoiceStore
from monitor.app.engines.engines_setting import Engines
from monitor.app.link_config import LinkConfig
from monitor.app.place_config import MOST_PLACES, MaskConfig, PlaceName, ZoneConfig, check_something_is_left
from monitor.delivery.mqtt_settings import MqttSettings
from monitor.delivery.notify_settings import NotifySettings
from monitor.delivery.webhook_settings import WebhookSettings
from monitor.detector.registry import REGISTRY
from monitor.judging.alerting import AlertSettings
from monitor.learning.learning_plan import LEAST_LEARNING_S
from monitor.live.frame_queue import QueueSettings
from monitor.promise import LEAST_PER_DAY, MOST_PER_DAY
from monitor.scores.smoothing import SmoothingSettings
from monitor.settings import Settings
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.metrics.metrics_settings import MetricsSettings
from monitor.sinks.moments.moments_settings import MomentsSettings
from monitor.sinks.normal.normal_settings import NormalSettings
from monitor.sources.link import Link
from monitor.sources.naming import NAME_PATTERN
from monitor.sources.snapshot import SNAPSHOT_FPS
from monitor.state_folder import JOURNAL, MODELS
from monitor.stream.health.health_settings import HealthSettings
from monitor.stream.schedule_settings import ScheduleSettings
from monitor.web.web_settings import WebSettings

LEAST_FPS = 0.01
"""Lowest rate of analysis, frames per second."""

CameraName = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
"""See ``monitor.sources.naming``."""

ReceiverName = CameraName
"""The name of a receiver of deliveries follows the same rule."""


class CaptureConfig(Settings):
    """How cameras are opened and read, and when opening is retried."""

    open_timeout_s: float = Field(5.0, gt=0, le=60)
    read_timeout_s: float = Field(4.0, gt=0, le=60)
    """A camera that sends nothing for this long is stalled; the monitor opens it again."""
    backoff_min_s: float = Field(0.5, ge=0.01, le=3600)
    """First wait before a lost camera is opened again; doubles after each failure."""
    backoff_max_s: float = Field(30.0, ge=0.01, le=86_400)
    gap_s: float = Field(1.0, gt=0, le=3600)
    """A longer jump of the stream's clock is a gap: the monitor resets temporal state."""
    snapshot_fps: float = Field(SNAPSHOT_FPS, ge=0.5, le=30)
    """Requests per second to a camera whose address gives one picture per request."""
    isolation: Literal["auto", "process", "thread"] = "auto"
    """Where pictures are decoded. ``process``: each source in its own process, so that a crash or hang affects only
    that source. ``thread``: in threads of this process. ``auto``: network cameras, video files and folders of images in
    a process, USB cameras in a thread."""
    hardware_decoding: bool = False
    """Decode network cameras and video files on any hardware that OpenCV's FFmpeg finds (VAAPI, NVDEC, Quick Sync...),
    or in software if it finds none. OpenCV from PyPI supports no hardware; build your own OpenCV to use this."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.backoff_min_s > self.backoff_max_s:
            raise ValueError(f"backoff_min_s ({self.backoff_min_s:g}) must not be above backoff_max_s")
        return self


class PlaybackConfig(Settings):
    """How video files and folders of images are replayed."""

    speed: float | None = Field(1.0, ge=1e-4, le=1e6)
    """1 = real time, 4 = four times as fast. ``"max"`` in the config file = as fast as possible (None here)."""
    loop: bool = False
    fps: float = Field(25.0, gt=0, le=1000)
    """Frames per second of folders of images, at least 0.00001."""

    @field_validator("fps")
    @classmethod
    def _check_rate(cls, value: float) -> float:
        if value < 1e-5:
            raise ValueError("must be at least 0.00001 frames per second")
        return value


class PublishConfig(Settings):
    """Where alerts and scores are published over ZeroMQ."""

    enabled: bool = True
    alerts: str = "tcp://127.0.0.1:5560"
    scores: str = "tcp://127.0.0.1:5561"
    history: str = "tcp://127.0.0.1:5562"
    """Address where clients request the messages that they missed."""
    control: str = "beside"
    """Address where clients ask for changes. ``beside``: that of ``alerts``, three ports higher, unless other machines
    could reach it without keys. ``off``: none."""
    keys: Path | None = None
    """Folder of the monitor's keys (``python -m monitor.client keys DIR`` creates DIR/monitor). Only clients with a key
    in this folder can connect, and the connection is encrypted. None: no encryption."""
    insecure: bool = False
    """Allow addresses that other machines can reach, without encryption."""
    lost_after_s: float = Field(10.0, ge=0, le=86_400)
    """A camera that gives no frames for this long, seconds, is an alert of its own kind."""

    @model_validator(mode="after")
    def _addresses_differ(self) -> Self:
        addresses = {"alerts": self.alerts, "scores": self.scores, "history": self.history, "control": self.control}
        for (a, first), (b, second) in combinations(addresses.items(), 2):
            if first == second and not first.endswith(":*"):
                raise ValueError(f"{a} and {b} cannot share the address {first}: give each its own")
        return self


class LearningConfig(Settings):
    """How a camera without a model learns what is normal for it, and how it learns on."""

    on: bool = True
    """The threshold and the memory of a live camera follow what is watched, so that it finds more and the budget of
    false alarms holds. False: both stay what the footage says that was learned from, as for files and folders."""

    duration_s: float = Field(600.0, ge=LEAST_LEARNING_S, le=7 * 86_400)
    """Seconds of stream to learn from; all of it counts as normal. For a file: its first seconds."""
    keep_footage: bool = False
    """Keep the footage that was recorded for learning after learning has succeeded."""
    max_ms: float | None = Field(None, ge=0.001, le=1e6)
    """Milliseconds per analysed frame that the detectors of a model together may take on one thread. What does not fit
    is left out when the model is learned, least useful detectors first. None: no limit."""


def check_rate(value: float | None) -> float | None:
    """Return the rate of analysis. Raises ValueError if it is too low to be meant."""
    if value is not None and 0.0 < value < LEAST_FPS:
        raise ValueError(f"must be 0 (every frame) or at least {LEAST_FPS:g} frames per second")
    return value


def check_detectors(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the names of detectors. Raises ValueError for an unknown one, which would only switch off the others."""
    for name in value or ():
        if name not in REGISTRY:
            raise ValueError(f"'{name}' is not a detector: choose from {', '.join(sorted(REGISTRY))}")
    return value


class CameraConfig(LinkConfig):
    """One camera. A setting that is also a common one replaces it for this camera; None: the common one holds.

    In the groups ``alert``, ``learning``, ``smoothing``, ``health`` and ``schedule``, each setting that is given
    replaces the common one.
    """

    model: Path | None = None
    """Model folder of this camera."""
    false_alarms_per_day: float | None = Field(None, ge=LEAST_PER_DAY, le=MOST_PER_DAY)
    """False-alarm budget of this camera per day."""
    detectors: tuple[str, ...] | None = Field(None, min_length=1)
    """Detectors to learn and use for this camera."""
    analysis_fps: float | None = Field(None, ge=0, le=1000)
    """Frames to analyse per second of this camera's stream; 0 = every frame."""
    alert: AlertSettings | None = None
    learning: LearningConfig | None = None
    smoothing: SmoothingSettings | None = None
    health: HealthSettings | None = None
    schedule: ScheduleSettings | None = None
    masks: dict[PlaceName, MaskConfig] = Field(default_factory=dict, max_length=MOST_PLACES)
    """Name -> a place that nobody may see."""
    zones: dict[PlaceName, ZoneConfig] = Field(default_factory=dict, max_length=MOST_PLACES)
    """Name -> a place with a rule of its own."""

    _check_rate = field_validator("analysis_fps")(check_rate)
    _check_detectors = field_validator("detectors")(check_detectors)

    @model_validator(mode="after")
    def _check_places(self) -> Self:
        check_something_is_left(self.masks, self.zones)
        return self


_GROUPS = ("alert", "learning", "smoothing", "health", "schedule")
_VALUES = ("false_alarms_per_day", "detectors", "analysis_fps")
"""Settings of a camera that replace the common ones."""


class JournalConfig(Settings):
    """The journal stores every alert and health message before it is sent, so that clients can request it again."""

    enabled: bool = True
    """No effect if nothing is published."""
    path: Path = JOURNAL
    """An SQLite file. The monitor creates the file and its folder. Only one monitor at a time can use it. Default:
    ``runs/journal.sqlite3`` in the state folder."""
    days: float = Field(30.0, gt=0, le=36_500)
    """Older messages are deleted."""
    max_mb: float = Field(500.0, ge=1, le=1e6)
    """Maximum size of the file in megabytes; above it the oldest messages are deleted."""
    fsync: Literal["second", "always"] = "second"
    """``second``: flush to the disk once per second (a power failure can lose the last second). ``always``: flush
    before each message is sent."""


class MonitorConfig(Settings):
    """All settings of a run. configs/cameras.toml is an example with comments."""

    node: str = Field(default_factory=socket.gethostname, min_length=1, max_length=255)
    """Name of this monitor in every message."""
    model: Path | None = None
    """Model folder for all cameras that have no model setting of their own."""
    state: Path | None = None
    """Folder for models and the journal, in ``models`` and ``runs/journal.sqlite3``, unless a setting names another
    place. None: the user's state folder, or the working directory if an earlier run has left its state there."""
    models_folder: Path = MODELS
    """Folder of learned models. A camera without a model setting has its own model folder in here. Default: ``models``
    in the state folder."""
    detectors: tuple[str, ...] | None = Field(None, min_length=1)
    """Detectors to learn and use. None: learn all except the published one, and use all that the model contains."""
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Device that networks run on: auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of network computations. auto: bfloat16 if the hardware supports it, otherwise float32."""
    engines: Engines = 1
    """Processes that share the work of watching. auto: one per two cores. Never more than there are cameras."""
    cpu_fallback: bool = True
    """True: if a GPU fails during a run, the run continues on the CPU. False: the run ends and reports the reason."""
    analysis_fps: float = Field(10.0, ge=0, le=1000)
    """Frames to analyse per camera and per second of stream, at least 0.01; 0 = every frame."""
    false_alarms_per_day: float = Field(1.0, ge=LEAST_PER_DAY, le=MOST_PER_DAY)
    """False-alarm budget per camera per day; sets the threshold."""
    cameras: dict[CameraName, CameraConfig] = Field(default_factory=dict)
    capture: CaptureConfig = CaptureConfig()
    learning: LearningConfig = LearningConfig()
    health: HealthSettings = HealthSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    playback: PlaybackConfig = PlaybackConfig()
    queue: QueueSettings = QueueSettings()
    smoothing: SmoothingSettings = SmoothingSettings()
    alert: AlertSettings = AlertSettings()
    publish: PublishConfig = PublishConfig()
    evidence: EvidenceSettings = EvidenceSettings()
    moments: MomentsSettings = MomentsSettings()
    normal: NormalSettings = NormalSettings()
    journal: JournalConfig = JournalConfig()
    metrics: MetricsSettings = MetricsSettings()
    web: WebSettings = WebSettings()
    mqtt: MqttSettings = MqttSettings()
    notify: dict[ReceiverName, NotifySettings] = Field(default_factory=dict)
    """Services that notify people, by Apprise."""
    webhook: dict[ReceiverName, WebhookSettings] = Field(default_factory=dict)
    """Addresses that get alerts and health as signed HTTP requests."""

    _check_rate = field_validator("analysis_fps")(check_rate)
    _check_detectors = field_validator("detectors")(check_detectors)

    @model_validator(mode="before")
    @classmethod
    def _complete_cameras(cls, content: Any) -> Any:
        """Complete each camera's groups of settings with the common ones, so that they are checked together."""
        cameras = content.get("cameras") if isinstance(content, dict) else None
        if not isinstance(cameras, dict):
            return content
        completed = {name: _completed(camera, content) for name, camera in cameras.items()}
        return {**content, "cameras": completed}

    _choices: ChoiceStore | None = PrivateAttr(None)
    _added: frozenset[str] = PrivateAttr(frozenset())
    _drawn: dict[str, dict[str, MaskConfig]] = PrivateAttr(default_factory=dict)

    def with_choices(self, store: ChoiceStore) -> Self:
        """The same settings with what people have chosen for cameras during runs, now and later."""
        own = {name: CameraConfig(**dict(link)) for name, link in store.added.items() if name not in self.cameras}
        other = self.model_copy(update={"cameras": {**self.cameras, **own}})
        other._choices, other._added = store, frozenset(own)
        other._drawn = {name: choice.masks for name, choice in store.choices.items()}
        return other

    @property
    def choices(self) -> ChoiceStore | None:
        """What people have chosen for cameras; None: nobody can."""
        return self._choices

    @property
    def added(self) -> frozenset[str]:
        """Names of the cameras that somebody has added during a run. All others stand in the file."""
        return self._added

    def masks_of(self, name: str) -> dict[str, MaskConfig]:
        """The masks of this camera: those of the file, and those that somebody had drawn when these settings were read.

        A mask needs the stream to be opened again, so one that is drawn later holds only in later settings.
        """
        return {**self._drawn.get(name, {}), **(self.cameras[name].masks if name in self.cameras else {})}

    def zones_of(self, name: str) -> dict[str, ZoneConfig]:
        """The zones of this camera: those of the file, and those that somebody has drawn, now and later."""
        chosen = {} if self._choices is None else self._choices.of(name).zones
        return {**chosen, **(self.cameras[name].zones if name in self.cameras else {})}

    def is_paused(self, name: str) -> bool:
        """True if somebody has paused this camera."""
        return self._choices is not None and self._choices.of(name).paused

    def relearns_from(self, name: str) -> str:
        """The version of its model after which this camera is to learn again; "" if it is not."""
        return "" if self._choices is None else self._choices.of(name).relearn_from

    def fixed_budget(self, name: str) -> float | None:
        """The budget that the file sets for this camera itself, which nobody can change during a run."""
        camera = self.cameras.get(name)
        return None if camera is None else camera.false_alarms_per_day

    def budget_of(self, name: str) -> float:
        """The budget of this camera, false alarms per day: the file's own, or the chosen one, or the common one."""
        chosen = None if self._choices is None else self._choices.of(name).per_day
        return self.fixed_budget(name) or chosen or self.false_alarms_per_day

    def is_armed(self, name: str) -> bool:
        """False if somebody has disarmed this camera. A schedule may still say that no alerts are raised now."""
        return self._choices is None or self._choices.of(name).armed

    def schedule_of(self, name: str) -> ScheduleSettings:
        """The schedule of this camera."""
        camera = self.cameras.get(name)
        return self.schedule if camera is None or camera.schedule is None else camera.schedule

    @model_validator(mode="after")
    def _links_have_processes(self) -> Self:
        """OpenCV takes a camera's own connection from the environment of its process."""
        own = [name for name, camera in self.cameras.items() if not camera.link.usual]
        if own and self.capture.isolation == "thread":
            raise ValueError(
                f"camera {own[0]} has a transport or a certificate check, which needs a process of its own: set "
                'isolation = "auto" under [capture]'
            )
        return self

    @property
    def links(self) -> dict[str, Link]:
        """Name of a camera -> how it is connected."""
        return {name: camera.link for name, camera in self.cameras.items()}

    def of_camera(self, name: str) -> Self:
        """The settings of a run with those of this camera in place of the common ones."""
        camera = self.cameras.get(name)
        own = {} if camera is None else {key: getattr(camera, key) for key in (*_VALUES, *_GROUPS)}
        changes = {key: value for key, value in own.items() if value is not None}
        if (budget := self.budget_of(name)) != self.false_alarms_per_day:
            changes["false_alarms_per_day"] = budget
        return self.model_copy(update=changes) if changes else self


def _completed(camera: Any, common: dict[str, Any]) -> Any:
    if not isinstance(camera, dict):
        return camera
    groups = {
        group: {**common[group], **camera[group]}
        for group in _GROUPS
        if isinstance(common.get(group), dict) and isinstance(camera.get(group), dict)
    }
    return {**camera, **groups}


def whole_table(camera: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a camera in a config file, with the common settings of the file that hold for it.

    Both as they stand in the file, checked.
    """
    values = {key: common[key] for key in ("model", *_VALUES) if key in common}
    groups = {key: {**common.get(key, {}), **camera.get(key, {})} for key in _GROUPS if key in common or key in camera}
    return {**values, **camera, **groups}


def json_schema() -> dict[str, Any]:
    """JSON schema of the config file, for text editors."""
    return TypeAdapter(MonitorConfig).json_schema()
