from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from monitor.errors import ConfigError, RunError
from monitor.text.command_line import run_app

QUOTED = "rtsp://admin:hunter2@10.0.0.5/live \x1b]0;owned\x07 [/b]"


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    """A program sets these for its whole process."""
    mask = os.umask(0o022)
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    assert logging.lastResort is not None
    formatter = logging.lastResort.formatter
    with warnings.catch_warnings():
        yield
    logging.lastResort.formatter = formatter
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    os.umask(mask)


def run(command: Callable[..., None], *arguments: str) -> int:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    with pytest.raises(SystemExit) as left:
        run_app(app, arguments, "program")
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError(QUOTED), 2), (RunError(QUOTED), 1), (typer.BadParameter(QUOTED), 2), (typer.Abort(), 1), (None, 0)],
)
def test_an_error_is_a_safe_sentence_and_an_exit_code(
    error: Exception | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        if error is not None:
            raise error

    assert run(command) == code
    told = capsys.readouterr().err
    assert "hunter2" not in told
    assert "\x1b" not in told
    assert ("rtsp://***@10.0.0.5/live" in told) == (error is not None and bool(str(error)))


@pytest.mark.parametrize("arguments", [[QUOTED], ["--" + QUOTED], [f"--number={QUOTED}"]])
def test_wrong_usage_quotes_no_password(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def command(number: int = 0) -> None:
        del number

    assert run(command, *arguments) == 2
    told = capsys.readouterr().err
    assert "program" in told
    assert "hunter2" not in told
    assert "\x1b" not in told


def test_an_exit_code_of_the_command_is_kept() -> None:
    def command() -> None:
        raise typer.Exit(3)

    assert run(command) == 3


def test_warnings_tracebacks_and_log_lines_of_a_program_are_safe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(sys, "warnoptions", [])

    def fail() -> None:
        raise ValueError(QUOTED)

    def command() -> None:
        warnings.warn("a library's warning", RuntimeWarning, stacklevel=1)
        logging.getLogger("x").warning("lost %s", QUOTED)
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        (tmp_path / "made").touch()
        try:
            fail()
        except ValueError as error:
            sys.excepthook(type(error), error, error.__traceback__)

    assert run(command) == 0
    told = capsys.readouterr().err
    assert "library" not in told
    assert "hunter2" not in told
    assert "\x1b" not in told
    assert told.count("ValueError: rtsp://***@10.0.0.5/live") == 2
    assert "lost rtsp://***@10.0.0.5/live \\x1b]0;owned\\x07" in told
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("secret", ["", "rtsp://joe:hunter2@10.0.0.5/"])
def test_a_path_that_no_file_can_have_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], secret: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")

    def look(path: Path) -> None:
        path.stat()

    assert run(look, secret + "x" * 5000) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("error: ")
    assert said.endswith("cannot be used (File name too long): give another path")
    assert len(said) < 500
    assert "hunter2" not in said
    assert run(look, "loop") == 2
    assert "error: loop cannot be used (Too many levels of symbolic links)" in " ".join(capsys.readouterr().err.split())


def test_another_error_of_the_system_keeps_its_traceback() -> None:
    def fail() -> None:
        raise OSError(5, "Input/output error", "x")

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(fail)
    with pytest.raises(OSError, match="Input/output"):
        run_app(app, [], "program")
