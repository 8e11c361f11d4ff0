"""The receivers of a run, as the config names them."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.app.config import MonitorConfig
from monitor.delivery.notice import Receiver
from monitor.delivery.webhook import Webhook
from monitor.errors import ConfigError


def has_receivers(settings: MonitorConfig) -> bool:
    """Whether the config names any."""
    return bool(_groups(settings))


def receivers(settings: MonitorConfig) -> list[Receiver]:
    """Make all receivers. Raises ConfigError."""
    return [*webhooks(settings)]


def webhooks(settings: MonitorConfig) -> Iterator[Webhook]:
    """Make the webhooks. Raises ConfigError."""
    return (Webhook(name, webhook) for name, webhook in settings.webhook.items())


def check_journalled(settings: MonitorConfig) -> None:
    """Raise ConfigError if there are receivers, but no journal that they could be served from."""
    if (groups := _groups(settings)) and not (settings.publish.enabled and settings.journal.enabled):
        raise ConfigError(
            f"[{groups[0]}] sends what the journal stores, but this run keeps no journal: run it with journal and "
            "publishing (without --no-journal and --no-publish), or remove this group"
        )


def _groups(settings: MonitorConfig) -> list[str]:
    return [f"webhook.{name}" for name in settings.webhook]
