"""The control socket's messages: requests that change what the monitor does, and their replies. No I/O.

A request is one JSON part, a reply too. To add a request: write a model with a ``request`` of its own, add it to
``AnyRequest``, and let whoever can do it serve it at the desk (``monitor.alerts.control_desk``).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, StringConstraints, TypeAdapter, ValidationError, model_validator

from monitor.alerts.message_parts import RECEIVED, WireModel
from monitor.alerts.messages import SCHEMA, MalformedError
from monitor.promise import LEAST_PER_DAY, MOST_PER_DAY

MOST_NAME = 64
"""Longest name that a person may give to a kind of event, characters."""
LAST = "last"
"""In place of an event's id, with a camera: its last one."""
_MOST_EVENT = 300
_EventId = Annotated[str, StringConstraints(min_length=1, max_length=_MOST_EVENT)]
_Camera = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^/]+$")]
# A client that writes "no" or "0.5" in quotes has a fault: what it asks for must not be guessed.
_Flag = Annotated[bool, Field(strict=True)]
_Unix = Annotated[float, Field(strict=True, ge=0, le=1e11)]

Kind = Literal["alerts", "evidence", "thresholds", "taught", "models"]
"""What ``forget`` deletes: events in the journal, files of events, what thresholds have learned, verdicts, models."""
Alerting = Literal["as-scored", "always", "never"]
"""When an event with a name notifies: as its score says, always, or never."""


class ControlRequest(WireModel):
    """The fields of every request.

    tag      the reply repeats it
    changes  whether a client that may only read is refused
    """

    changes: ClassVar[bool] = True
    schema_: PositiveInt = Field(SCHEMA, alias="schema")
    tag: str = Field("", max_length=100)


class Ping(ControlRequest):
    """Ask whether the monitor answers, and what this client may do."""

    changes = False
    request: Literal["ping"] = "ping"


class Feedback(ControlRequest):
    """A verdict about an event.

    event      its id; ``last``: the last event of ``camera`` that notified
    verdict    ``normal``, ``real``, or a name; a name also says that it was real
    scope      ``here``: where the event was; ``picture``: everywhere in the picture
    all_hours  False: a normal verdict holds for an hour before and after the event's time of day
    camera     the camera that the client takes the event to be of; None if it does not say
    """

    request: Literal["feedback"] = "feedback"
    event: _EventId
    verdict: Annotated[str, StringConstraints(min_length=1, max_length=MOST_NAME, strip_whitespace=True)]
    scope: Literal["here", "picture"] = "here"
    all_hours: _Flag = False
    camera: _Camera | None = None


class Preview(Feedback):
    """What a verdict would have changed in the last days, without giving it."""

    changes = False
    request: Literal["preview"] = "preview"  # type: ignore[assignment]


class Undo(ControlRequest):
    """Take a verdict back. event: its id; ``last``: the one of ``camera`` about which something was said last."""

    request: Literal["undo"] = "undo"
    event: _EventId
    camera: _Camera | None = None


class Verdicts(ControlRequest):
    """List the verdicts that hold, and the names."""

    changes = False
    request: Literal["verdicts"] = "verdicts"
    camera: _Camera | None = None


class Name(ControlRequest):
    """Say when events with a name notify."""

    request: Literal["name"] = "name"
    name: Annotated[str, StringConstraints(min_length=1, max_length=MOST_NAME, strip_whitespace=True)]
    alert: Alerting


class Budget(ControlRequest):
    """Set the budget of a camera.

    per_day  false alarms per day; None: as the monitor's config says
    """

    request: Literal["budget"] = "budget"
    camera: _Camera
    per_day: Annotated[float | None, Field(strict=True, ge=LEAST_PER_DAY, le=MOST_PER_DAY)]


class Arm(ControlRequest):
    """Arm or disarm a camera. Events of a disarmed camera are recorded, and notify nobody."""

    request: Literal["armed"] = "armed"
    camera: _Camera
    armed: _Flag


class Changes(ControlRequest):
    """List the last requests that changed something, with who asked, newest first."""

    changes = False
    request: Literal["changes"] = "changes"
    limit: Annotated[int, Field(strict=True, ge=1, le=500)] = 50


class Forget(ControlRequest):
    """Delete what is known of a camera.

    from_at, to_at  only events of this time, unix seconds; None: no limit. For alerts, evidence and verdicts
    what            kinds of things to delete
    preview         True: only say what would be deleted
    """

    request: Literal["forget"] = "forget"
    camera: _Camera
    from_at: _Unix | None = None
    to_at: _Unix | None = None
    what: Annotated[tuple[Kind, ...], Field(min_length=1, max_length=5)] = ("alerts", "evidence", "taught")

    @model_validator(mode="after")
    def _no_times_without_times(self) -> Self:
        timeless = sorted({"thresholds", "models"} & set(self.what))
        if timeless and (self.from_at is not None or self.to_at is not None):
            raise ValueError(f"{' and '.join(timeless)} cannot be forgotten for a time only: leave out the times")
        return self

    preview: _Flag = True


AnyRequest = Ping | Feedback | Preview | Undo | Verdicts | Name | Budget | Arm | Changes | Forget
_REQUESTS: TypeAdapter[AnyRequest] = TypeAdapter(Annotated[AnyRequest, Field(discriminator="request")])


class ControlReply(WireModel):
    """The reply to a request.

    reply  ``ok`` or ``error``
    tag    the tag of the request
    said   one sentence for people
    data   what was asked for, by name; plain JSON values
    """

    schema_: PositiveInt = Field(SCHEMA, alias="schema")
    reply: Literal["ok", "error"]
    tag: str = ""
    node: str
    epoch: str
    said: str
    data: dict[str, Any] = Field(default_factory=dict)


def decode_request(payload: bytes) -> AnyRequest:
    """The request in a received part. Raises MalformedError with a sentence."""
    try:
        return _REQUESTS.validate_json(payload, context=RECEIVED)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # The first step is the name of the kind of request, which the request names itself.
        place = ".".join(str(step) for step in first["loc"][1:] or first["loc"])
        raise MalformedError(f"{place or 'request'}: {first['msg']}"[:300]) from None


def decode_reply(payload: bytes) -> ControlReply:
    """The reply in a received part. Raises MalformedError."""
    try:
        return ControlReply.model_validate_json(payload, context=RECEIVED)
    except ValidationError as error:
        raise MalformedError(f"a reply: {error.errors(include_url=False, include_input=False)[0]['msg']}") from None
