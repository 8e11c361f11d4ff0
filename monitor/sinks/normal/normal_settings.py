"""The settings of the pictures of calm footage."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from monitor.settings import Settings


class NormalSettings(Settings):
    """Small pictures of calm footage, of which the nearest is shown beside an alert and a moment."""

    enabled: bool = True
    """Keep them, if evidence or moments are kept."""
    pictures: int = Field(192, ge=8, le=2000)
    """Pictures per camera, in memory and on the disk. Each has about 4 KB."""
    folder: Path | None = None
    """None: ``normal`` beside the journal, in the state folder."""
    keep_days: float = Field(30.0, gt=0, le=36_500)
    """Older pictures are deleted."""
