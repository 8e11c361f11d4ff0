"""The client's commands that change cameras: pause, learn again, masks and zones, and cameras that come and go."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from monitor.alerts.control import (
    AddCamera,
    Cameras,
    ControlRequest,
    Mask,
    Pause,
    Relearn,
    RemoveCamera,
    RollBack,
    TryCamera,
    Versions,
    Zone,
)
from monitor.client.control_link import ControlLink, linked, print_line
from monitor.errors import first_problem
from monitor.text.outside import safe

SLOW_S = 90.0
"""Default time to wait for a request that opens a camera, seconds."""
R = TypeVar("R", bound=ControlRequest)
Camera = Annotated[str, typer.Argument(metavar="CAMERA", help="The camera.")]
Place = Annotated[str, typer.Argument(metavar="NAME", help="A name for the place. One of the same name is replaced.")]
Corners = Annotated[
    list[str],
    typer.Argument(
        metavar="X,Y...|remove", help="Corners in order, shares of width and height from 0 to 1; or remove."
    ),
]
Source = Annotated[str, typer.Argument(metavar="SOURCE", help="As for the monitor; - reads it from standard input.")]
Over = Annotated[str | None, typer.Option("--transport", metavar="tcp|udp", help="How an RTSP camera sends.")]


def pause(
    camera: Camera,
    *,
    link: ControlLink,
) -> None:
    """Score nothing of a camera until it is resumed. Its stream stays open."""
    link.ask(checked(Pause, camera=camera, paused=True))


def resume(
    camera: Camera,
    *,
    link: ControlLink,
) -> None:
    """Score a camera again that was paused."""
    link.ask(checked(Pause, camera=camera, paused=False))


def relearn(
    camera: Camera,
    *,
    link: ControlLink,
) -> None:
    """Learn a camera again, from what it shows from now on. It is not watched until then."""
    link.ask(checked(Relearn, camera=camera))


def versions(
    camera: Annotated[str | None, typer.Argument(metavar="CAMERA", help="Only this camera.")] = None,
    *,
    link: ControlLink,
) -> None:
    """List the versions of cameras' models, the newest first."""
    data = link.ask(checked(Versions, camera=camera)).data
    for each in [] if link.as_json else data.get("cameras", []):
        for one in each.get("versions", []):
            marks = [word for word in (one["learned_on"], "used now" if one["used"] else "") if word]
            print_line(safe("  ".join([each["name"], one["version"], one["learned_at"], *marks])))


def rollback(
    camera: Camera,
    *,
    link: ControlLink,
) -> None:
    """Watch a camera with the version of its model before the newest one, which is set aside."""
    link.ask(checked(RollBack, camera=camera))


def mask(
    camera: Camera,
    place: Place,
    corners: Corners,
    pixelated: Annotated[bool, typer.Option("--pixelated", help="Large blocks in place of plain grey.")] = False,
    *,
    link: ControlLink,
) -> None:
    """Hide a place of the picture before anything else sees it, or remove such a mask."""
    look = "pixelated" if pixelated else "solid"
    request = checked(Mask, camera=camera, name=place, polygon=polygon_of(corners), look=look)
    link.ask(request)


def zone(
    camera: Camera,
    place: Place,
    corners: Corners,
    sensitivity: Annotated[
        float | None, typer.Option(metavar="X", help="What happens there counts so many times as much.")
    ] = None,
    must_touch: Annotated[bool, typer.Option("--must-touch", help="Only what touches it is scored.")] = False,
    times: Annotated[list[str] | None, typer.Option(metavar="TIME", help="When it holds: Mon-Fri 08:00-18:00.")] = None,
    *,
    link: ControlLink,
) -> None:
    """Give a place of the picture a rule of its own, or remove it. Without a rule, nothing there is scored."""
    fields: dict[str, Any] = {"sensitivity": sensitivity, "must_touch": must_touch, "times": tuple(times or ())}
    request = checked(Zone, camera=camera, name=place, polygon=polygon_of(corners), **fields)
    link.ask(request)


def cameras(
    *,
    link: ControlLink,
) -> None:
    """List the cameras with what is set for each."""
    data = link.ask(Cameras()).data
    for each in [] if link.as_json else data.get("cameras", []):
        marks = [word for word, on in (("paused", each["paused"]), ("disarmed", not each["armed"])) if on]
        marks += [f"mask {place['name']}" for place in each["masks"]] + [f"zone {p['name']}" for p in each["zones"]]
        learning = each["learning"]
        marks += [] if learning is None else [str(learning["said"])]
        budget = f"{each['per_day']:g} false alarms per day"
        print_line(safe("  ".join([each["name"], str(each["state"]), each["source"], budget, *marks])))


def try_camera(
    source: Source,
    transport: Over = None,
    *,
    link: ControlLink,
) -> None:
    """Let the monitor check a camera as the doctor does, without watching it. Exit code 1 if it cannot be watched."""
    request = checked(TryCamera, source=source_of(source), transport=transport)
    data = link.ask(request).data
    for each in [] if link.as_json else data.get("findings", []):
        fix = f"; fix: {each['fix']}" if each["fix"] else ""
        print_line(safe(f"  {each['state']}: {each['found']}{fix}"))
    if not data.get("usable"):
        raise typer.Exit(1)


def add(
    camera: Camera,
    source: Source,
    transport: Over = None,
    *,
    link: ControlLink,
) -> None:
    """Watch one more camera, in this run and in later ones. The config file is not changed."""
    request = checked(AddCamera, camera=camera, source=source_of(source), transport=transport)
    link.ask(request)


def remove(
    camera: Camera,
    *,
    link: ControlLink,
) -> None:
    """Stop watching a camera that was added with the command add. What it has learned stays."""
    link.ask(checked(RemoveCamera, camera=camera))


def checked(kind: type[R], **fields: object) -> R:
    """The request. Raises BadParameter."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        place, what = first_problem(error)
        raise typer.BadParameter(f"{place}: {safe(what)}") from None


def polygon_of(corners: list[str]) -> tuple[tuple[float, ...], ...] | None:
    """The corners of a command line; None for ``remove``. Raises BadParameter."""
    if corners == ["remove"]:
        return None
    try:
        polygon = tuple(tuple(float(part) for part in corner.split(",", 1)) for corner in corners)
    except ValueError:
        polygon = ((math.nan,),)
    if not all(math.isfinite(at) for corner in polygon for at in corner):
        raise typer.BadParameter(
            "each corner is X,Y with shares from 0 to 1, such as 0.1,0.2 0.5,0.2 0.5,0.9; or give remove"
        )
    return polygon


def source_of(text: str) -> str:
    """The source; from standard input for ``-``, so that a password is in no list of commands."""
    return typer.get_text_stream("stdin").readline().strip() if text == "-" else text


def add_place_commands(app: typer.Typer) -> None:
    """Add these commands to the client's command line."""
    app.command("cameras", short_help="List the cameras with what is set for each.")(linked(cameras))
    app.command("pause", short_help="Score nothing of a camera until it is resumed.")(linked(pause))
    app.command("resume", short_help="Score a camera again that was paused.")(linked(resume))
    app.command("relearn", short_help="Learn a camera again.")(linked(relearn, SLOW_S))
    app.command("versions", short_help="List the versions of cameras' models.")(linked(versions))
    app.command("rollback", short_help="Go back to the version of a camera's model before.")(linked(rollback, SLOW_S))
    app.command("mask", short_help="Hide a place of a camera's picture.")(linked(mask, SLOW_S))
    app.command("zone", short_help="Give a place of a camera's picture a rule of its own.")(linked(zone))
    app.command("test", short_help="Check a camera without watching it.")(linked(try_camera, SLOW_S))
    app.command("add", short_help="Watch one more camera.")(linked(add, SLOW_S))
    app.command("remove", short_help="Stop watching a camera that was added.")(linked(remove, SLOW_S))
