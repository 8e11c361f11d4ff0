"""What engines tell reaches the run's sinks, each step of an event exactly once, whatever happens to the engines."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from monitor.app.engines.carried_sources import CarriedSource
from monitor.app.engines.engine_messages import (
    Ack,
    Answer,
    Call,
    Finished,
    HealthTold,
    Lease,
    Left,
    LogLine,
    Ready,
    Refused,
    Task,
    Tick,
)
from monitor.app.engines.engine_wire import Wire
from monitor.app.engines.far_stores import VERDICTS
from monitor.app.engines.front import LONGEST_SILENT_S, MOST_CRASHES, SILENT_S, SOON_S, Front
from monitor.app.engines.placement import Ended
from monitor.app.engines.relay_sink import RelaySink
from monitor.errors import ModelError, RunError
from monitor.judging.alarm_rate import rate_of
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.live.sink import Sink
from monitor.reports import CameraReport, RunReport
from monitor.sinks.budget_news import BudgetNews, BudgetNewsItem
from monitor.states import CameraState, Phase
from monitor.testing.fakes import LevelSource, monitor_of
from monitor.testing.scripted import Clock
from monitor.testing.sink_contract import report_of
from tests.helpers.bright_events import BRIGHT, CALM, levels

EVENT = levels((2.0, CALM), (3.0, BRIGHT), (4.0, CALM))


class News:
    """What would be published of the budgets."""

    def __init__(self) -> None:
        self.alarms: list[int] = []
        self.seconds: list[float] = []
        self._news = BudgetNews()

    def take(self, report: RunReport) -> None:
        for camera in report.cameras:
            if camera.promise is not None:
                self._keep([self._news.take(camera.name, camera.promise, report.elapsed_s)])

    def rest(self, camera: str) -> None:
        self._keep([item for _, item in self._news.take_rest(camera)])

    def _keep(self, items: Sequence[BudgetNewsItem | None]) -> None:
        self.alarms += [item.added_alarms for item in items if item is not None]
        self.seconds += [item.added_s for item in items if item is not None]


@dataclass
class Heard(Sink):
    """A sink of the run that keeps what it hears."""

    scores: list[float] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    states: list[CameraReport] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    ticks: list[RunReport] = field(default_factory=list)
    news: News | None = None

    def added(self, monitor: CameraMonitor) -> None:
        self.joined.append(monitor.camera)

    def score(self, judgement: Judgement) -> None:
        self.scores.append(judgement.scored.frame.time_s)

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002
        self.alerts.append(alert)

    def health(self, report: CameraReport) -> None:
        self.states.append(report)

    def removed(self, camera: str) -> None:
        self.gone.append(camera)

    def tick(self, report: RunReport) -> None:
        self.ticks.append(report)
        if self.news is not None:
            self.news.take(report)

    @property
    def steps(self) -> list[tuple[int, Phase]]:
        return [(alert.event.number, alert.event.phase) for alert in self.alerts]


def carried(message: object) -> object:
    """The message as the other end of a socket gets it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender, receiver = Wire(ours), Wire(theirs)
        sender.send(message)
        (received,) = receiver.receive()
    return received


class Lab:
    """A front with engines that a test plays. It is the placement, and starts what the front asks for."""

    def __init__(self, *cameras: str, live: bool = True, engines: int = 1) -> None:
        self.clock, self.heard = Clock(), Heard()
        self.started: list[tuple[int, list[str], Sequence[Lease], bool]] = []
        self.sent: list[tuple[int, object]] = []
        self._told: list[tuple[int, object]] = []
        self.stores: dict[str, object] = {}
        self.works = True
        self.asked: list[int] = []
        self.restarted: list[str] = []
        self.restart: Callable[[str], None] = self.restarted.append
        self.front = Front(
            self,
            self._begin,
            [self.heard],
            self.stores,
            restarted=lambda camera: self.restart(camera),
            clock=self.clock,
        )
        sources = [CarriedSource(LevelSource(name, [CALM], live=live)) for name in cameras]
        self.front.start(sources, engines, {})

    def _begin(self, number: int, sources: Sequence[CarriedSource], leases: Sequence[Lease], again: bool) -> None:
        self.started.append((number, [each.inner.name for each in sources], leases, again))

    def say(self, engine: int, *messages: object) -> None:
        """An engine has sent these messages, as they come over its socket."""
        self._told += [(engine, carried(message)) for message in messages]
        self.front.pump(0.0)

    def watch(self, engine: int, frames: int | None = None, *, end: bool = True) -> RelaySink:
        """An engine begins, and judges the first frames of an event; end: and closes it."""
        relay = RelaySink(
            Said(self, engine),
            lambda _: ("clip.mp4",),
            lambda: (0, ("m",), ("cpu",)),
            lambda _: (),
            normal_at=lambda _: 1.5e9,
        )
        number, cameras, leases, _ = next(each for each in self.started if each[0] == engine)
        relay.lease(leases)
        self.say(number, Ready(0))
        for camera in cameras:
            monitor = monitor_of(camera)
            monitor.count_from(next(lease.events for lease in leases if lease.camera == camera))
            relay.added(monitor)
            for scored in EVENT[:frames]:
                judgement = monitor.update(replace(scored, frame=replace(scored.frame, camera=camera)))
                relay.score(judgement)
                for alert in judgement.alerts:
                    relay.alert(alert, report_of(camera))
            for alert in monitor.close() if end else ():
                relay.alert(alert, report_of(camera))
        relay.tick(RunReport(1.0, 3, tuple(report_of(camera) for camera in cameras)))
        return relay

    # The placement

    def start(self, task: Task) -> None:  # noqa: ARG002
        raise AssertionError("the session starts engines")

    def send(self, engine: int, message: object) -> None:
        self.sent.append((engine, message))

    def receive(self, timeout_s: float) -> list[tuple[int, object]]:  # noqa: ARG002
        told, self._told = self._told, []
        return told

    def at_work(self, engine: int) -> bool:
        self.asked.append(engine)
        return self.works

    def kill(self, engine: int) -> None:
        self.say(engine, Ended("SIGKILL"))

    def close(self) -> None:
        pass


@dataclass
class Said:
    """The wire of an engine that a test plays."""

    lab: Lab
    engine: int

    def send(self, message: object, *, droppable: bool = False) -> None:  # noqa: ARG002
        self.lab.say(self.engine, message)

    def flush(self) -> None:
        pass


WHOLE = [(1, Phase.START), (1, Phase.UPDATE), (1, Phase.UPDATE), (1, Phase.END)]


def test_the_sinks_hear_what_they_would_hear_in_one_process() -> None:
    lab = Lab("door")
    lab.watch(1)
    assert lab.heard.joined == ["door"]
    assert lab.heard.scores == [scored.frame.time_s for scored in EVENT]
    first, last = lab.heard.alerts[0], lab.heard.alerts[-1]
    assert (first.event.phase, last.event.phase) == (Phase.START, Phase.END)
    assert first.scale.names == ("brightness",)
    assert first.jpeg is not None  # type: ignore[attr-defined]
    assert first.evidence == ("clip.mp4",)  # type: ignore[attr-defined]
    assert first.normal_at == 1.5e9  # type: ignore[attr-defined]
    assert first.snapshot.frame.image.size == 3, "no picture is carried"
    assert lab.front.begun
    lab.front.tick()
    assert [camera.name for camera in lab.heard.ticks[0].cameras] == ["door"]
    assert lab.heard.ticks[0].queue_depth == 3
    assert lab.front.models == (["m"], ["cpu"])
    acks = [message for _, message in lab.sent if isinstance(message, Ack)]
    assert [ack.seq for ack in acks] == list(range(1, len(lab.heard.alerts) + 1)), "each step is acknowledged"


def test_a_live_camera_of_a_killed_engine_goes_on_in_another_and_its_open_event_ends() -> None:
    lab = Lab("door", "yard")
    lab.watch(1, 45, end=False)
    begun = len(lab.heard.alerts)
    lab.kill(1)
    assert lab.heard.steps[begun:] == [(1, Phase.END), (1, Phase.END)]
    assert [(state.name, state.state) for state in lab.heard.states] == [
        ("door", CameraState.OFFLINE),
        ("yard", CameraState.OFFLINE),
    ]
    assert "SIGKILL" in lab.heard.states[0].detail
    assert lab.restarted == ["door", "yard"], "what was counted is published"
    lab.front.tick()
    number, cameras, leases, again = lab.started[-1]
    assert (number, cameras, again) == (2, ["door", "yard"], True)
    assert all(lease.events == 1 and lease.seq == begun / 2 + 1 for lease in leases)
    lab.watch(2)
    assert {number for number, _ in lab.heard.steps[begun + 2 :]} == {2}, "the numbers of events go on"


def test_a_file_of_a_killed_engine_gives_each_score_and_each_step_once() -> None:
    whole = Lab("file", live=False)
    whole.watch(1)
    lab = Lab("file", live=False)
    lab.watch(1, 60, end=False)
    assert lab.heard.steps
    assert lab.heard.steps[-1][1] is not Phase.END
    lab.kill(1)
    lab.front.tick()
    lab.watch(2)
    assert lab.heard.steps == whole.heard.steps
    assert lab.heard.scores == whole.heard.scores
    assert lab.heard.joined == whole.heard.joined


def test_a_file_that_has_ended_is_watched_again_unless_every_frame_of_it_was_judged() -> None:
    for done, again in ((frozenset[str](), [["file"]]), (frozenset({"file"}), [])):
        lab = Lab("file", live=False)
        lab.say(1, Ready(0), Tick(0, (report_of("file", CameraState.ENDED),), {}, 0, (), (), done))
        lab.kill(1)
        lab.front.tick()
        assert [cameras for _, cameras, _, _ in lab.started[1:]] == again


@pytest.mark.parametrize("live", [True, False])
def test_what_is_counted_of_a_camera_s_alarms_is_published_once_although_its_engine_was_killed(live: bool) -> None:
    def counting(lab: Lab, engine: int, alarms: int, seconds: float) -> None:
        rate = rate_of(alarms, seconds, 1.0, alarms, seconds)
        report = report_of("cam", promise=rate)
        lab.say(engine, HealthTold(report), Tick(0, (report,), {}, 0, (), ()))
        lab.clock.now += 600.0
        lab.front.tick()

    lab, news = Lab("cam", live=live), News()
    lab.heard.news = news
    lab.restart = news.rest
    lab.say(1, Ready(0))
    for engine, alarms, seconds in ((1, 0, 10.0), (1, 2, 60.0)):
        counting(lab, engine, alarms, seconds)
    lab.kill(1)
    lab.front.tick()
    lab.front.tick()
    lab.say(2, Ready(0))
    for alarms, seconds in ((0, 10.0), (2, 60.0), (3, 90.0)):
        counting(lab, 2, alarms, seconds)
    # A live camera is watched on; a file is watched again from its beginning.
    assert (sum(news.alarms), sum(news.seconds)) == ((5, 150.0) if live else (3, 90.0))
    assert min(news.seconds) >= 0


def test_what_an_engine_says_of_a_camera_that_it_has_lost_does_not_count() -> None:
    lab = Lab("door", engines=1)
    relay = lab.watch(1, 45, end=False)
    seat = lab.front.seats.get("door")
    assert seat is not None
    lab.front.seats.place(seat, 9)
    before = len(lab.heard.alerts)
    relay.alert(lab.heard.alerts[-1], report_of("door"))
    lab.say(1, HealthTold(report_of("door", CameraState.DARK)))
    assert len(lab.heard.alerts) == before
    assert not lab.heard.states


def test_an_engine_that_dies_again_and_again_waits_longer_each_time_and_a_run_of_files_then_fails() -> None:
    lab = Lab("file", live=False)
    waits = []
    for engine in range(1, MOST_CRASHES):
        lab.say(engine, Ready(0), Tick(0, (report_of("file"),), {}, 0, (), ()))
        lab.kill(engine)
        waited = 0.0
        while len(lab.started) == engine:
            lab.front.tick()
            if len(lab.started) == engine:
                lab.clock.now += 0.5
                waited += 0.5
        waits.append(waited)
    assert waits == [0.0, 1.0, 2.0, 4.0]
    with pytest.raises(RunError, match="5 engines ended soon after the start, the last one by SIGKILL"):
        lab.kill(MOST_CRASHES)


def test_an_engine_that_has_run_for_long_is_replaced_at_once() -> None:
    lab = Lab("door")
    for engine in range(1, 2 * MOST_CRASHES):
        lab.say(engine, Ready(0), Tick(0, (report_of("door"),), {}, 0, (), ()))
        lab.clock.now += SOON_S
        lab.kill(engine)
        lab.front.tick()
        assert len(lab.started) == engine + 1


def silent_for(lab: Lab, seconds: float) -> None:
    """The clock goes on while no engine says anything."""
    for _ in range(round(seconds)):
        lab.clock.now += 1.0
        lab.front.pump(0.0)


def test_an_engine_that_is_stopped_is_killed_and_another_one_watches_its_cameras() -> None:
    lab = Lab("door")
    lab.watch(1, 0, end=False)
    lab.works = False
    silent_for(lab, SILENT_S - 1)
    lab.say(1, Tick(0, (report_of("door"),), {}, 0, (), ()))
    silent_for(lab, 2 * SILENT_S - 1)
    lab.front.tick()
    assert len(lab.started) == 1, "it may still say something"
    silent_for(lab, 1)
    lab.front.tick()
    assert [cameras for _, cameras, *_ in lab.started] == [["door"], ["door"]]


def test_an_engine_that_works_may_be_silent_for_a_while_and_longer_while_it_starts() -> None:
    lab = Lab("door")
    silent_for(lab, 2 * LONGEST_SILENT_S)
    assert len(lab.asked) > 1
    lab.watch(1, 0, end=False)
    silent_for(lab, LONGEST_SILENT_S - SILENT_S)
    lab.front.tick()
    assert len(lab.started) == 1
    silent_for(lab, 2 * SILENT_S)
    lab.front.tick()
    assert len(lab.started) == 2, "its main loop hangs"


def test_a_run_that_was_stopped_itself_kills_no_engine() -> None:
    lab = Lab("door")
    lab.watch(1, 0, end=False)
    lab.works = False
    lab.clock.now += 100.0
    lab.say(1, Tick(0, (report_of("door"),), {}, 0, (), ()))
    silent_for(lab, SILENT_S)
    lab.front.tick()
    assert len(lab.started) == 1


def test_a_model_that_cannot_be_used_ends_the_run_at_its_start_and_not_later() -> None:
    lab = Lab("door")
    with pytest.raises(ModelError, match="learn again"):
        lab.say(1, Refused(0, ModelError("the model is damaged: learn again")))
    lab = Lab("door")
    lab.watch(1)
    assert lab.front.begun
    lab.kill(1)
    lab.front.tick()
    lab.say(2, Refused(0, ModelError("the model is damaged: learn again")), Ended("exit code 0"))
    assert "the model is damaged" in lab.heard.states[-1].detail


def test_the_run_is_over_when_every_engine_has_finished_and_the_error_of_one_is_raised() -> None:
    lab = Lab("a", "b", live=False, engines=2)
    lab.watch(1)
    lab.watch(2)
    lab.say(1, Finished(("a: stopped",)), Ended("exit code 0"))
    assert not lab.front.over
    with pytest.raises(RunError, match="the device is gone"):
        lab.say(2, Finished((), RunError("the device is gone")), Ended("exit code 0"))
    assert lab.front.over
    assert lab.front.unfinished == ["a: stopped"]


def test_a_camera_that_a_reload_removed_leaves_the_run() -> None:
    lab = Lab("door", "yard")
    lab.watch(1)
    yard = lab.front.seats.get("yard")
    assert yard is not None
    lab.say(1, Left("yard", (), 1))
    assert len(lab.front.seats) == 2, "another reload has brought it back meanwhile"
    yard.wanted = False
    lab.say(1, Left("yard", (), 1))
    lab.front.tick()
    assert [seat.name for seat in lab.front.seats] == ["door"]
    assert [camera.name for camera in lab.heard.ticks[-1].cameras] == ["door"]


class Verdicts:
    """A store that a run offers."""

    def take_back(self, event_id: str) -> str:
        if event_id == "full":
            raise RunError("the disk is full")
        return f"{event_id} is taken back"


def test_an_engine_calls_the_stores_of_the_run_and_no_other_method_of_them() -> None:
    lab = Lab("door")
    lab.stores[VERDICTS] = Verdicts()
    calls = [
        Call(1, VERDICTS, "take_back", ("e1",)),
        Call(2, VERDICTS, "take_back", ("full",)),
        Call(3, VERDICTS, "__init__"),
        Call(4, "choices", "choose", ("1",)),
    ]
    lab.say(1, *calls)
    answers = [message for _, message in lab.sent if isinstance(message, Answer)]
    assert [answer.value for answer in answers] == ["e1 is taken back", None, None, None]
    errors = [str(answer.error) for answer in answers[1:]]
    assert errors == ["the disk is full", "this run has no verdicts", "this run has no choices"]


def test_what_every_engine_logs_at_the_start_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    lab = Lab("a", "b", engines=2)
    for engine in (1, 2):
        lab.say(engine, LogLine(30, "monitor", "the threshold is an estimate"))
    assert caplog.text.count("the threshold is an estimate") == 1
