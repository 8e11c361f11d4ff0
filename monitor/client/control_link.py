"""How a command of the client talks to the control socket: the options that all such commands have, and one answer."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from monitor.alerts.control import ControlReply, ControlRequest
from monitor.alerts.endpoints import DEFAULT_ALERTS_ENDPOINT
from monitor.client.client_options import AsJson, ControlEndpoint, Endpoint, Keys, Timeout
from monitor.client.controller import ANSWER_S, Controller
from monitor.errors import MonitorError
from monitor.text.command_line import say_error
from monitor.text.outside import safe
from monitor.text.wrapping import complain


@dataclass(frozen=True)
class ControlLink:
    """What the options of a command say about the monitor, and about how its answers are printed."""

    endpoint: str
    control_endpoint: str | None
    keys: Path | None
    timeout: float
    as_json: bool

    @contextmanager
    def open(self) -> Iterator[Controller]:
        """A connection to the monitor. Errors become one sentence and an exit code."""
        try:
            with Controller(self.endpoint, self.control_endpoint, keys=self.keys, timeout_s=self.timeout) as controller:
                yield controller
        except MonitorError as error:
            say_error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None

    def ask(self, request: ControlRequest) -> ControlReply:
        """Ask once, and print what the monitor says. Ends the command with exit code 1 if it refuses."""
        with self.open() as controller:
            return self.asked(controller, request)

    def asked(self, controller: Controller, request: ControlRequest) -> ControlReply:
        """Like ``ask``, over a connection that is open."""
        reply = controller.ask(request)
        if self.as_json:
            print_line(json.dumps({"reply": reply.reply, "said": reply.said, **reply.data}))
        elif reply.reply == "ok":
            print_line(safe(reply.said))
        if reply.reply != "ok":
            if not self.as_json:
                complain(safe(f"error: {reply.said}"))
            raise typer.Exit(1)
        return reply


def linked(command: Callable[..., None], timeout_s: float = ANSWER_S) -> Callable[..., None]:
    """The command as Typer takes it: its parameter ``link`` becomes the options of a ``ControlLink``.

    timeout_s  default of --timeout
    """

    def options(
        endpoint: Endpoint = DEFAULT_ALERTS_ENDPOINT,
        control_endpoint: ControlEndpoint = None,
        keys: Keys = None,
        timeout: Timeout = timeout_s,
        as_json: AsJson = False,
    ) -> ControlLink:
        return ControlLink(endpoint, control_endpoint, keys, timeout, as_json)

    names = inspect.signature(options).parameters

    def called(**given: object) -> None:
        link = options(**{name: given.pop(name) for name in names})  # type: ignore[arg-type]
        command(**given, link=link)

    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "link"]
    added = inspect.signature(options, eval_str=True).parameters.values()
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *added)]
    called.__doc__ = command.__doc__
    called.__signature__ = signature.replace(parameters=keywords)  # type: ignore[attr-defined]
    return called


def print_line(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
