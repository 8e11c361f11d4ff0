"""The control socket's messages: requests that change what the monitor does, and their replies. No I/O.

A request is one JSON part, a reply too. To add a request: write a model with a ``request`` of its own, add it to
``AnyRequest``, and let whoever can do it serve it at the desk (``monitor.alerts.control_desk``).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PositiveInt,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from monitor.alerts.message_parts import RECEIVED, WireModel
from monitor.alerts.messages import SCHEMA, MalformedError
from monitor.errors import first_problem
from monitor.promise import LEAST_PER_DAY, MOST_PER_DAY
from monitor.text.wording import joined

MOST_NAME = 64
"""Longest name that a person may give to a kind of event, characters."""
MOST_LOOKED_AT = 64
"""Cameras that one request may look at."""
LAST = "last"
"""In place of an event's id, with a camera: its last one."""
_MOST_EVENT = 300
_EventId = Annotated[str, StringConstraints(min_length=1, max_length=_MOST_EVENT)]
_Camera = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^/]+$")]
_PlaceName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Corners = Annotated[tuple[tuple[float, float], ...], Field(min_length=3, max_length=100)]
_Times = Annotated[str, StringConstraints(min_length=1, max_length=100)]
_Source = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
# A client that writes "no" or "0.5" in quotes has a fault: what it asks for must not be guessed.
_Flag = Annotated[bool, Field(strict=True)]
_Unix = Annotated[float, Field(strict=True, ge=0, le=1e11)]

Kind = Literal["alerts", "evidence", "moments", "taught", "thresholds", "models", "memories", "choices", "deliveries"]
"""What ``forget`` deletes: events in the journal, files of events and normal pictures, files of the days' moments,
verdicts, what thresholds have learned, models, the memories that grow, the budget and arming that clients chose, and
what receivers such as MQTT remember."""
TIMELESS: tuple[Kind, ...] = ("thresholds", "models", "memories", "choices", "deliveries")
"""What holds for all times, so that it cannot be forgotten for a time only."""
Alerting = Literal["as-scored", "always", "never"]
"""When an event with a name notifies: as its score says, always, or never."""


class ControlRequest(WireModel):
    """The fields of every request.

    tag       the reply repeats it
    asked_by  the person for whom a program asks, such as a user of the page; noted with a change
    changes   whether a client that may only read is refused
    """

    changes: ClassVar[bool] = True
    schema_: PositiveInt = Field(SCHEMA, alias="schema")
    tag: str = Field("", max_length=100)
    asked_by: str = Field("", max_length=MOST_NAME)


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


class Kept(ControlRequest):
    """What is kept of an event to teach by, so that another monitor can be taught by it. event: its id."""

    changes = False
    request: Literal["kept"] = "kept"
    event: _EventId


class Name(ControlRequest):
    """Say when events with a name notify."""

    request: Literal["name"] = "name"
    name: Annotated[str, StringConstraints(min_length=1, max_length=MOST_NAME, strip_whitespace=True)]
    alert: Alerting


def _in_range(per_day: float | None) -> float | None:
    if per_day is not None and not LEAST_PER_DAY <= per_day <= MOST_PER_DAY:
        raise ValueError(f"give a budget from {LEAST_PER_DAY:f} to {MOST_PER_DAY:.0f} false alarms per day")
    return per_day


class Budget(ControlRequest):
    """Set the budget of a camera.

    per_day  false alarms per day; None: as the monitor's config says
    preview  True: only say which alarms of the last days it would have changed
    """

    request: Literal["budget"] = "budget"
    camera: _Camera
    per_day: Annotated[float | None, Field(strict=True), AfterValidator(_in_range)]
    preview: _Flag = False


class Arm(ControlRequest):
    """Arm or disarm a camera. Events of a disarmed camera are recorded, and notify nobody."""

    request: Literal["armed"] = "armed"
    camera: _Camera
    armed: _Flag


class Pause(ControlRequest):
    """Pause or resume the scoring of a camera. Its stream stays open."""

    request: Literal["pause"] = "pause"
    camera: _Camera
    paused: _Flag


class Relearn(ControlRequest):
    """Learn a camera again, from what it shows from now on. It is not watched until then."""

    request: Literal["relearn"] = "relearn"
    camera: _Camera


class Versions(ControlRequest):
    """List the versions of cameras' models, the newest first. camera: only this one."""

    changes = False
    request: Literal["versions"] = "versions"
    camera: _Camera | None = None


class RollBack(ControlRequest):
    """Go back to the version of a camera's model before the newest one, which is set aside."""

    request: Literal["rollback"] = "rollback"
    camera: _Camera


class Mask(ControlRequest):
    """Set or remove a privacy mask, which hides a place before anything else sees the picture.

    name     of the mask; one of the same name is replaced
    polygon  corners (x, y) in order around the place, shares of the picture's width and height; None: remove it
    """

    request: Literal["mask"] = "mask"
    camera: _Camera
    name: _PlaceName
    polygon: _Corners | None
    look: Literal["solid", "pixelated"] = "solid"


class Zone(ControlRequest):
    """Set or remove a zone, a place with a rule of its own. Without a rule, it is not scored.

    name, polygon  as of a mask
    sensitivity    what happens there counts so many times as much
    must_touch     only what touches such a zone is scored
    times          times of the week in which the rule holds; empty: always
    """

    request: Literal["zone"] = "zone"
    camera: _Camera
    name: _PlaceName
    polygon: _Corners | None
    sensitivity: Annotated[float | None, Field(ge=0.1, le=10)] = None
    must_touch: _Flag = False
    times: Annotated[tuple[_Times, ...], Field(max_length=50)] = ()


class Cameras(ControlRequest):
    """List the cameras with what is set for each, and what the config file fixes."""

    changes = False
    request: Literal["cameras"] = "cameras"
    camera: _Camera | None = None


class TryCamera(ControlRequest):
    """Check a camera as the doctor does, without watching it.

    camera     a name for the answer
    source     RTSP or HTTP address, video file, folder, or index of a USB camera
    transport  of an RTSP camera; None: as it works
    """

    request: Literal["test"] = "test"
    camera: _Camera = "camera"
    source: _Source
    transport: Literal["tcp", "udp"] | None = None


class AddCamera(TryCamera):
    """Watch one more camera, in this run and in later ones. Fields: as TryCamera."""

    request: Literal["add"] = "add"  # type: ignore[assignment]
    camera: _Camera


class RemoveCamera(ControlRequest):
    """Stop watching a camera that was added by ``AddCamera``. What it has learned stays."""

    request: Literal["remove"] = "remove"
    camera: _Camera


class Look(ControlRequest):
    """See live pictures of cameras for the next ten seconds (``monitor.alerts.previews``). Ask again to go on.

    heat  pictures with heat where they are abnormal
    """

    changes = False
    request: Literal["look"] = "look"
    cameras: Annotated[tuple[_Camera, ...], Field(min_length=1, max_length=MOST_LOOKED_AT)]
    heat: bool = False


class Changes(ControlRequest):
    """List the last requests that changed something, with who asked, newest first."""

    changes = False
    request: Literal["changes"] = "changes"
    limit: Annotated[int, Field(strict=True, ge=1, le=500)] = 50


class Forget(ControlRequest):
    """Delete what is known of a camera.

    from_at, to_at  only events of this time, unix seconds; None: no limit
    what            kinds of things to delete
    preview         True: only say what would be deleted
    """

    request: Literal["forget"] = "forget"
    camera: _Camera
    from_at: _Unix | None = None
    to_at: _Unix | None = None
    what: Annotated[tuple[Kind, ...], Field(min_length=1, max_length=9)] = ("alerts", "evidence", "moments", "taught")

    @model_validator(mode="after")
    def _no_times_without_times(self) -> Self:
        timeless = [kind for kind in TIMELESS if kind in self.what]
        if timeless and (self.from_at is not None or self.to_at is not None):
            raise ValueError(f"{joined(timeless)} cannot be forgotten for a time only: leave out the times")
        return self

    preview: _Flag = True


CameraRequest = Pause | Relearn | Versions | RollBack | Mask | Zone | Cameras | TryCamera | AddCamera | RemoveCamera
TeachingRequest = Feedback | Preview | Undo | Verdicts | Kept | Name
AnyRequest = Ping | TeachingRequest | Budget | Arm | Look | Changes | Forget | CameraRequest
_REQUESTS: TypeAdapter[AnyRequest] = TypeAdapter(Annotated[AnyRequest, Field(discriminator="request")])


class ControlReply(WireModel):
    """The reply to a request.

    reply  ``ok`` or ``error``
    tag    the tag of the request
    said   one sentence for people
    data   what was asked for, by name; plain JSON values. For ``error``: ``wait_s`` if there are too many changes now;
           ``temporary``, true, if the same request may be obeyed later, for example when a disk has room again
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
        place, what = first_problem(error)
        # The first step is the name of the kind of request, which the request names itself.
        raise MalformedError(f"{place.partition('.')[2] or place or 'request'}: {what}"[:300]) from None


def decode_reply(payload: bytes) -> ControlReply:
    """The reply in a received part. Raises MalformedError."""
    try:
        return ControlReply.model_validate_json(payload, context=RECEIVED)
    except ValidationError as error:
        raise MalformedError(f"a reply: {': '.join(filter(None, first_problem(error)))}") from None
