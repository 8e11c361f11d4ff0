"""The settings of the ranked day."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from monitor.settings import Settings


class MomentsSettings(Settings):
    """The most unusual moments of each camera and day: how many, where they are kept and for how long."""

    enabled: bool = True
    """Rank the moments of each day, and keep their pictures."""
    per_day: int = Field(10, ge=1, le=100)
    """Moments per camera and day."""
    folder: Path | None = None
    """None: ``moments`` beside the journal, in the state folder."""
    width: int = Field(640, ge=64, le=7680)
    """Largest width of pictures, pixels."""
    quality: int = Field(80, ge=1, le=100)
    """JPEG quality of pictures."""
    keep_days: float = Field(30.0, gt=0, le=36_500)
    """Older days are deleted."""
    keep_mb: float = Field(500.0, ge=1, le=1e6)
    """Largest size of all files; above it, the oldest moments are deleted, 1 MB = 1,000,000 bytes."""
