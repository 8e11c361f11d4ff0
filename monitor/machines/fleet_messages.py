"""What nodes, the gateway and the coordinator tell each other. JSON on the wire, frozen."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError

from monitor.alerts.message_parts import RECEIVED, Camera, WireModel
from monitor.errors import first_problem

PROTOCOL = 1
"""Version of these messages. Nodes of another one are refused."""

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.-]+$")]
Epoch = Annotated[int, Field(ge=1, le=2**62)]
Kind = TypeVar("Kind", bound=WireModel)
Watching = Literal["opening", "watching", "failed"]
"""``failed``: the node cannot open the camera, and tries again."""


class Report(WireModel):
    """A camera as its node sees it.

    epoch    of the lease that the node has
    state    see Watching
    since_s  seconds since the state began
    """

    epoch: Epoch
    state: Watching
    since_s: NonNegativeFloat


class LetGo(WireModel):
    """A camera that the node no longer holds.

    epoch            of the lease that it had
    since_s, ended_s seconds since it began to watch the camera with this lease, and since it ended; equal if it did not
    """

    epoch: Epoch
    since_s: NonNegativeFloat
    ended_s: NonNegativeFloat


class Renewal(WireModel):
    """A node asks to renew its leases, at least every ``RENEW_EVERY_S``.

    boot      names the run of the node's process
    number    of the request; the reply repeats it
    fresh     True until the node has got its first orders: it holds nothing
    cameras   all that it holds
    released  cameras that it has let go
    orders    (term, version) of the last orders that it has got
    """

    protocol: PositiveInt = PROTOCOL
    node: Name
    boot: Annotated[str, Field(min_length=1, max_length=100)]
    number: PositiveInt
    fresh: bool = False
    version: str = ""
    capacity_fps: NonNegativeFloat = 0.0
    labels: dict[str, str] = Field(default_factory=dict)
    cameras: dict[Camera, Report] = Field(default_factory=dict)
    released: dict[Camera, LetGo] = Field(default_factory=dict)
    orders: tuple[NonNegativeInt, NonNegativeInt] = (0, 0)


class Order(WireModel):
    """What a node is to do with a camera.

    role      ``standby``: open it and judge it, but tell nothing; ``active``: tell
    settings  its table of the config file as JSON, without source: masks, model, and all else
    choice    what people have chosen for it while it was watched, for the node's monitor; "": nothing is known
    """

    epoch: Epoch
    role: Literal["standby", "active"]
    source: str
    fps: NonNegativeFloat
    settings: str = "{}"
    choice: str = ""


class Granted(WireModel):
    """The reply to a Renewal. It renews what the request named, except what is refused.

    number   of the request; 0 if none was made, and only orders come
    refused  cameras that the node must let go
    orders   all that the node is to hold; None if nothing has changed. Only from the coordinator
    at       (term, version) of the orders
    error    one sentence, if the node cannot take part
    """

    number: NonNegativeInt
    refused: tuple[Camera, ...] = ()
    orders: dict[Camera, Order] | None = None
    at: tuple[NonNegativeInt, NonNegativeInt] = (0, 0)
    error: str = ""


class PassedOn(WireModel):
    """Orders that the coordinator sends through the gateway, in case it is cut off from the node."""

    node: Name
    reply: Granted


class Fence(WireModel):
    """The coordinator asks the gateway to renew nothing below ``new``; and how its nodes are.

    cameras  camera -> (the epoch that ends, or 0; the new epoch; the new node)
    """

    number: PositiveInt
    cameras: dict[Camera, tuple[NonNegativeInt, Epoch, Name]] = Field(default_factory=dict)


class Fenced(WireModel):
    """The reply to a Fence.

    wait_s   camera -> how long the lease that ends may still last; a camera is missing if the fence was refused
    heard_s  node -> seconds since its last renewal
    highest  the highest epoch that the gateway knows
    """

    number: PositiveInt
    wait_s: dict[Camera, NonNegativeFloat] = Field(default_factory=dict)
    heard_s: dict[Name, NonNegativeFloat] = Field(default_factory=dict)
    highest: NonNegativeInt = 0


class StepHead(WireModel):
    """A message of a node for the clients; its topic, body and picture follow.

    session   of the stream of steps from the node; grows with each that begins
    index     of the step in its session: 0, 1, 2, without gaps
    position  of the step in the node's journal; grows
    epoch     of the lease of its camera
    age_s     age of the lease when the frame was captured: above ``LEASE_S``, the camera was no longer the node's
    """

    node: Name
    boot: Annotated[str, Field(min_length=1, max_length=100)]
    session: PositiveInt
    index: NonNegativeInt
    position: PositiveInt
    camera: Camera
    epoch: Epoch
    age_s: NonNegativeFloat


class Taken(WireModel):
    """The gateway has dealt with the first ``count`` steps of a session: the node may forget them.

    again  True if a step is missing: the node must begin a new session with the first one that was not dealt with
    """

    boot: str
    session: PositiveInt
    count: NonNegativeInt
    again: bool = False


class NodeAsked(WireModel):
    """The gateway asks a node for what a client has asked; a payload follows.

    what    ``control``: let the node's monitor answer the request in the payload; ``keep``: keep the event in the
            payload, so that the monitor can be taught by it
    event   its id, for ``keep``
    camera  the one that the request changes, for ``control``: what is chosen for it is answered too
    wait_s  the answer is of no use after this time
    """

    number: PositiveInt
    what: Literal["control", "keep"]
    event: str = ""
    camera: Camera | None = None
    wait_s: Annotated[float, Field(gt=0, le=600)]


class NodeAnswered(WireModel):
    """The answer to a NodeAsked; for ``control``, the reply of the node's monitor follows.

    error   one sentence if there is no answer, else ""
    choice  what is chosen for the camera now, see Order
    """

    node: Name
    number: PositiveInt
    choice: str = ""
    error: str = ""


class Chosen(WireModel):
    """A node tells the gateway what is chosen for a camera that it watches, because its order says something else.

    choice  see Order
    """

    node: Name
    camera: Camera
    epoch: Epoch
    choice: str


class Asked(WireModel):
    """A person asks the coordinator.

    what    ``move``: of ``camera`` to ``node``; ``drain`` of ``node``, to ``heir`` if one is named
    """

    protocol: PositiveInt = PROTOCOL
    number: PositiveInt
    what: Literal["status", "move", "drain", "undrain"]
    camera: Camera | None = None
    node: Name | None = None
    heir: Name | None = None


class Answered(WireModel):
    """The answer to an Asked.

    error   one sentence if it was refused, else ""; code: the exit code that belongs to it
    status  a FleetStatus as JSON, if it was asked for
    """

    number: PositiveInt
    error: str = ""
    code: NonNegativeInt = 0
    status: str = ""


def encoded(message: WireModel) -> bytes:
    """The message as JSON."""
    return message.model_dump_json().encode()


def decoded(kind: type[Kind], content: bytes) -> Kind:
    """The message. Raises ValueError with a short reason."""
    try:
        return kind.model_validate_json(content, context=RECEIVED)
    except ValidationError as error:
        where, what = first_problem(error)
        raise ValueError(f"{where or 'message'}: {what}") from None
