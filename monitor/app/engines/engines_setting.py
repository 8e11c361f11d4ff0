"""The setting that says how many engines a run has."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

MOST_ENGINES = 64


def _check(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """One sentence instead of one per kind of value."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError(f'must be "auto", or a number from 1 to {MOST_ENGINES}') from None


Engines = Annotated[Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_ENGINES)], WrapValidator(_check)]
"""``auto``, or the number of engines."""
