from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from monitor.web.access import ATTEMPTS_PER_ADDRESS
from monitor.web.forwarded import Forwarded
from monitor.web.page_app import Page
from monitor.web.user_file import UserFile
from monitor.web.web_settings import WebSettings, networks
from tests.helpers.web_page import a_page, browser, log_in, users_file

PROXY, VIEWER = "10.0.0.9", "203.0.113.7"


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return users_file(tmp_path_factory.mktemp("users"))[0]


@pytest.fixture
def page(users: Path) -> Iterator[Page]:
    with a_page(users=UserFile(users)) as page:
        yield page


def through(page: Page, address: str, **headers: str) -> TestClient:
    """A client at this address, in front of a page that trusts these proxies."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    app: Any = Forwarded(browser(page).app, networks(("10.0.0.0/8", "::1")))
    return TestClient(app, "http://page.example", follow_redirects=False, client=(address, 5000), headers=named)


def wrong_logins(client: TestClient, count: int) -> list[int]:
    return [log_in(client, "vic", "wrong password").status_code for _ in range(count)]


def test_viewers_behind_a_trusted_proxy_are_told_apart(page: Page) -> None:
    one = through(page, PROXY, x_forwarded_for=VIEWER)
    assert wrong_logins(one, ATTEMPTS_PER_ADDRESS + 1) == [401] * ATTEMPTS_PER_ADDRESS + [429]
    assert wrong_logins(through(page, PROXY, x_forwarded_for="203.0.113.8"), 1) == [401]


@pytest.mark.parametrize("address", ["198.51.100.1", "not an address", "fe80::1"])
def test_headers_of_anybody_else_count_for_nothing(page: Page, address: str) -> None:
    tried = [
        log_in(through(page, address, x_forwarded_for=f"203.0.113.{number}"), "vic", "wrong password").status_code
        for number in range(ATTEMPTS_PER_ADDRESS + 1)
    ]
    assert tried[-1] == 429
    cookie = log_in(through(page, "198.51.100.77", x_forwarded_proto="https"), "vic").headers["set-cookie"]
    assert "Secure" not in cookie


def test_a_viewer_cannot_make_up_addresses_in_front_of_the_proxys(page: Page) -> None:
    for number in range(ATTEMPTS_PER_ADDRESS):
        made_up = f"192.0.2.{number}, {VIEWER}, 10.0.0.4"
        assert wrong_logins(through(page, PROXY, x_forwarded_for=made_up), 1) == [401]
    assert wrong_logins(through(page, PROXY, x_forwarded_for=f"192.0.2.99, {VIEWER}"), 1) == [429]


@pytest.mark.parametrize("hop", ["203.0.113.7:1234", "[2001:db8::1]:80", "", ",,", "x" * 9000, "10.0.0.1, 10.0.0.2"])
def test_any_header_is_taken_without_an_error(page: Page, hop: str) -> None:
    assert through(page, PROXY, x_forwarded_for=hop).get("/login").status_code == 200


def test_https_at_the_proxy_makes_cookies_secure_and_origins_right(page: Page) -> None:
    proxied = {"x_forwarded_proto": "https", "x_forwarded_host": "cameras.example", "origin": "https://cameras.example"}
    client = through(page, PROXY, x_forwarded_for=VIEWER, **proxied)
    answer = log_in(client, "vic")
    assert answer.status_code == 200
    assert answer.headers["set-cookie"].startswith("__Host-true-sight=")
    assert "Secure" in answer.headers["set-cookie"]
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert client.get("/api/v1/cameras", headers={"cookie": cookie}).status_code == 200
    foreign = through(page, PROXY, x_forwarded_host="cameras.example", origin="https://evil.example")
    assert log_in(foreign, "vic").status_code == 403


def test_wrong_networks_are_refused_with_a_sentence() -> None:
    with pytest.raises(ValidationError, match="is no address or network: write one such as"):
        WebSettings(trusted_proxies=("10.0.0.1/8",))
