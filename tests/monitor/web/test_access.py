"""Who may see the page: every path of the application, wrong logins, forged requests, foreign names of hosts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from monitor.errors import ConfigError
from monitor.web.access import ATTEMPT_EVERY_S, ATTEMPTS_PER_ADDRESS, IDLE_S, LONGEST_S, MOST_SESSIONS, Access, Attempts
from monitor.web.event_store import key_of
from monitor.web.gate import OPEN
from monitor.web.page_app import Page
from monitor.web.user_file import Role, UserFile, new_token, set_password
from tests.helpers.publishing import an_alert
from tests.helpers.web_page import JPEG, LOCAL, OWN, PASSWORD, a_page, browser, log_in, users_file

KEY = key_of("e")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Role, str]]:
    return users_file(tmp_path_factory.mktemp("users"))


@pytest.fixture
def page(users: tuple[Path, dict[Role, str]]) -> Iterator[Page]:
    """A page that needs a login, with one event and its picture."""
    with a_page(users=UserFile(users[0])) as page:
        page.store.take_alert(an_alert(event_id="e"), JPEG)
        yield page


def paths(page: Page) -> list[tuple[str, str]]:
    """Method and path of everything that the application answers."""
    app = browser(page).app._app  # type: ignore[attr-defined]
    found = [
        (method, route.path) for route in app.routes if isinstance(route, APIRoute) for method in route.methods or ()
    ]
    found += [("GET", "/api/v1/openapi.json")]
    return [(method, path.replace("{key}", KEY).replace("{name}", "page.js")) for method, path in found]


def test_nothing_is_seen_without_a_login_on_any_path(page: Page) -> None:
    client = browser(page)
    tried = [pair for pair in paths(page) if pair not in OPEN]
    assert len(tried) >= 16
    for method, path in tried:
        answer = client.request(method, path, headers=OWN)
        assert answer.status_code in (401, 303), f"{method} {path}"
        assert JPEG not in answer.content
    for nothing in ("/api/v1/nothing", "/docs", "/redoc", "/openapi.json", "//api/v1/cameras", "/api/v1/cameras/"):
        assert client.get(nothing).status_code in (401, 303)


def test_the_open_paths_are_those_of_the_login(page: Page) -> None:
    client = browser(page)
    for method, path in OPEN:
        if method == "GET":
            assert client.get(path).status_code == 200
    assert "login.js" in client.get("/login").text


def test_a_login_opens_everything_until_it_ends(page: Page) -> None:
    client = browser(page)
    answer = log_in(client, "vic")
    assert answer.json() == {"name": "vic", "role": "viewer", "login": True}
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert client.get(f"/api/v1/events/{KEY}/picture").content == JPEG
    assert client.get("/").status_code == 200
    stolen = dict(client.cookies)
    assert client.delete("/api/v1/session", headers=OWN).status_code == 200
    client.cookies.update(stolen)
    assert client.get("/api/v1/cameras").status_code == 401


def test_wrong_names_passwords_and_cookies_are_refused_alike(page: Page) -> None:
    client = browser(page, address="10.0.0.7")
    wrong = [
        log_in(client, "ann", "wrong password"),
        log_in(client, "nobody", PASSWORD),
        log_in(client, "program-viewer"),
    ]
    assert [answer.status_code for answer in wrong] == [401] * 3
    assert len({answer.text for answer in wrong}) == 1
    client.cookies.set("true-sight", "forged")
    assert client.get("/api/v1/cameras").status_code == 401
    for header in ("Bearer ", "Bearer wrong", "Basic YW5uOng=", "bearer \xff"):
        assert client.get("/api/v1/cameras", headers={b"Authorization": header.encode("latin-1")}).status_code == 401


def test_attempts_are_limited_per_address_also_with_the_right_password(page: Page) -> None:
    client = browser(page, address="10.0.0.8")
    for _ in range(ATTEMPTS_PER_ADDRESS):
        assert log_in(client, "ann", "wrong password").status_code == 401
    refused = log_in(client, "ann")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= ATTEMPT_EVERY_S
    assert log_in(browser(page, address="10.0.0.9"), "ann").status_code == 200


def test_a_token_opens_the_api_and_its_role_bounds_it(page: Page, users: tuple[Path, dict[Role, str]]) -> None:
    client = browser(page)
    for role, token in users[1].items():
        headers = {"Authorization": f"Bearer {token}"} | OWN
        assert client.get("/api/v1/session", headers=headers).json()["role"] == role
        assert client.get("/api/v1/cameras", headers=headers).status_code == 200
        ended = client.delete("/api/v1/sessions", headers=headers)
        assert ended.status_code == (200 if role is Role.OPERATOR else 403)


def test_an_operator_ends_the_sessions_of_all(page: Page) -> None:
    ann, vic = browser(page), browser(page)
    assert log_in(ann, "ann").status_code == log_in(vic, "vic").status_code == 200
    assert vic.delete("/api/v1/sessions", headers=OWN).status_code == 403
    assert ann.delete("/api/v1/sessions", headers=OWN).json() == {"ended": 2}
    assert vic.get("/api/v1/cameras").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},  # without the header of our own
        OWN | {"Origin": "http://evil.example"},
        OWN | {"Origin": "null"},
        OWN | {"Origin": "http://127.0.0.1:9999"},
        OWN | {"Origin": "https://127.0.0.1:8088"},
        OWN | {"Sec-Fetch-Site": "cross-site"},
        OWN | {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_request_from_another_site_changes_nothing(page: Page, headers: dict[str, str]) -> None:
    client = browser(page)
    assert log_in(client, "ann", Origin=LOCAL).status_code == 200
    assert client.delete("/api/v1/sessions", headers=headers).status_code == 403
    assert client.get("/api/v1/session").json()["name"] == "ann"


def test_another_site_cannot_show_our_pictures(page: Page) -> None:
    client = browser(page)
    log_in(client, "ann")
    picture = f"/api/v1/events/{KEY}/picture"
    assert client.get(picture, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    answer = client.get(picture, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8088", "localhost.evil.example", "", "[::2]", "["]
)
def test_on_loopback_no_other_name_of_the_host_is_taken(host: str) -> None:
    with a_page() as page:
        client = browser(page)
        assert client.get("/api/v1/cameras").status_code == 200
        assert client.get("/api/v1/cameras", headers={"Host": "localhost:8088"}).status_code == 200
        assert client.get("/api/v1/cameras", headers={"Host": host}).status_code == 421


def test_every_answer_has_a_strict_policy(page: Page) -> None:
    client = browser(page)
    log_in(client, "ann")
    for path in (
        "/",
        "/login",
        "/static/page.js",
        "/api/v1/cameras",
        "/api/v1/nothing",
        f"/api/v1/events/{KEY}/picture",
    ):
        policy = client.get(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


def test_a_large_body_is_refused(page: Page) -> None:
    client = browser(page)
    long = client.post("/api/v1/session", json={"name": "a", "password": "x" * 100_000}, headers=OWN)
    assert long.status_code == 413
    assert client.post("/api/v1/session", content=b"{", headers=OWN).status_code == 422


def test_sessions_end_by_time_and_by_number_and_with_the_user(tmp_path: Path) -> None:
    path, _ = users_file(tmp_path)
    now = 0.0
    access = Access(UserFile(path), lambda: now)
    cookie = access.log_in("ann", "::1")
    for _ in range(round(LONGEST_S / IDLE_S) - 1):
        now += IDLE_S
        assert access.of_cookie(cookie) is not None
    now += IDLE_S + 1
    assert access.of_cookie(cookie) is None
    cookies = [access.log_in("ann", "::1") for _ in range(MOST_SESSIONS + 1)]
    assert [access.of_cookie(cookies[0]) is None, access.of_cookie(cookies[1]) is None] == [True, False]
    token = new_token(path, "other", Role.VIEWER)
    kept = [line for line in path.read_text().splitlines() if not line.startswith("ann ")]
    path.write_text("\n".join(kept) + "\n")
    assert access.of_cookie(cookies[1]) is None
    assert access.of_token(token, "::1") is not None


def test_attempts_come_back_one_by_one_and_are_bounded() -> None:
    now = 0.0
    attempts = Attempts(lambda: now)
    for _ in range(3):
        assert attempts.wait_s("a", 3) == 0
        attempts.failed("a")
    assert attempts.wait_s("a", 3) == ATTEMPT_EVERY_S
    now += ATTEMPT_EVERY_S
    assert attempts.wait_s("a", 3) == 0
    attempts.failed("a")
    assert attempts.wait_s("a", 3) == ATTEMPT_EVERY_S
    for number in range(20_000):
        attempts.failed(str(number))
    assert len(attempts._failures) <= 10_000


def test_the_file_of_users_is_private_and_holds_no_password(tmp_path: Path) -> None:
    path, tokens = users_file(tmp_path)
    assert path.stat().st_mode & 0o077 == 0
    text = path.read_text()
    assert PASSWORD not in text
    assert not any(token in text for token in tokens.values())
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="other users of this machine can read"):
        UserFile(path)


@pytest.mark.parametrize(
    "text", ["", "# nobody\n", "ann\n", "ann admin $argon2id$x\n", "ann viewer plain\n", "a/b viewer $argon2id$\n"]
)
def test_a_wrong_file_of_users_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"create it with `python -m monitor\.web password"):
        UserFile(path)


def test_weak_passwords_and_wrong_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose 10 to 1000"):
        set_password(tmp_path / "users", "ann", Role.VIEWER, "short")
    with pytest.raises(ConfigError, match="is not a name"):
        new_token(tmp_path / "users", "ann\nroot operator", Role.VIEWER)


def test_an_unknown_name_takes_as_long_as_a_wrong_password(users: tuple[Path, dict[Role, str]]) -> None:
    file = UserFile(users[0])

    def taken_s(name: str) -> float:
        started = time.process_time()
        assert file.with_password(name, "wrong password") is None
        return time.process_time() - started

    known, unknown = (min(taken_s(name) for _ in range(5)) for name in ("ann", "nobody"))
    assert unknown > 0.3 * known
