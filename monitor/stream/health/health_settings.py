"""Settings of the health checks: when scoring pauses, and which camera problems are reported."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from monitor.settings import Settings

_LONGEST_S = 86_400.0
_HIGHEST = 1000.0  # of grey levels and factors
_RANGES = {
    "defocused_below": (0.0, 1.0),
    # Beyond these, every picture would be black, covered or changing, and nothing would ever be judged.
    "dark_mean": (0.0, 100.0),
    "dark_spread": (0.0, 60.0),
    "flat_spread": (0.0, 30.0),
    "changed_share": (0.3, 1.0),
    "changed_levels": (3.0, _HIGHEST),
    "settle_s": (0.0, 600.0),
}


class HealthSettings(Settings):
    """Grey levels are 0..255. Each check has a setting with its name that turns it off.

    enabled          False: score every picture without any check
    frozen           pause scoring if the same picture repeats
    frozen_after_s   ... for this many seconds
    dark             pause scoring if the picture is black or covered
    dark_after_s     ... for this many seconds
    dark_mean        a picture is black if its mean grey level is below this ...
    dark_spread      ... and the standard deviation of its grey levels is below this
    flat_spread      a picture is covered if the standard deviation of its grey levels is below this, at any brightness
    scene_change     pause scoring while the whole picture changes: infrared, a light switch
    changed_share    the whole picture changes if more than this share of its blocks changes within a second ...
    changed_levels   ... each block by more than this many grey levels in its mean
    settle_s         scoring continues this many seconds after the end of the change
    flipped          correct frames that are mirrored or upside down, each frame separately
    flipped_after_s  report flipped frames after this many seconds
    flip_margin      a frame is corrected if its correlation with the usual picture then increases by at least this
    moved            report if the camera shows another part of the scene, or another scene
    moved_after_s    ... for this many seconds
    moved_by         the camera has moved if the picture is shifted by more than this share of its width
    defocused        report if the picture has lost its finest detail
    defocused_after_s  ... for this many seconds
    defocused_below  the camera is defocused if the sharpness is below this share of the usual sharpness
    noisy            report if the picture is noisier than usual
    noisy_after_s    ... for this many seconds
    noisy_above      the picture is noisy if its noise is above this many times the usual noise plus 4 grey levels
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, value in self:
            least, most = _RANGES.get(name, (0.0, _LONGEST_S if name.endswith("_s") else _HIGHEST))
            if not least <= value <= most:  # also refuses NaN
                raise ValueError(f"{name} must be {least:g} to {most:g}, got {value:g}")
        return self
