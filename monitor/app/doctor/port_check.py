"""Checks that every ZeroMQ address can be bound and is allowed, and that the keys named in the config are usable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from monitor.alerts.binding import check_exposure, listen
from monitor.alerts.endpoints import check_endpoint, control_beside
from monitor.alerts.keys import ServerKeys
from monitor.app.config import PublishConfig
from monitor.app.doctor.finding_report import Finding, State, from_error
from monitor.errors import BindError, ConfigError, UsageError
from monitor.sinks.metrics.metrics_server import MetricsServer
from monitor.sinks.metrics.metrics_settings import MetricsSettings
from monitor.text.commands import client_command
from monitor.web.installed import check_installed
from monitor.web.web_listening import listening_socket
from monitor.web.web_settings import WebSettings


def check_ports(publish: PublishConfig) -> Iterator[Finding]:
    """Bind each address as the monitor would, one by one, and release it again."""
    if not publish.enabled:
        yield Finding("port", "", State.OK, "nothing is published")
        return
    for name, endpoint in publish:
        if name == "control" and endpoint == "off":
            continue
        if name == "control" and endpoint == "beside":
            yield _check_beside(control_beside(publish.alerts), closed=publish.insecure or publish.keys is not None)
            continue
        if isinstance(endpoint, str):
            yield _check_port(name, endpoint, closed=publish.insecure or publish.keys is not None)


def _check_beside(endpoint: str, *, closed: bool) -> Finding:
    """The usual control address. A run that cannot use it goes on without it, so it is only a warning."""
    found = _check_port("control", endpoint, closed=closed)
    if found.state is State.OK:
        return found
    mend = 'free it, or set another address as control under [publish] ("off" for none)'
    return replace(found, state=State.WARNING, found=f"{found.found}; clients can change nothing", mend=mend)


def _check_port(name: str, endpoint: str, *, closed: bool) -> Finding:
    try:
        check_endpoint(endpoint)
        check_exposure(endpoint, closed=closed)
        listen(endpoint).close()
    except (BindError, ConfigError) as error:
        return from_error("port", name, error)
    return Finding("port", name, State.OK, f"{endpoint} can be bound")


def check_keys(publish: PublishConfig) -> Iterator[Finding]:
    """Check the CURVE keys named in the config: the monitor's own keys and those of the clients that may connect."""
    if not publish.enabled or publish.keys is None:
        return
    try:
        clients = sorted(file.stem for file in ServerKeys(publish.keys).clients.glob("*.key"))
    except ConfigError as error:
        yield from_error("keys", str(publish.keys), error)
        return
    if clients:
        yield Finding("keys", str(publish.keys), State.OK, f"clients that may connect: {', '.join(clients)}")
    else:
        mend = f"create keys for a client with `{client_command('keys DIR')}`"
        yield Finding("keys", str(publish.keys), State.WARNING, "no client may connect", mend)


def check_metrics(settings: MetricsSettings) -> Iterator[Finding]:
    """Bind the address of the metrics as the monitor would, and release it again; nothing if there are none."""
    if not settings.enabled:
        return
    try:
        with MetricsServer(*settings.address, {}) as server:
            found = f"{server.address} can be bound"
    except BindError as error:
        yield from_error("port", "metrics", error)
        return
    yield Finding("port", "metrics", State.OK, found)


def check_page(settings: WebSettings) -> Iterator[Finding]:
    """Bind the address of the page as the monitor would, and release it again; nothing if there is no page."""
    if not settings.enabled:
        return
    try:
        check_installed()
        listening_socket(*settings.address).close()
        if settings.passwords is not None:
            from monitor.web.user_file import UserFile  # its packages are an extra

            UserFile(settings.passwords)
    except (BindError, UsageError) as error:
        yield from_error("port", "page", error)
        return
    yield Finding("port", "page", State.OK, f"{settings.listen} can be bound")
