"""Checks the stored parts of a detector before use: a model's files may be damaged or from another version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import BaseModel, ValidationError

from monitor.errors import ModelError, first_problem
from monitor.text.wording import shortened

_Settings = TypeVar("_Settings", bound=BaseModel)
_ADVICE = "get an undamaged copy of the model or train it again"

_LARGEST = 1e7
"""No setting of a detector is larger, in any unit. Larger ones overflow in calculations, or never end."""


def read_settings(detector: str, kind: type[_Settings], settings: Mapping[str, Any]) -> _Settings:
    """The stored settings as the detector's settings class. Raises ModelError that names the first invalid setting."""
    for name, value in settings.items():
        if any(isinstance(number, float | int) and not -_LARGEST <= number <= _LARGEST for number in _flat(value)):
            raise ModelError(
                f"setting '{shortened(name, 60)}' of the {detector} detector has a number beyond {_LARGEST:g}: "
                f"correct it, or {_ADVICE}"
            )
    try:
        return kind.model_validate(dict(settings))
    except ValidationError as error:
        where, what = first_problem(error)
        raise ModelError(
            f"setting '{where}' of the {detector} detector cannot be used ({what}): correct it, or {_ADVICE}"
        ) from None


def _flat(value: object) -> list[object]:
    return [item for inner in value for item in _flat(inner)] if isinstance(value, list | tuple) else [value]


def check_tensors(
    detector: str, tensors: Mapping[str, NDArray[Any]], expected: Mapping[str, tuple[tuple[int, ...], DTypeLike]]
) -> None:
    """Raise ModelError unless exactly the expected arrays (name -> shape, dtype) are present and all finite."""
    if missing := sorted(expected.keys() - tensors.keys()):
        raise ModelError(f"the {detector} detector lacks the tensor '{missing[0]}' ({len(missing)} missing): {_ADVICE}")
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise ModelError(
            f"the {detector} detector has an unknown tensor '{shortened(unknown[0], 60)}' "
            f"({len(unknown)} unknown): {_ADVICE}"
        )
    for name, (shape, dtype) in expected.items():
        found, kind = tensors[name], np.dtype(dtype)
        if found.shape != shape or found.dtype != kind:
            raise ModelError(
                f"the {detector} detector's tensor '{name}' is {found.shape} {found.dtype} "
                f"and should be {shape} {kind}: {_ADVICE}"
            )
        if not np.isfinite(found).all():
            raise ModelError(
                f"the {detector} detector's tensor '{name}' holds values that are not finite numbers: {_ADVICE}"
            )
