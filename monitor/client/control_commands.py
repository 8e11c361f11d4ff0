"""The client's commands that talk to the control socket: ``ping``, and what others add."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from monitor.alerts.control import (
    MOST_NAME,
    Changes,
    Feedback,
    Name,
    Ping,
    Preview,
    Undo,
    Verdicts,
)
from monitor.client.client_options import Begin, Camera, End, Everything, What, Yes
from monitor.client.control_link import ControlLink, linked, print_line
from monitor.client.controller import ANSWER_S
from monitor.client.forget_request import forget_request
from monitor.errors import UsageError, first_problem
from monitor.reading import MB, parse_json, read_file
from monitor.text.durations import local_time
from monitor.text.outside import safe
from monitor.text.wrapping import complain

PREVIEW_S = 60.0
"""Default time to wait for a preview, seconds: it judges the alarms of a month again."""
_LARGEST_FILE = 10 * MB
_EVENT_HELP = "The id of the event; last: the last one of --camera that notified."


def ping(
    *,
    link: ControlLink,
) -> None:
    """Check that the monitor takes requests, and say what this client may do.

    Exit code: 0 if it answers, 1 if not, 2 if an option is wrong.
    """
    link.ask(Ping())


def feedback(
    event: Annotated[str | None, typer.Argument(metavar="EVENT|last", help=_EVENT_HELP)] = None,
    verdict: Annotated[
        str | None, typer.Argument(metavar="normal|real|NAME", help="What it was. A name says that it was real, too.")
    ] = None,
    scope: Annotated[
        str, typer.Option(metavar="here|picture", help="Normal in that place only, or everywhere in the picture.")
    ] = "here",
    all_hours: Annotated[
        bool, typer.Option("--all-hours", help="Normal at any hour, not only around that time of day.")
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only say what it would have changed in the last 30 days.")
    ] = False,
    camera: Annotated[
        str | None, typer.Option(metavar="NAME", help="Refuse if the event is of another camera.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Give the verdicts of this file: JSON lines with event, verdict, scope ..."),
    ] = None,
    *,
    link: ControlLink,
) -> None:
    """Say what an event was. It counts at once, and after a restart.

    Exit code: 0 if every verdict was taken, 1 if not, 2 if an option is wrong.
    """
    if (file is None) == (event is None) or (event is not None and verdict is None):
        raise typer.BadParameter("give EVENT and a verdict, or --file FILE")
    kind = Preview if preview else Feedback
    if file is None:
        fields = {"event": event, "verdict": verdict, "scope": scope, "all_hours": all_hours, "camera": camera}
        requests = [_request(kind, fields, "")]
    else:
        requests = _requests(file, kind)
    refused = 0
    with link.open() as controller:
        if file is None:
            link.asked(controller, requests[0])
            return
        for number, request in enumerate(requests, 1):
            try:
                link.asked(controller, request)
            except typer.Exit:
                refused += 1
                complain(safe(f"line {number} was not taken: event {request.event}"))
    if refused:
        raise typer.Exit(1)


_EXPECTED = {
    "event": "the id of an event, as text",
    "verdict": f"normal, real, or a name of at most {MOST_NAME} characters",
    "scope": "here or picture",
    "all_hours": "true or false",
    "camera": "the name of a camera",
}
_LIKE = 'write it as {"event": "ID", "verdict": "normal"}'


def _requests(file: Path, kind: type[Feedback]) -> list[Feedback]:
    """The verdicts of a file. A line that makes no sense is refused before any verdict is given."""
    try:
        lines = read_file(file, _LARGEST_FILE).decode(errors="replace").splitlines()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {safe(file)}: {error.strerror or error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            content = parse_json(line.encode())
        except ValueError:
            raise typer.BadParameter(f"line {number} of {safe(file)} is no JSON: {_LIKE}") from None
        if not isinstance(content, dict):
            raise typer.BadParameter(f"line {number} of {safe(file)} must be an object: {_LIKE}")
        found.append(_request(kind, content, f"line {number} of {safe(file)}: "))
    if not found:
        raise typer.BadParameter(f"{safe(file)} holds no verdict")
    return found


def _request(kind: type[Feedback], fields: dict[str, Any], where: str) -> Feedback:
    known = {name: fields[name] for name in _EXPECTED if name in fields}
    try:
        return kind(**known)
    except ValidationError as error:
        place, what = first_problem(error)
        if isinstance(known.get(place), str) and what.startswith("it must have "):  # too long, or empty
            raise typer.BadParameter(f"{where}{place}: {safe(what)}") from None
        said = "must be" if place in known else "is missing: it must be"
        raise typer.BadParameter(f"{where}{place} {said} {_EXPECTED[place]}") from None


def undo(
    event: Annotated[
        str, typer.Argument(metavar="EVENT|last", help="The id of the event; last: the last one judged, of --camera.")
    ],
    camera: Annotated[str | None, typer.Option(metavar="NAME", help="The camera of the event.")] = None,
    *,
    link: ControlLink,
) -> None:
    """Take a verdict back, with all that followed from it."""
    link.ask(Undo(event=event, camera=camera))


def verdicts(
    camera: Annotated[str | None, typer.Option(metavar="NAME", help="Only this camera.")] = None,
    *,
    link: ControlLink,
) -> None:
    """List what people have said about events, and when events with a name notify."""
    data = link.ask(Verdicts(camera=camera)).data
    if link.as_json:
        return
    for each in data.get("verdicts", []):
        scope = "" if each["verdict"] != "normal" else f"  {each['scope']}{', all hours' * each['all_hours']}"
        said = f"{local_time(each['given_at'])}  {each['camera']}  {each['event']}  {each['verdict']}{scope}"
        print_line(safe(f"{said}  by {each['given_by']}"))
    for name, alert in data.get("names", {}).items():
        print_line(safe(f"events named '{name}': {alert}"))


def name(
    called: Annotated[str, typer.Argument(metavar="NAME", help="The name that events have.")],
    alert: Annotated[str, typer.Argument(metavar="always|never|as-scored", help="When such events notify.")],
    *,
    link: ControlLink,
) -> None:
    """Say when events with a name notify: always, never, or as their score says."""
    try:
        request = Name.model_validate({"name": called, "alert": alert})
    except ValidationError as error:
        place, what = first_problem(error)
        raise typer.BadParameter(f"{place}: {safe(what)}") from None
    link.ask(request)


def forget(
    camera: Camera,
    begin: Begin = None,
    end: End = None,
    everything: Everything = False,
    what: What = None,
    yes: Yes = False,
    *,
    link: ControlLink,
) -> None:
    """Delete what is known of a camera. Without --yes, only say what would be deleted.

    Without a running monitor: run_monitor.py forget.
    """
    try:
        request = forget_request(camera, begin, end, what, everything=everything, preview=not yes)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None
    link.ask(request)
    if not yes and not link.as_json:
        complain("nothing is deleted yet: add --yes")


def changes(
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=500, help="The last N changes.")] = 50,
    *,
    link: ControlLink,
) -> None:
    """List the last changes that were asked for, newest first, with who asked."""
    data = link.ask(Changes(limit=limit)).data
    for each in [] if link.as_json else data.get("changes", []):
        print_line(safe(f"{local_time(each['at'])}  {each['by']}  {each['said']}"))


def add_commands(app: typer.Typer) -> None:
    """Add these commands to the client's command line."""
    helped: dict[str, tuple[Callable[..., None], str]] = {
        "ping": (ping, "Check that the monitor takes requests."),
        "feedback": (feedback, "Say what an event was: normal, real, or a name."),
        "undo": (undo, "Take a verdict back."),
        "verdicts": (verdicts, "List what people have said about events."),
        "name": (name, "Say when events with a name notify."),
        "forget": (forget, "Delete what is known of a camera."),
        "changes": (changes, "List the last changes, with who asked."),
    }
    for called, (command, words) in helped.items():
        timeout_s = PREVIEW_S if command in (feedback, forget) else ANSWER_S
        app.command(called, short_help=words)(linked(command, timeout_s))
