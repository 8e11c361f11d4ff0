"""Checks that receivers of deliveries can be reached; on request, sends each a test message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from monitor.app.config import MonitorConfig
from monitor.app.deliveries import check_journalled, webhooks
from monitor.app.doctor.finding_report import Finding, State, from_error
from monitor.delivery.notice import DeliveryError
from monitor.delivery.webhook import Webhook
from monitor.errors import ConfigError

_AT_ONCE = 8
_ADVICE = "check the address and that the receiver runs; alerts wait in the journal meanwhile"


def check_receivers(settings: MonitorConfig, *, send: bool) -> Iterator[Finding]:
    """Check all receivers, several at a time.

    send  send each a test message, too; otherwise nothing is sent
    """
    try:
        check_journalled(settings)
        hooks = list(webhooks(settings))
    except ConfigError as error:
        yield from_error("receiver", "", error)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda hook: _webhook(hook, send=send), hooks)


def _webhook(hook: Webhook, *, send: bool) -> Finding:
    if send:
        return _tried(hook.name, hook.test, f"{hook.label} has accepted a test message")
    return _tried(hook.name, hook.probe, f"{hook.label} can be reached; `--notify` sends a test message")


def _tried(name: str, attempt: Callable[[], None], found: str) -> Finding:
    try:
        attempt()
    except DeliveryError as error:
        what, colon, advice = str(error).partition(": ")
        return Finding("receiver", name, State.PROBLEM, what, advice if colon else _ADVICE)
    return Finding("receiver", name, State.OK, found)
