"""The items that a subscriber returns."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.alerts.messages import AlertMessage, BudgetMessage, HealthMessage, MomentMessage, ScoreMessage


@dataclass(frozen=True, slots=True)
class Received:
    """A message and its JPEG, if any.

    lost  number of messages of the same topic missing just before this one; a Gap item with their numbers came first
    """

    message: AlertMessage | HealthMessage | BudgetMessage | MomentMessage | ScoreMessage
    jpeg: bytes | None
    lost: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages ``first`` to ``last`` of a topic were sent but are lost: they could not be recovered."""

    topic: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The monitor's journal no longer reaches back to this subscriber's position: messages between may be lost."""

    node: str


@dataclass(frozen=True, slots=True)
class NoRepair:
    """From now until the next restart of the monitor, a lost message is reported (Gap) but not recovered."""

    reason: str


@dataclass(frozen=True, slots=True)
class Contact:
    """A publisher answers: for the first time, again after a Silence, or with ``restarted`` as a new run."""

    node: str
    epoch: str
    restarted: bool


@dataclass(frozen=True, slots=True)
class Silence:
    """No heartbeat came for ``seconds``. Reported once, until the next Contact.

    heard_before  True if the monitor was heard earlier
    """

    endpoint: str
    seconds: float
    heard_before: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The monitor reported the end of its run. No Silence follows; a Contact follows when it starts again.

    how  ``done``, ``stopped`` or ``failed`` and the reason, for people
    """

    node: str
    how: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Data came that is not a message of this protocol; it was skipped. ``topic`` is text for people."""

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The monitor's journal holds ``count`` messages that the monitor cannot read; they were skipped."""

    node: str
    count: int


@dataclass(frozen=True, slots=True)
class UnknownCamera:
    """In this run, the monitor has sent nothing about these requested cameras: perhaps their names are wrong.

    Reported once per run.

    cameras  requested cameras without any message, sorted
    known    cameras with messages, sorted
    """

    node: str
    cameras: tuple[str, ...]
    known: tuple[str, ...]


Item = Received | Gap | Expired | NoRepair | Contact | Silence | Ended | Malformed | Unreadable | UnknownCamera
