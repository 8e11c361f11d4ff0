"""Every sink fulfils the contract of sinks, and leaves no thread and no file descriptor behind."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from rich.console import Console

from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.app.camera_control import CameraControl
from monitor.app.changed_run import ChangedRun, FleetCameras
from monitor.app.choice_store import ChoiceStore
from monitor.app.config import MonitorConfig
from monitor.app.demo import DemoJudge
from monitor.app.engines.engine_wire import Wire
from monitor.app.engines.front import Front
from monitor.app.engines.front_previews import FrontPreviews
from monitor.app.engines.local_placement import LocalPlacement
from monitor.app.engines.relay_sink import RelaySink
from monitor.delivery.ledger import Ledger
from monitor.delivery.mqtt_commands import Controls
from monitor.delivery.mqtt_link import MqttLink
from monitor.delivery.mqtt_live_sink import MqttLiveSink
from monitor.delivery.mqtt_receiver import MqttReceiver
from monitor.delivery.mqtt_settings import MqttSettings
from monitor.delivery.mqtt_topics import Topics
from monitor.delivery.outbox_sink import Outbox
from monitor.learning.calibration_store import CalibrationStore
from monitor.learning.growing import Growing, GrowingPlan
from monitor.live.fleet import Fleet
from monitor.live.pipeline import Pipeline
from monitor.live.sink import Sink
from monitor.sinks.calibration_sink import CalibrationSink
from monitor.sinks.dashboard.screen import Dashboard, RunTitle
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.evidence.evidence_sink import EvidenceSink
from monitor.sinks.growing_sink import GrowingSink
from monitor.sinks.log_sink import LogSink
from monitor.sinks.metrics.metrics_settings import MetricsSettings
from monitor.sinks.metrics.metrics_sink import MetricsSink
from monitor.sinks.moments.moments_settings import MomentsSettings
from monitor.sinks.moments.moments_sink import MomentsSink
from monitor.sinks.normal.normal_settings import NormalSettings
from monitor.sinks.normal.normal_sink import NormalSink
from monitor.sinks.previews.preview_sink import PreviewSink
from monitor.sinks.publish_sink import PublishSink
from monitor.sinks.score_record import Recorder
from monitor.sinks.service_manager import ServiceManagerSink
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.stream.schedule_settings import ScheduleSettings
from monitor.teaching.teacher import Teacher
from monitor.teaching.verdict_store import VerdictStore
from monitor.testing.receivers import ScriptedReceiver
from monitor.testing.sink_contract import SINK_CHECKS, SinkCheck

ANY = "tcp://127.0.0.1:*"


@contextmanager
def plain(sink: Sink) -> Iterator[Sink]:
    yield sink


@contextmanager
def publishing(folder: Path) -> Iterator[Sink]:
    with Journal(folder / "journal.sqlite3") as journal, Publisher(ANY, ANY, ANY, journal=journal) as publisher:
        yield PublishSink(publisher)


@contextmanager
def showing(_: Path) -> Iterator[Sink]:
    with Publisher(ANY, ANY) as publisher, PreviewSink(publisher) as previews:
        yield previews


@contextmanager
def controlling(folder: Path) -> Iterator[Sink]:
    settings = MonitorConfig()
    cameras = FleetCameras(Fleet(Pipeline()), lambda: settings)
    yield CameraControl(ChangedRun(ChoiceStore(folder / "choices.json"), cameras, lambda: settings, None))


@contextmanager
def showing_of_engines(_: Path) -> Iterator[Sink]:
    front = Front(LocalPlacement(), lambda *_: None, (), {})
    with Publisher(ANY, ANY) as publisher:
        yield FrontPreviews(front, publisher, lambda *_: None)


@contextmanager
def delivering(folder: Path) -> Iterator[Sink]:
    with (
        Journal(folder / "journal.sqlite3") as journal,
        Ledger(folder / "outbox.sqlite3") as ledger,
        Outbox(journal, ledger, [ScriptedReceiver()], stop=threading.Event()) as outbox,
    ):
        yield outbox


@contextmanager
def teaching(folder: Path) -> Iterator[Sink]:
    with VerdictStore(folder / "taught.sqlite3") as store:
        yield Teacher(store, Fleet(Pipeline()), CalibrationStore(folder / "calibrations"))


@contextmanager
def over_mqtt(_: Path) -> Iterator[Sink]:
    """States for a broker that is not there."""
    settings, topics = MqttSettings(host="127.0.0.1", port=1), Topics("base", "homeassistant")
    controls = Controls(lambda *_: False, lambda _: 1.0, lambda _: True)
    with MqttLink(settings, topics, "test") as link:
        receiver = MqttReceiver(link, topics, controls.armed, picture=True, keep_s=1.0)
        with MqttLiveSink(settings, topics, link, receiver, controls, "node-1") as sink:
            yield sink


@contextmanager
def relaying(_: Path) -> Iterator[Sink]:
    """To a run that takes nothing for now."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield RelaySink(Wire(ours), lambda _: (), lambda: (0, (), ()), lambda _: ())


def _never(plan: GrowingPlan) -> NoReturn:
    raise AssertionError(f"no version of {plan.camera} was written")


def dashboard() -> Dashboard:
    console = Console(file=io.StringIO(), width=100, height=30, force_terminal=True)
    return Dashboard(console, RunTitle("node-1", "cpu", "street@01234567", ANY, 1.0))


SINKS: dict[str, Callable[[Path], AbstractContextManager[Sink]]] = {
    "interface": lambda _: plain(Sink()),
    "publish": publishing,
    "outbox": delivering,
    "previews": showing,
    "previews of engines": showing_of_engines,
    "camera control": controlling,
    "mqtt": over_mqtt,
    "teacher": teaching,
    "log": lambda _: plain(LogSink(every_s=0.1)),
    "record": lambda folder: Recorder(folder / "scores.jsonl", folder / "alerts.jsonl", sort=True),
    "demo": lambda _: plain(DemoJudge(SyntheticScene(duration_s=10.0))),
    "dashboard": lambda _: dashboard(),
    "relay": relaying,
    "service manager": lambda folder: ServiceManagerSink({"NOTIFY_SOCKET": str(folder / "gone")}),
    "metrics": lambda _: MetricsSink(MetricsSettings(listen="127.0.0.1:0"), node="node-1", version="1.0"),
    "calibration": lambda folder: CalibrationSink(CalibrationStore(folder / "calibrations")),
    "moments": lambda folder: MomentsSink(folder / "moments", MomentsSettings(), lambda _: ScheduleSettings()),
    "normal": lambda folder: NormalSink(
        folder / "normal", NormalSettings(), lambda _: ScheduleSettings(), lambda _: ""
    ),
    "growing": lambda folder: GrowingSink(Growing(folder, _never), lambda _: GrowingPlan("a", folder, (160, 96))),
    "evidence": lambda folder: EvidenceSink(
        EvidenceSettings(enabled=True, folder=folder / "evidence"), stop=threading.Event()
    ),
}


@pytest.mark.parametrize("name", SINKS)
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_every_sink_keeps_the_contract(name: str, check: SinkCheck, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with SINKS[name](tmp_path) as sink:
        check(sink)
        if isinstance(sink, EvidenceSink):
            assert sink.dropped == 0
    assert not [thread.name for thread in threading.enumerate() if thread not in before and thread.is_alive()]


def test_every_sink_of_the_product_is_in_the_suite() -> None:
    def below(kind: type[Sink]) -> Iterator[type[Sink]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    known = {PublishSink, LogSink, Recorder, DemoJudge, Dashboard, EvidenceSink, MetricsSink, ServiceManagerSink}
    known |= {CalibrationSink, GrowingSink, Outbox, MqttLiveSink, MomentsSink, Teacher, PreviewSink, CameraControl}
    known |= {NormalSink}
    known |= {RelaySink, FrontPreviews}
    product = {kind for kind in below(Sink) if kind.__module__.startswith(("monitor.", "training."))}
    assert {kind for kind in product if not kind.__module__.startswith("monitor.testing")} == known
    assert len(known) == len(SINKS) - 1
