"""MQTT with a real broker: discovery, birth, will, events, restarts, wrong passwords and TLS."""

from __future__ import annotations

import gc
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.app.config import MonitorConfig
from monitor.app.deliveries import open_deliveries
from monitor.app.doctor.delivery_check import check_receivers
from monitor.app.doctor.finding_report import State
from monitor.delivery.mqtt_settings import MqttSettings
from monitor.errors import ConfigError
from monitor.judging.alarm_rate import rate_of
from monitor.live.sink import Sink
from monitor.promise import DAY_S
from monitor.reports import CameraReport, RunReport
from monitor.states import AlertEvent, CameraState, Phase
from monitor.testing.mosquitto import PROGRAM, Mosquitto, Observer
from monitor.testing.sink_contract import report_of
from tests.helpers.publishing import ANY, START, publish_alert
from tests.helpers.ticking import Ticking

needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed (apt-get install mosquitto)")
pytestmark = needs_mosquitto
END = AlertEvent(1, Phase.END, 10.0, 12.0, score=0.5, peak_score=1.5, peak_s=10.5, notify=True)
JPEG = b"\xff\xd8 a picture"
WRONG, RIGHT = {"user": "me", "password": "hunter2"}, {"user": "me", "password": "right one"}


class Running(Ticking):
    """A monitor's journal, publisher and deliveries; ``tick`` is its main loop."""

    def __init__(self, folder: Path, port: int, **mqtt: Any) -> None:
        settings = {"host": "127.0.0.1", "port": port} | mqtt
        super().__init__()
        self.config = MonitorConfig.model_validate({"node": "lab", "mqtt": settings})
        self.folder = folder
        self.cameras: list[CameraReport] = [report_of("door")]
        self.sinks: list[Sink] = []

    def __enter__(self) -> Running:
        with ExitStack() as stack:
            journal = stack.enter_context(Journal(self.folder / "journal.sqlite3"))
            self.publisher = stack.enter_context(Publisher(ANY, ANY, ANY, journal=journal))
            self.sinks = open_deliveries(self.config, journal, stack, stop=self.stop)
            self.stack = stack.pop_all()
        return self

    def tick(self) -> None:
        for sink in self.sinks:
            sink.tick(RunReport(1.0, 0, tuple(self.cameras)))

    def ready(self, observer: Observer) -> None:
        """Tick until the camera is announced and its states are there."""
        self.until(lambda: b"ON" in (observer.last.get("truesight/door/armed") or b""), "the camera's states")


def events(observer: Observer) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in observer.of("truesight/door/event")]


def test_a_camera_is_announced_with_its_states_and_an_event(
    tmp_path: Path, broker: Mosquitto, observer: Observer
) -> None:
    with Running(tmp_path, broker.port) as run:
        run.ready(observer)
        assert observer.last["truesight/status"] == b"online"
        config = json.loads(observer.last["homeassistant/device/truesight_door/config"])
        assert config["device"]["identifiers"] == ["truesight_door"]
        assert "running" in json.loads(observer.last["homeassistant/device/truesight/config"])["components"]
        named = {
            value
            for part in config["components"].values()
            for key, value in part.items()
            if key in ("state_topic", "json_attributes_topic")
        } - {"truesight/door/event"}
        run.until(lambda: named <= observer.last.keys(), "every announced topic has a state")
        assert observer.last["truesight/door/score"] == b"0.30"
        assert observer.last["truesight/door/connected"] == b"ON"
        assert observer.last["truesight/door/last_alert"] == b"None"
        start = publish_alert(run.publisher, "door", START, JPEG)
        publish_alert(run.publisher, "door", END, JPEG)
        run.until(lambda: len(events(observer)) == 2, "both events")
        first, second = events(observer)
        assert (first["event_type"], first["phase"], first["late"], first["armed"]) == ("anomaly", "start", False, True)
        assert first["id"] == f"{start.event_id}:start"
        assert (second["event_type"], second["id"]) == ("ended", f"{start.event_id}:end")
        assert observer.last["truesight/door/snapshot"] == JPEG
        run.until(lambda: observer.last["truesight/door/alerts_today"] == b"1", "the count")
        run.until(lambda: observer.last["truesight/door/last_alert"] == b"2017-07-14T02:40:00+00:00", "the last alert")
    observer.await_payload("truesight/status", b"offline")
    with Observer(broker.port) as late:
        late.await_payload("truesight/status", b"offline")
        late.wait_for(lambda: "homeassistant/device/truesight_door/config" in late.last, "the retained config")
        assert "truesight/door/event" not in late.last, "events are not retained"
        assert late.last["truesight/door/snapshot"] == JPEG


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[tuple[Mosquitto, Observer]]:
    """A broker that can be restarted, and an observer that misses nothing meanwhile."""
    with Mosquitto(tmp_path, keeps=True) as broker, Observer(broker.port, keeps=True) as observer:
        yield broker, observer


def test_home_assistant_s_birth_brings_everything_again(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    topic = "homeassistant/device/truesight_door/config"
    with Running(tmp_path, broker.port) as run:
        run.ready(observer)
        before = len(observer.of(topic))
        observer.publish("homeassistant/status", "online")
        run.until(lambda: len(observer.of(topic)) > before, "announced again")
        assert len(observer.of("truesight/door/armed")) >= 2


def test_a_killed_monitor_is_offline(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    run = Running(tmp_path, broker.port)
    with run:
        run.ready(observer)
        live: Any = run.sinks[1]
        live._link._client._sock_close()  # the connection breaks without a goodbye
        observer.wait_for(lambda: b"offline" in observer.of("truesight/status"), "the last will")
        run.until(lambda: observer.of("truesight/status")[-1] == b"online", "it connects again")


def test_a_camera_that_is_removed_disappears(
    tmp_path: Path, broker: Mosquitto, observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.delivery.mqtt_live_sink.GONE_AFTER_S", 0.2)
    topics = ["homeassistant/device/truesight_yard/config", "truesight/yard/armed", "truesight/yard/score"]
    with Running(tmp_path, broker.port) as run:
        run.cameras = [report_of("door"), report_of("yard")]
        run.until(lambda: all(observer.last.get(topic) for topic in topics), "both cameras")
        run.cameras = [report_of("door")]
        run.until(lambda: not any(observer.last[topic] for topic in topics), "yard is gone")
        run.cameras = [report_of("door"), report_of("yard")]
        run.until(lambda: all(observer.last.get(topic) for topic in topics), "yard is back")
    # It leaves the config while no monitor runs.
    with Running(tmp_path, broker.port) as run:
        run.until(lambda: not any(observer.last[topic] for topic in topics), "yard is gone")
        run.ready(observer)
    assert json.loads(observer.last["truesight/cameras"]) == ["door"]


def test_cameras_whose_names_look_alike_do_not_replace_each_other(
    tmp_path: Path, broker: Mosquitto, observer: Observer
) -> None:
    names = ["front.door", "front-dot-door"]
    former = "homeassistant/device/truesight_front-dot-door/config"
    observer.publish(former, "an announcement of a version before", retain=True)

    def announced() -> set[str]:
        configs = [payload for topic, payload in observer.last.items() if topic.endswith("/config")]
        return {json.loads(payload)["device"]["name"] for payload in configs if payload.startswith(b"{")}

    with Running(tmp_path, broker.port) as run:
        run.cameras = [report_of("front-dot-door")]
        run.until(lambda: observer.last[former] == b"", "what its former id announced is removed")
        run.cameras = [report_of(name) for name in names]
        run.until(lambda: announced() == {*names, "True Sight lab"}, "both cameras")
        before = len(observer.of(former))
        observer.publish("homeassistant/status", "online")
        run.until(lambda: len(observer.of(former)) > before, "announced again")
        assert json.loads(observer.last[former])["device"]["name"] == "front.door"


def test_the_restart_of_the_broker_loses_nothing(tmp_path: Path, keeping: tuple[Mosquitto, Observer]) -> None:
    broker, observer = keeping
    with Running(tmp_path, broker.port) as run:
        run.ready(observer)
        before = publish_alert(run.publisher, "door")
        run.until(lambda: len(events(observer)) == 1, "the first event")
        broker.stop()
        later = [AlertEvent(n, Phase.START, 1.0, None, 1.2, 1.5, 1.0, notify=True) for n in range(2, 12)]
        missed = [publish_alert(run.publisher, "door", event) for event in later]
        for _ in range(20):
            run.tick()
        broker.start()
        run.until(lambda: len(events(observer)) >= 11, "all events")
        run.until(lambda: observer.of("truesight/status")[-1] == b"online", "online again")
        run.until(lambda: observer.last["truesight/door/alerts_today"] == b"11", "the count")
    wanted = [f"{alert.event_id}:start" for alert in (before, *missed)]
    # The observer gets an event again if the broker had not yet seen that it came.
    assert list(dict.fromkeys(event["id"] for event in events(observer))) == wanted


def test_the_restart_of_the_monitor_sends_the_rest_as_late(
    tmp_path: Path, keeping: tuple[Mosquitto, Observer], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, observer = keeping
    monkeypatch.setattr("monitor.delivery.courier.LATE_S", -1.0)
    with Running(tmp_path, broker.port) as run:
        run.ready(observer)
        broker.stop()
        alert = publish_alert(run.publisher, "door")
    broker.start()
    with Running(tmp_path, broker.port) as run:
        run.until(lambda: len(events(observer)) >= 2, "the event, and the end of what a killed run left open")
    assert [event["id"] for event in events(observer)] == [f"{alert.event_id}:start", f"{alert.event_id}:end"]
    assert all(event["late"] for event in events(observer))


def test_a_lost_camera_has_no_score_but_a_connection(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    with Running(tmp_path, broker.port) as run:
        run.cameras = [
            report_of("door", CameraState.OFFLINE, "rtsp://u:hunter2@h/x does not answer", score=float("nan"))
        ]
        run.ready(observer)
        run.until(lambda: observer.last.get("truesight/door/connected") == b"OFF", "unconnected")
        assert observer.last["truesight/door/available"] == b"offline"
        assert observer.last["truesight/door/score"] == b"None"
        details = json.loads(observer.last["truesight/door/details"])
        assert details["state"] == "offline"
        assert not any(b"hunter2" in payload for _, payload, _ in observer.got)


def test_the_measured_budget_is_published_rarely_and_only_if_it_means_something(
    tmp_path: Path, broker: Mosquitto, observer: Observer
) -> None:
    with Running(tmp_path, broker.port) as run:
        live: Any = run.sinks[1]

        def watched(alarms: int, seconds: float, now: float) -> bytes:
            promise = rate_of(alarms, seconds, 1.0)
            return str(live._measured_now(report_of("door", promise=promise), now)).encode()

        assert watched(0, 10.0, 0.0) == watched(1, 3600.0, 1.0) == b"None"
        assert watched(9, 3600.0, 2.0) == b"216.00", "the budget is broken"
        assert watched(3, 2 * DAY_S, 3.0) == b"1.50"
        assert [watched(3, 2 * DAY_S + 3600 * n, 3.0 + n) for n in range(60)] == [b"1.50"] * 60
        assert watched(3, 3 * DAY_S, 63.0) == b"1.00", "a minute is over"
        assert watched(6, 3 * DAY_S, 64.0) == b"2.00", "an alarm"
        for seconds in (10.0, 20.0, 30.0, 40.0):
            run.cameras = [report_of("door", promise=rate_of(0, seconds, 1.0), score=seconds)]
            run.until(lambda: observer.last.get("truesight/door/score") == f"{seconds:.2f}".encode(), "a round")  # noqa: B023
    assert observer.of("truesight/door/budget") == [b"None"]


def test_without_discovery_nothing_is_announced(tmp_path: Path, broker: Mosquitto, observer: Observer) -> None:
    with Running(tmp_path, broker.port, discovery=False, base="barn", picture=False) as run:
        run.until(lambda: "barn/door/armed" in observer.last, "its states")
        publish_alert(run.publisher, "door", START, JPEG)
        run.until(lambda: bool(observer.of("barn/door/event")), "the event")
    assert not [topic for topic, _, _ in observer.got if topic.startswith(("homeassistant", "truesight"))]
    assert "barn/door/snapshot" not in observer.last


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_wrong_password_is_named(tmp_path: Path, protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    with Mosquitto(tmp_path, login=("me", "right one")) as broker:
        with Running(tmp_path, broker.port, protocol=protocol, **WRONG) as run:
            publish_alert(run.publisher, "door")
            run.until(lambda: "refuses user and password" in caplog.text, "the reason")
            (finding,) = check_receivers(run.config, send=False)
            assert finding.state is State.PROBLEM
            assert (finding.found.split(" ", 1)[1], finding.mend) == (
                "refuses user and password",
                "correct user and password in [mqtt]",
            )
        set_up: Callable[[Any], object] = lambda client: client.username_pw_set("me", "right one")  # noqa: E731
        with (
            Observer(broker.port, set_up=set_up) as observer,
            Running(tmp_path, broker.port, protocol=protocol, **RIGHT) as run,
        ):
            run.until(lambda: len(events(observer)) >= 1, "the event of the run before")
            assert [finding.state for finding in check_receivers(run.config, send=True)] == [State.OK]
            observer.wait_for(lambda: "truesight/test" in observer.last, "the doctor's message")
            assert observer.last["truesight/status"] == b"online", "the doctor leaves no trace"
    assert "hunter2" not in caplog.text


def test_tls_with_a_certificate_of_your_own(tmp_path: Path) -> None:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    server.cert_chain_pems[0].write_to_path(str(tmp_path / "server.pem"))
    client = authority.issue_cert("monitor.example")
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    lines = f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\n"
    mine = {"tls": True, "ca": tmp_path / "ca.pem", "cert": tmp_path / "client.pem", "key": tmp_path / "client.key"}
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    context.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
    with (
        Mosquitto(tmp_path, tls=f"{lines}require_certificate true") as broker,
        Observer(broker.port, set_up=lambda each: each.tls_set_context(context)) as observer,
        Running(tmp_path, broker.port, **mine) as run,
    ):
        run.ready(observer)
        assert [finding.state for finding in check_receivers(run.config, send=False)] == [State.OK]
        unknown = Running(tmp_path, broker.port, tls=True).config
        (finding,) = check_receivers(unknown, send=False)
        assert "has a certificate that cannot be checked" in finding.found
        assert finding.mend == "set ca to the certificate of the authority that signed it"
        plain = Running(tmp_path, broker.port).config
        (finding,) = check_receivers(plain, send=False)
        assert finding.found.endswith("answers with TLS, and not with plain MQTT")
        assert finding.mend == "set tls = true in [mqtt]"


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho-mqtt leaves it to the collector
def test_tls_to_a_port_without_it_is_named(tmp_path: Path, broker: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    with Running(tmp_path, broker.port, tls=True) as run:
        (finding,) = check_receivers(run.config, send=False)
        assert finding.found.endswith("answers, but not with TLS")
        assert finding.mend == "set tls = false in [mqtt], or port to the one for TLS"
        publish_alert(run.publisher, "door")
        run.until(lambda: "answers, but not with TLS: set tls = false" in caplog.text, "also the run says so")
    del run
    gc.collect()


def test_a_broker_that_is_not_there_delays_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    broker.stop()
    with Running(tmp_path, broker.port) as run:
        began = time.monotonic()
        for _ in range(200):
            publish_alert(run.publisher, "door")
            run.tick()
        took_s = time.monotonic() - began
        (finding,) = check_receivers(run.config, send=False)
        assert finding.found.endswith("refuses the connection")
    assert took_s < 20, "a slow broker would take 5 s per event"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"user": "me"}, "host is missing"),
        ({"host": "h", "password": "hunter2"}, "password needs user"),
        ({"host": "h", "ca": "x"}, "need tls = true"),
        ({"host": "h", "tls": True, "cert": "x"}, "cert and key belong together"),
        ({"host": "mqtt://me:hunter2@h"}, "should match pattern"),
        ({"host": "h", "base": "a/b"}, "should match pattern"),
    ],
)
def test_a_wrong_setting_is_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        MqttSettings(**given)
    error = caught.value
    assert "hunter2" not in str(getattr(error, "errors")(include_input=False, include_context=False))  # noqa: B009


def test_bad_files_of_certificates_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[mqtt\] cannot use the certificates in none.pem"):
        Running(tmp_path, 1, tls=True, ca="none.pem").__enter__()
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"bad.pem .*: name PEM files"):
        Running(tmp_path, 1, tls=True, cert=tmp_path / "bad.pem", key=tmp_path / "bad.pem").__enter__()
