"""The settings of evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import model_validator

from monitor.settings import Settings

MEGABYTE = 1_000_000


class EvidenceSettings(Settings):
    """What is stored for every event, where and for how long.

    enabled     write evidence; off by default, because it stores pictures of a place on the disk
    folder      evidence folder; created if it does not exist
    before_s    seconds of the clip before the event's start
    after_s     seconds of the clip after the event's end
    max_clip_s  longest clip, seconds; for a longer event, the clip holds only the first part
    width       largest width of pictures and clips, pixels
    quality     JPEG quality of pictures, 1 to 100
    memory_mb   largest memory for the last seconds of frames per camera, 1 MB = 1,000,000 bytes
    keep_days   age at which events are deleted, days
    keep_gb     largest size of all files; above it, the oldest events are deleted, 1 GB = 1,000,000,000 bytes
    """

    enabled: bool = False
    folder: Path = Path("evidence")
    before_s: float = 5.0
    after_s: float = 5.0
    max_clip_s: float = 60.0
    width: int = 640
    quality: int = 80
    memory_mb: float = 16.0
    keep_days: float = 30.0
    keep_gb: float = 10.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("before_s", "after_s"):
            if not 0 <= getattr(self, name) <= 600:
                raise ValueError(f"{name} must be 0 to 600 seconds, got {getattr(self, name)}")
        if not self.before_s < self.max_clip_s <= 3600:
            raise ValueError(f"max_clip_s must be above before_s and at most 3600 seconds, got {self.max_clip_s}")
        if not 64 <= self.width <= 7680:
            raise ValueError(f"width must be 64 to 7680 pixels, got {self.width}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality must be 1 to 100, got {self.quality}")
        for name, most in (("memory_mb", 100_000), ("keep_days", 36_500), ("keep_gb", 1_000_000_000)):
            if not 0 < getattr(self, name) <= most:
                raise ValueError(f"{name} must be above 0 and at most {most}, got {getattr(self, name)}")
        return self

    @property
    def memory_bytes(self) -> int:
        """``memory_mb`` in bytes."""
        return round(self.memory_mb * MEGABYTE)

    @property
    def keep_bytes(self) -> int:
        """``keep_gb`` in bytes."""
        return round(self.keep_gb * 1000 * MEGABYTE)
