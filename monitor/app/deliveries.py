"""The receivers of a run, as the config names them."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from monitor.alerts.journal import Journal
from monitor.app.config import MonitorConfig
from monitor.app.forgetting import RunMemory
from monitor.delivery.apprise_receiver import AppriseReceiver
from monitor.delivery.ledger import Ledger, ledger_path
from monitor.delivery.mqtt_commands import Controls
from monitor.delivery.mqtt_link import MqttLink
from monitor.delivery.mqtt_live_sink import MqttLiveSink
from monitor.delivery.mqtt_receiver import MqttReceiver
from monitor.delivery.mqtt_topics import Topics
from monitor.delivery.notice import Receiver
from monitor.delivery.outbox_sink import Outbox
from monitor.delivery.webhook import Webhook
from monitor.errors import ConfigError
from monitor.live.sink import Sink


def open_deliveries(
    settings: MonitorConfig,
    journal: Journal,
    stack: ExitStack,
    *,
    stop: threading.Event,
    controls: Controls | None = None,
    memory: RunMemory | None = None,
) -> list[Sink]:
    """Open all receivers until ``stack`` is closed; returns their sinks. [] if the config names no receiver.

    stop      set when the user requests the end of the run
    controls  how commands are obeyed; None: nobody can change anything
    memory    how this run forgets a camera; it is told here how the receivers do

    Raises ConfigError or RunError.
    """
    if not _groups(settings):
        return []
    ledger = stack.enter_context(Ledger(ledger_path(journal.path)))
    if controls is None:
        controls = Controls(lambda *_: False, settings.budget_of, settings.is_armed)
    receivers: list[Receiver] = [*webhooks(settings, controls.armed), *notifiers(settings)]
    live: list[Sink] = []
    if settings.mqtt.host is not None:
        topics, link = mqtt_link(settings)
        stack.enter_context(link)
        keep_s = settings.mqtt.keep_hours * 3600.0
        mqtt = MqttReceiver(
            link, topics, controls.armed, picture=settings.mqtt.picture, keep_s=keep_s, changed=link.wake
        )
        receivers.append(mqtt)
        states = stack.enter_context(MqttLiveSink(settings.mqtt, topics, link, mqtt, controls, settings.node))
        live = [states]
        if memory is not None:
            memory.deliveries.append(states.forget)
    outbox = stack.enter_context(Outbox(journal, ledger, receivers, stop=stop))
    if memory is not None:
        memory.ledger = ledger
        memory.deliveries.append(outbox.forget)
    return [outbox, *live]


def webhooks(settings: MonitorConfig, armed: Callable[[str], bool] = lambda _: True) -> Iterator[Webhook]:
    """Make the webhooks. armed: whether a camera is armed now. Raises ConfigError."""
    return (Webhook(name, webhook, armed) for name, webhook in settings.webhook.items())


def notifiers(settings: MonitorConfig) -> Iterator[AppriseReceiver]:
    """Make the receivers that notify people. Raises ConfigError."""
    return (AppriseReceiver(name, notify, settings.node) for name, notify in settings.notify.items())


def mqtt_link(settings: MonitorConfig, *, announce: bool = True) -> tuple[Topics, MqttLink]:
    """The topics, and the connection that is yet to be entered. Raises ConfigError."""
    topics = Topics(settings.mqtt.base, settings.mqtt.discovery_prefix)
    # A broker throws out a client if another one comes with the same id, for example a doctor beside a monitor.
    node = re.sub(r"[^A-Za-z0-9]", "", settings.node)[:10]
    client_id = f"truesight-{node}-{secrets.token_hex(4)}"
    return topics, MqttLink(settings.mqtt, topics, client_id, announce=announce)


def check_journalled(settings: MonitorConfig) -> None:
    """Raise ConfigError if there are receivers, but no journal that they could be served from."""
    if (groups := _groups(settings)) and not (settings.publish.enabled and settings.journal.enabled):
        raise ConfigError(
            f"[{groups[0]}] sends what the journal stores, but this run keeps no journal: run it with journal and "
            "publishing (without --no-journal and --no-publish), or remove this group"
        )


def _groups(settings: MonitorConfig) -> list[str]:
    named = [*(f"webhook.{name}" for name in settings.webhook), *(f"notify.{name}" for name in settings.notify)]
    return named + ["mqtt"] * (settings.mqtt.host is not None)
