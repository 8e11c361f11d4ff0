"""The receiver that notifies people by Apprise (https://github.com/caronc/apprise): phone, chat, mail and many more."""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from monitor.alerts.messages import AlertMessage, HealthMessage, Stored
from monitor.delivery.notice import BACKOFF_MAX_S, DeliveryError, Notice, Summary
from monitor.delivery.notify_policy import NotifyPolicy
from monitor.delivery.notify_settings import NotifySettings
from monitor.errors import ConfigError
from monitor.states import AlertKind, Phase
from monitor.text.addresses import HIDDEN
from monitor.text.commands import python_command
from monitor.text.outside import safe, safe_lines
from monitor.text.wording import counted

if TYPE_CHECKING:
    from apprise import NotifyBase

WIKI = "https://github.com/caronc/apprise/wiki"
_MOST_REASONS = 3
_TALKATIVE = ("apprise", "urllib3", "requests")
"""Loggers that log whole addresses, which hold tokens."""
_LEAST_SECRET = 4
_UNREACHED = re.compile(
    r"connection (err|timeout)|connection could not be|establish connection|timed out", re.IGNORECASE
)
"""How Apprise's services say that they had no answer; why, they log below the level of warnings only."""
_SQUARE = str.maketrans("()", "[]")  # the reason stands in brackets itself


class AppriseReceiver:
    """A receiver (``monitor.delivery.notice.Receiver``). node: name of this monitor.

    Raises ConfigError if Apprise is missing, or does not know the address.
    """

    topics = ("alert/", "health/")
    backoff_max_s = BACKOFF_MAX_S

    def __init__(self, name: str, settings: NotifySettings, node: str) -> None:
        self.name = f"notify.{name}"
        self.keep_s = settings.keep_hours * 3600.0
        self._settings = settings
        self._node = node
        self._policy = NotifyPolicy(settings)
        self._interrupted = False
        self._service = self._open(settings.url.get_secret_value())

    def load(self, state: str) -> None:
        """Continue with the state of an earlier run."""
        self._policy.load(state)

    def dump(self) -> str:
        """The state of the policy."""
        return self._policy.dump()

    def take(self, message: Stored, jpeg: bytes | None, now: float) -> Notice | None:
        """Ask the policy."""
        if isinstance(message, AlertMessage):
            return self._policy.alert(message, jpeg, now)
        return self._policy.health(message, now) if isinstance(message, HealthMessage) else None

    def due(self, now: float) -> Notice | None:
        """Ask the policy."""
        return self._policy.due(now)

    def due_in(self, now: float) -> float:
        """Ask the policy."""
        return self._policy.due_in(now)

    def deliver(self, notice: Notice, *, late: bool) -> None:
        """Send the notification. Raises DeliveryError."""
        fields = described(notice, self._node, late=late)
        title, text = (template.format(**fields) for template in (self._settings.title, self._settings.text))
        self._send(title, text, notice.jpeg if self._settings.picture else None, _kind(notice))

    def test(self) -> None:
        """Send a test message. Raises DeliveryError."""
        self._send("True Sight", f"A test message of the doctor of {safe(self._node)}", None, "info")

    def interrupt(self) -> None:
        """Begin nothing new. An attempt in progress ends with Apprise's own timeouts."""
        self._interrupted = True

    def close(self) -> None:
        """Nothing is held."""

    def _open(self, url: str) -> NotifyBase:
        try:
            with _Captured():
                from apprise import Apprise
        except ImportError as error:
            raise ConfigError(
                f"[{self.name}] needs Apprise: run `{python_command('-m pip install apprise')}`"
            ) from error
        with _Captured():
            # The service itself is called. Apprise would call it in a thread that keeps the process alive.
            service = Apprise.instantiate(url)
        if service is None:
            raise ConfigError(
                f"[{self.name}] url is no address that Apprise understands: look up how to write it at {WIKI}"
            )
        return service

    def _send(self, title: str, text: str, jpeg: bytes | None, kind: str) -> None:
        from apprise.attachment.memory import AttachMemory

        if self._interrupted:
            raise DeliveryError("the run ends")
        attached = (
            None
            if jpeg is None
            else AttachMemory(  # type: ignore[no-untyped-call]
                content=jpeg, name="alert.jpg", mimetype="image/jpeg"
            )
        )
        with _Captured() as said:
            sent = self._service.notify(body=text, title=title, notify_type=kind, body_format="text", attach=attached)
        if not sent:
            reason = said.lines[-1] if said.lines else "no reason given"
            if _UNREACHED.search(reason):
                raise DeliveryError(
                    "the service cannot be reached, or does not answer: check its host and port in the address, and "
                    "that it is up"
                )
            inner = self._without_secrets(reason).rstrip(". ").translate(_SQUARE)
            raise DeliveryError(
                f"the service does not take it ({inner}): check the address, its token, and that the service is up"
            )

    def _without_secrets(self, text: str) -> str:
        """What Apprise has logged, without any part of the address: it may be a token."""
        parts = re.split(r"[^A-Za-z0-9_.\-]+", self._settings.url.get_secret_value())[1:]
        for part in sorted(filter(lambda part: len(part) >= _LEAST_SECRET, parts), key=len, reverse=True):
            text = text.replace(part, HIDDEN)
        return safe(text)[:300]


def described(notice: Notice, node: str, *, late: bool) -> dict[str, str]:
    """The fields of templates."""
    message = notice.message
    happened = message.since if isinstance(message, HealthMessage | Summary) else message.sent_at
    local = time.localtime(message.started_at if isinstance(message, AlertMessage) else happened)
    fields = {
        "time": time.strftime("%H:%M", local),
        "date": time.strftime("%Y-%m-%d", local),
        "node": safe(node),
        "late": " (late)" if late else "",
        "score": "",
        "reasons": "",
    }
    if isinstance(message, Summary):
        total = sum(message.held.values())
        each = ", ".join(f"{camera} {number}" for camera, number in sorted(message.held.items()))
        return fields | {"camera": each, "what": "Summary", "text": f"{counted(total, 'more notification')}: {each}"}
    if isinstance(message, AlertMessage):
        reasons = "; ".join(safe(reason.text) for reason in message.reasons[:_MOST_REASONS])
        score = "" if message.score is None else f"{message.score:.2f}"
        what = "Alert"
        if message.about == AlertKind.CAMERA_LOST:
            what = "Camera is back" if message.phase is Phase.END else "Camera lost"
        text = reasons or (f"score {score}" if score else what)
        return fields | {"camera": message.camera, "what": what, "score": score, "reasons": reasons, "text": text}
    assert isinstance(message, HealthMessage)
    over = message.state == "online"
    state = str(message.state).replace("_", " ")
    text = safe_lines(message.detail) or state
    return fields | {"camera": message.camera, "what": "All right again" if over else f"Camera {state}", "text": text}


def _kind(notice: Notice) -> str:
    """The kind of message for Apprise: it chooses a colour or a symbol."""
    message = notice.message
    if isinstance(message, AlertMessage):
        lost = message.about == AlertKind.CAMERA_LOST
        return "success" if message.phase is Phase.END else "failure" if lost else "warning"
    return "success" if isinstance(message, HealthMessage) and message.state == "online" else "info"


class _Captured(logging.Handler):
    """Keeps what Apprise logs in this thread, and keeps it out of our own log: it may hold secrets."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()
        self.addFilter(lambda record: record.thread == self._thread)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> _Captured:
        for name in _TALKATIVE:
            logger = logging.getLogger(name)
            logger.propagate = False
            if not logger.handlers:
                logger.addHandler(logging.NullHandler())  # or Python would print what nobody handles
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_: Any) -> None:
        logging.getLogger("apprise").removeHandler(self)
