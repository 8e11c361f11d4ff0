"""When a picture is not worth scoring, and what else of a camera is reported."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

_SHARES = ("defocused_below", "changed_share")


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Grey levels are 0..255. Each check can be switched off by its name.

    enabled          False scores every picture as it comes
    frozen           scoring pauses on the same picture again and again
    frozen_after_s   ... for so many seconds
    dark             scoring pauses on a black or covered picture
    dark_after_s     ... that lasts so many seconds
    dark_mean        a picture is black if its mean grey level is below this ...
    dark_spread      ... and the standard deviation of its grey levels below this
    flat_spread      it is covered if their standard deviation is below this, however bright
    scene_change     scoring pauses while the whole picture changes: infrared, a light switch
    changed_share    the whole picture changes if more than this share of its blocks does within a second ...
    changed_levels   ... each by more than so many grey levels in its mean
    settle_s         scoring goes on so many seconds after the change has ended
    flipped          frames that are mirrored or upside down are turned back, each by itself
    flipped_after_s  frames that come flipped for so many seconds are reported
    flip_margin      a frame is turned back if that makes it more like the camera's usual picture by this correlation
    moved            the camera shows another part of the scene, or another scene: reported
    moved_after_s    ... for so many seconds
    moved_by         it is moved if the picture is shifted by more than this share of its width
    defocused        the picture has lost its finest detail: reported
    defocused_after_s  ... for so many seconds
    defocused_below  it is defocused if its sharpness is below this share of what is usual
    noisy            the picture is noisier than usual: reported
    noisy_after_s    ... for so many seconds
    noisy_above      it is noisy if its noise is above so many times what is usual, and 4 grey levels more
    """

    enabled: bool = True
    frozen: bool = True
    frozen_after_s: float = 5.0
    dark: bool = True
    dark_after_s: float = 2.0
    dark_mean: float = 20.0
    dark_spread: float = 10.0
    flat_spread: float = 3.0
    scene_change: bool = True
    changed_share: float = 0.85
    changed_levels: float = 15.0
    settle_s: float = 3.0
    flipped: bool = True
    flipped_after_s: float = 2.0
    flip_margin: float = 0.1
    moved: bool = True
    moved_after_s: float = 5.0
    moved_by: float = 0.02
    defocused: bool = True
    defocused_after_s: float = 5.0
    defocused_below: float = 0.6
    noisy: bool = True
    noisy_after_s: float = 5.0
    noisy_above: float = 2.0

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value < float("inf"):
                raise ValueError(f"{field.name} must be 0 or more, got {value}")
            if field.name in _SHARES and value > 1.0:
                raise ValueError(f"{field.name} must be a share from 0 to 1, got {value}")
