"""From a config file to the cameras of a fleet: each gets its table, with the common settings that hold for it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from datetime import date, time
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from monitor.app.config import MonitorConfig, whole_table
from monitor.app.config_file import load_config
from monitor.errors import ConfigError, UsageError, first_problem
from monitor.machines.fleet_messages import Name
from monitor.machines.fleet_state import Wish

EVERY_FRAME_FPS = 25.0
"""What a camera counts of which every frame is analysed: the usual rate of cameras."""
_OWN = ("labels", "pin")
"""Settings of a camera that only a head knows."""
_USED = frozenset(
    {
        *("cameras", "node", "model", "state", "publish", "journal"),
        *("analysis_fps", "false_alarms_per_day", "detectors"),
        *("alert", "learning", "smoothing", "health", "schedule"),
        *("web", "evidence", "notify", "webhook"),
    }
)
_NOT_SERVED = {
    "mqtt": "give it to each node with `fleet node --config`, or use [webhook] or [notify] here",
    "metrics": "give it to each node with `fleet node --config`; `fleet status --json` has the figures of the fleet",
}
"""Tables that would be of the whole fleet, and that a head cannot serve."""
_NAME = TypeAdapter[str](Name)


def read_fleet(
    config: Path, overrides: dict[str, Any] | None = None
) -> tuple[MonitorConfig, dict[str, Wish], tuple[str, ...]]:
    """The settings of a head, its cameras, and the settings of the file that have no effect there.

    A camera may have two more settings than for a monitor: ``labels``, texts that its node must have, and ``pin``, the
    one node that may watch it.

    Raises ConfigError, also if the file names no camera.
    """
    content: dict[str, Any] = {}
    own: dict[str, dict[str, Any]] = {}

    def look(found: dict[str, Any]) -> None:
        cameras = found.get("cameras")
        for name, table in (cameras if isinstance(cameras, dict) else {}).items():
            if isinstance(table, dict):
                own[name] = {key: table.pop(key) for key in _OWN if key in table}
        content.update(deepcopy(found))

    settings = load_config(config, overrides, look)
    for table, instead in _NOT_SERVED.items():
        if table in content:
            raise ConfigError(f"{config}: a head cannot serve [{table}]: remove it and {instead}")
    if not settings.cameras:
        raise ConfigError(f"{config} names no camera: add [cameras.NAME] with a source")
    wishes = {name: _wish(name, content, own.get(name, {}), settings, config) for name in settings.cameras}
    return settings, wishes, tuple(sorted(content.keys() - _USED))


def _wish(name: str, content: dict[str, Any], own: dict[str, Any], settings: MonitorConfig, config: Path) -> Wish:
    camera = settings.cameras[name]
    table = whole_table(content["cameras"][name], content)
    rate = settings.analysis_fps if camera.analysis_fps is None else camera.analysis_fps
    table |= {"analysis_fps": rate}
    labels, pin = own.get("labels", []), own.get("pin")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ConfigError(f"{config}: setting 'cameras.{name}.labels': should be a list of texts, such as [\"gpu\"]")
    try:
        needs = parsed_labels(labels)
        return Wish(
            source=table.pop("source"),
            fps=rate or EVERY_FRAME_FPS,
            needs=needs,
            pin=pin,
            settings=json.dumps(table, default=_text_of),
        )
    except UsageError as error:
        raise ConfigError(f"{config}: setting 'cameras.{name}.labels': {error}") from None
    except ValidationError as error:
        where, what = first_problem(error)
        raise ConfigError(f"{config}: setting 'cameras.{name}.{where}': {what}") from None


def _text_of(value: object) -> str:
    """A value of TOML that JSON does not have."""
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not of a config file")


def parsed_labels(labels: Iterable[str]) -> dict[str, str]:
    """``gpu`` and ``site=south`` as {"gpu": "", "site": "south"}. Raises UsageError."""
    found: dict[str, str] = {}
    for label in labels:
        key, _, value = (part.strip() for part in label.partition("="))
        if not key or not label.isprintable():
            raise UsageError(f"{label!r} is no label: write names such as gpu, or site=south")
        found[key] = value
    return found


def checked_name(name: str, what: str) -> str:
    """The name of a node or a fleet. Raises UsageError."""
    try:
        return _NAME.validate_python(name)
    except ValidationError:
        raise UsageError(
            f"{name!r} cannot be the name of {what}: use letters, digits, '-', '_' and '.', at most 100"
        ) from None
