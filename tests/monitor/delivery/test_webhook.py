"""A webhook is signed, bounded, and never shows its secrets."""

from __future__ import annotations

import base64
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from monitor.alerts.messages import HealthMessage
from monitor.delivery.notice import DeliveryError, Notice
from monitor.delivery.webhook import Webhook
from monitor.delivery.webhook_settings import WebhookSettings
from monitor.errors import ConfigError
from monitor.states import CameraState, Phase
from monitor.testing.webhook_server import WebhookServer
from tests.helpers.publishing import an_alert
from tests.places import ROOT

SECRET = "a secret of this test"  # noqa: S105 - of tests
NOTICE = Notice("event-1:start", an_alert(), b"\xff\xd8jpeg")
SHORT_S = 0.5


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as serving:
        yield serving


def webhook(server: WebhookServer, **changes: Any) -> Webhook:
    return Webhook("house", WebhookSettings(**({"url": server.url, "secret": SECRET} | changes)))


def verify() -> Callable[[str, dict[str, str], bytes], str]:
    """The function that the documentation shows."""
    page = (ROOT / "docs/notifications.md").read_text()
    snippet = next(code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def verify" in code)
    names: dict[str, Any] = {}
    exec(snippet, names)  # noqa: S102 - the documentation of this repository
    found: Callable[[str, dict[str, str], bytes], str] = names["verify"]
    return found


@pytest.mark.parametrize("secret", [SECRET, "whsec_" + base64.b64encode(bytes(range(24))).decode()])
def test_the_documented_function_verifies_a_message(server: WebhookServer, secret: str) -> None:
    webhook(server, secret=secret).deliver(NOTICE, late=True)
    (got,) = server.received
    assert verify()(secret, got.headers, got.body) == "event-1:start"
    assert got.headers["idempotency-key"] == "event-1:start"
    assert got.path == "/hook/token-1234?to=you"
    with pytest.raises(ValueError, match="wrong signature"):
        verify()(secret, got.headers, got.body.replace(b"true", b"nope"))
    with pytest.raises(ValueError, match="wrong signature"):
        verify()(secret, got.headers | {"webhook-timestamp": "1"}, got.body)
    with pytest.raises(ValueError, match="wrong signature"):
        verify()("another secret of 16", got.headers, got.body)


def test_the_signature_is_that_of_the_standard() -> None:
    from monitor.delivery.webhook import signature

    # The example of https://github.com/standard-webhooks/standard-webhooks: its libraries test with it.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_old_message_is_refused_by_the_documented_function(monkeypatch: pytest.MonkeyPatch) -> None:
    with WebhookServer() as server:
        webhook(server).deliver(NOTICE, late=False)
    (got,) = server.received
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1000)
    with pytest.raises(ValueError, match="too old"):
        verify()(SECRET, got.headers, got.body)


def test_the_body_holds_the_message(server: WebhookServer) -> None:
    webhook(server, picture=True).deliver(NOTICE, late=True)
    webhook(server).deliver(NOTICE, late=False)
    first, second = (request.json for request in server.received)
    assert (first["schema"], first["id"], first["kind"], first["late"]) == (1, "event-1:start", "alert", True)
    assert first["message"]["camera"] == "cam1"
    assert first["message"]["schema"] == 1
    assert base64.b64decode(first["picture"]) == b"\xff\xd8jpeg"
    assert second["late"] is False
    assert "picture" not in second


def test_user_and_password_and_headers_are_sent(server: WebhookServer) -> None:
    url = server.url.replace("://", "://me:p%40ss@")
    webhook(server, url=url, headers={"X-Token": "abc"}).deliver(NOTICE, late=False)
    headers = server.received[0].headers
    assert headers["authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert headers["x-token"] == "abc"
    assert "me:" not in headers["host"]


# What is sent


def test_only_starts_ends_and_the_first_notifying_update_are_sent(server: WebhookServer) -> None:
    hook = webhook(server)
    steps = [
        ("loud", Phase.START, True), ("loud", Phase.UPDATE, True), ("quiet", Phase.START, False),
        ("quiet", Phase.UPDATE, False), ("quiet", Phase.UPDATE, True), ("quiet", Phase.UPDATE, True),
        ("loud", Phase.END, True), ("quiet", Phase.END, True),
    ]  # fmt: skip
    keys = []
    for number, (event_id, phase, notify) in enumerate(steps):
        message = an_alert(event_id=event_id, phase=phase, notify=notify, position=number + 1)
        if (notice := hook.take(message, None, 0.0)) is not None:
            keys.append(notice.key)
        state, hook = hook.dump(), webhook(server)  # the monitor is restarted after each of them
        hook.load(state)
    assert keys == ["loud:start", "quiet:start", "quiet:notify", "loud:end", "quiet:end"]


def test_all_updates_are_sent_on_request_each_with_a_key_of_its_own(server: WebhookServer) -> None:
    hook = webhook(server, send=["updates"])
    notices = [hook.take(an_alert(phase=Phase.UPDATE, position=number), None, 0.0) for number in (5, 6)]
    assert [notice.key for notice in notices if notice] == ["e1-cam1-1:update-5", "e1-cam1-1:update-6"]


def test_health_has_a_key_and_is_only_asked_for_if_wanted(server: WebhookServer) -> None:
    message = HealthMessage(
        schema=1,
        node="lab",
        epoch="e1",
        seq=4,
        sent_at=1.5e9,
        position=9,
        camera="cam1",
        state=CameraState.DARK,
        since=1.0,
    )
    hook = webhook(server)
    assert hook.topics == ("alert/", "health/")
    notice = hook.take(message, None, 0.0)
    assert notice is not None
    assert notice.key == "e1-cam1-health-4"
    hook.deliver(notice, late=False)
    assert server.received[0].json["kind"] == "health"
    assert webhook(server, send=["alerts"]).topics == ("alert/",)


@pytest.mark.parametrize("state", ["", "nonsense", "{}", "[1]", '["a"', '{"quiet": [], "states": 3}'])
def test_a_state_that_makes_no_sense_is_ignored(server: WebhookServer, state: str) -> None:
    hook = webhook(server)
    hook.load(state)
    assert hook.dump() == webhook(server).dump()


def test_only_a_new_state_of_a_camera_is_sent(server: WebhookServer) -> None:
    hook, sent = webhook(server), []
    for number, (camera, state, detail) in enumerate(
        [
            ("a", "learning", "1 %"),
            ("a", "learning", "2 %"),
            ("b", "learning", ""),
            ("a", "online", ""),
            ("a", "online", ""),
        ]
    ):
        message = HealthMessage(
            schema=1,
            node="lab",
            epoch="e1",
            seq=number + 1,
            sent_at=1.0,
            camera=camera,
            state=state,
            since=1.0,
            detail=detail,
        )
        sent.append(hook.take(message, None, 0.0) is not None)
        text, hook = hook.dump(), webhook(server)
        hook.load(text)
    assert sent == [True, False, True, True, False]


# Wrong answers


@pytest.mark.parametrize(
    ("status", "final"), [(500, False), (503, False), (401, False), (404, False), (400, True), (413, True)]
)
def test_a_wrong_answer_is_a_failed_attempt(server: WebhookServer, status: int, final: bool) -> None:
    server.status = status
    with pytest.raises(DeliveryError, match=f"answers {status}, .*(check|look at|raise)") as caught:
        webhook(server).deliver(NOTICE, late=False)
    assert caught.value.final is final


def test_the_server_may_ask_for_a_wait(server: WebhookServer) -> None:
    server.status = 429
    for wait, seconds in (("120", 120.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0), ("9" * 400, 0.0), ("-5", 0.0)):
        server.headers = {"Retry-After": wait}
        with pytest.raises(DeliveryError) as caught:
            webhook(server).deliver(NOTICE, late=False)
        assert caught.value.wait_s == seconds


def test_a_redirect_is_not_followed(server: WebhookServer) -> None:
    with WebhookServer() as other:
        server.status, server.headers = 307, {"Location": other.url}
        with pytest.raises(DeliveryError, match=r"redirect to http://127.0.0.1:\d+.*not followed: write the") as caught:
            webhook(server).deliver(NOTICE, late=False)
        assert other.received == []
        assert "token-1234" not in str(caught.value)


def trickle(handler: BaseHTTPRequestHandler, stopped: threading.Event, what: bytes) -> None:
    """Send byte after byte, for ever."""
    try:
        while not stopped.wait(0.05):
            handler.wfile.write(what)
            handler.wfile.flush()
    except OSError:
        pass


def test_a_server_that_hangs_is_bounded(server: WebhookServer) -> None:
    server.answer = server.hang
    with pytest.raises(DeliveryError, match="does not answer"):
        webhook(server, timeout_s=SHORT_S).deliver(NOTICE, late=False)


@pytest.mark.parametrize("what", [b"x", b"HTTP/1.1 200 OK\r\nx: y\r\n"], ids=["line", "headers"])
def test_an_answer_that_never_ends_is_bounded(server: WebhookServer, what: bytes) -> None:
    server.answer = lambda handler: trickle(handler, server.stopped, what)
    with pytest.raises(DeliveryError):
        webhook(server, timeout_s=SHORT_S).deliver(NOTICE, late=False)


def test_a_huge_body_is_not_read(server: WebhookServer) -> None:
    sent = []

    def huge(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
        try:
            while not server.stopped.is_set():
                handler.wfile.write(bytes(65_536))
                sent.append(65_536)
        except OSError:
            pass

    server.answer = huge
    webhook(server).deliver(NOTICE, late=False)
    assert sum(sent) < 50_000_000


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 abc\r\n\r\n", b"\xff" * 100_000])
def test_an_answer_that_is_not_http_is_a_failed_attempt(server: WebhookServer, answer: bytes) -> None:
    server.answer = lambda handler: handler.wfile.write(answer)
    with pytest.raises(DeliveryError):
        webhook(server).deliver(NOTICE, late=False)


def test_a_server_that_is_not_there(server: WebhookServer) -> None:
    with WebhookServer() as other:
        url = other.url
    with pytest.raises(DeliveryError, match="refuses the connection") as caught:
        webhook(server, url=url).deliver(NOTICE, late=False)
    assert "token-1234" not in str(caught.value)
    with pytest.raises(DeliveryError, match="unknown host name"):
        webhook(server, url="https://no-such-host.invalid/x").deliver(NOTICE, late=False)


def test_an_interrupted_webhook_ends_at_once(server: WebhookServer) -> None:
    server.answer = server.hang
    hook = webhook(server, timeout_s=60)
    errors: list[str] = []

    def deliver() -> None:
        try:
            hook.deliver(NOTICE, late=False)
        except DeliveryError as error:
            errors.append(str(error))

    thread = threading.Thread(target=deliver)
    thread.start()
    server.await_requests(1)
    hook.interrupt()
    thread.join(30)
    assert errors == ["the run ends"]
    with pytest.raises(DeliveryError, match="the run ends"):
        hook.deliver(NOTICE, late=False)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[WebhookServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with WebhookServer(context) as serving:
        yield serving


def test_https_with_a_certificate_of_your_own(secure: WebhookServer, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    webhook(secure, ca=tmp_path / "ca.pem").deliver(NOTICE, late=False)
    assert secure.ids == ["event-1:start"]
    with pytest.raises(DeliveryError, match=r"cannot be checked .*: set ca to the certificate of the authority that"):
        webhook(secure).deliver(NOTICE, late=False)
    assert len(secure.received) == 1


def test_a_certificate_for_another_host_is_said_to_be_one(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example.org").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    said = r"has a certificate for another host \(.*\): write the name in it as the host"
    with WebhookServer(context) as serving, pytest.raises(DeliveryError, match=said):
        webhook(serving, ca=tmp_path / "ca.pem").deliver(NOTICE, late=False)


def test_tls_on_one_side_only_is_named(server: WebhookServer, secure: WebhookServer) -> None:
    said = r"https://127\.0\.0\.1:\d+ answers, but not with TLS: write http:// in url, or the port for https"
    with pytest.raises(DeliveryError, match=said):
        webhook(server, url=server.url.replace("http", "https")).deliver(NOTICE, late=False)
    said = r"http://127\.0\.0\.1:\d+ answers with TLS, and not with plain HTTP: write https:// in url"
    with pytest.raises(DeliveryError, match=said):
        webhook(secure, url=secure.url.replace("https", "http")).deliver(NOTICE, late=False)


def test_a_certificate_that_signed_itself_or_is_too_old_gets_its_own_advice(tmp_path: Path) -> None:
    old = trustme.CA()
    contexts = []
    for cert, key in (
        (old.cert_pem, old.private_key_pem),
        ((late := old.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))).cert_chain_pems[0],
         late.private_key_pem),
    ):  # fmt: skip
        cert.write_to_path(str(tmp_path / "cert.pem"))
        key.write_to_path(str(tmp_path / "key.pem"))
        contexts.append(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        contexts[-1].load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    old.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with WebhookServer(contexts[0]) as own, pytest.raises(DeliveryError, match="so set ca to this certificate"):
        webhook(own).deliver(NOTICE, late=False)
    with WebhookServer(contexts[1]) as late_one, pytest.raises(DeliveryError, match=r"expired.: renew it, or correct"):
        webhook(late_one, ca=tmp_path / "ca.pem").deliver(NOTICE, late=False)


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_bad_file_of_certificates_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    settings = WebhookSettings(url="https://h/x", secret=SECRET, ca=tmp_path / "ca.pem")
    with pytest.raises(ConfigError, match=r"\[webhook.house\] cannot use the certificates in .* \(.*\): name a PEM"):
        Webhook("house", settings)


# Settings


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"url": "ftp://u:hunter2@h/x"}, "url must be an http or https address"),
        ({"url": "hunter2"}, "url must be an http or https address"),
        ({"url": "https://h:hunter2/x"}, "url is not a valid address"),
        ({"url": "https://h/hunter2 x"}, "url must be plain ASCII without spaces"),
        ({"url": "https://h/x\r\nX: hunter2"}, "url must be"),
        ({"secret": "hunter2"}, "secret must have at least 16 characters"),
        ({"secret": "whsec_hunter2!"}, "its rest is not base64"),
        ({"headers": {"webhook-id": "hunter2"}}, "not a header that you can set"),
        ({"headers": {"X": "a\r\nY: hunter2"}}, "plain ASCII text on one line"),
        ({"timeout_s": 0}, "greater than or equal to 0.5"),
        ({"send": []}, "at least 1 item"),
    ],
)
def test_a_wrong_setting_is_one_sentence_without_secrets(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WebhookSettings(**({"url": "https://h/x", "secret": SECRET} | changes))
    (error,) = caught.value.errors(include_input=False)
    assert sentence in error["msg"]
    assert "hunter2" not in error["msg"]


def test_settings_never_show_their_secrets() -> None:
    hidden = "hunter2 hunter2 hunter2"
    settings = WebhookSettings(url="https://me:hunter2@h/hunter2", secret=hidden, headers={"X": "hunter2"})
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()
