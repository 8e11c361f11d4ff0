"""What goes over the wire: one frozen model a kind of message, and the decoding of what came in.

A message has the parts ``topic``, ``body`` (JSON, UTF-8) and, with some alerts, a JPEG. Topics end
in ``/``, so that a subscription to ``alert/cam1/`` does not catch ``alert/cam10/``.

Times named ``..._at`` and ``since`` are unix seconds, for people. Times named ``..._s`` are seconds
on the stream's own clock (media time of a file), the same however fast the file is played. Scores
are in units a person understands: 0 is typical normal footage, 1 is the threshold, high is abnormal.

What the monitor builds may hold no field that is not declared here. What a subscriber receives may:
a newer monitor adds fields, and ``decode`` ignores those it does not know.
"""

from __future__ import annotations

import json
import math
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import models_json_schema

from monitor.errors import ConfigError
from monitor.states import CameraState, Phase, Reason, Region
from monitor.text.wording import counted

SCHEMA = 1
"""Number of the message format; grows when a field changes its meaning or goes away."""

THRESHOLD = 1.0
"""The threshold in units of the score, by the score's definition."""

DEFAULT_ALERTS_ENDPOINT = "tcp://127.0.0.1:5560"
DEFAULT_SCORES_ENDPOINT = "tcp://127.0.0.1:5561"
DEFAULT_HISTORY_ENDPOINT = "tcp://127.0.0.1:5562"

RECEIVED = object()
"""Validation context of a message that came over the wire."""


def _json_number(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: NaN becomes null, infinity the largest number there is."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else math.copysign(sys.float_info.max, value)


Camera = Annotated[str, Field(pattern=r"^[^/]+$")]
Measured = Annotated[float | None, BeforeValidator(_json_number)]
"""A measured number; None while it cannot be judged."""


def _allow_more_fields(schema: dict[str, Any]) -> None:
    schema.pop("additionalProperties", None)


class WireModel(BaseModel):
    """Base of all that is sent as JSON: frozen; fields that are not known are refused, or ignored when received."""

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
        """The wire's form of a region; numpy numbers become plain ones."""
        return cls(
            x=int(region.x),
            y=int(region.y),
            width=int(region.width),
            height=int(region.height),
            score=float(region.score),
        )


NOT_NOTIFIED = "soon after another alert: kept, nobody is notified"
"""What ``notify`` = False means, for people."""


class ReasonBody(WireModel):
    """A term that rose: ``value`` now, ``usual`` its upper normal value, both in ``unit``; ``text`` says it all."""

    term: str
    value: Measured
    usual: Measured
    unit: str = ""
    text: str

    @classmethod
    def of(cls, reason: Reason) -> Self:
        """The wire's form of a reason; numpy numbers become plain ones."""
        return cls(
            term=reason.term,
            value=float(reason.value),
            usual=float(reason.usual),
            unit=reason.unit,
            text=str(reason),
        )


class ModelRef(WireModel):
    """The model that gave the scores: ``id`` its name, ``hash`` the fingerprint of its folder's content."""

    id: str
    hash: str


class Envelope(WireModel):
    """What every body carries.

    schema   number of the message format
    node     name of the machine, or of the monitor on it
    epoch    new at each start of the monitor; sorts by time of start
    seq      number of the message in its topic within the epoch: 1, 2, 3, without holes
    sent_at  unix seconds
    """

    schema_: PositiveInt = Field(alias="schema")
    node: str
    epoch: Annotated[str, Field(min_length=1)]
    seq: PositiveInt
    sent_at: float


class Kept(Envelope):
    """What every alert and health message carries, as these go into the journal.

    position  grows over all topics and restarts of the monitor, with holes; None from an older monitor
    """

    position: PositiveInt | None = None


class AlertMessage(Kept):
    """A step in the life of an event. Topic ``alert/<camera>/``.

    event_id      unique over restarts, the same in start, updates and end
    started_at    unix seconds when the score first passed the threshold; started_s on the stream's clock
    ended_at      unix seconds when it was last over it, None while the event is open; ended_s likewise
    media_s       where in its file or folder the event began, seconds from the beginning; None of a live camera
    score         smoothed score now; None where it cannot be judged
    peak_score    highest so far
    threshold     always 1.0, in units of the score
    expected_false_alarms_per_day  what the threshold stands for on normal footage; None if not known
    notify        False while a cool-down holds notifications back: keep the record, wake nobody
    regions       where, highest first
    reasons       terms that rose above what is usual, strongest first
    frame_age_s   seconds from reading the frame to this alert
    dropped_frames  frames of this camera dropped since the start, because inference was behind
    evidence      names of files kept with the event
    interrupted   True with an end that a restarted monitor sends for an event that its killed forerunner left open;
                  ended_at is then the time of the event's last message, ended_s None
    """

    event_id: str
    phase: Phase
    camera: Camera
    started_at: float
    ended_at: float | None
    started_s: float
    ended_s: float | None
    score: Measured
    peak_score: Annotated[float, BeforeValidator(_json_number)]
    threshold: float = THRESHOLD
    expected_false_alarms_per_day: float | None
    notify: bool
    regions: tuple[RegionBody, ...] = ()
    reasons: tuple[ReasonBody, ...] = ()
    model: ModelRef
    frame_age_s: float
    dropped_frames: NonNegativeInt
    evidence: tuple[str, ...] = ()
    interrupted: bool = False
    media_s: float | None = None

    @property
    def topic(self) -> str:
        """``alert/<camera>/``."""
        return f"alert/{self.camera}/"


class HealthMessage(Kept):
    """A camera changed its state. Topic ``health/<camera>/``.

    state   a CameraState, or plain text where a newer monitor knows a state that this version does not
    since   unix seconds
    detail  one sentence for people; may be empty; never holds a password
    """

    camera: Camera
    state: Annotated[CameraState | str, Field(union_mode="left_to_right")]
    since: float
    detail: str = ""

    @property
    def topic(self) -> str:
        """``health/<camera>/``."""
        return f"health/{self.camera}/"


class Heartbeat(Envelope):
    """The monitor lives. Topic ``heartbeat/``, once a second.

    last_seq  topic -> number of its last message in this epoch, for every alert, health and score topic that had one
    position  position of the last alert or health message sent; None from an older monitor
    history   address of the history socket as the monitor sees it; None if there is none
    unjournalled  alerts and health messages sent since the start that could not be kept in the journal
    ended     with the last one of a run: how it ended, for people: ``done``, ``stopped`` or ``failed``, and why. None
              while it goes on
    """

    last_seq: dict[str, PositiveInt]
    position: PositiveInt | None = None
    history: str | None = None
    unjournalled: NonNegativeInt = 0
    ended: str | None = None

    @property
    def topic(self) -> str:
        """``heartbeat/``."""
        return "heartbeat/"


class ScoreMessage(Envelope):
    """What one frame scored. Topic ``score/<camera>/``.

    time_s       seconds on the stream's clock
    frame_index  0-based number in the source, missing frames counted
    score        smoothed, 0 = typical normal, 1 = the threshold; None while it cannot be judged
    captured_at  unix seconds when the frame was read
    raw          detector name -> its score in its own units, before calibration and smoothing
    """

    camera: Camera
    time_s: float
    frame_index: NonNegativeInt
    score: Measured
    captured_at: float
    raw: dict[str, Measured] = Field(default_factory=dict)

    @property
    def topic(self) -> str:
        """``score/<camera>/``."""
        return f"score/{self.camera}/"


Message = AlertMessage | HealthMessage | Heartbeat | ScoreMessage

_KINDS: dict[str, type[AlertMessage] | type[HealthMessage] | type[Heartbeat] | type[ScoreMessage]] = {
    "alert": AlertMessage,
    "health": HealthMessage,
    "heartbeat": Heartbeat,
    "score": ScoreMessage,
}


class MalformedError(ValueError):
    """Something that came over the wire and is none of this protocol's messages; its text says why."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message with the picture that came with it (JPEG bytes), if any."""

    message: Message
    jpeg: bytes | None = None


def new_epoch() -> str:
    """Name of a run of the monitor: sorts by time of start, and two are never the same."""
    return f"{time.time_ns():016x}-{secrets.token_hex(4)}"


def encode(message: WireModel) -> bytes:
    """The body of a message: JSON in UTF-8."""
    return message.model_dump_json(by_alias=True).encode()


def decode(parts: Sequence[bytes]) -> Decoded:
    """Turn the parts of a message as received into what they say. Raises MalformedError, and nothing else.

    Fields that this version does not know are ignored, and so are parts after the third.
    """
    if len(parts) < 2:
        raise MalformedError(f"expected a topic, a body and perhaps a picture, got {counted(len(parts), 'part')}")
    try:
        topic = parts[0].decode()
    except UnicodeDecodeError:
        raise MalformedError("the topic is not UTF-8 text") from None
    kind = topic.partition("/")[0]
    if kind not in _KINDS:
        raise MalformedError("the topic is none of alert/, health/, heartbeat/, score/")
    try:
        message = _KINDS[kind].model_validate_json(parts[1], context=RECEIVED)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "body"
        raise MalformedError(f"{place}: {first['msg']}") from None
    if message.topic != topic:
        raise MalformedError(f"the body belongs to topic {message.topic}")
    return Decoded(message, parts[2] if len(parts) > 2 and parts[2] else None)


def check_endpoint(endpoint: str) -> None:
    """Raise ConfigError unless this is an address of the form ``tcp://host:port`` or ``ipc://path``."""
    transport, _, rest = endpoint.partition("://")
    if transport == "tcp":
        host, _, port = rest.rpartition(":")
        # ZeroMQ itself takes 99999 for a port and quietly uses another.
        good = bool(host) and (port == "*" or (port.isascii() and port.isdigit() and int(port) <= 65535))
    else:
        good = transport == "ipc" and bool(rest)
    if not good or not endpoint.isprintable():
        raise ConfigError(
            f"{endpoint!r} is no address for alerts: write tcp://HOST:PORT, such as {DEFAULT_ALERTS_ENDPOINT}, "
            "or ipc://PATH for programs on this machine"
        )


def json_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of all bodies; further fields are allowed, as a newer monitor may add some."""
    kinds = [(model, "serialization") for model in _KINDS.values()]
    references, definitions = models_json_schema(kinds)  # type: ignore[arg-type]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages of the monitor",
        "anyOf": [references[kind] for kind in kinds],  # type: ignore[index]
        **definitions,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
