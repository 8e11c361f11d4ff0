"""The commands ``run_monitor.py fleet``: head and node; what people ask is in ``fleet_questions``."""

from __future__ import annotations

import logging
import os
import shlex
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from monitor.app import flags
from monitor.app.config import MonitorConfig
from monitor.app.config_file import load_config
from monitor.app.fleet.fleet_addresses import HeadAddress, parsed_address
from monitor.app.fleet.fleet_cameras import checked_name, parsed_labels, read_fleet
from monitor.app.fleet.fleet_options import State, TokenFile, Verbose, app, fleet_folder, told_errors
from monitor.app.fleet.fleet_questions import status
from monitor.app.fleet.head_process import run_head
from monitor.app.fleet.node_process import check_head, run_node
from monitor.app.page_process import open_page
from monitor.app.publishing import control_address
from monitor.app.signal_handling import note_hang_ups, obey_signals
from monitor.errors import ConfigError, MonitorError, UsageError
from monitor.machines.chosen_cameras import CHOSEN_FILE
from monitor.machines.fleet_node import FleetNode
from monitor.machines.fleet_state import Wish
from monitor.machines.fleet_token import make_token, read_token
from monitor.machines.head_parts import CoordinatorPart, GatewayPart, StorePart, read_cameras, write_cameras
from monitor.reading import MB, read_file
from monitor.settings import given_path
from monitor.text.commands import monitor_command
from monitor.text.logs import log_to_stderr
from monitor.text.outside import safe, safe_lines
from monitor.text.streams import flush_streams
from monitor.text.wording import counted

log = logging.getLogger("monitor")

__all__ = ["app", "head", "node", "status"]

FPS_PER_CORE = 50.0
"""Frames per second that a node takes per core, unless it is told. docs/performance.md: 10 to 16 cameras with 10 frames
per second on two cores, as the host of the machine lets it."""


@app.command()
def head(
    config: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="FILE",
            help="TOML file with the cameras of the fleet; SIGHUP reads it again. Without it: the cameras of the last "
            "run.",
        ),
    ] = None,
    state: State = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="HOST[:PORT]", help="Where nodes join, at PORT and the next two. Default: only this machine, 5580."
        ),
    ] = "127.0.0.1",
    token_file: TokenFile = None,
    store: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="DIR",
            help="Where to keep what cameras have learned, for the node that watches them next. Default: fleet/store "
            "in the state folder.",
        ),
    ] = None,
    alerts: flags.Alerts = None,
    scores: flags.Scores = None,
    history: flags.History = None,
    control: flags.Control = None,
    web: flags.Web = None,
    web_listen: flags.WebListen = None,
    verbose: Verbose = False,
) -> None:
    """Run the head: the gateway, to which clients connect, the coordinator, which gives cameras to nodes, and the
    store of what cameras have learned.

    Exit codes: 0 it was told to end, 1 it could not run, 2 wrong usage.
    """
    note_hang_ups()
    log_to_stderr(verbose=verbose)
    given: dict[str, Any] = {
        "state": state,
        "publish.alerts": alerts,
        "publish.scores": scores,
        "publish.history": history,
        "publish.control": control,
    }
    given |= {"web.listen": web_listen, "web.enabled": True if web is None and web_listen is not None else web}
    overrides = {key: value for key, value in given.items() if value is not None}
    with told_errors():
        address = parsed_address(listen, "--listen")
        settings, wishes = _cameras(config, overrides)
        folder = fleet_folder(settings.state)
        cameras = folder / "cameras.json"
        if wishes is None and (wishes := read_cameras(cameras)) is None:
            raise UsageError(f"no cameras are known in {folder}: name them in a file and give it with --config")
        token = token_file or folder / "token"
        make_token(token)
        _store(cameras, wishes)
        name = checked_name(settings.node, "a fleet") if "node" in settings.model_fields_set else "fleet"
        delivers = config if settings.webhook or settings.notify else None
        gateway = _gateway(name, folder, address, token, settings, verbose=verbose).but(receivers=delivers)
        coordinator = CoordinatorPart(
            fleet=name,
            folder=folder / "coordinator",
            endpoint=address.coordinator,
            gateway=address.from_here.gateway,
            token=token,
            cameras=cameras,
            chosen=folder / "gateway" / CHOSEN_FILE,
            store=store or folder / "store",
            verbose=verbose,
        )
        keeps = StorePart(folder=store or folder / "store", endpoint=address.store, token=token, verbose=verbose)
        stop, reload = threading.Event(), threading.Event()
        obey_signals(stop, reload)

        def ready(bound: Mapping[str, Mapping[str, str]]) -> None:
            join = f"fleet node --head {address.to_join} --name NAME --token-file {shlex.quote(str(token))}"
            lines = [
                f"clients connect to {bound['gateway']['alerts']}",
                f"nodes join with `{monitor_command(join)}`",
                f"the token is in {token}",
                f"{counted(len(wishes), 'camera')} to watch",
            ]
            if settings.web.enabled:
                lines.insert(1, f"the page is at {open_page(settings, _Bound(bound['gateway']), stack, demo=False)}")
            typer.echo(safe_lines("\n".join(lines)))

        def reread() -> None:
            _reread(config, overrides, cameras)

        with ExitStack() as stack:
            run_head([gateway, coordinator, keeps], stop, reload, ready, reread)


class _Bound:
    """The addresses of the gateway, for the page."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self.alerts_endpoint, self.scores_endpoint = addresses["alerts"], addresses["scores"]
        self.history_endpoint = addresses["history"] or None


def _cameras(config: Path | None, overrides: dict[str, Any]) -> tuple[MonitorConfig, dict[str, Wish] | None]:
    """The settings of the head and its cameras; None: those of the last run."""
    if config is None:
        return load_config(None, overrides), None
    settings, wishes, unused = read_fleet(config, overrides)
    if unused:
        log.warning(
            "%s: %s have no effect at the head of a fleet: give them to nodes with `fleet node --config`",
            config,
            ", ".join(unused),
        )
    return settings, wishes


def _reread(config: Path | None, overrides: dict[str, Any], cameras: Path) -> None:
    """Read the config again. If it cannot be used, all stays as it is."""
    if config is None:
        log.warning("nothing is read again, because there is no config file: start the head with --config")
        return
    try:
        _, wishes, _ = read_fleet(config, overrides)
        _store(cameras, wishes)
    except MonitorError as error:
        log.error("the cameras stay as they are: %s", error)  # noqa: TRY400 - the sentence says all
        return
    log.warning("%s was read again: %s", config, counted(len(wishes), "camera"))


def _store(cameras: Path, wishes: Mapping[str, Wish]) -> None:
    try:
        write_cameras(cameras, wishes)
    except OSError as error:
        raise ConfigError(
            f"{cameras} cannot be written ({error.strerror or error}): free space, or choose a folder with --state"
        ) from error


def _gateway(
    name: str, folder: Path, address: HeadAddress, token: Path, settings: MonitorConfig, *, verbose: bool
) -> GatewayPart:
    publish, journal = settings.publish, settings.journal
    return GatewayPart(
        fleet=name,
        folder=folder / "gateway",
        endpoint=address.gateway,
        token=token,
        alerts=publish.alerts,
        scores=publish.scores,
        history=publish.history,
        control=control_address(publish) or "",
        insecure=publish.insecure,
        key_folder=publish.keys,
        days=journal.days,
        max_mb=journal.max_mb,
        fsync=journal.fsync,
        verbose=verbose,
    )


@app.command()
def node(
    head_at: Annotated[
        str, typer.Option("--head", metavar="HOST[:PORT]", help="The head of the fleet.", show_default=False)
    ],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of this node; no other one has it.", show_default=False)
    ],
    token_file: TokenFile = None,
    labels: Annotated[
        str, typer.Option(metavar="A,B", help="What cameras may ask for: gpu, or site=south.", show_default=False)
    ] = "",
    capacity: Annotated[
        float | None,
        typer.Option(
            metavar="FPS",
            min=0.01,
            max=1e6,
            help=f"Frames per second that it can analyse. It is not measured then. Default: measured; "
            f"until then {FPS_PER_CORE:g} per core.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="FILE",
            help="TOML file with settings for all cameras on this node, such as device and capture; without cameras.",
        ),
    ] = None,
    state: State = None,
    verbose: Verbose = False,
) -> None:
    """Run a node: it watches the cameras that the head gives it, and sends their alerts there.

    Exit codes: 0 it was told to end, 1 it could not run or its name was taken over, 2 wrong usage.
    """
    note_hang_ups()
    log_to_stderr(verbose=verbose)
    try:
        with told_errors():
            address = parsed_address(head_at, "--head")
            checked_name(name, "a node")
            has = parsed_labels(filter(None, labels.split(",")))
            settings = _settings_of_node(config)
            folder = fleet_folder(state) / "nodes" / name
            token = read_token(token_file or fleet_folder(state) / "token")
            stop = threading.Event()
            obey_signals(stop, None)
            check_head(address.coordinator, token)
            cores = len(os.sched_getaffinity(0))
            fleet_node = FleetNode(
                name,
                folder,
                settings,
                address.gateway,
                address.coordinator,
                token,
                capacity_fps=FPS_PER_CORE * cores if capacity is None else capacity,
                measures=cores if capacity is None else None,
                labels=has,
                store=address.store,
            )
            said = safe(f"node {name} runs; its engine logs to {folder / 'engine/engine.log'}")
            run_node(fleet_node, stop, lambda: typer.echo(said))
    except typer.Exit as end:
        _leave(end.exit_code)
    _leave(0)


def _settings_of_node(config: Path | None) -> str:
    """The text of a config file without cameras. Raises ConfigError."""
    if config is None:
        return ""
    if load_config(config).cameras:
        raise ConfigError(f"{config} names cameras, and a node gets its cameras from the head: remove them")
    try:
        return read_file(config, MB).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config file {config}: check the path") from error


def _leave(code: int) -> NoReturn:
    """Exit. At once if a thread of the engine still waits for messages, because nothing can interrupt that."""
    flush_streams()
    if any(thread.daemon for thread in threading.enumerate()):
        os._exit(code)
    raise typer.Exit(code)
