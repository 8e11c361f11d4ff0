"""Can every ZeroMQ address be bound now, and may it be? Can the keys be used that the config names?"""

from __future__ import annotations

from collections.abc import Iterator

from monitor.config import PublishConfig
from monitor.doctor.finding import Finding, State, from_error
from monitor.errors import BindError, ConfigError
from monitor.publisher import Publisher

_ANY_PORT = "tcp://127.0.0.1:*"


def check_ports(publish: PublishConfig) -> Iterator[Finding]:
    """Bind each address as the monitor would, one by one, and let go of it again."""
    if not publish.enabled:
        yield Finding("port", "", State.OK, "nothing is published")
        return
    taken: dict[str, str] = {}
    for name, endpoint in publish:
        if not isinstance(endpoint, str):
            continue
        if endpoint in taken and not endpoint.endswith(":*"):
            yield Finding(
                "port", name, State.PROBLEM, f"{endpoint} is that of {taken[endpoint]}, too", "choose another port"
            )
            continue
        taken[endpoint] = name
        try:
            with Publisher(endpoint, _ANY_PORT, insecure=publish.insecure):
                pass
        except (BindError, ConfigError) as error:
            yield from_error("port", name, error)
            continue
        yield Finding("port", name, State.OK, f"{endpoint} can be bound")


def check_keys(publish: PublishConfig) -> Iterator[Finding]:  # noqa: ARG001 - the config cannot name any yet
    """The CURVE keys that the config names."""
    yield from ()
