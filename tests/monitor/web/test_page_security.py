"""Attacks on the page that docs/page-security.md lists and no other test tries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from monitor.web.event_store import key_of
from monitor.web.gate import OPEN
from monitor.web.page_app import Page
from monitor.web.user_file import Role, UserFile
from tests.helpers.publishing import an_alert
from tests.helpers.web_page import HOSTILE, JPEG, OWN, a_page, a_reason, browser, log_in, users_file
from tests.monitor.web.test_moment_store import a_moment

KEY = key_of("e")
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
OF_ALL = {("POST", "/api/v1/session"), ("DELETE", "/api/v1/session")}
"""Requests that change something and that everybody may send: log in, and log out."""


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Role, str]]:
    return users_file(tmp_path_factory.mktemp("users"))


@pytest.fixture
def page(users: tuple[Path, dict[Role, str]]) -> Iterator[Page]:
    with a_page(users=UserFile(users[0])) as page:
        page.store.take_alert(an_alert(event_id="e"), JPEG)
        yield page


def routes(page: Page) -> list[tuple[str, str]]:
    app = browser(page).app._app  # type: ignore[attr-defined]
    return [
        (method, route.path) for route in app.routes if isinstance(route, APIRoute) for method in route.methods or ()
    ]


def test_a_session_from_before_the_login_is_worth_nothing(page: Page) -> None:
    client = browser(page)
    client.cookies.set("true-sight", "chosen by somebody else")
    answer = log_in(client, "vic")
    assert "chosen by somebody else" not in answer.headers["set-cookie"]
    other = browser(page)
    other.cookies.set("true-sight", "chosen by somebody else")
    assert other.get("/api/v1/cameras").status_code == 401


def test_each_login_has_a_cookie_of_its_own_and_a_log_out_ends_only_that(page: Page) -> None:
    one, other = browser(page), browser(page)
    cookies = {log_in(client, "vic").headers["set-cookie"].partition(";")[0] for client in (one, other)}
    assert len(cookies) == 2
    assert one.delete("/api/v1/session", headers=OWN).status_code == 200
    assert (one.get("/api/v1/cameras").status_code, other.get("/api/v1/cameras").status_code) == (401, 200)


def test_a_viewer_can_change_nothing_on_any_path(page: Page, users: tuple[Path, dict[Role, str]]) -> None:
    client = browser(page)
    log_in(client, "vic")
    token = {"Authorization": f"Bearer {users[1][Role.VIEWER]}"}
    tried = [(method, path) for method, path in routes(page) if method in UNSAFE and (method, path) not in OF_ALL]
    assert len(tried) >= 7
    for method, path in tried:
        url = path.replace("{key}", KEY).replace("{name}", "door").replace("{camera}", "door")
        for headers in (OWN, OWN | token):
            assert client.request(method, url, json={}, headers=headers).status_code == 403, f"{method} {path}"


def test_every_request_that_changes_something_is_refused_from_another_site(page: Page) -> None:
    client = browser(page)
    log_in(client, "ann")
    for method, path in routes(page):
        if method not in UNSAFE:
            continue
        url = path.replace("{key}", KEY).replace("{name}", "door").replace("{camera}", "door")
        for headers in ({}, OWN | {"Origin": "http://evil.example"}, OWN | {"Sec-Fetch-Site": "cross-site"}):
            assert client.request(method, url, json={}, headers=headers).status_code == 403, f"{method} {path}"


@pytest.mark.parametrize(
    "key", ["../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "0" * 31, "0" * 33, "G" * 32, "'--"]
)
@pytest.mark.parametrize("kind", ["events", "moments"])
def test_an_id_is_never_a_path(page: Page, key: str, kind: str) -> None:
    client = browser(page)
    log_in(client, "ann")
    for what in ("picture", "clip"):
        answer = client.get(f"/api/v1/{kind}/{key}/{what}")
        assert answer.status_code in (404, 422)
        assert b"root:" not in answer.content


@pytest.mark.parametrize("place", ["../secret", "/etc", "link"])
def test_no_file_name_of_a_moment_leads_out_of_its_folder(page: Page, tmp_path: Path, place: str) -> None:
    name = f"{place}/2026-03-02/101112.345-1.mp4"
    secret = tmp_path / "secret" / "2026-03-02" / "101112.345-1.mp4"
    secret.parent.mkdir(parents=True)
    secret.write_bytes(b"secret")
    page.moments_folder = tmp_path / "moments"
    page.moments_folder.mkdir()
    (page.moments_folder / "link").symlink_to(tmp_path / "secret")
    page.moments.take(a_moment(1, [(1, 1.0)], files=(name,)), None)
    client = browser(page)
    log_in(client, "ann")
    assert client.get(f"/api/v1/moments/{key_of('door/m1')}/clip").status_code == 404


def test_text_from_outside_is_only_ever_json_and_cannot_become_a_page(page: Page) -> None:
    page.store.take_alert(
        an_alert(event_id="h", camera="<b>x<", name=HOSTILE[:60], alike=0.9, reasons=(a_reason(HOSTILE),)), None
    )
    page.store.take_verdict("<b>x<", "h", {"event": "h", "verdict": HOSTILE[:60], "given_by": HOSTILE})
    page.moments.take(a_moment(1, [(1, 1.0)], camera="<b>y<", reasons=(a_reason(HOSTILE),)), None)
    client = browser(page)
    log_in(client, "vic")
    for path in ("events", f"events/{key_of('h')}", "moments", "names", f"timeline?begin={1.5e9}&end={1.5e9 + 60}"):
        answer = client.get(f"/api/v1/{path}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "\x1b" not in answer.json().__repr__().replace("\\x1b", "")
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy


def test_what_the_search_finds_is_never_code_for_the_database(page: Page) -> None:
    client = browser(page)
    log_in(client, "vic")
    for text in ("' OR 1=1 --", '"; DROP TABLE events; --', "%", "_", "\x00", "\\"):
        for name in ("search", "camera", "verdict"):
            assert client.get("/api/v1/events", params={name: text}).json()["total"] == 0, (name, text)
    assert client.get("/api/v1/events").json()["total"] == 1


def test_only_the_login_is_open() -> None:
    assert {path for _, path in OPEN} == {
        "/login", "/static/page.css", "/static/login.js", "/static/icon.svg", "/api/v1/session"
    }  # fmt: skip
