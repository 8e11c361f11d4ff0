"""Settings from a TOML file: every one has a default, its unit, and is checked; unknown keys are refused.

A file lists only what differs:

    model = "models/street"
    false_alarms_per_day = 1

    [cameras.door]
    source = "rtsp://user:secret@192.168.1.20/sub"

    [alert]
    min_duration_s = 1.0
"""

from __future__ import annotations

import difflib
import socket
import tomllib
from copy import deepcopy
from dataclasses import is_dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from monitor.alerting import AlertSettings
from monitor.detector import REGISTRY
from monitor.errors import ConfigError
from monitor.evidence.settings import EvidenceSettings
from monitor.frame_queue import QueueSettings
from monitor.health import HealthSettings
from monitor.redact import redact
from monitor.smoothing import SmoothingSettings

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


LEAST_LEARNING_S = 10.0
"""Of less footage nothing can be learned."""


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


def load_config(path: Path | None, overrides: dict[str, Any] | None = None) -> MonitorConfig:
    """Read a TOML file (None: all defaults) and lay ``overrides`` (dotted key -> value) over it.

    Raises ConfigError with one line for every mistake, naming the flag that gave the value, the file otherwise, and the
    nearest known key for an unknown one.
    """
    content: dict[str, Any] = {}
    if path is not None:
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:  # also for numbers too long, brackets too deep
            raise ConfigError(f"{path} is not valid TOML: {error}") from error
    for key, value in (overrides or {}).items():
        _set(content, key, value)
    try:
        return _checked(content)
    except ValidationError:
        # An unknown key may stand for the one that it is most like, or for none. What is wrong either way is told; what
        # follows from the guess alone, or from leaving the key out, would only hide the first mistake.
        left_out, guessed = (_mistakes(deepcopy(content), guess=guess) for guess in (False, True))
    where = f"{path}: " if path is not None else ""
    flags = {f"setting '{key}': ": _FLAGS[key] for key in overrides or {} if key in _FLAGS}
    raise ConfigError(redact("\n".join(_of_flag(m, flags) or where + m for m in left_out if m in guessed)))


def _checked(content: dict[str, Any]) -> MonitorConfig:
    playback = content.get("playback")
    if isinstance(playback, dict) and playback.get("speed") == "max":
        playback["speed"] = None
    return MonitorConfig.model_validate(content)


def _mistakes(content: dict[str, Any], *, guess: bool) -> list[str]:
    """Everything that is wrong, in words, once each. Unknown keys in ``content`` are mended (see _mend)."""
    mistakes: dict[str, None] = {}
    while True:
        try:
            _checked(content)
            return list(mistakes)
        except ValidationError as error:
            # The input is left out of the text: it may be a URL with a password.
            found = [
                (list(e["loc"]), e["type"], e["msg"]) for e in error.errors(include_url=False, include_input=False)
            ]
        # A group with an unknown key is not checked as a whole: what else is wrong in it shows once the key is mended.
        mended = [one for one in found if one[1] in _UNKNOWN_KEY and _mend(content, one[0], guess=guess)]
        mistakes |= dict.fromkeys(_explain(*one) for one in mended or found)
        if not mended:
            return list(mistakes)


def given_flags(
    *,
    model: Path | None,
    fps: float | None,
    analysis_fps: float | None,
    false_alarms_per_day: float | None,
    device: str | None,
    alerts: str | None,
    scores: str | None,
    history: str | None,
    publish: bool | None,
    journal: bool | None,
    evidence: Path | None,
    speed: float | str | None = None,
    loop: bool | None = None,
    learn_s: float | None = None,
) -> dict[str, Any]:
    """Flags of a command line (None: not given) as the overrides that ``load_config`` takes.

    evidence: a folder, which also switches evidence on; speed: a factor, or ``max``
    """
    settings = {
        "model": model,
        "learning.duration_s": learn_s,
        "playback.speed": speed,
        "playback.loop": loop,
        "playback.fps": fps,
        "analysis_fps": analysis_fps,
        "false_alarms_per_day": false_alarms_per_day,
        "device": device,
        "publish.alerts": alerts,
        "publish.scores": scores,
        "publish.history": history,
        "publish.enabled": publish,
        "evidence.folder": evidence,
        "evidence.enabled": None if evidence is None else True,
        "journal.enabled": journal,
    }
    return {key: value for key, value in settings.items() if value is not None}


def _set(content: dict[str, Any], dotted: str, value: object) -> None:
    *groups, last = dotted.split(".")
    for group in groups:
        inner = content.setdefault(group, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"'{group}' must be a group of settings: write [{group}]")
        content = inner
    content[last] = value


_FLAGS = {
    "model": ("--model", ""),
    "learning.duration_s": ("--learn", "s"),
    "playback.speed": ("--speed", ""),
    "playback.fps": ("--fps", "frames a second"),
    "analysis_fps": ("--analysis-fps", "frames a second"),
    "false_alarms_per_day": ("--false-alarms-per-day", ""),
    "device": ("--device", ""),
    "publish.alerts": ("--alerts", ""),
    "publish.scores": ("--scores", ""),
    "publish.history": ("--history", ""),
    "evidence.folder": ("--evidence", ""),
}
"""The flags of settings, and the unit that a flag's name does not tell as the setting's does."""


def _of_flag(mistake: str, flags: dict[str, tuple[str, str]]) -> str | None:
    """A mistake in a setting that a flag gave, in terms of the flag; None for any other."""
    for beginning, (flag, unit) in flags.items():
        if mistake.startswith(beginning):
            what = mistake.removeprefix(beginning)
            return f"{flag}: {what} {unit}" if unit and what[-1].isdigit() else f"{flag}: {what}"
    return None


def _explain(location: list[int | str], kind: str, message: str) -> str:
    key = ".".join(str(part) for part in location)
    if kind in _UNKNOWN_KEY:
        nearest = _nearest_key(location)
        hint = (
            f"did you mean '{nearest}'?" if nearest else f"known here: {', '.join(sorted(_known_keys(location[:-1])))}"
        )
        return f"unknown setting '{key}': {hint}"
    if location[:1] == ["cameras"] and location[-1:] == ["[key]"]:
        return f"camera name '{location[1]}': use letters, digits, '-', '_' and '.' only"
    sentence = _EXPECTED.get(key) or message.removeprefix("Value error, ").replace("Input should", "should")
    return f"setting '{key}': {sentence[:1].lower()}{sentence[1:]}"


_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")

_EXPECTED = {
    "cameras": "should be groups with the names of the cameras: write [cameras.NAME], not [[cameras]]",
    "device": "should be auto, cpu, cuda or cuda:N",
    "model": "should be the path of a model folder",
    "playback.speed": "should be a number above 0, or max",
    "false_alarms_per_day": "should be a number above 0",
}
"""What a setting should be, where the check's own words would not help."""


def _nearest_key(location: list[int | str]) -> str | None:
    """The setting that an unknown key at a place in the file is most like, if it is like any."""
    return next(iter(difflib.get_close_matches(str(location[-1]), _known_keys(location[:-1]), n=1, cutoff=0.5)), None)


def _mend(content: dict[str, Any], location: list[int | str], *, guess: bool) -> bool:
    """Leave an unknown key out, or take it for the one that it is most like (guess); False if it is not there."""
    group: Any = content
    for part in location[:-1]:
        group = group.get(part) if isinstance(group, dict) else None
    if not isinstance(group, dict) or location[-1] not in group:
        return False
    value = group.pop(location[-1])
    nearest = _nearest_key(location) if guess else None
    if nearest is not None:
        group.setdefault(nearest, value)
    return True


def _known_keys(location: list[int | str]) -> list[str]:
    """Names of the settings at a place in the file."""
    group: Any = MonitorConfig
    for part in location:
        if group is MonitorConfig and part == "cameras":
            return list(CameraConfig.model_fields)
        group = group.model_fields[part].annotation
    if is_dataclass(group):
        return list(group.__dataclass_fields__)
    return list(group.model_fields)


def json_schema() -> dict[str, Any]:
    """JSON schema of the config file, for editors."""
    return TypeAdapter(MonitorConfig).json_schema()
