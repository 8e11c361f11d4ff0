from __future__ import annotations

import logging
import sys
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.text.redaction import RedactingFormatter, redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://admin:secret@10.0.0.5:554/ch1", "rtsp://***@10.0.0.5:554/ch1"),
        ("rtsp://admin@10.0.0.5/ch1", "rtsp://***@10.0.0.5/ch1"),
        ("RTSPS://Admin:Secret@Cam.local", "RTSPS://***@Cam.local"),
        ("rtsp://admin:p@ss@host/x", "rtsp://***@host/x"),
        ("rtsp://admin:p%40ss%2F@host/x", "rtsp://***@host/x"),
        ("rtsp://admin:pa/ss@host/x", "rtsp://***@host/x"),
        ("rtsp://admin:pa?s#s@host/x", "rtsp://***@host/x"),
        ("rtsp://admin:12/34@host/x", "rtsp://***@host/x"),
        ("rtsp://admin:p@ss/wo:rd@host/x", "rtsp://***@host/x"),
        ("rtsp://admin:p'a\"s(s)@host/x", "rtsp://***@host/x"),
        ("rtsp://admin:a://b@host/x", "rtsp://***@host/x"),
        ("rtsp://u:p@[fe80::1%25eth0]:554/s", "rtsp://***@[fe80::1%25eth0]:554/s"),
        ("http://[fe80::1]:80/mail@home", "http://[fe80::1]:80/mail@home"),
        ("rtsp://a:one@h1/x and rtsp://b:two@h2/y", "rtsp://***@h1/x and rtsp://***@h2/y"),
        ("['rtsp://a:one@h1/x','rtsp://b:two@h2/y']", "['rtsp://***@h1/x','rtsp://***@h2/y']"),
        ("cameras rtsp://a:one@h1,rtsp://b:two@h2", "cameras rtsp://***@h1,rtsp://***@h2"),
        ("http://h/v.cgi?user=joe&password=pw&x=1", "http://h/v.cgi?user=joe&password=***&x=1"),
        ("http://h/v?PWD=pw&access_token=abc#sid=9", "http://h/v?PWD=***&access_token=***"),
        ("rtsp://h/user=admin_password=tl_channel=1", "rtsp://h/user=admin_password=***"),
        ("http://proxy/?to=rtsp%3A%2F%2Fu%3Apw%40cam%2Fx", "http://proxy/?to=rtsp%3A%2F%2F***%40cam%2Fx"),
        ("cannot open 'http://h/v?token=abc'.", "cannot open 'http://h/v?token=***'."),
    ],
)
def test_credentials_are_hidden(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a plain sentence, mail me@home.org",
        "rtsp://10.0.0.5:554/ch1?monkey=1&passage=2",
        "http://host:8080/path/x.mp4",
        "/data/video=1.mp4",
        "the key=value pairs of a setting",
    ],
)
def test_text_without_credentials_is_left_alone(text: str) -> None:
    assert redact(text) == text


@given(st.text(min_size=1), st.text(min_size=1))
def test_an_encoded_password_never_shows(user: str, password: str) -> None:
    url = f"rtsp://{quote(user, safe='')}:{quote(password, safe='')}@host/stream"
    assert redact(f"lost {url} again") == "lost rtsp://***@host/stream again"


@given(st.text(st.characters(codec="ascii", exclude_categories=["C", "Z"]), min_size=1))
def test_a_password_typed_in_unencoded_never_shows(password: str) -> None:
    assert redact(f"rtsp://admin:{password}@host/stream") == "rtsp://***@host/stream"


def test_a_log_line_and_its_traceback_are_redacted() -> None:
    try:
        int("rtsp://admin:secret@cam/1")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "%s", ("rtsp://joe:hush@cam/2",), sys.exc_info())
    line = RedactingFormatter("%(message)s").format(record)
    assert "secret" not in line
    assert "hush" not in line
    assert "rtsp://***@cam/1" in line
