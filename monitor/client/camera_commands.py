"""The client's commands that set something for a camera: its budget, and whether it is armed."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError

from monitor.alerts.control import Arm, Budget
from monitor.client.client_options import Camera
from monitor.client.control_commands import PREVIEW_S
from monitor.client.control_link import ControlLink, linked
from monitor.errors import first_problem
from monitor.text.outside import safe


def set_budget(
    camera: Camera,
    per_day: Annotated[
        str, typer.Argument(metavar="N|config", help="False alarms per day; config: as the config file says.")
    ],
    preview: Annotated[
        bool, typer.Option("--preview", help="Only say which alarms of the last 30 days it would have left out.")
    ] = False,
    *,
    link: ControlLink,
) -> None:
    """Set the budget of a camera, false alarms per day. It is kept until the next such command."""
    try:
        wanted = None if per_day == "config" else float(per_day)
    except ValueError:
        raise typer.BadParameter(
            f"{safe(per_day)} is no number: give false alarms per day such as 0.5, or config"
        ) from None
    link.ask(_checked(Budget, camera=camera, per_day=wanted, preview=preview))


def arm(
    camera: Camera,
    *,
    link: ControlLink,
) -> None:
    """Raise the alerts of a camera again, in the times of its schedule if it has one."""
    link.ask(_checked(Arm, camera=camera, armed=True))


def disarm(
    camera: Camera,
    *,
    link: ControlLink,
) -> None:
    """Record the events of a camera only, without notifying anybody, until it is armed again."""
    link.ask(_checked(Arm, camera=camera, armed=False))


def _checked(kind: type[Budget | Arm], **fields: object) -> Budget | Arm:
    """The request. Raises BadParameter."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        place, what = first_problem(error)
        raise typer.BadParameter(f"{place}: {safe(what)}") from None


def add_camera_commands(app: typer.Typer) -> None:
    """Add these commands to the client's command line."""
    app.command("set-budget", short_help="Set a camera's budget of false alarms per day.")(
        linked(set_budget, PREVIEW_S)
    )
    app.command("arm", short_help="Raise the alerts of a camera again.")(linked(arm))
    app.command("disarm", short_help="Record the events of a camera only, without notifying anybody.")(linked(disarm))
