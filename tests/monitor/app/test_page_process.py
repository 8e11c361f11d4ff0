"""The page beside a run: it starts with it, ends with it, comes again, and never reaches the monitor."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from monitor.alerts.publisher import Publisher
from monitor.app import page_process
from monitor.app.config import MonitorConfig
from monitor.app.config_file import load_config
from monitor.app.demo import with_page
from monitor.app.doctor.finding_report import State
from monitor.app.doctor.port_check import check_page
from monitor.app.flags import FLAGS_OF_SETTINGS
from monitor.app.page_process import PageProcess, check_published, open_page, page_arguments
from monitor.errors import BindError, ConfigError, UsageError
from monitor.testing.captured import DEADLINE_S, eventually
from monitor.web import installed
from monitor.web.web_listening import listening_socket
from monitor.web.web_settings import WebSettings
from tests.helpers.publishing import ANY


def child(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_process, "AGAIN_S", 0.05)


def test_a_run_has_its_page_which_is_served_and_ends_with_it() -> None:
    settings = MonitorConfig(web=WebSettings(enabled=True, listen="127.0.0.1:0"))
    with ExitStack() as stack:
        publisher = stack.enter_context(Publisher(ANY, ANY, ANY, node="lab"))
        url = open_page(settings, publisher, stack, demo=False)
        # The socket listens from the start, so that the first request waits until the page is there.
        with urllib.request.urlopen(f"{url}/api/v1/health", timeout=60) as answer:  # noqa: S310
            assert b'"version"' in answer.read()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=DEADLINE_S)  # noqa: S310


@pytest.mark.usefixtures("quick")
def test_a_page_that_is_killed_comes_again_and_its_end_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits = child("import sys, time; sys.stderr.write('here\\x1b[31m\\n'); sys.stderr.flush(); time.sleep(60)")
    monkeypatch.setattr(page_process, "child_command", lambda *_: waits)
    with PageProcess([], listening_socket("127.0.0.1", 0)) as page:
        assert eventually(lambda: page.pid is not None)
        first = page.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: page.pid not in (None, first))
        second = page.pid
    assert second is not None
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)
    assert "the page has ended (SIGKILL)" in caplog.text
    assert "the monitor continues" in caplog.text
    assert "\x1b" not in caplog.text


@pytest.mark.usefixtures("quick")
def test_a_page_that_cannot_run_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refuses = child("import sys; sys.stderr.write('error: the key is wrong\\n'); sys.exit(2)")
    monkeypatch.setattr(page_process, "child_command", lambda *_: refuses)
    with PageProcess([], listening_socket("127.0.0.1", 0)) as page:
        assert eventually(lambda: "does not run" in caplog.text)
        assert page.started == 1
    assert "the page does not run: the key is wrong" in caplog.text


def test_an_address_in_use_is_said_and_the_demo_takes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_process, "child_command", lambda *_: child("import time; time.sleep(60)"))
    with listening_socket("127.0.0.1", 0) as taken, ExitStack() as stack:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        publisher = Publisher(ANY, ANY, ANY)
        settings = MonitorConfig(web=WebSettings(enabled=True, listen=listen))
        with pytest.raises(BindError, match=r"choose another address with --web-listen or \[web\] listen"):
            open_page(settings, publisher, stack, demo=False)
        monkeypatch.setattr(page_process, "WebSettings", lambda: settings.web)  # the usual address is the taken one
        assert not open_page(settings, publisher, stack, demo=True).endswith(listen)


def test_the_page_gets_whole_paths_and_addresses_that_can_be_reached(tmp_path: Path) -> None:
    settings = load_config(
        None,
        {
            "web.enabled": True,
            "web.keys": Path("keys/page"),
            "web.passwords": Path("-users"),
            "evidence.enabled": True,
            "evidence.folder": tmp_path,
        },
    )
    publisher = Publisher("tcp://0.0.0.0:5560", "tcp://*:5561", "ipc:///run/history", insecure=True)
    arguments = page_arguments(settings, publisher)
    assert arguments[:2] == ["--endpoint", "tcp://127.0.0.1:5560"]
    assert "tcp://127.0.0.1:5561" in arguments
    assert "ipc:///run/history" in arguments
    assert f"--evidence={tmp_path}" in arguments
    assert f"--keys={Path.cwd()}/keys/page" in arguments
    assert f"--passwords={Path.cwd()}/-users" in arguments


def test_folders_of_other_monitors_follow_its_own_in_order(tmp_path: Path) -> None:
    others = {"web.monitors": ["tcp://b:1", "tcp://c:1"], "web.monitors_evidence": ["", str(tmp_path)]}
    settings = load_config(None, others | {"moments.enabled": False})
    publisher = Publisher(ANY, ANY, ANY)
    arguments = page_arguments(settings, publisher)
    assert [each for each in arguments if each.startswith(("--evidence", "--moments"))] == [
        "--evidence=",
        "--evidence=",
        f"--evidence={tmp_path}",
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"web.listen": "0.0.0.0:8088"},
            r"setting \'web\': other machines can reach 0\.0\.0\.0:8088: name a file of users",
        ),
        ({"web.listen": "page.example:8088"}, "other machines can reach"),
        ({"web.listen": "8088"}, r"--web-listen: should be HOST:PORT, such as 127\.0\.0\.1:8088"),
        ({"web.monitors_moments": ["a"]}, "monitors_moments has more folders than monitors: give at most one for each"),
        ({"web.certificate_key": "page.key"}, "certificate_key needs certificate"),
    ],
)
def test_a_wrong_address_is_refused_with_what_to_do(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_config(None, given)


def test_an_address_for_others_is_allowed_with_passwords() -> None:
    assert load_config(None, {"web.listen": "0.0.0.0:8088", "web.passwords": "users"}).web.address[1] == 8088
    assert FLAGS_OF_SETTINGS["web.listen"] == ("--web-listen", "")


def test_a_page_needs_what_is_published_and_its_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_config(None, {"web.enabled": True, "publish.enabled": False})
    with pytest.raises(ConfigError, match="leave out --no-publish"):
        check_published(settings)
    assert with_page(settings, tmp_path) == settings
    monkeypatch.setattr(installed, "_PACKAGES", ("no_such_package",))
    with ExitStack() as stack, pytest.raises(UsageError, match=r"run `.*pip install 'true-sight\[web\]'`"):
        open_page(settings, Publisher(ANY, ANY, ANY), stack, demo=True)
    plain = load_config(None)
    assert with_page(plain, tmp_path) == plain
    assert next(check_page(settings.web)).state is State.PROBLEM


def test_the_demo_has_a_page_with_pictures(tmp_path: Path) -> None:
    settings = with_page(load_config(None), tmp_path)
    assert settings.web.enabled
    assert settings.evidence.enabled
    assert settings.evidence.folder.is_relative_to(tmp_path)
    named = load_config(None, {"evidence.enabled": True, "evidence.folder": Path("mine")})
    assert with_page(named, tmp_path).evidence.folder == Path("mine")


def test_the_doctor_checks_the_address_of_the_page() -> None:
    assert not list(check_page(WebSettings()))
    with listening_socket("127.0.0.1", 0) as taken:
        used = WebSettings(enabled=True, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        assert [finding.state for finding in check_page(used)] == [State.PROBLEM]
    assert [finding.state for finding in check_page(used)] == [State.OK]
    missing = WebSettings(enabled=True, listen="127.0.0.1:0", passwords=Path("none"))
    assert "python -m monitor.web password" in str(next(check_page(missing)))
