"""Checks that receivers of deliveries can be reached; on request, sends each a test message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from monitor.app.config import MonitorConfig
from monitor.app.deliveries import check_journalled, mqtt_link
from monitor.app.doctor.finding_report import Finding, State, from_error
from monitor.delivery.apprise_receiver import AppriseReceiver
from monitor.delivery.mqtt_link import CONNECT_S
from monitor.delivery.notice import DeliveryError
from monitor.delivery.webhook import Webhook
from monitor.errors import ConfigError

R = TypeVar("R")

_AT_ONCE = 8
_WITH_ADVICE = re.compile(r"((?:[^(]|\(.*\))*?): ([^()]*)")
"""What went wrong, with a reason of others in brackets, and what to do about it."""
_ADVICE = "check the address and that the receiver runs; alerts wait in the journal meanwhile"


def check_receivers(settings: MonitorConfig, *, send: bool) -> Iterator[Finding]:
    """Check all receivers, several at a time.

    send  send each a test message, too; otherwise nothing is sent
    """
    try:
        check_journalled(settings)
    except ConfigError as error:
        yield from_error("receiver", "", error)
        return
    hooks: list[Webhook] = []
    services: list[AppriseReceiver] = []
    for name, webhook in settings.webhook.items():
        yield from _made(f"webhook.{name}", hooks, partial(Webhook, name, webhook))
    for name, notify in settings.notify.items():
        yield from _made(f"notify.{name}", services, partial(AppriseReceiver, name, notify, settings.node))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda hook: _webhook(hook, send=send), hooks)
        yield from pool.map(lambda service: _service(service, send=send), services)
    if settings.mqtt.host is not None:
        yield _mqtt(settings, send=send)


def _made(name: str, receivers: list[R], make: Callable[[], R]) -> Iterator[Finding]:
    """Add a receiver, or say what is wrong with it: the others are checked all the same."""
    try:
        receivers.append(make())
    except ConfigError as error:
        yield from_error("receiver", name, error)


def _webhook(hook: Webhook, *, send: bool) -> Finding:
    if send:
        return _tried(hook.name, hook.test, f"{hook.label} has accepted a test message")
    return _tried(hook.name, hook.probe, f"{hook.label} can be reached; `--notify` sends a test message")


def _service(service: AppriseReceiver, *, send: bool) -> Finding:
    if not send:
        return Finding("receiver", service.name, State.OK, "its address is understood; `--notify` sends a test message")
    return _tried(service.name, service.test, "the service has taken a test message")


def _mqtt(settings: MonitorConfig, *, send: bool) -> Finding:
    try:
        topics, link = mqtt_link(settings, announce=False)
    except ConfigError as error:
        return from_error("receiver", "mqtt", error)

    def attempt() -> None:
        if (why := link.why_unreachable()) is not None:
            raise DeliveryError(f"{link.label} {why}")
        with link:
            link.await_connection(CONNECT_S)
            if send:
                link.publish(f"{topics.base}/test", b"A test message of the doctor")

    found = f"{link.label} has taken a test message on {topics.base}/test" if send else f"{link.label} lets us in"
    return _tried("mqtt", attempt, found)


def _tried(name: str, attempt: Callable[[], None], found: str) -> Finding:
    try:
        attempt()
    except DeliveryError as error:
        parts = _WITH_ADVICE.fullmatch(str(error))
        what, advice = (str(error), _ADVICE) if parts is None else parts.groups()
        return Finding("receiver", name, State.PROBLEM, what, advice)
    return Finding("receiver", name, State.OK, found)
