"""Notifications by Apprise, with its own JSON service as the receiver."""

from __future__ import annotations

import base64
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from pydantic import ValidationError

from monitor.alerts.message_parts import ReasonBody
from monitor.alerts.messages import HealthMessage
from monitor.app.config import MonitorConfig
from monitor.app.doctor.delivery_check import check_receivers
from monitor.app.doctor.doctor_report import text_line
from monitor.app.doctor.finding_report import State
from monitor.delivery.apprise_receiver import WIKI, AppriseReceiver
from monitor.delivery.notice import DeliveryError, Notice, Summary
from monitor.delivery.notify_settings import NotifySettings
from monitor.errors import ConfigError
from monitor.states import CameraState, Phase
from monitor.testing.webhook_server import WebhookServer
from tests.helpers.publishing import an_alert

JPEG = b"\xff\xd8jpeg"
SPEED = ReasonBody(term="speed", value=3.0, usual=1.0, unit="px/s", text="speed 3 px/s, usual here up to 1 px/s")
ALERT = Notice("e:start", an_alert(reasons=(SPEED,)), JPEG)


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as serving:
        yield serving


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What reaches the handlers of the program, which are those of the root logger."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    root, handler = logging.getLogger(), Handler(logging.DEBUG)
    level = root.level
    root.setLevel(logging.DEBUG)  # as with --verbose
    root.addHandler(handler)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


def url(server: WebhookServer) -> str:
    """The address of the server for Apprise, with a secret in its path."""
    return server.url.replace("http", "json", 1).partition("?")[0].replace("token-1234", "hunter2")


def phone(server: WebhookServer, **settings: Any) -> AppriseReceiver:
    return AppriseReceiver("phone", NotifySettings(**({"url": url(server)} | settings)), "lab")


def test_an_alert_has_a_title_a_text_and_a_picture(server: WebhookServer) -> None:
    phone(server).deliver(ALERT, late=True)
    (request,) = server.received
    body = request.json
    assert body["title"] == "Alert: cam1"
    assert body["message"].startswith("speed 3 px/s, usual here up to 1 px/s\n2017-07-1")
    assert body["message"].endswith("(late)")
    assert body["type"] == "warning"
    (attached,) = body["attachments"]
    assert base64.b64decode(attached["base64"]) == JPEG
    assert attached["mimetype"] == "image/jpeg"


def test_templates_choose_the_text(server: WebhookServer) -> None:
    phone(server, title="{node} {camera}", text="{score} {{x}} {reasons}", picture=False).deliver(ALERT, late=False)
    body = server.received[0].json
    assert (body["title"], body["message"]) == ("lab cam1", "1.20 {x} speed 3 px/s, usual here up to 1 px/s")
    assert body["attachments"] == []


def test_every_kind_of_notice_has_words(server: WebhookServer) -> None:
    lost: dict[str, Any] = {"about": "camera_lost", "score": None}
    health = HealthMessage(
        schema=1, node="lab", epoch="e1", seq=4, sent_at=1.5e9, camera="cam1", state=CameraState.MOVED, since=1.0,
        detail="it was moved",
    )  # fmt: skip
    over = health.model_copy(update={"state": CameraState.ONLINE, "detail": ""})
    receiver = phone(server, text="{text}")
    for message in (
        an_alert(**lost),
        an_alert(phase=Phase.END, **lost),
        health,
        over,
        Summary(2e9, 1.9e9, {"door": 3, "yard": 1}),
    ):
        receiver.deliver(Notice("key", message), late=False)
    said = [(r.json["title"], r.json["message"], r.json["type"]) for r in server.received]
    assert said == [
        ("Camera lost: cam1", "Camera lost", "failure"),
        ("Camera is back: cam1", "Camera is back", "success"),
        ("Camera moved: cam1", "it was moved", "info"),
        ("All right again: cam1", "online", "success"),
        ("Summary: door 3, yard 1", "4 more notifications: door 3, yard 1", "info"),
    ]


def test_text_from_outside_is_cleaned(server: WebhookServer) -> None:
    evil = SPEED.model_copy(update={"text": "\x1b[31mrtsp://me:hunter2@h/x {camera.__class__}"})
    phone(server, text="{text}").deliver(Notice("k", an_alert(reasons=(evil,))), late=False)
    message = server.received[0].json["message"]
    assert "\x1b" not in message
    assert "hunter2" not in message
    assert "{camera.__class__}" in message, "it is no template"


def test_a_failure_names_the_reason_but_not_the_secret(server: WebhookServer, logged: list[str]) -> None:
    phone(server).deliver(ALERT, late=False)
    server.status = 403
    with pytest.raises(DeliveryError, match=r"the service does not take it \([^()]*\w\): check the addr") as caught:
        phone(server).deliver(ALERT, late=False)
    assert "403" in str(caught.value)
    assert "hunter2" not in str(caught.value) + "".join(logged)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")], "it would go on"
    with WebhookServer() as gone:
        receiver = phone(gone)
    with pytest.raises(DeliveryError, match="the service cannot be reached, or does not answer: check its host"):
        receiver.deliver(ALERT, late=False)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("A Connection error occured sending SMS notification to ***.", "cannot be reached, or does not answer: "),
        ("A connection timeout occurred sending RSyslog notification.", "cannot be reached, or does not answer: "),
        ("Failed to send (bad token).", "the service does not take it (Failed to send [bad token]): check"),
        ("Failed, error=403. ", "the service does not take it (Failed, error=403): check the address, its token"),
    ],
)
def test_who_refuses_is_told_from_who_is_away(
    server: WebhookServer, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    receiver = phone(server)

    def refuse(**_: object) -> bool:
        logging.getLogger("apprise").warning(said)
        return False

    monkeypatch.setattr(receiver._service, "notify", refuse)
    with pytest.raises(DeliveryError) as caught:
        receiver.deliver(ALERT, late=False)
    assert told in str(caught.value)


def test_a_receiver_that_hangs_is_bounded(server: WebhookServer) -> None:
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        server.hang(handler)

    server.answer = slowly
    receiver = AppriseReceiver("p", NotifySettings(url=f"{url(server)}?cto=1&rto=1"), "lab")
    with pytest.raises(DeliveryError):
        receiver.deliver(ALERT, late=False)
    receiver.interrupt()
    with pytest.raises(DeliveryError, match="the run ends"):
        receiver.deliver(ALERT, late=False)


@pytest.mark.parametrize("wrong", ["nonsense", "nonsense://hunter2", "", "http://", "tgram://hunter2"])
def test_an_unknown_address_is_one_sentence(wrong: str, logged: list[str]) -> None:
    with pytest.raises(
        ConfigError, match=r"^\[notify.phone\] url is no address that Apprise understands: look up"
    ) as e:
        AppriseReceiver("phone", NotifySettings(url=wrong), "lab")
    assert "hunter2" not in str(e.value) + "".join(logged)
    config = MonitorConfig.model_validate({"notify": {"phone": {"url": wrong}}})
    (finding,) = check_receivers(config, send=False)
    assert finding.state is State.PROBLEM
    assert finding.found == "[notify.phone] url is no address that Apprise understands"
    assert text_line(finding).endswith(f"look up how to write it at {WIKI}")
    both = {"phone": {"url": wrong}, "desk": {"url": "json://127.0.0.1:9/"}}
    states = {
        each.name: each.state for each in check_receivers(MonitorConfig.model_validate({"notify": both}), send=False)
    }
    assert states == {"notify.phone": State.PROBLEM, "notify.desk": State.OK}


def test_the_doctor_sends_a_test_message_only_on_request(server: WebhookServer) -> None:
    config = MonitorConfig.model_validate({"node": "lab", "notify": {"phone": {"url": url(server)}}})
    (finding,) = check_receivers(config, send=False)
    assert (finding.state, server.received) == (State.OK, [])
    (finding,) = check_receivers(config, send=True)
    assert (finding.state, finding.found) == (State.OK, "the service has taken a test message")
    assert server.received[0].json["message"] == "A test message of the doctor of lab"
    server.status = 500
    (finding,) = check_receivers(config, send=True)
    assert finding.state is State.PROBLEM
    assert "hunter2" not in finding.found + finding.mend
    assert finding.mend == "check the address, its token, and that the service is up"


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch, server: WebhookServer) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(
        ConfigError, match=r"^\[notify.phone\] needs Apprise: run `.*python\S* -m pip install apprise`$"
    ):
        phone(server)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text": "{camera.__class__}"}, "unknown field '{camera.__class__}': fields are camera, what"),
        ({"text": "{camera:>9999999}"}, "unknown field"),
        ({"text": "{"}, "is not a template"),
        ({"text": ""}, "at least 1 character"),
        ({"title": "{0}"}, "unknown field '{0}'"),
        ({"quiet": ["night"]}, "'night' is no time of the week: write 22:00-07:00"),
        ({"per_camera": {"door": {"quiet": ["x"]}}}, "is no time of the week"),
        ({"health": ["online"]}, "should be 'connecting', 'frozen'"),
        ({"alerts": False, "health": []}, "nothing would ever be sent"),
        ({"at_most": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        NotifySettings(**({"url": "json://hunter2"} | changes))
    (error,) = caught.value.errors(include_input=False)
    assert sentence in error["msg"]
