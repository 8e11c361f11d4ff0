from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.text.wrapping import for_stream, wrapped


def test_a_line_never_breaks_within_a_word_or_a_command() -> None:
    sentence = "no frame came: run `.venv/bin/python run_monitor.py doctor --config cameras.toml` to see why, then wait"
    assert wrapped(sentence, 40) == [
        "no frame came: run",
        "`.venv/bin/python run_monitor.py doctor --config cameras.toml`",
        "to see why, then wait",
    ]
    assert wrapped("two\n\nlines", 40) == ["two", "", "lines"]


@given(
    st.lists(st.sampled_from(["word", "`a command`", "(`x y`)", "`odd", "longer-than-all-of-it"])), st.integers(1, 60)
)
def test_every_word_stays_and_lines_are_as_long_as_allowed(words: list[str], width: int) -> None:
    text = " ".join(words)
    lines = wrapped(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line or "`" in line for line in lines)


def test_a_file_gets_the_sentence_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "20")
    assert for_stream("one two three four five", io.StringIO()) == "one two three four five"
    assert for_stream("one two three four five", Terminal()) == "one two three four\nfive"
