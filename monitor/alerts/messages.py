"""The wire format: one frozen model per kind of message, and the decoding of received messages.

A message has the parts ``topic``, ``body`` (JSON, UTF-8) and, with some alerts, a JPEG. Topics end
in ``/``, so that a subscription to ``alert/cam1/`` does not match ``alert/cam10/``.

Times named ``..._at`` and ``since`` are unix seconds, for people. Times named ``..._s`` are seconds
on the stream's own clock (media time of a file). They do not depend on how fast the file is played.
Scores use a scale for people: 0 is typical normal footage, 1 is the threshold, high is abnormal.

A message that the monitor builds must not have fields that are not declared here. A received message
may: a newer monitor can add fields, and ``decode`` ignores unknown fields.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)
from pydantic.json_schema import models_json_schema

from monitor.alerts.message_parts import (
    RECEIVED,
    Camera,
    LeaseBody,
    Measured,
    ModelRef,
    ReasonBody,
    RegionBody,
    WireModel,
    json_number,
)
from monitor.errors import first_problem
from monitor.states import AlertKind, CameraState, Phase
from monitor.text.wording import counted

SCHEMA = 1
"""Version of the message format. It increases when a field changes its meaning or is removed."""

THRESHOLD = 1.0
"""The threshold in units of the score, 1 by definition of the score."""


class Envelope(WireModel):
    """The fields of every body.

    schema   version of the message format
    node     name of the monitor; by default the name of its machine
    epoch    identifies one run of the monitor; sorts by start time
    seq      number of the message in its topic within the epoch: 1, 2, 3, without gaps
    sent_at  when the message was sent, unix seconds
    """

    schema_: PositiveInt = Field(alias="schema")
    node: str
    epoch: Annotated[str, Field(min_length=1)]
    seq: PositiveInt
    sent_at: float


class Kept(Envelope):
    """The fields of every alert, health, budget and moment message; the journal stores these messages.

    position  increases over all topics and restarts of the monitor, with gaps; None from an older monitor
    lease     only in messages of a fleet's gateway: which node made it
    """

    position: PositiveInt | None = None
    lease: LeaseBody | None = None


class AlertMessage(Kept):
    """The start, an update or the end of an event. Topic ``alert/<camera>/``.

    event_id      unique over restarts; the same in the start, the updates and the end of an event
    started_at    when the score first passed the threshold, unix seconds; started_s is the same on the stream's clock
    ended_at      when the score was last above the threshold, unix seconds; None while the event is open. ended_s is
                  the same on the stream's clock
    media_s       where the event began in its file or folder, seconds from the beginning; None for a live camera
    about         an AlertKind; plain text if a newer monitor sends one that this version does not know. For a lost
                  camera there are no scores, regions or pictures, and times named ``..._s`` count from the start of
                  the run
    score         smoothed score now; None if the frame cannot be judged
    peak_score    highest score of the event so far
    threshold     always 1.0, in units of the score
    expected_false_alarms_per_day  expected rate of false alarms on normal footage at this threshold; None if unknown
    notify        False if the event repeats one of shortly before: record it, but notify nobody. It may become True in
                  an update, if the event gets clearly worse
    armed         False if the whole event so far lies outside of the times in which alerts are raised; then notify is
                  False, too. It becomes True in an update if the event lasts into such a time
    regions       where in the picture, highest score first
    reasons       terms above their normal range, strongest first
    also          what else the event is about: one reason for each further cause that is of a different kind and in a
                  different place; in all messages from the update that tells it on
    frame_age_s   seconds from reading the frame to this alert
    dropped_frames  frames of this camera dropped since the start, because inference was behind
    evidence      names of the evidence files of the event
    name          the name that people gave to an event like this one; "" without one
    alike         how much it is like the examples of that name: 1 is the same, 0.5 is just alike; None without a name
    early         True if only a camera that is new raises it: in its first day, more alarms than promised are allowed
    normal_at     when the nearest normal picture in the evidence was taken, unix seconds; None without one
    interrupted   True if a restarted monitor sends this end for an event that a killed run left open. ended_at is then
                  the time of the event's last message, and ended_s is None
    """

    event_id: str
    phase: Phase
    camera: Camera
    started_at: float
    ended_at: float | None
    started_s: float
    ended_s: float | None
    score: Measured
    peak_score: Annotated[float, BeforeValidator(json_number)]
    threshold: float = THRESHOLD
    expected_false_alarms_per_day: float | None
    notify: bool
    regions: tuple[RegionBody, ...] = ()
    reasons: tuple[ReasonBody, ...] = ()
    also: tuple[ReasonBody, ...] = ()
    model: ModelRef
    frame_age_s: float
    dropped_frames: NonNegativeInt
    evidence: tuple[str, ...] = ()
    interrupted: bool = False
    media_s: float | None = None
    about: Annotated[AlertKind | str, Field(union_mode="left_to_right")] = AlertKind.ANOMALY
    early: bool = False
    armed: bool = True
    name: Annotated[str, Field(max_length=200)] = ""
    alike: Annotated[float, Field(ge=0, le=1)] | None = None
    normal_at: float | None = None

    @property
    def topic(self) -> str:
        """``alert/<camera>/``."""
        return f"alert/{self.camera}/"


class HealthMessage(Kept):
    """A camera changed its state. Topic ``health/<camera>/``.

    state   a CameraState; plain text if a newer monitor sends a state that this version does not know
    since   when the state began, unix seconds
    detail  one sentence for people; may be empty; never holds a password
    watched_s, blind_s  seconds of the last seven days watched, and seconds besides in which nobody watched
    """

    camera: Camera
    state: Annotated[CameraState | str, Field(union_mode="left_to_right")]
    since: float
    detail: str = ""
    watched_s: Annotated[float, Field(ge=0)] = 0.0
    blind_s: Annotated[float, Field(ge=0)] = 0.0

    @property
    def topic(self) -> str:
        """``health/<camera>/``."""
        return f"health/{self.camera}/"


class BudgetMessage(Kept):
    """A camera's alarms beside its budget of false alarms. Topic ``budget/<camera>/``, once per hour and on change.

    promised_per_day  the budget
    alarms, watched_s  alarms that people were notified of in the last seven days watched, and the time watched, seconds
    per_day           alarms per day; None if nothing was watched yet
    low, high         95 % interval of the rate of alarms per day; high is None if nothing was watched yet
    broken            True if there are more alarms than promised, beyond doubt
    added_alarms, added_s  what has been added since the camera's last message
    blind_s, added_blind_s  seconds besides the time watched in which nobody watched: no frame was judged
    supported_per_day  the lowest rate that the threshold's footage can confirm; above the promise, the threshold is
                      extrapolated. None from an older monitor
    """

    camera: Camera
    promised_per_day: float
    alarms: NonNegativeInt
    watched_s: Annotated[float, Field(ge=0)]
    per_day: float | None
    low: float
    high: float | None
    broken: bool
    added_alarms: NonNegativeInt
    added_s: Annotated[float, Field(ge=0)]
    blind_s: Annotated[float, Field(ge=0)] = 0.0
    added_blind_s: Annotated[float, Field(ge=0)] = 0.0
    supported_per_day: Annotated[float, Field(gt=0)] | None = None

    @property
    def topic(self) -> str:
        """``budget/<camera>/``."""
        return f"budget/{self.camera}/"


class RankedMoment(WireModel):
    """A moment in the ranking of its day: its id, its score there, and in words how rare it is."""

    moment_id: str
    score: Annotated[float, BeforeValidator(json_number)]
    rare: str


class MomentMessage(Kept):
    """One of the most unusual moments of a camera's day, whether or not it alarmed. Topic ``moment/<camera>/``.

    moment_id   names it; ``replaces``: the moments that it takes the place of, because they were part of it
    at, local   when it was, unix seconds, and as ISO 8601 text by the camera's clock; media_s: where in its file
    day         the day it belongs to by that clock, such as 2026-03-02
    score       how unusual it is, in units of the threshold of the budget: comparable within the day
    event_id    the alert that covers it; None if it raised none
    files       names of its files, relative to the folder of moments: the picture, the clip if there is one, and the
                nearest normal picture, which was taken at ``normal_at``, unix seconds, if there is one
    per_day     how many moments are kept per day
    watched_s   time that was watched in the days that ``ranking`` looks back on, seconds
    ranking     the present ranking of its day, the most unusual first; that of the last message counts
    """

    camera: Camera
    moment_id: str
    at: float
    local: str
    day: str
    media_s: float | None
    score: Annotated[float, BeforeValidator(json_number)]
    event_id: str | None
    regions: tuple[RegionBody, ...] = ()
    reasons: tuple[ReasonBody, ...] = ()
    model: ModelRef
    files: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    per_day: PositiveInt
    watched_s: Annotated[float, Field(ge=0)]
    ranking: tuple[RankedMoment, ...]
    normal_at: float | None = None

    @property
    def topic(self) -> str:
        """``moment/<camera>/``."""
        return f"moment/{self.camera}/"


class Heartbeat(Envelope):
    """Shows that the monitor is running. Topic ``heartbeat/``, once per second.

    last_seq  topic -> number of its last message in this epoch, for every alert, health and score topic with a message
    position  position of the last alert or health message sent; None from an older monitor
    history   address of the history socket on the monitor's machine; None if there is none
    control   the same for the control socket
    unjournalled  number of alerts and health messages since the start that could not be stored in the journal
    ended     only in the last heartbeat of a run: how the run ended, for people: ``done``, ``stopped`` or ``failed``,
              and the reason. None while the run continues
    """

    last_seq: dict[str, PositiveInt]
    position: PositiveInt | None = None
    history: str | None = None
    control: str | None = None
    unjournalled: NonNegativeInt = 0
    ended: str | None = None

    @property
    def topic(self) -> str:
        """``heartbeat/``."""
        return "heartbeat/"


class ScoreMessage(Envelope):
    """The score of one frame. Topic ``score/<camera>/``.

    time_s       time of the frame on the stream's clock, seconds
    frame_index  0-based number of the frame in the source; missing frames count
    score        smoothed score: 0 = typical normal, 1 = the threshold; None if the frame cannot be judged
    captured_at  when the frame was read, unix seconds
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


Message = AlertMessage | HealthMessage | BudgetMessage | MomentMessage | Heartbeat | ScoreMessage
Stored = AlertMessage | HealthMessage | BudgetMessage | MomentMessage
"""The messages that the journal stores."""

_KINDS: dict[str, type[Message]] = {
    "alert": AlertMessage,
    "health": HealthMessage,
    "budget": BudgetMessage,
    "moment": MomentMessage,
    "heartbeat": Heartbeat,
    "score": ScoreMessage,
}


class MalformedError(ValueError):
    """Received data is not a message of this protocol. The text gives the reason."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message with the picture that came with it (JPEG bytes), if any."""

    message: Message
    jpeg: bytes | None = None


def new_epoch() -> str:
    """Return a unique name for a run of the monitor. Names sort by start time."""
    return f"{time.time_ns():016x}-{secrets.token_hex(4)}"


def encode(message: WireModel) -> bytes:
    """Return the body of a message: JSON in UTF-8."""
    return message.model_dump_json(by_alias=True).encode()


def decode(parts: Sequence[bytes]) -> Decoded:
    """Decode the parts of a received message. Raises only MalformedError.

    Unknown fields and parts after the third are ignored.
    """
    if len(parts) < 2:
        raise MalformedError(f"expected a topic, a body and an optional picture, got {counted(len(parts), 'part')}")
    try:
        topic = parts[0].decode()
    except UnicodeDecodeError:
        raise MalformedError("the topic is not UTF-8 text") from None
    kind = topic.partition("/")[0]
    if kind not in _KINDS:
        raise MalformedError("the topic does not begin with alert/, health/, budget/, moment/, heartbeat/ or score/")
    try:
        message = _KINDS[kind].model_validate_json(parts[1], context=RECEIVED)
    except ValidationError as error:
        place, what = first_problem(error)
        raise MalformedError(f"{place or 'body'}: {what}") from None
    if message.topic != topic:
        raise MalformedError(f"the body belongs to topic {message.topic}")
    return Decoded(message, parts[2] if len(parts) > 2 and parts[2] else None)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) of all bodies. It allows other fields, because a newer monitor may add some."""
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
