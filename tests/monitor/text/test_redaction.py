from __future__ import annotations

import logging
import re
import string
import sys
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.text.addresses import is_usual
from monitor.text.logs import RedactingFormatter
from monitor.text.redaction import redact, redact_source
from tests.places import ROOT

SHOWN = [
    # User and password
    ("rtsp://admin:secret@10.0.0.5:554/ch1", "rtsp://***@10.0.0.5:554/ch1"),
    ("rtsp://admin@10.0.0.5/ch1", "rtsp://***@10.0.0.5/ch1"),
    ("RTSPS://Admin:Secret@Cam.local", "RTSPS://***@Cam.local"),
    ("rtsp://admin:p@ss@host/x", "rtsp://***@host/x"),
    ("rtsp://admin:p%40ss%2F@host/x", "rtsp://***@host/x"),
    ("rtsp://admin:pa/ss@host/x", "rtsp://***@host/x"),
    ("rtsp://admin:pa?s#s@host/x", "rtsp://***@host/x"),
    ("rtsp://admin:12/34@host/x", "rtsp://***@host/x"),
    ("rtsp://admin:p@ss/wo:rd@host/x", "rtsp://***"),
    ("rtsp://admin:p@ss/wo:rd@10.0.0.5/x", "rtsp://***@10.0.0.5/x"),
    ("rtsp://admin:pw@host/x?y=@secret", "rtsp://***"),
    ("rtsp://admin:p'a\"s(s)@host/x", "rtsp://***@host/x"),
    ("rtsp://admin:a://b@host/x", "rtsp://***@host/x"),
    ("rtsp://joe:12/34@host/x", "rtsp://***"),
    ("rtsp://host:554/34@secret/x", "rtsp://***"),
    ("rtsp://admin:secret@/x", "rtsp://***"),
    ("rtsp://admin:12345/x", "rtsp://***"),
    ("rtsp://admin:secret10.0.0.5/x", "rtsp://***"),
    ("rtsp://u:p@[fe80::1%25eth0]:554/s", "rtsp://***@[fe80::1%25eth0]:554/s"),
    ("http://[fe80::1]:80/mail@home", "http://[fe80::1]:80/***"),
    ("(see http://[fe80::1])", "(see http://[fe80::1])"),
    # Paths and parameters
    ("rtsp://10.0.0.5/Streaming/Channels/101", "rtsp://10.0.0.5/***/101"),
    ("rtsp://10.0.0.5:7447/AbC123xyz456", "rtsp://10.0.0.5:7447/***"),
    ("rtsp://10.0.0.5/admin/hunter2/live", "rtsp://10.0.0.5/***/live"),
    ("http://10.0.0.5/live/hunter2/", "http://10.0.0.5/***"),
    ("rtsp://10.0.0.5:554/ch1?monkey=1&passage=2", "rtsp://10.0.0.5:554/ch1?***"),
    ("rtsp://10.0.0.5/cam/realmonitor?channel=1&subtype=0", "rtsp://10.0.0.5/***/realmonitor?***"),
    ("http://h/video.cgi?user=joe&password=pw&x=1", "http://h/video.cgi?***"),
    ("http://h/video?loginpas=pw&jwt=abc#sid=9", "http://h/video?***"),
    ("http://h:80/snap.jpg?user=joe&pwd=p@ss", "http://***"),
    ("http://10.0.0.5:80/snap.jpg?user=joe&pwd=p@ss", "http://10.0.0.5:80/snap.jpg?***"),
    # Our own
    ("served at http://127.0.0.1:9108/metrics, health at", "served at http://127.0.0.1:9108/metrics, health at"),
    ("look at https://github.com/caronc/apprise/wiki", "look at https://github.com/caronc/apprise/wiki"),
    ("https://github.com/caronc/apprise/wiki/hunter2", "https://github.com/***"),
    ("rtsp://h/user=admin_password=tl_channel=1", "rtsp://h/***"),
    ("http://proxy/?to=rtsp%3A%2F%2Fu%3Apw%40cam%2Fx", "http://proxy/?***"),
    # Misspelled
    ("rtps://u:secret@host/live", "rtps://***@host/live"),
    ("rtsp:/u:secret@host/live", "rtsp:/***@host/live"),
    ("rtsp//u:secret@host/live", "rtsp//***@host/live"),
    ("rtsp;//u:secret@host", "rtsp;//***@host"),
    ("rtsp:\\\\u:secret@host\\live", "rtsp:\\\\***@host/***"),
    ("rtsp:u:secret@host/live", "rtsp:***@host/live"),
    ("http:://u:secret@host", "http:***@host"),
    ("u:secret@host/live", "***@host/live"),
    ("//u:secret@host/live", "//***@host/live"),
    ("192.168.1.20/live?user=a&pwd=secret", "192.168.1.20/live?***"),
    ("door=192.168.1.20:554/user=a_password=secret_x=1", "door=192.168.1.20:554/***"),
    ("secret@192.168.1.20 and secret@cam/live", "***@192.168.1.20 and ***@cam/live"),
    ("rtsp%3A%2F%2Fu%3Asecret%40cam%2Fx", "rtsp***"),
    # In sentences
    ("rtsp://a:one@h1/x and rtsp://b:two@h2/y", "rtsp://***@h1/x and rtsp://***@h2/y"),
    ("['rtsp://a:one@h1/x','rtsp://b:two@h2/y']", "['rtsp://***@h1/x','rtsp://***@h2/y']"),
    ("cameras rtsp://a:one@h1,rtsp://b:two@h2", "cameras rtsp://***@h1,rtsp://***@h2"),
    ("door=rtsp://a:one@h1/x: cannot be opened", "door=rtsp://***@h1/x: cannot be opened"),
    ("cannot open 'http://h/live?token=abc'.", "cannot open 'http://h/live?***'."),
    ("ConnectionError('rtsp://a:one@h1/x: lost')", "ConnectionError('rtsp://***@h1/x: lost')"),
]
"""Text -> what is shown of it."""

_PLANTED = "hunter2-CorrectHorse"


@pytest.mark.parametrize(("text", "expected"), SHOWN)
def test_credentials_are_hidden(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(expected) == expected


def test_the_table_of_the_documentation_is_true() -> None:
    section = (
        (ROOT / "docs/reliability.md").read_text(encoding="utf-8").partition("## Secrets")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", section, re.MULTILINE)
    assert len(rows) >= 15
    assert [redact(address) for address, _ in rows] == [shown for _, shown in rows]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a plain sentence, mail me@home.org",
        "rtsp://10.0.0.5:554/ch1",
        "http://host:8080/video.mjpg",
        "tcp://*:5560, tcp://127.0.0.1:* and ipc:///run/true-sight/alerts.sock",
        "/data/video=1.mp4, /dev/v4l/by-id/usb-cam, 10:00.mp4 and C:\\footage",
        "the key=value pairs of a setting",
        "version 1 written to models/cam-192.168.1.20/v0001, and /data/192.168.1.20/day/cam@home/1.mp4",
        "write rtsp://USER:PASSWORD@192.168.1.20/stream, as USER:PASSWORD@HOST; then start it",
        "watched with the model that it has learned (door@1234abcd)",
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
    # If the password looks like a parameter, it is uncertain what is the host: then nothing is shown.
    assert redact(f"rtsp://admin:{password}@host/stream") in ("rtsp://***@host/stream", "rtsp://***")


_around = st.text(string.ascii_letters + string.digits + ":/?#@%&=;,.'\"()[]{}\\_-+!", max_size=12)
_schemes = st.sampled_from(["rtsp://", "RTSP://", "http://", "rtps://", "rtsp:/", "rtsp//", "rtsp:", "h264://"])


@given(
    _schemes,
    st.sampled_from(
        [
            "admin:{}@10.0.0.5/live",
            "{}@cam:554/live",
            "cam/{}",
            "cam:80/{}/live.m3u8",
            "10.0.0.5/live?{}",
            "cam/live?a=b&pw={}",
            "cam/user=admin_password={}_x=1",
            "u:p@cam/live#{}",
        ]
    ),
    _around,
    _around,
)
def test_a_planted_secret_shows_from_no_place_of_an_address(scheme: str, form: str, before: str, after: str) -> None:
    url = scheme + form.format(f"{before}{_PLANTED}{after}")
    for text in (url, f"'{url}' failed", f"door={url}: lost", f"x,{url},rtsp://h/live", f"(({url}))"):
        assert _PLANTED not in redact(text), text
        assert redact(redact(text)) == redact(text)
    assert _PLANTED not in redact_source(url.replace("Correct", " Correct")).replace(" ", "")


@given(st.text(max_size=60) | st.text("rtsp:/@?=%3Aa1[]' ", max_size=60))
def test_any_text_can_be_redacted(text: str) -> None:
    assert redact(text).split() or not text.split()
    assert redact_source(text) or not text


@pytest.mark.parametrize(
    "piece",
    ["a", "a:", "://", "a//", "@", "'rtsp://a@", "a?", "%3A", "a=a?", ";/", "x@y:", "/a@", "1.1.1.1.", "?a=", "["],
)
def test_redaction_takes_linear_time(piece: str) -> None:
    for begin in ("", "rtsp://", "rtsp://h/", "rtsp://u:"):
        long = begin + piece * 20_000
        started = time.process_time()
        redact(long)
        redact_source(long)
        assert time.process_time() - started < 1.0, "20,000 letters took 4 s when it was quadratic"


@pytest.mark.parametrize("part", ["live", "ch0_0.264", "stream2", "101", "h264Preview_01_main", "video.mjpg", "x"])
def test_a_usual_last_part_of_a_path_is_shown(part: str) -> None:
    assert is_usual(part)


@pytest.mark.parametrize("part", ["hunter2", "1234", "a1b2c3", "live:x", "AbCdEf", "tl_jwt", "", "12-34-56-78-90"])
def test_a_last_part_that_may_be_a_secret_is_not_shown(part: str) -> None:
    assert not is_usual(part)


def test_white_space_in_a_source_does_not_show_a_password() -> None:
    assert redact_source("rtsp:/admin:top secret@10.0.0.5/live") == "rtsp:/***@10.0.0.5/live"
    assert redact_source("admin:top secret@10.0.0.5/live") == "***@10.0.0.5/live"
    assert redact_source("holiday films/day 1.mp4") == "holiday films/day 1.mp4"


def test_a_log_line_and_its_traceback_are_redacted() -> None:
    try:
        int("rtsp://admin:secret@cam/1")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "%s", ("rtsp://joe:hush@cam/2",), sys.exc_info())
    line = RedactingFormatter("%(message)s").format(record)
    assert "secret" not in line
    assert "hush" not in line
    assert "rtsp://***@cam/1" in line
    first, *further = line.splitlines()
    assert first == "rtsp://***@cam/2"
    assert all(row.startswith("    ") for row in further), "a line break in a name cannot forge a log line"
