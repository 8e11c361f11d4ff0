"""The command ``run_monitor.py forget``: deletes what is known of a camera while no monitor runs."""

from __future__ import annotations

from contextlib import ExitStack

import typer

from monitor.alerts.control_desk import Asker
from monitor.alerts.journal import Journal
from monitor.app import flags
from monitor.app.camera_traces import places_of
from monitor.app.config_file import load_config
from monitor.app.forgetting import Forgetter
from monitor.client.client_options import Begin, Camera, End, Everything, What, Yes
from monitor.client.forget_request import forget_request
from monitor.errors import MonitorError, UsageError
from monitor.teaching.verdict_store import VerdictStore, taught_path
from monitor.text.command_line import say_error
from monitor.text.commands import client_command
from monitor.text.outside import safe
from monitor.text.wrapping import complain

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich tables would cut option names at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def forget(
    camera: Camera,
    begin: Begin = None,
    end: End = None,
    everything: Everything = False,
    what: What = None,
    yes: Yes = False,
    config: flags.Config = None,
    state: flags.State = None,
    evidence: flags.Evidence = None,
) -> None:
    """Delete what is known of a camera while no monitor runs. Without --yes, only say what would be deleted.

    With a running monitor, use the client's command forget. Exit code: 0 on success, 1 if the journal is in use or
    something cannot be deleted, 2 if an option is wrong or nothing is known of the camera.
    """
    given = {"state": state, "evidence.folder": evidence, "evidence.enabled": None if evidence is None else True}
    try:
        request = forget_request(camera, begin, end, what, everything=everything, preview=not yes)
        settings = load_config(config, {key: value for key, value in given.items() if value is not None})
        if not settings.journal.path.exists():
            raise UsageError(
                f"no journal at {settings.journal.path}: give the state folder of the monitor with --state, or its "
                "config with --config"
            )
        with ExitStack() as stack:
            try:
                kept = settings.journal
                journal = stack.enter_context(Journal(kept.path, days=kept.days, max_mb=kept.max_mb))
                store = stack.enter_context(VerdictStore(taught_path(kept.path)))
            except MonitorError as error:
                if "in use" in str(error):
                    complain(safe(f"a monitor runs: use `{client_command(f'forget {camera}')}`"))
                raise
            steps = Forgetter(places_of(settings, journal, store)).serve(request, Asker("this machine"))
            while True:
                try:
                    next(steps)
                except StopIteration as ended:
                    done = ended.value
                    break
            if yes:
                store.note("this machine", "forget", done.note or done.said)
    except MonitorError as error:
        say_error(error)
        raise typer.Exit(error.exit_code) from None
    typer.echo(safe(done.said))
    if yes and settings.mqtt.host is not None and not request.to_at:
        complain(
            "the MQTT broker keeps its last states: a monitor that connects without this camera deletes them there"
        )
    if not yes:
        complain("nothing is deleted yet: add --yes")
