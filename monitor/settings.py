"""The base of all groups of settings."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A group of settings: frozen, checked when it is made, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def but(self, **changes: Any) -> Self:
        """These settings with some values changed, checked again. Raises ValidationError, a ValueError."""
        return type(self)(**{**dict(self), **changes})
