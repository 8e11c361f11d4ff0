from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from monitor.text.streams import PLAIN, prepare_streams
from monitor.text.terminals import can_redraw, output_may_fail
from tests.places import ROOT

# What a program sees after prepare_streams, with its standard streams as the caller left them. It reports through a
# file, because it may have no stream.
_PROGRAM = """
import contextlib, os, sys
from monitor.text.streams import flush_streams, prepare_streams
prepare_streams()
first = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
with contextlib.suppress(OSError):
    print("said")
    print("complained", file=sys.stderr)
sys.stdin.read()
with contextlib.suppress(OSError):
    os.write(2, b"a native library complains")
os.write(first, f"opened as {first}".encode())
flush_streams()
"""


def _run(report: Path, redirections: str) -> tuple[int, str]:
    words = [sys.executable, "-S", "-c", _PROGRAM, str(report)]
    shell = f'exec "$@" {redirections}'
    done = subprocess.run(
        ["/bin/bash", "-c", shell, "bash", *words],
        cwd=ROOT,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=20,
        check=False,
    )
    return done.returncode, report.read_text()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full <&-"])
def test_closed_or_full_streams_neither_end_a_program_nor_reach_its_files(tmp_path: Path, closed: str) -> None:
    code, report = _run(tmp_path / "report", closed)
    assert code == 0
    assert report == f"opened as {report.removeprefix('opened as ')}"
    assert int(report.removeprefix("opened as ")) > 2, "a native library would write into the file"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "koi8-r"])
def test_no_character_raises_an_error_and_a_similar_one_takes_its_place(encoding: str) -> None:
    written = "door · ▁▄█ ━─ é … 門 \udcff ✓".encode(encoding, PLAIN)
    assert len(written.decode(encoding)) == cell_len("door · ▁▄█ ━─ é … 門 \udcff ✓".replace("\udcff", "x"))
    if encoding == "ascii":
        assert written == b"door - _-# =- e ~ ?? ? ?"


@given(st.text(st.characters(codec=None, categories=["L", "M", "N", "P", "S", "Zs", "Cs", "So"])))
def test_any_text_can_be_written_to_any_terminal(text: str) -> None:
    for encoding in ("ascii", "latin-1", "utf-8"):
        text.encode(encoding, PLAIN)


def test_the_streams_of_a_program_take_any_text(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), "ascii"))
    prepare_streams()
    sys.stdout.write("ж…\n")
    sys.stdout.flush()
    assert raw.getvalue() == b"?~\n"


@pytest.mark.parametrize("size", ["0", "-1", "999999999", "\u00b2", "1e3", "", " 80"])
def test_an_impossible_size_of_the_terminal_is_ignored(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("COLUMNS", size)
    monkeypatch.setenv("LINES", "30")
    prepare_streams()
    assert "COLUMNS" not in os.environ
    assert os.environ["LINES"] == "30"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("file", "variables", "redraws"),
    [
        (_Terminal(), {"TERM": "xterm"}, True),
        (_Terminal(), {"TERM": "dumb"}, False),
        (_Terminal(), {"TERM": "unknown"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
        (io.StringIO(), {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
        (io.StringIO(), {"TERM": "xterm", "TTY_COMPATIBLE": "1"}, False),
        (_Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, True),
    ],
)
def test_only_a_terminal_that_moves_its_cursor_is_redrawn(
    file: io.StringIO, variables: dict[str, str], redraws: bool
) -> None:
    assert can_redraw(Console(file=file, _environ={**os.environ, "TTY_COMPATIBLE": "", **variables})) is redraws


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), BrokenPipeError()])
def test_output_that_takes_nothing_more_changes_nothing_else(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Full(io.StringIO):
        def write(self, _: str) -> int:
            raise error

    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)  # for a broken pipe, rich makes this one's descriptor /dev/null
        with output_may_fail():
            Console(file=_Full(), quiet=False).print("summary")
