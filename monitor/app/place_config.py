"""Settings of the places in a camera's picture: privacy masks, and zones with a rule of their own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from monitor.places import CameraPlaces, PlaceRules, Polygon
from monitor.settings import Settings
from monitor.sources.masked import Mask
from monitor.sources.naming import NAME_PATTERN
from monitor.stream.schedule_settings import Times, check_times
from monitor.timetable import timetable

PlaceName = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
"""The same characters as in the name of a camera."""
_LARGEST = 65_536


class PlaceConfig(Settings):
    """A polygon in a camera's picture."""

    polygon: tuple[tuple[float, float], ...]
    """Corners (x, y), in order around the place, from the top left: shares of the width and height, 0 to 1; pixels if
    ``picture_size`` is given."""
    picture_size: tuple[int, int] | None = None
    """(width, height) of the picture in which the corners were measured, pixels. The camera may send another size."""

    @property
    def place(self) -> Polygon:
        """The polygon in shares of the picture."""
        width, height = self.picture_size or (1, 1)
        return Polygon(tuple((x / width, y / height) for x, y in self.polygon))

    @model_validator(mode="after")
    def _check(self) -> Self:
        for x, y in self.polygon:
            if not (math.isfinite(x) and math.isfinite(y)):
                raise ValueError(f"the corner ({x:g}, {y:g}) is no place in a picture: give two finite numbers")
        if self.picture_size is None:
            whole = all(abs(at) <= _LARGEST and at.is_integer() for corner in self.polygon for at in corner)
            if (corner := self._outside(1, 1)) is not None and not whole:
                raise ValueError(
                    f"the corner ({corner[0]:g}, {corner[1]:g}) lies outside the picture: shares go from 0 to 1; for "
                    "corners in pixels, add picture_size = [WIDTH, HEIGHT]"
                )
            if any(coordinate > 1 for corner in self.polygon for coordinate in corner):
                raise ValueError("corners in pixels need the size of the picture: add picture_size = [WIDTH, HEIGHT]")
        elif not all(1 <= length <= _LARGEST for length in self.picture_size):
            raise ValueError(f"picture_size must be two numbers from 1 to {_LARGEST}, not {list(self.picture_size)}")
        elif (corner := self._outside(*self.picture_size)) is not None:
            raise ValueError(
                f"the corner ({corner[0]:g}, {corner[1]:g}) lies outside the picture of {self.picture_size[0]}x"
                f"{self.picture_size[1]}: correct it, or picture_size"
            )
        _ = self.place
        return self

    def _outside(self, width: int, height: int) -> tuple[float, float] | None:
        return next(((x, y) for x, y in self.polygon if not (0 <= x <= width and 0 <= y <= height)), None)


class MaskConfig(PlaceConfig):
    """A place that nobody may see: it is masked before anything else happens with a picture, and is not scored."""

    look: Literal["solid", "pixelated"] = "solid"
    """``solid``: grey. ``pixelated``: large blocks, which show light and colour only."""

    @property
    def mask(self) -> Mask:
        """The mask to burn in."""
        return Mask(self.place, self.look)


class ZoneConfig(PlaceConfig):
    """A place with a rule of its own. Its picture stays visible. Without any rule, it is not scored."""

    kind: Literal["ignore"] | None = None
    """``ignore``: what happens there is not scored. This is the default if no other rule is given."""
    sensitivity: float | None = Field(None, ge=0.1, le=10)
    """What happens there counts so many times as much: the part of the score above typical is multiplied by it."""
    must_touch: bool = False
    """Only what touches this zone, or another zone of this kind, is scored."""
    times: Times = ()
    """Times of the week in which the rule holds, by the clock of the camera's schedule. Empty: always."""

    _check_times = field_validator("times")(check_times)

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.kind == "ignore" and (self.sensitivity is not None or self.must_touch):
            other = "sensitivity" if self.sensitivity is not None else "must_touch"
            raise ValueError(f'a zone that is not scored has no {other}: remove kind = "ignore", or {other}')
        return self

    @property
    def ignored(self) -> bool:
        """Whether nothing that happens there is scored."""
        return self.sensitivity is None and not self.must_touch


MOST_PLACES = 50
"""Masks of a camera, and zones of a camera."""


_CELLS = (30, 40)  # rows and columns of the finest maps of detectors, about


def check_something_is_left(masks: dict[str, MaskConfig], zones: dict[str, ZoneConfig]) -> None:
    """Raise ValueError if masks and zones leave nothing of the picture to be watched at any time."""
    always = [zone for zone in zones.values() if not zone.times]
    if _rules(always, masks.values()).left_out(*_CELLS).all():
        which = " and ".join(word for word, given in (("masks", masks), ("ignored zones", always)) if given)
        raise ValueError(f"its {which} cover the whole picture, so nothing would be watched: leave a part free")


def place_rules(masks: dict[str, MaskConfig], zones: dict[str, ZoneConfig], time_zone: str = "") -> CameraPlaces | None:
    """What holds in the places of a camera's picture, and when; None if all are scored alike.

    time_zone: of the camera; "" for that of the machine
    """
    if not (masks or zones):
        return None
    always = [zone for zone in zones.values() if not zone.times]
    timed = []
    for zone in zones.values():
        times = timetable(zone.times, time_zone)
        if times is not None:
            timed.append((_rules([zone]), times))
    return CameraPlaces(_rules(always, masks.values()), tuple(timed))


def _rules(zones: Iterable[ZoneConfig], masks: Iterable[MaskConfig] = ()) -> PlaceRules:
    zones = tuple(zones)
    return PlaceRules(
        tuple(mask.place for mask in masks),
        tuple(zone.place for zone in zones if zone.ignored),
        tuple((zone.place, zone.sensitivity) for zone in zones if zone.sensitivity is not None),
        tuple(zone.place for zone in zones if zone.must_touch),
    )
