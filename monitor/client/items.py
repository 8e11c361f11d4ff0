"""What a subscriber has to say."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.alerts.messages import AlertMessage, HealthMessage, ScoreMessage


@dataclass(frozen=True, slots=True)
class Received:
    """A message, with the JPEG that came along with it, if any.

    lost  messages of the same topic found missing just before this one; a Gap item with their numbers came first
    """

    message: AlertMessage | HealthMessage | ScoreMessage
    jpeg: bytes | None
    lost: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages ``first`` to ``last`` of a topic were sent, and will not come: they could not be had again either."""

    topic: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The monitor's journal no longer goes back to where this subscriber went on: what lies between may be lost."""

    node: str


@dataclass(frozen=True, slots=True)
class NoRepair:
    """From here on, or until the monitor's next restart, a lost message is noticed (Gap) and not repaired."""

    reason: str


@dataclass(frozen=True, slots=True)
class Contact:
    """A publisher is heard: for the first time, again after a Silence, or with ``restarted`` as a new run."""

    node: str
    epoch: str
    restarted: bool


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was heard for ``seconds``; said once, until a Contact. ``heard_before``: whether there ever was one."""

    endpoint: str
    seconds: float
    heard_before: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The monitor's run is over, as it said itself: no Silence follows, and a Contact once it is started again.

    how  ``done``, ``stopped`` or ``failed`` and why, for people
    """

    node: str
    how: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something came that is no message of this protocol, and was passed over. ``topic`` as text, for people."""

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class UnknownCamera:
    """The monitor has said nothing of these cameras, which were asked for, in this run: perhaps their names are wrong.

    cameras  asked for; known: those that it has said something of. Said once a run; both sorted
    """

    node: str
    cameras: tuple[str, ...]
    known: tuple[str, ...]


Item = Received | Gap | Expired | NoRepair | Contact | Silence | Ended | Malformed | UnknownCamera
