"""What is delivered, the interface of receivers, and the choice of the steps of an event that are worth a delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from monitor.alerts.messages import AlertMessage, HealthMessage, MomentMessage, Stored
from monitor.states import Phase
from monitor.text.outside import safe

LATE_S = 60.0
"""A notice that is delivered more than this many seconds after its message was stored is marked as late."""
BACKOFF_MAX_S = 60.0
"""The usual longest wait between two attempts, seconds."""
_MOST_QUIET = 1000


@dataclass(frozen=True, slots=True)
class Summary:
    """Notifications that were held back.

    held     camera -> their number
    since    when the first of them came, unix seconds
    sent_at  when the summary was due, unix seconds
    """

    sent_at: float
    since: float
    held: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to deliver.

    key      idempotency key: the same for every attempt to deliver this notice, also after restarts
    message  the message as it is in the journal, or a summary
    jpeg     its picture, if any
    """

    key: str
    message: Stored | Summary
    jpeg: bytes | None = None

    @property
    def at(self) -> float:
        """When it came about, unix seconds."""
        return self.message.sent_at


def armed_of(message: Stored | Summary, armed: Callable[[str], bool]) -> bool:
    """Whether programs may notify people of a message: what an alert says itself, and of others, what holds now."""
    if isinstance(message, AlertMessage):
        return message.armed
    return isinstance(message, Summary) or armed(message.camera)


def with_safe_text(message: Stored) -> Stored:
    """The message without credentials and control characters in its texts: an older monitor may have stored them."""
    if isinstance(message, HealthMessage):
        return message.model_copy(update={"detail": safe(message.detail)})
    if isinstance(message, AlertMessage | MomentMessage):
        reasons = tuple(reason.model_copy(update={"text": safe(reason.text)}) for reason in message.reasons)
        return message.model_copy(update={"reasons": reasons})
    return message


class DeliveryError(Exception):
    """A notice was not delivered. The text gives the reason, on one line and without secrets.

    final   True: the receiver refuses this very notice, so that it would refuse it for ever
    wait_s  the receiver asks to wait at least this long before the next attempt, seconds
    """

    def __init__(self, reason: str, *, final: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.final = final
        self.wait_s = wait_s


class Receiver(Protocol):
    """One place that notices go to. Only the thread of its courier uses it, except for ``interrupt``.

    ``take`` and ``due`` decide what is delivered. They may keep a state, which ``dump`` returns and ``load`` takes
    back. The state is stored together with the position, so both always belong together.
    """

    @property
    def name(self) -> str:
        """Name in log lines and in the ledger, such as ``webhook.house``. Its position belongs to this name."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Only messages with topics that begin with one of these are taken."""

    @property
    def backoff_max_s(self) -> float:
        """The longest wait between two attempts, seconds."""

    @property
    def keep_s(self) -> float:
        """A notice older than this many seconds is given up."""

    def load(self, state: str) -> None:
        """Continue with a state that ``dump`` returned in an earlier run. What is not one is ignored."""

    def dump(self) -> str:
        """The state as text."""

    def take(self, message: Stored, jpeg: bytes | None, now: float) -> Notice | None:
        """A message was stored. Returns what to deliver for it, if anything. now: unix seconds."""

    def due(self, now: float) -> Notice | None:
        """What is to be delivered now without a message, if anything. now: unix seconds."""

    def due_in(self, now: float) -> float:
        """Seconds until ``due`` may return something; infinity if only a message can change that."""

    def deliver(self, notice: Notice, *, late: bool) -> None:
        """Deliver a notice, within a bounded time. It is delivered when this returns. Raises DeliveryError."""

    def interrupt(self) -> None:
        """End a delivery in progress soon, and all later ones at once. Another thread calls this, at the end."""

    def close(self) -> None:
        """Release what the receiver holds."""


class EventSteps:
    """Chooses the steps of an event: its start, its end, and the update with which a quiet event begins to notify.

    updates  True: all updates, too
    state    event ids that ``quiet`` returned in an earlier run
    """

    def __init__(self, *, updates: bool = False, state: Iterable[str] = ()) -> None:
        self._updates = updates
        self._quiet = dict.fromkeys(state)

    @property
    def quiet(self) -> list[str]:
        """Ids of open events that have notified nobody yet."""
        return list(self._quiet)

    def key(self, message: AlertMessage) -> str | None:
        """The idempotency key if this step is delivered, otherwise None.

        It ends in the phase: ``start``, ``end``, or ``notify`` for the update with which a quiet event begins to
        notify. Another update ends in ``update`` and its position.
        """
        event_id, phase = message.event_id, message.phase
        if phase is Phase.START:
            if not message.notify:
                self._quiet[event_id] = None
                while len(self._quiet) > _MOST_QUIET:  # ends of these were never seen
                    del self._quiet[next(iter(self._quiet))]
            return f"{event_id}:start"
        if phase is Phase.END:
            self._quiet.pop(event_id, None)
            return f"{event_id}:end"
        if message.notify and event_id in self._quiet:
            del self._quiet[event_id]
            return f"{event_id}:notify"
        return f"{event_id}:update-{message.position}" if self._updates else None


class NewStates:
    """Chooses the health messages with a new state. A learning camera sends one for every step of its progress.

    states  camera -> its last state, as ``states`` returned it in an earlier run
    """

    def __init__(self, states: Mapping[str, str] | None = None) -> None:
        self.states = dict(states or {})

    def is_new(self, message: HealthMessage) -> bool:
        """Whether the camera has another state than in its last message."""
        before = self.states.get(message.camera)
        self.states[message.camera] = str(message.state)
        while len(self.states) > _MOST_QUIET:
            del self.states[next(iter(self.states))]
        return before != str(message.state)
