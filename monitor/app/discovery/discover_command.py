"""The command ``run_monitor.py discover``: its arguments, output and exit code."""

from __future__ import annotations

import getpass
import queue
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from monitor.app.config_secrets import secret_named
from monitor.app.discovery.camera_text import Credentials, config_lines
from monitor.app.discovery.onvif_device import FoundCamera, describe
from monitor.app.discovery.probing import GROUP, Device, device_at, find_devices
from monitor.app.discovery.soap import Login
from monitor.errors import MonitorError, UsageError
from monitor.text.command_line import say_error
from monitor.text.commands import monitor_command
from monitor.text.redaction import hide
from monitor.text.wording import counted
from monitor.text.wrapping import complain

_AT_ONCE = 32
"""Cameras that are asked at the same time."""
DEADLINE_S = 30.0
"""Longest time for asking all cameras: one may answer a byte at a time."""
_VARIABLE = "CAMERA_PASSWORD"

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def discover(
    cameras: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HOST[:PORT]...]", help="Ask these cameras, not the whole network.", show_default=False
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="User of the cameras; asks for the password.")
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Where the password is: '${NAME}' (a variable) or file:PATH."),
    ] = None,
    interface: Annotated[
        str | None, typer.Option(metavar="NAME", help="Interface to ask at, or its address. Default: all.")
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="S", min=0.1, max=60, help="How long to wait for answers.")] = 3.0,
) -> None:
    """Find the ONVIF cameras of this network and print a config file with the addresses of their streams.

    Exit codes: 0 each camera that answered gave its streams, 1 none answered or one did not, 2 wrong usage.
    """
    try:
        credentials = _credentials(user, password)
        devices = [device_at(each) for each in cameras] if cameras else find_devices(interface, seconds, GROUP)
        if not devices:
            complain(
                f"no camera answered within {seconds:g} s: check that ONVIF is switched on in the cameras and that "
                f"they are in this network, or name one: `{monitor_command('discover HOST')}`"
            )
            raise typer.Exit(1)
        login = None if credentials is None else Login(credentials.user, credentials.password)
        found = describe_all(devices, login)
    except MonitorError as error:
        say_error(error)
        raise typer.Exit(error.exit_code) from error
    print("\n".join(config_lines(found, credentials)).rstrip("\n"))  # noqa: T201
    failed = sum(bool(camera.problem) for camera in found)
    complain(f"{counted(len(found), 'camera')}, {failed} without streams")
    raise typer.Exit(int(failed > 0))


def describe_all(devices: Sequence[Device], login: Login | None, deadline_s: float = DEADLINE_S) -> list[FoundCamera]:
    """Ask all devices, many at a time; the order stays. Takes at most ``deadline_s`` seconds."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    answered: queue.SimpleQueue[tuple[int, FoundCamera]] = queue.SimpleQueue()
    for number in range(len(devices)):
        waiting.put(number)

    def work() -> None:
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            answered.put((number, describe(devices[number], login)))

    # Nothing can interrupt a thread that waits for a camera, so the process does not wait for it either.
    for _ in range(min(_AT_ONCE, len(devices))):
        threading.Thread(target=work, daemon=True).start()
    late = f"did not answer completely within {deadline_s:g} s"
    found = [FoundCamera(device, device.name, problem=late) for device in devices]
    until = time.monotonic() + deadline_s
    for _ in devices:
        try:
            number, camera = answered.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        found[number] = camera
    return found


def _credentials(user: str | None, password: str | None) -> Credentials | None:
    """User and password; None without a user. Raises UsageError."""
    if user is None:
        if password is not None:
            raise UsageError("--password belongs to a user: give --user, too")
        return None
    if password is None:
        if not sys.stdin.isatty():
            raise UsageError("there is no terminal to ask for the password: give --password '${NAME}' or file:PATH")
        return _known(user, getpass.getpass(f"Password of {user}: "), f"${{{_VARIABLE}}}")
    whole = password.startswith("file:") or (password.startswith("${") and password.endswith("}"))
    if not whole:
        raise UsageError(
            "--password must be '${NAME}' (in single quotes) or file:PATH: a password in a command can be read by all "
            "users of this machine"
        )
    secret = secret_named(password)
    if password.startswith("file:"):
        path = Path(password.removeprefix("file:")).expanduser().absolute()
        return _known(user, secret, f"${{file:{path}}}")
    return _known(user, secret, password)


def _known(user: str, password: str, reference: str) -> Credentials:
    hide(password)
    return Credentials(user, password, reference)
