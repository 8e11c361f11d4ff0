"""What messages are made of: the base of all JSON bodies, numbers, and the parts of an alert."""

from __future__ import annotations

import math
import sys
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationInfo,
    model_validator,
)

from monitor.states import Reason, Region

RECEIVED = object()
"""Validation context of a message that came over the wire."""


def json_number(value: Any) -> Any:
    """JSON has neither NaN nor infinity: NaN becomes null, and infinity becomes the largest float."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else math.copysign(sys.float_info.max, value)


Camera = Annotated[str, Field(pattern=r"^[^/]+$")]
Measured = Annotated[float | None, BeforeValidator(json_number)]
"""A measured number; None if there is no valid value."""


def _allow_more_fields(schema: dict[str, Any]) -> None:
    schema.pop("additionalProperties", None)


class WireModel(BaseModel):
    """Base of all JSON bodies. Frozen. Unknown fields are an error, but are ignored in received messages."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra=_allow_more_fields,
        json_schema_serialization_defaults_required=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _ignore_unknown_when_received(cls, data: Any, info: ValidationInfo) -> Any:
        if info.context is not RECEIVED or not isinstance(data, dict):
            return data
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {key: value for key, value in data.items() if key in known}


class RegionBody(WireModel):
    """A box in pixels of the source frame, with the anomaly map's peak inside it (raw detector units)."""

    x: int
    y: int
    width: NonNegativeInt
    height: NonNegativeInt
    score: Measured

    @classmethod
    def of(cls, region: Region) -> Self:
        """Convert a region for the wire; NumPy numbers become plain numbers."""
        return cls(
            x=int(region.x),
            y=int(region.y),
            width=int(region.width),
            height=int(region.height),
            score=float(region.score),
        )


EARLY = "early: at first, more alarms than promised are allowed"
"""Said of an alert that only a camera that is new raises."""
NOT_NOTIFIED = "repeats an alert of shortly before: recorded, but nobody is notified"
"""Explains ``notify`` = False to people."""
NOT_ARMED = "outside the armed times: recorded, but nobody is notified"
"""Explains ``armed`` = False to people."""


NAMED_NOT_NOTIFIED = (
    "recorded, but nobody is notified: it repeats an alert of shortly before, or its name never notifies"
)
"""The same for an event with a name."""


def why_quiet(*, notify: bool, armed: bool, named: bool = False) -> str:
    """Why nobody is notified of an alert; "" if people are. named: the event has a name."""
    if notify:
        return ""
    if not armed:
        return NOT_ARMED
    return NAMED_NOT_NOTIFIED if named else NOT_NOTIFIED


class ReasonBody(WireModel):
    """A term above its normal range: ``value`` now and ``usual``, its upper normal value, both in ``unit``.

    ``text`` gives the same in words.
    """

    term: str
    value: Measured
    usual: Measured
    unit: str = ""
    text: str

    @classmethod
    def of(cls, reason: Reason) -> Self:
        """Convert a reason for the wire; NumPy numbers become plain numbers."""
        return cls(
            term=reason.term,
            value=float(reason.value),
            usual=float(reason.usual),
            unit=reason.unit,
            text=str(reason),
        )


class LeaseBody(WireModel):
    """The node of a fleet that made a message, the epoch of its lease of the camera, and the number in that epoch."""

    node: str
    epoch: PositiveInt
    seq: PositiveInt


class ModelRef(WireModel):
    """The model that computed the scores: ``id`` is its name, ``hash`` the fingerprint of its folder's content."""

    id: str
    hash: str
