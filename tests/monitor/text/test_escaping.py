from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from monitor.text.escaping import cleaned, cleaned_lines
from monitor.text.outside import plain, safe, safe_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("door", "door"),
        ("Tür · 门", "Tür · 门"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nb\tc\x00\x7f", "a\\r\\nb\\tc\\x00\\x7f"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\udc80\udcff.mp4", "\\x80\\xff.mp4"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_cannot_be_printed_is_shown_as_its_escape(text: str, expected: str) -> None:
    assert cleaned(text) == expected


@given(st.text(st.characters(), max_size=40))
def test_any_text_becomes_printable_and_can_be_encoded(text: str) -> None:
    assert cleaned(text).isprintable()
    assert cleaned(cleaned(text)) == cleaned(text)
    cleaned(text).encode()
    assert all(line.isprintable() for line in cleaned_lines(text).split("\n"))
    assert cleaned_lines(text).count("\n") == text.count("\n")


def test_lines_stay_lines() -> None:
    assert safe_lines("one rtsp://u:hunter2@h/x\n\ttwo\x1b") == "one rtsp://***@h/x\n        two\\x1b"
    assert safe("one rtsp://u:hunter2@h/x\ntwo") == "one rtsp://***@h/x\\ntwo"


@given(st.text("[]/=:link bold#\\ \x1b\u202ea1", max_size=30))
def test_markup_in_a_table_is_only_text(text: str) -> None:
    console = Console(width=300, color_system="truecolor", force_terminal=True, legacy_windows=False)
    table = Table(box=None, show_header=False, padding=0)
    table.add_row(plain(f"<{text}>"))
    with console.capture() as captured:
        console.print(table)
    assert safe(f"<{text}>") in captured.get()
    assert "\x1b]" not in captured.get()
