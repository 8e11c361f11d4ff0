"""Runs a program's command line: errors become safe sentences and exit codes, and its files are for this user only."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from monitor.errors import MonitorError
from monitor.text.logs import RedactingFormatter, redact_tracebacks
from monitor.text.outside import safe_lines
from monitor.text.redaction import redact_source
from monitor.text.wording import shortened
from monitor.text.wrapping import complain

_ONLY_THIS_USER = 0o077
_OF_PATHS = (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES)
"""Errors that even a question such as ``Path.exists`` may raise for a path that cannot be. The path is the user's."""
_SHOWN = 300  # characters of such a path


def run_app(app: typer.Typer, arguments: Sequence[str] | None = None, program: str | None = None) -> NoReturn:
    """Run the command line and exit: 0, the exit code of a MonitorError, 1 if aborted, 2 for wrong usage.

    Errors may quote what the user typed or what a file holds. So no credentials and no control characters of them reach
    the terminal.

    arguments  the words after the program's name; None: those of this process
    program    name of the program in its help; None: as it was called
    """
    keep_private()
    keep_quiet()
    try:
        # Not app(): it would set its own hook for tracebacks.
        code = typer.main.get_command(app).main(arguments, program, standalone_mode=False)
    except MonitorError as error:
        say_error(error)
        sys.exit(error.exit_code)
    except typer.Abort:
        complain("aborted")
        sys.exit(1)
    except Exception as error:
        show = getattr(error, "show", None)  # an error of Click, of which Typer may bring its own copy
        if isinstance(error, OSError) and error.errno in _OF_PATHS and error.filename is not None:
            path = shortened(redact_source(os.fsdecode(error.filename)), _SHOWN)
            complain(safe_lines(f"error: {path} cannot be used ({error.strerror}): give another path"))
            sys.exit(2)
        if show is None:
            raise
        shown = io.StringIO()
        show(file=shown)
        complain(safe_lines(shown.getvalue().rstrip("\n")))
        sys.exit(getattr(error, "exit_code", 2))
    sys.exit(code if isinstance(code, int) else 0)


def pass_on_options(context: typer.Context) -> None:
    """Give options that stand before a subcommand to it. Ends the program with exit code 2 if it has no such option.

    context: of the program's callback. An option after the subcommand counts more than the same one before it.
    """
    called = str(context.invoked_subcommand)
    command = getattr(context.command, "commands")[called]  # noqa: B009 - Typer may bring its own copy of Click
    given: dict[str, Any] = {}
    for option in context.command.params:
        source = context.get_parameter_source(str(option.name))
        if source is None or source.name != "COMMANDLINE":
            continue
        flag = max(option.opts, key=len)
        own = next((each for each in command.params if flag in each.opts), None)
        if own is None:
            complain(f"error: {flag} does not belong to the command {called}: leave it out")
            raise typer.Exit(2)
        value = context.params[str(option.name)]
        if isinstance(value, list | tuple) and not own.multiple:
            value = value[-1]
        elif own.multiple and not isinstance(value, list | tuple):
            value = [value]
        given[own.name] = str(value) if isinstance(value, Path) else value
    context.default_map = {**(context.default_map or {}), called: given}


def say_error(error: MonitorError) -> None:
    """Write the sentence of an error to stderr."""
    complain(f"error: {safe_lines(error)}")


def keep_private() -> None:
    """Files that this process and its children make can be read by this user only: they show what cameras see."""
    os.umask(os.umask(_ONLY_THIS_USER) | _ONLY_THIS_USER)


def keep_quiet() -> None:
    """Make tracebacks and log lines safe, and hide warnings of libraries, unless the user asks for them (``-W``)."""
    redact_tracebacks()
    if logging.lastResort is not None:  # it prints the warnings of a program that sets up no log
        logging.lastResort.setFormatter(RedactingFormatter("%(message)s"))
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
