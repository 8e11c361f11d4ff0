"""``python -m monitor.web``: serve the page of a monitor, or manage its users."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from pydantic import ValidationError

from monitor.alerts.endpoints import DEFAULT_ALERTS_ENDPOINT, check_endpoint, scores_beside
from monitor.errors import ConfigError, UsageError, first_problem
from monitor.processes import die_first, end_with_parent, limit_memory
from monitor.settings import given_path
from monitor.text.command_line import pass_on_options, run_app
from monitor.text.escaping import cleaned
from monitor.text.logs import log_to_stderr
from monitor.text.streams import prepare_streams
from monitor.web.installed import check_installed
from monitor.web.web_listening import listening_socket, url_of
from monitor.web.web_settings import WebSettings

if TYPE_CHECKING:
    from monitor.web.user_file import Role

log = logging.getLogger("monitor")

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich tables would cut addresses and option names at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)
File = Annotated[Path, typer.Argument(parser=given_path, metavar="FILE", help="The file of users.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user or token.")]
AsRole = Annotated[str, typer.Option(metavar="ROLE", help="viewer or operator.")]
Cameras = Annotated[
    list[str] | None, typer.Option("--camera", metavar="NAME", help="Only this camera may be seen; repeat it.")
]
_MOST_MEMORY = 2**30
"""Memory of a page beside a monitor, bytes: whatever viewers do must not take the memory of the machine."""
_NICE = 5


@app.callback(
    invoke_without_command=True,
    epilog="Exit code: 0 after Ctrl-C or SIGTERM; 1 if the address is in use; 2 if an option is wrong.",
)
def main(
    context: typer.Context,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDR",
            help=f"The monitor's alerts address; repeat it for several monitors. Default: {DEFAULT_ALERTS_ENDPOINT}.",
        ),
    ] = None,
    scores_endpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDR", help="The monitor's scores address, one for each --endpoint. Default: the port after it."
        ),
    ] = None,
    history_endpoint: Annotated[
        str | None, typer.Option(metavar="ADDR", help="The monitor's history address. Default: as the monitor reports.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(parser=given_path, metavar="DIR", help="Folder with this page's client keys.")
    ] = None,
    evidence: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="The monitor's evidence folder: pictures and clips. One for each --endpoint."),
    ] = None,
    moments: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="The monitor's folder of moments, the same. '' stands for none."),
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address to serve the page at; port 0 takes any free port.")
    ] = "127.0.0.1:8088",
    passwords: Annotated[
        Path | None, typer.Option(parser=given_path, metavar="FILE", help="File of users. Without it: this machine.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(parser=given_path, metavar="FILE", help="Certificate for https, PEM.")
    ] = None,
    certificate_key: Annotated[
        Path | None, typer.Option(parser=given_path, metavar="FILE", help="Private key of the certificate, PEM.")
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDR", help="A proxy, or its network, whose X-Forwarded headers count; repeat it."),
    ] = None,
    socket_fd: Annotated[int | None, typer.Option(hidden=True, help="A socket that listens already.")] = None,
) -> None:
    """Serve the page of a monitor: cameras now, events to review, budgets, health."""
    if context.invoked_subcommand is not None:
        pass_on_options(context)
        return
    end_with_parent()
    if socket_fd is not None:
        _give_way()
    log_to_stderr(verbose=False)
    check_installed()
    from monitor.web.bus_reader import BusAddress
    from monitor.web.page_server import PageServer

    try:
        settings = WebSettings(
            listen=listen,
            passwords=passwords,
            certificate=certificate,
            certificate_key=certificate_key,
            keys=keys,
            trusted_proxies=tuple(trusted_proxy or ()),
        )
    except ValidationError as error:
        where, what = first_problem(error)
        where = where.partition(".")[0].replace("trusted_proxies", "trusted-proxy")
        raise ConfigError(f"{where and f'--{where}: '}{what.removeprefix('Value error, ')}") from None
    endpoints = endpoint or [DEFAULT_ALERTS_ENDPOINT]
    for each in endpoints:
        check_endpoint(each)
    scores = scores_endpoint or [scores_beside(each) for each in endpoints]
    if len(scores) != len(endpoints):
        raise UsageError("give one --scores-endpoint for each --endpoint, in the same order, or none")
    if history_endpoint is not None and len(endpoints) > 1:
        raise UsageError("leave out --history-endpoint with several monitors: each reports its own")
    buses = [BusAddress(at, of, history_endpoint, keys) for at, of in zip(endpoints, scores, strict=True)]
    folders = [_folders(flag, given, len(buses)) for flag, given in (("evidence", evidence), ("moments", moments))]
    server = PageServer(settings, buses, *folders)
    host, port = settings.address
    listening = listening_socket(host, port) if socket_fd is None else socket.socket(fileno=socket_fd)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())  # also after uvicorn has taken it: it raises it again
    with listening:
        url = url_of(listening, host, tls=certificate is not None)

        def ready() -> None:
            if socket_fd is None:
                typer.echo(f"the page is at {url}")
            if passwords is not None and certificate is None and not host.startswith("127."):
                log.warning("passwords travel to the page without encryption: give --certificate, or use a tunnel")

        server.serve(listening, ready)


def _folders(flag: str, given: list[str] | None, monitors: int) -> list[Path | None]:
    """The folder of each monitor; fewer if the last ones have none."""
    folders = [given_path(each) if each else None for each in given or ()]
    if len(folders) > monitors:
        raise UsageError(f"give --{flag} at most once for each --endpoint, in the same order; '' for one without")
    return folders


def _give_way() -> None:
    """The monitor on this machine goes first."""
    die_first()
    limit_memory(_MOST_MEMORY)
    with contextlib.suppress(OSError):
        os.nice(_NICE)


@app.command("password", short_help="Add a user to the file of users, or change the password.")
def password(file: File, name: Name, role: AsRole = "viewer", camera: Cameras = None) -> None:
    """Add a user with a password, which is asked for or read from standard input."""
    check_installed()
    from monitor.web.user_file import set_password

    if sys.stdin.isatty():
        secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        secret = sys.stdin.readline().rstrip("\n")
    set_password(file, name, _role(role), secret, camera or ())
    typer.echo(cleaned(f"{name} may log in as {role}: {file}"))


@app.command("token", short_help="Add a token for a program to the file of users.")
def token(file: File, name: Name, role: AsRole = "viewer", camera: Cameras = None) -> None:
    """Make a token for a program, which sends it as ``Authorization: Bearer TOKEN``. It is shown only once."""
    check_installed()
    from monitor.web.user_file import new_token

    typer.echo(new_token(file, name, _role(role), camera or ()))


def _role(text: str) -> Role:
    from monitor.web.user_file import Role

    try:
        return Role(text)
    except ValueError:
        raise UsageError(f"--role: {text!r} is neither viewer nor operator") from None


def start() -> NoReturn:
    """Run the command line of this process."""
    prepare_streams()
    run_app(app)


if __name__ == "__main__":
    start()
