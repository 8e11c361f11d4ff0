"""The settings of ``Motion``, as a model folder stores them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from monitor.detector.motion.cells import Cells, grid


class MotionSettings(BaseModel):
    """Settings of ``Motion``. width, height: size of the grey picture, px."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: int = Field(ge=16, le=1024, multiple_of=8)
    height: int = Field(ge=16, le=1024, multiple_of=8)
    exemplars: int = Field(default=96, ge=4, le=10_000)
    samples: int = Field(
        default=384, ge=4, le=100_000, description="maximum number of samples to choose a cell's exemplars from"
    )
    neighbours: int = Field(default=3, ge=1, le=10_000)
    top_cells: int = Field(
        default=8, ge=1, le=10_000, description="the frame's score is the mean of this many highest cells"
    )
    min_moving: float = Field(default=0.02, gt=0, le=1, description="minimum share of moving pixels in an active cell")
    min_changed: float = Field(default=0.5, gt=0, le=1, description="or minimum share of changed pixels")
    # Weights of speed and size; 0 in models from versions that did not use them.
    speed_weight: float = Field(default=0.0, ge=0, le=1e9)
    area_weight: float = Field(default=0.0, ge=0, le=1e9)
    spacing: bool = Field(
        default=True,
        description="distances count in units of the exemplars' own spacing",
    )
    neighbours_only: bool = Field(
        default=False, description="the frame's score is the highest mean of 2x2 neighbouring cells, not of top_cells"
    )
    infrared: bool = Field(default=False, description="infrared pictures have exemplars of their own")

    @field_validator("neighbours")
    @classmethod
    def _check_neighbours(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("exemplars", value):
            raise ValueError("there are fewer exemplars than that")
        return value

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of cells."""
        return grid(self.width, self.height)

    @property
    def places(self) -> tuple[int, int]:
        """(rows, columns) of cells with exemplars: twice as many rows if infrared pictures have their own."""
        rows, columns = self.cells
        return rows * (2 if self.infrared else 1), columns

    def active(self, cells: Cells) -> NDArray[np.bool_]:
        """(rows, columns): the cells with enough moving or changed pixels to score."""
        return cells.active(self.min_moving, self.min_changed)
