"""A training recipe: everything that defines how a model is trained, except the footage and the seed."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from monitor.errors import ConfigError, in_words
from monitor.reading import KB, parse_toml, read_file
from monitor.text.wording import nearest, shortened

RECIPES = Path(__file__).resolve().parent / "recipes"
SHIPPED = ("default", "published")

_LARGEST = 100 * KB

Positive = Annotated[float, Field(gt=0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0, le=1e6)]


class Recipe(BaseModel):
    """Settings of a training. The defaults are those of the default recipe.

    The published recipe is ``recipes/published.toml``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    name: str = "default"

    # The network and its score
    variant: Literal["published", "sound"] = "sound"
    """How the trained detector scores: ``published``: the published sum of seven terms. ``sound``: the improved one."""
    width: Annotated[int, Field(ge=1, le=256)] = 32
    """Base number of channels; 32 is the published network."""
    dropout: Annotated[float, Field(ge=0, le=2)] = 0.1
    """Factor applied to the published Dropout2d rates."""
    attention: Literal["joint", "detached", "supervised"] = "supervised"
    """joint: as published, the attention weights the loss and learns from it, so it collapses. detached: it only
    weights the loss. supervised: detached, and its target is where the frame differs from the median of its clip."""

    # Optimisation
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive = 2e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """For SGD only."""
    weight_decay: NotNegative = 1e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    """cosine: a linear warm-up over the first 5 % of the steps, then half a cosine period down to 0."""
    batch: Annotated[int, Field(ge=2, le=4096)] = 32
    epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    """0: as many epochs as needed for about ``updates`` steps, between 5 and 100."""
    updates: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 mixed precision if the hardware supports it (CUDA, AVX-512/AMX CPUs)."""

    # Augmentation
    augment: Literal["light", "published", "none"] = "light"
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Light augmentation: largest change of brightness, as a fraction of the full range."""
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Light augmentation: largest relative change of contrast; 0.15 means factors from 0.85 to 1.15."""
    shift: Annotated[float, Field(ge=0, lt=0.5)] = 0.03
    """Light augmentation: largest shift along each axis, as a fraction of the frame size."""
    noise: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    """Light augmentation: largest standard deviation of added noise, as a fraction of the full range."""

    # Footage
    frames_per_s: NotNegative = 10.0
    """Frames per second of a clip to learn from; 0: every frame."""
    max_frames: Annotated[int, Field(ge=100, le=10_000_000)] = 20_000
    """Most frames in memory (27 KB each, up to three copies). If there are more, every second frame is dropped until
    they fit."""
    held_out: Annotated[float, Field(gt=0, le=0.5)] = 0.15
    """Share of the footage that the network does not learn from. It selects the best epoch and calibrates scores."""
    calibration_frames: Annotated[int, Field(ge=1, le=10_000_000)] = 6_000
    """Maximum number of held-out frames that are scored at the end."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.augment == "published" and self.attention == "supervised":
            raise ValueError(
                "augment = 'published' does not work with attention = 'supervised': use 'joint' or 'detached'"
            )
        return self

    def epochs_for(self, frames: int) -> int:
        """Number of epochs of a training with this many frames."""
        if self.epochs:
            return self.epochs
        return min(100, max(5, math.ceil(self.updates / max(1, frames // self.batch))))


def load_recipe(name_or_path: str, **changes: Any) -> Recipe:
    """Load a shipped recipe by name, or any recipe by the path of its TOML file. Apply the changes that are not None.

    Raises ConfigError for a missing or malformed file and for an unknown or invalid setting.
    """
    path = RECIPES / f"{name_or_path}.toml" if name_or_path in SHIPPED else Path(name_or_path)
    try:
        settings = parse_toml(read_file(path, _LARGEST))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no recipe '{name_or_path}': give {' or '.join(SHIPPED)}, or the path of a TOML file"
        ) from None
    except OSError as error:
        raise ConfigError(f"recipe {path} cannot be read ({error.strerror}): check the path") from None
    except ValueError as error:
        raise ConfigError(f"recipe {path} cannot be read: {error}") from None
    settings.setdefault("name", path.stem)
    settings.update({key: value for key, value in changes.items() if value is not None})
    try:
        return Recipe(**settings)
    except ValidationError as error:
        raise ConfigError(f"recipe {path}: {'; '.join(map(_sentence, error.errors()[:5]))}") from None


def _sentence(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        near = nearest(key, Recipe.model_fields)
        return f"unknown key '{key}'" + (f", did you mean '{near}'?" if near else "")
    message = re.sub("^it must ", "should ", in_words(problem["type"], problem["msg"], problem.get("ctx")))
    return f"{key} = {shortened(repr(problem['input']), 40)}: {message[0].lower() + message[1:]}" if key else message
