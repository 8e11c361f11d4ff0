"""Settings of the places in a camera's picture: privacy masks, and zones that are not scored."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import StringConstraints, model_validator

from monitor.places import Ignored, Polygon
from monitor.settings import Settings
from monitor.sources.masked import Mask
from monitor.sources.naming import NAME_PATTERN

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
        if self.picture_size is None:
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
    """A place with a rule of its own. Its picture stays visible."""

    kind: Literal["ignore"] = "ignore"
    """``ignore``: what happens there is not scored."""


MOST_PLACES = 50
"""Masks of a camera, and zones of a camera."""


_CELLS = (30, 40)  # rows and columns of the finest maps of detectors, about


def check_something_is_left(masks: dict[str, MaskConfig], zones: dict[str, ZoneConfig]) -> None:
    """Raise ValueError if masks and zones leave nothing of the picture to be watched."""
    places = ignored(masks, zones)
    if places is not None and places.cells(*_CELLS).all():
        which = " and ".join(word for word, given in (("masks", masks), ("ignored zones", zones)) if given)
        raise ValueError(f"its {which} cover the whole picture, so nothing would be watched: leave a part free")


def ignored(masks: dict[str, MaskConfig], zones: dict[str, ZoneConfig]) -> Ignored | None:
    """The places of a camera that are not scored; None if all are."""
    if not (masks or zones):
        return None
    return Ignored(tuple(mask.place for mask in masks.values()), tuple(zone.place for zone in zones.values()))
