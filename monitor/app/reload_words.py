"""Says what a reload has changed: settings with their old and new values, and models. Pure.

Only numbers and switches are shown with their values. Addresses, paths and names are not: an address may hold a
password.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from monitor.app.config import MonitorConfig
from monitor.live.fleet import Camera

_MOST = 8
"""Changes named in one line."""


def what_changed(
    old: MonitorConfig, new: MonitorConfig, present: Mapping[str, Camera], wanted: Mapping[str, Camera]
) -> str:
    """The changes in words, such as ``[alert] on 1 -> 1.2, model of door``; "" if there are none.

    present, wanted: the cameras before and after, by name
    """
    found = [*_settings(old, new, ""), *_models(present, wanted)]
    more = [f"{len(found) - _MOST} more"] if len(found) > _MOST else []
    return ", ".join([*found[:_MOST], *more])


def _settings(old: BaseModel, new: BaseModel, group: str) -> Iterator[str]:
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from _settings(before, after, name if not group else f"{group}.{name}")
        elif isinstance(before, dict) and isinstance(after, dict):
            place = f"{group}.{name}" if group else name
            if group and before.keys() != after.keys():  # cameras that were added or removed are said elsewhere
                yield f"[{group}] {name}"
            for key in sorted(before.keys() & after.keys()):
                yield from _settings(before[key], after[key], f"{place}.{key}")
        else:
            place = f"[{group}] {name}" if group else name
            numbers = all(isinstance(value, int | float) for value in (before, after))
            yield f"{place} {_shown(before)} -> {_shown(after)}" if numbers else place


def _shown(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _models(present: Mapping[str, Camera], wanted: Mapping[str, Camera]) -> Iterator[str]:
    """The cameras that have another model, also without a change of the settings: it was learned again."""
    names = [
        name
        for name, camera in wanted.items()
        if name in present
        and camera.monitor is not None
        and (before := present[name].monitor) is not None
        and before.scale.model != camera.monitor.scale.model
    ]
    if names:
        yield f"model of {', '.join(names)}"
