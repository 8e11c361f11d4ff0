"""The settings of a run: every one has a default, its unit, and is checked; unknown keys are refused.

A file lists only what differs:

    model = "models/street"
    false_alarms_per_day = 1

    [cameras.door]
    source = "rtsp://user:secret@192.168.1.20/sub"

    [alert]
    min_duration_s = 1.0
"""

from __future__ import annotations

import socket
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    field_validator,
    model_validator,
)

from monitor.detector.registry import REGISTRY
from monitor.judging.alerting import AlertSettings
from monitor.learning.learning_plan import LEAST_LEARNING_S
from monitor.live.frame_queue import QueueSettings
from monitor.scores.smoothing import SmoothingSettings
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.stream.health.health_settings import HealthSettings

CameraName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$")]
"""Letters, digits, ``-`` ``_`` ``.``: it becomes part of ZeroMQ topics and file names."""


class Settings(BaseModel):
    """Base of all groups: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CameraConfig(Settings):
    """One camera."""

    source: str
    """RTSP or HTTP URL, video file, USB camera index, or a folder of frames."""
    model: Path | None = None
    """Model folder of this camera; None takes the common one."""


class CaptureConfig(Settings):
    """How cameras are opened and read, and how they are tried again."""

    open_timeout_s: float = Field(5.0, gt=0, le=60)
    read_timeout_s: float = Field(4.0, gt=0, le=60)
    """A camera that sends nothing for this long is stalled and opened again."""
    backoff_min_s: float = Field(0.5, gt=0)
    """First wait before a lost camera is opened again; doubles at each failure."""
    backoff_max_s: float = Field(30.0, gt=0)
    gap_s: float = Field(1.0, gt=0)
    """A jump of the stream's clock longer than this is a gap: temporal state starts anew."""
    isolation: Literal["auto", "process", "thread"] = "auto"
    """Where videos are decoded: in a ``process`` each, which may crash or hang alone, in this process's own
    ``thread``, or ``auto``: network cameras and video files in a process, USB cameras in a thread."""
    hardware_decoding: bool = False
    """Decode network cameras and video files on whatever hardware OpenCV's FFmpeg finds (VAAPI, NVDEC, Quick Sync...);
    where there is none, in software as ever. The wheel from PyPI knows none: it takes an OpenCV of your own."""


class PlaybackConfig(Settings):
    """How files and folders are replayed."""

    speed: float | None = Field(1.0, gt=0)
    """1 = real time, 4 = four times as fast; in the file ``"max"`` = as fast as possible (None here)."""
    loop: bool = False
    fps: float = Field(25.0, gt=0, le=1000)
    """Frames a second of folders of images."""


class PublishConfig(Settings):
    """Where alerts and scores are published over ZeroMQ."""

    enabled: bool = True
    alerts: str = "tcp://127.0.0.1:5560"
    scores: str = "tcp://127.0.0.1:5561"
    history: str = "tcp://127.0.0.1:5562"
    """Where clients ask for what they missed."""
    keys: Path | None = None
    """Folder of the monitor's keys (``python -m monitor.client keys DIR`` makes DIR/monitor): only the clients allowed
    there connect, encrypted. None: no encryption."""
    insecure: bool = False
    """Allow addresses beyond this machine without encryption."""

    @model_validator(mode="after")
    def _addresses_differ(self) -> Self:
        addresses = {"alerts": self.alerts, "scores": self.scores, "history": self.history}
        for (a, first), (b, second) in combinations(addresses.items(), 2):
            if first == second and not first.endswith(":*"):
                raise ValueError(f"{a} and {b} cannot share the address {first}: give each its own")
        return self


class LearningConfig(Settings):
    """How a camera without a model learns what is normal for it."""

    duration_s: float = Field(600.0, ge=LEAST_LEARNING_S, le=7 * 86_400)
    """Seconds of stream that are taken as normal and learned from; of a file, its beginning."""
    keep_footage: bool = False
    """Keep what was recorded for learning once it has succeeded."""


class JournalConfig(Settings):
    """Where every alert and health message is kept before it is sent, so that clients can have it again."""

    enabled: bool = True
    """Of no effect where nothing is published."""
    path: Path = Path("runs/journal.sqlite3")
    """An SQLite file; it is made with its folder. One monitor at a time uses it."""
    days: float = Field(30.0, gt=0, le=36_500)
    """Older messages are removed."""
    max_mb: float = Field(500.0, ge=1, le=1e6)
    """Size of the file in megabytes, above which the oldest messages are removed."""
    fsync: Literal["second", "always"] = "second"
    """Flush it to the disk once a second (a power failure can cost that second), or before each message is sent."""


class MonitorConfig(Settings):
    """Everything a run needs; see configs/cameras.toml for an example with comments."""

    node: str = Field(default_factory=socket.gethostname, min_length=1)
    """Name of this monitor in every message."""
    model: Path | None = None
    """Model folder for all cameras that name none."""
    models_folder: Path = Path("models")
    """Where cameras keep the models that they learn: a camera that names no model has its own in here."""
    detectors: tuple[str, ...] | None = Field(None, min_length=1)
    """Which detectors are learned and used; None learns all but the published one, and uses all that a model has."""
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Where networks run: auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What networks calculate in: auto is bfloat16 where the hardware knows it, float32 elsewhere."""
    cpu_fallback: bool = True
    """Go on on the CPU when a GPU fails while running; false ends the run with the reason."""
    analysis_fps: float = Field(10.0, ge=0)
    """Frames analysed a second of stream and camera; 0 = every frame."""
    false_alarms_per_day: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Budget a camera from which the threshold is worked out."""
    cameras: dict[CameraName, CameraConfig] = {}
    capture: CaptureConfig = CaptureConfig()
    learning: LearningConfig = LearningConfig()
    health: HealthSettings = HealthSettings()
    playback: PlaybackConfig = PlaybackConfig()
    queue: QueueSettings = QueueSettings()
    smoothing: SmoothingSettings = SmoothingSettings()
    alert: AlertSettings = AlertSettings()
    publish: PublishConfig = PublishConfig()
    evidence: EvidenceSettings = EvidenceSettings()
    journal: JournalConfig = JournalConfig()

    @field_validator("detectors")
    @classmethod
    def _check_detectors(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in value or ():
            if name not in REGISTRY:  # a name that no model has would only switch the others off
                raise ValueError(f"'{name}' is no detector: choose from {', '.join(sorted(REGISTRY))}")
        return value


def json_schema() -> dict[str, Any]:
    """JSON schema of the config file, for editors."""
    return TypeAdapter(MonitorConfig).json_schema()
