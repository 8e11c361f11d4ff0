"""``python -m monitor.web``: wrong input gets a sentence; users and tokens are made; it is light."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import cast

import pytest
import trustme
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from typer.testing import CliRunner

from monitor.alerts.keys import make_keys
from monitor.errors import BindError, ConfigError, MonitorError, UsageError
from monitor.web.__main__ import app
from monitor.web.bus_reader import BusAddress
from monitor.web.page_server import PageServer
from monitor.web.user_file import Role, UserFile
from monitor.web.web_listening import listening_socket, url_of
from monitor.web.web_settings import WebSettings, is_loopback
from tests.helpers.web_page import PASSWORD, log_in, users_file

HEAVY = ("numpy", "cv2", "scipy", "torch")
BUS = BusAddress("tcp://127.0.0.1:5560", None)


def failure(*arguments: str) -> BaseException:
    done = CliRunner().invoke(app, list(arguments))
    assert isinstance(done.exception, MonitorError), done.output
    return done.exception


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        (["--listen", "0.0.0.0:8088"], ConfigError, "other machines can reach 0.0.0.0:8088: name a file of users"),
        (["--listen", "x"], ConfigError, "--listen: should be HOST:PORT"),
        (["--endpoint", "nowhere"], ConfigError, "is not an address"),
        (["--passwords", "none"], ConfigError, "the file of users none cannot be read"),
        (["--keys", "none"], ConfigError, "none"),
        (["--certificate", "none"], ConfigError, "the certificate none or its key cannot be used"),
        (["password", "users", "ann", "--role", "king"], UsageError, "'king' is neither viewer nor operator"),
    ],
)
def test_a_wrong_option_gets_a_sentence(
    arguments: list[str], kind: type[MonitorError], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = failure(*arguments)
    assert isinstance(error, kind)
    assert sentence in str(error)


def test_an_address_in_use_is_exit_code_1() -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        error = failure("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert isinstance(error, BindError)
    assert error.exit_code == 1


def test_users_and_tokens_are_made_and_changed(tmp_path: Path) -> None:
    path = tmp_path / "users"
    runner = CliRunner()
    assert runner.invoke(app, ["password", str(path), "ann", "--role", "operator"], input=PASSWORD).exit_code == 0
    assert runner.invoke(app, ["password", str(path), "vic"], input=PASSWORD).exit_code == 0
    token = runner.invoke(app, ["token", str(path), "screen"]).stdout.strip()
    assert runner.invoke(app, ["password", str(path), "vic"], input=PASSWORD + "2").exit_code == 0
    users = UserFile(path)
    assert users.with_password("ann", PASSWORD) is Role.OPERATOR
    assert users.with_password("vic", PASSWORD) is None
    assert users.with_password("vic", PASSWORD + "2") is Role.VIEWER
    who = users.with_token(token)
    assert who is not None
    assert (who.name, who.role) == ("screen", Role.VIEWER)


def test_a_page_with_keys_and_a_certificate_has_cookies_for_https_only(tmp_path: Path) -> None:
    make_keys(tmp_path, "page")
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "page.pem")
    settings = WebSettings(certificate=tmp_path / "page.pem", passwords=users_file(tmp_path)[0])
    server = PageServer(settings, BusAddress(BUS.alerts, None, keys=tmp_path / "page"), None)
    client = TestClient(cast(ASGIApp, server._server.config.app), base_url="https://monitor.example:8088")
    assert log_in(client, "ann", Origin="http://monitor.example:8088").status_code == 403
    answer = log_in(client, "ann", Origin="https://monitor.example:8088")
    assert answer.headers["set-cookie"].startswith("__Host-true-sight=")
    assert "Secure" in answer.headers["set-cookie"]
    assert client.get("/api/v1/session").json()["name"] == "ann"
    with listening_socket("127.0.0.1", 0) as listening:
        assert url_of(listening, "127.0.0.1", tls=True).startswith("https://127.0.0.1:")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_names_its_address_and_ends_well(number: signal.Signals) -> None:
    command = [sys.executable, "-u", "-m", "monitor.web", "--listen", "127.0.0.1:0", "--endpoint", "tcp://127.0.0.1:9"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            address = said.removeprefix("the page is at ").strip()
            with urllib.request.urlopen(f"{address}/api/v1/health", timeout=60) as answer:  # noqa: S310
                assert answer.status == 200
            process.send_signal(number)
            assert process.wait(60) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("::", False),
     ("192.168.1.2", False), ("host.example", False), ("127.0.0.1.evil.example", False)],
)  # fmt: skip
def test_only_this_machine_is_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_the_page_loads_no_heavy_library() -> None:
    script = f"import sys, monitor.web.page_server; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "[]"
