"""Clients' requests reach the node that watches the camera; what people say waits for it if it is away."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from monitor.alerts.control import (
    Arm,
    Budget,
    Cameras,
    Changes,
    ControlReply,
    ControlRequest,
    Feedback,
    Forget,
    Kept,
    Name,
    Preview,
    Undo,
    Verdicts,
    decode_reply,
)
from monitor.alerts.control_desk import Asker, Desk, Done, TooManyError
from monitor.alerts.journal import Journal
from monitor.alerts.messages import encode
from monitor.errors import RunError, UsageError
from monitor.machines.chosen_cameras import ChosenCameras, read_chosen
from monitor.machines.fleet_desk import AGAIN_S, FleetDesk, Watcher
from monitor.machines.fleet_messages import NodeAnswered, NodeAsked
from monitor.machines.node_calls import ANSWERED_S, MOST_OPEN, NodeCalls
from monitor.machines.said_verdicts import SaidVerdicts
from monitor.machines.told_events import ToldEvents
from tests.helpers.alert_messages import an_alert_message

ANN = Asker("10.0.0.5", "page", person="ann")
TRAITS = base64.b64encode(b"traits").decode()


class Node:
    """The monitor of a node, with a desk of its own. It keeps the events that it has told."""

    def __init__(self, name: str, *events: str) -> None:
        self.name, self.events = name, set(events)
        self.silent = self.away = False
        self.verdicts: dict[str, str] = {}
        self.asked: list[ControlRequest] = []
        self.kept: dict[str, bytes] = {}
        self.alerts: dict[str, str] = {}
        self.refuses = ""
        self.desk = Desk(name, "epoch")
        self.desk.serve(Feedback, self._feedback)
        self.desk.serve(Preview, lambda request, _: Done(f"{name} would hide {request.event}"))
        self.desk.serve(Undo, self._undo)
        self.desk.serve(Kept, self._kept)
        self.desk.serve(Verdicts, self._list)
        self.desk.serve(Name, self._name)
        self.desk.serve(Budget, lambda request, _: Done(f"{name}: {request.per_day:g}"))
        self.desk.serve(Arm, lambda _, asker: Done(f"{name}: armed by {asker.person}"))
        self.desk.serve(Cameras, lambda *_: Done("", {"cameras": [{"name": "gate"}, {"name": "yard"}]}))

    def _check(self, event: str) -> None:
        if self.refuses:
            raise UsageError(self.refuses)
        if event not in self.events | self.kept.keys():
            raise UsageError(f"no event {event} is kept")

    def _feedback(self, request: Feedback, _: Asker) -> Done:
        self._check(request.event)
        self.asked.append(request)
        self.verdicts[request.event] = request.verdict
        return Done(f"{self.name}: {request.event} is {request.verdict}", {"event": request.event})

    def _undo(self, request: Undo, _: Asker) -> Done:
        if self.verdicts.pop(request.event, None) is None:
            raise UsageError("nobody has said anything")
        return Done(f"{self.name}: {request.event} is taken back")

    def _kept(self, request: Kept, _: Asker) -> Done:
        self._check(request.event)
        return Done("", {"event": request.event, "traits": TRAITS})

    def _list(self, *_: object) -> Done:
        return Done("", {"verdicts": [{"event": event, "verdict": said} for event, said in self.verdicts.items()]})

    def _name(self, request: Name, _: Asker) -> Done:
        self.alerts[request.name] = request.alert
        return Done("")


class Lab:
    """A head with the nodes north and south; north watches gate and yard. A clock that moves with each step."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.now = 0.0
        self.north, self.south = Node("north", "e-gate-1", "e-gate-2"), Node("south", "e-gate-9")
        self.all = {"north": self.north, "south": self.south}
        self.where = {camera: Watcher("north", 5, watching=True) for camera in ("gate", "yard")}
        self.folder = folder
        self.journal = stack.enter_context(Journal(folder / "journal.sqlite3"))
        self.said = stack.enter_context(SaidVerdicts(folder / "verdicts.sqlite3"))
        self.open: list[Callable[[], None]] = []
        self.choice = ""
        self.begin()
        for node in self.all.values():
            for event in sorted(node.events):
                self.events.note(an_alert_message(event_id=event), node.name)

    def begin(self) -> None:
        """The process of the gateway is started."""
        self.calls = NodeCalls(self.send, lambda: self.now)
        self.events = ToldEvents(self.journal)
        self.chosen = ChosenCameras(self.folder / "choices.json")
        self.fleet_desk = FleetDesk(self, self.calls, self.events, self.said, self.chosen, lambda: self.now)
        self.desk = Desk("lab", "epoch")
        self.fleet_desk.serve_at(self.desk)

    def watcher(self, camera: str) -> Watcher | None:
        return self.where.get(camera)

    def nodes(self) -> Sequence[str]:
        return [name for name in self.all if self.is_here(name)]

    def is_here(self, node: str) -> bool:
        return not self.all[node].away

    def send(self, node: str, asked: NodeAsked, payload: bytes) -> bool:
        if self.all[node].away:
            return False
        if not self.all[node].silent:
            self.open.append(lambda: self.answer(self.all[node], asked, payload))
        return True

    def answer(self, node: Node, asked: NodeAsked, payload: bytes) -> None:
        if asked.what == "keep":
            node.kept[asked.event] = payload
            reply = b""
        else:
            with pytest.raises(StopIteration) as ended:
                next(node.desk.answer(payload, Asker("ipc")))
            reply = ended.value.value
        choice = self.choice if asked.camera else ""
        self.calls.answered(NodeAnswered(node=node.name, number=asked.number, choice=choice), reply)

    def step(self) -> None:
        self.now += 0.1
        answers, self.open = self.open, []
        for answer in answers:
            answer()

    def ask(self, request: ControlRequest, asker: Asker = ANN) -> ControlReply:
        steps = self.desk.answer(encode(request), asker)
        try:
            while True:
                next(steps)
                self.step()
        except StopIteration as ended:
            return decode_reply(ended.value)

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.fleet_desk.tick()
            self.step()

    @property
    def listed(self) -> list[tuple[str, str, bool]]:
        return [(each["event"], each["verdict"], each["waits"]) for each in self.ask(Verdicts()).data["verdicts"]]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as stack:
        yield Lab(stack, tmp_path)


def test_a_verdict_is_given_by_the_node_that_watches_the_camera_with_who_asked(lab: Lab) -> None:
    reply = lab.ask(Feedback(event="e-gate-1", verdict="NORMAL", scope="picture", all_hours=True, tag="7"))
    assert (reply.reply, reply.said, reply.tag) == ("ok", "north: e-gate-1 is normal", "7")
    (asked,) = lab.north.asked
    assert isinstance(asked, Feedback)
    assert (asked.scope, asked.all_hours, asked.asked_by) == ("picture", True, "page at 10.0.0.5")
    assert lab.listed == [("e-gate-1", "normal", False)]
    (change,) = lab.ask(Changes()).data["changes"]
    assert (change["by"], change["request"], change["said"]) == ("page at 10.0.0.5", "feedback", reply.said)
    assert lab.ask(Preview(event="e-gate-2", verdict="normal")).said == "north would hide e-gate-2"
    assert lab.ask(Feedback(event="last", camera="gate", verdict="cat")).data == {"event": "e-gate-9"}
    assert lab.ask(Undo(event="last", camera="gate")).said == "north: e-gate-9 is taken back"
    assert lab.listed == [("e-gate-1", "normal", False)]


def test_what_is_said_while_the_node_is_away_waits_for_it_also_over_a_restart(lab: Lab) -> None:
    lab.north.away = True
    reply = lab.ask(Feedback(event="e-gate-1", verdict="normal"))
    assert reply.reply == "ok"
    assert reply.said == (
        "gate: event e-gate-1 is normal; it is kept at the head, and holds as soon as a node that watches the camera "
        "answers (north, which watches gate, is away)"
    )
    assert lab.listed == [("e-gate-1", "normal", True)]
    assert lab.ask(Verdicts()).said == "1 verdict, 1 waiting for a node"
    lab.pass_time(2 * AGAIN_S)
    lab.begin()
    lab.north.away = False
    lab.pass_time(2 * AGAIN_S)
    assert lab.north.verdicts == {"e-gate-1": "normal"}
    assert lab.listed == [("e-gate-1", "normal", False)]
    lab.north.away = True
    assert "is no longer normal; it is kept at the head" in lab.ask(Undo(event="e-gate-1")).said
    assert lab.listed == []
    lab.north.away = False
    lab.pass_time(2 * AGAIN_S)
    assert lab.north.verdicts == {}
    assert lab.said.verdict("e-gate-1") is None


def test_a_node_that_freezes_keeps_nobody_waiting_but_who_asks_it(lab: Lab) -> None:
    lab.north.silent = True
    began = lab.now
    assert "(north does not answer)" in lab.ask(Feedback(event="e-gate-1", verdict="normal")).said
    assert ANSWERED_S <= lab.now - began < ANSWERED_S + 1
    waiting = [lab.desk.answer(encode(Budget(camera="gate", per_day=2.0)), ANN) for _ in range(MOST_OPEN)]
    for steps in waiting:
        next(steps)
    began = lab.now
    assert lab.ask(Budget(camera="gate", per_day=2.0)).said.startswith(f"north has not answered {MOST_OPEN} requests")
    assert lab.now == began
    lab.where["yard"] = Watcher("south", 6, watching=True)
    assert lab.ask(Arm(camera="yard", armed=True)).said == "south: armed by page at 10.0.0.5"
    assert lab.ask(Cameras()).said == "1 camera; not those of north, which do not answer"
    for steps in waiting:
        steps.close()
    lab.north.silent = False
    lab.pass_time(2 * AGAIN_S)
    assert lab.north.verdicts == {"e-gate-1": "normal"}


def test_an_event_of_another_node_is_brought_to_the_one_that_watches_the_camera(lab: Lab) -> None:
    lab.south.away = True
    said = lab.ask(Feedback(event="e-gate-9", verdict="normal")).said
    assert "(south, which has told the event, is away)" in said
    assert lab.ask(Preview(event="e-gate-9", verdict="normal")).said == "south, which has told the event, is away"
    lab.pass_time(AGAIN_S)
    assert lab.north.verdicts == {}
    lab.south.away = False
    lab.pass_time(2 * AGAIN_S)
    assert json.loads(lab.north.kept["e-gate-9"]) == {"event": "e-gate-9", "traits": TRAITS}
    assert lab.north.verdicts == {"e-gate-9": "normal"}
    assert lab.south.verdicts == {}


def test_what_a_node_refuses_does_not_hold(lab: Lab) -> None:
    lab.ask(Feedback(event="e-gate-1", verdict="cat"))
    lab.north.refuses = "no room"
    for event in ("e-gate-1", "e-gate-2"):
        reply = lab.ask(Feedback(event=event, verdict="normal"))
        assert (reply.reply, reply.said) == ("error", "no room")
    assert lab.listed == [("e-gate-1", "cat", False)]
    lab.north.away = True
    lab.ask(Feedback(event="e-gate-2", verdict="normal"))
    lab.north.away = False
    lab.pass_time(2 * AGAIN_S)
    assert lab.listed == [("e-gate-1", "cat", False)]


def test_a_node_that_has_no_time_is_told_later(lab: Lab) -> None:
    def busy(*_: object) -> Done:
        raise TooManyError("too many changes")

    lab.north.desk.serve(Feedback, busy)
    assert "it is kept at the head" in lab.ask(Feedback(event="e-gate-1", verdict="normal")).said
    lab.north.desk.serve(Feedback, lab.north._feedback)
    lab.pass_time(2 * AGAIN_S)
    assert lab.listed == [("e-gate-1", "normal", False)]


def test_the_next_node_of_a_camera_is_told_what_it_does_not_know(lab: Lab) -> None:
    lab.ask(Feedback(event="e-gate-1", verdict="cat"))
    lab.ask(Name(name="cat", alert="never"))
    assert lab.north.alerts == {"cat": "never"}
    lab.where["gate"] = Watcher("south", 6, watching=False)
    lab.pass_time(2 * AGAIN_S)
    assert lab.south.verdicts == {}, "it still opens the camera, and what has gone with it may come in this moment"
    lab.where["gate"] = Watcher("south", 6, watching=True)
    lab.pass_time(3 * AGAIN_S)
    assert lab.south.verdicts == {"e-gate-1": "cat"}
    assert lab.south.alerts == {"cat": "never"}
    asked = len(lab.south.asked)
    lab.pass_time(3 * AGAIN_S)
    assert len(lab.south.asked) == asked


def test_a_name_reaches_a_node_that_is_away_with_the_verdict(lab: Lab) -> None:
    assert "no event has a name yet" in lab.ask(Name(name="cat", alert="never")).said
    lab.ask(Feedback(event="e-gate-1", verdict="cat"))
    lab.north.silent = True
    assert "told later" in lab.ask(Name(name="cat", alert="never")).said
    lab.north.silent = False
    lab.pass_time(2 * AGAIN_S)
    assert lab.north.alerts == {"cat": "never"}
    assert lab.ask(Verdicts()).data["names"] == {"cat": "never"}


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Feedback(event="nonsense", verdict="normal"), "the journal of the fleet has no event nonsense"),
        (Feedback(event="e-gate-1", verdict="normal", camera="yard"), "e-gate-1 is of camera gate, not of yard"),
        (Feedback(event="last", verdict="normal"), "name it with --camera"),
        (Feedback(event="last", verdict="normal", camera="yard"), "yard has no event that notified"),
        (Feedback(event="e-gate-1", verdict="a\nb"), "a name must be printable"),
        (Undo(event="e-gate-1"), "nobody has said anything about event e-gate-1"),
        (Undo(event="last"), "name it with --camera"),
        (Undo(event="last", camera="gate"), "nobody has said anything about events of gate"),
        (Budget(camera="nobody", per_day=1.0), "no node watches nobody"),
        (Forget(camera="gate"), "the head of a fleet cannot do that"),
    ],
)
def test_wrong_requests_get_one_sentence(lab: Lab, request_: ControlRequest, says: str) -> None:
    reply = lab.ask(request_)
    assert reply.reply == "error"
    assert says in reply.said
    assert not lab.listed


def test_a_client_that_may_only_read_changes_nothing(lab: Lab) -> None:
    reader = Asker("10.0.0.6", "phone", changes=False)
    for request in (Feedback(event="e-gate-1", verdict="normal"), Arm(camera="gate", armed=False)):
        assert "may only read" in lab.ask(request, reader).said
    assert lab.ask(Preview(event="e-gate-1", verdict="normal"), reader).reply == "ok"
    assert not lab.north.asked


def test_what_is_chosen_is_kept_at_the_head_and_cameras_of_all_nodes_are_listed(lab: Lab) -> None:
    lab.where["yard"] = Watcher("south", 6, watching=True)
    lab.choice = '{"per_day": 3.0}'
    assert lab.ask(Budget(camera="yard", per_day=3.0)).said == "south: 3"
    assert read_chosen(lab.folder / "choices.json") == {"yard": '{"per_day": 3.0}'}
    assert lab.ask(Cameras()).data["cameras"] == [{"name": "gate"}, {"name": "yard"}]
    lab.south.away = True
    reply = lab.ask(Budget(camera="yard", per_day=3.0))
    assert (reply.reply, reply.said) == ("error", "south, which watches yard, is away")
    lab.chosen.put("yard", "{}")
    lab.begin()
    assert lab.chosen.chosen == {"yard": "{}"}


def test_a_node_that_cannot_store_it_now_is_told_later(lab: Lab) -> None:
    def full(*_: object) -> Done:
        raise RunError("it cannot be stored: free space on the disk, try again")

    lab.ask(Feedback(event="e-gate-2", verdict="normal"))
    lab.north.desk.serve(Feedback, full)
    lab.north.desk.serve(Undo, full)
    said = lab.ask(Feedback(event="e-gate-1", verdict="normal")).said
    assert said.endswith("as soon as a node that watches the camera answers (it cannot be stored)")
    assert "it is kept at the head" in lab.ask(Undo(event="e-gate-2")).said
    lab.pass_time(2 * AGAIN_S)
    assert lab.north.verdicts == {"e-gate-2": "normal"}
    lab.north.desk.serve(Feedback, lab.north._feedback)
    lab.north.desk.serve(Undo, lab.north._undo)
    lab.pass_time(3 * AGAIN_S)
    assert lab.north.verdicts == {"e-gate-1": "normal"}
    assert lab.listed == [("e-gate-1", "normal", False)]


def test_a_node_tells_what_is_chosen_if_its_answer_was_lost(lab: Lab) -> None:
    lab.fleet_desk.chosen("gate", "north", 5, '{"armed": false}')
    assert read_chosen(lab.folder / "choices.json") == {"gate": '{"armed": false}'}
    for node, epoch in (("south", 5), ("north", 4)):
        lab.fleet_desk.chosen("gate", node, epoch, "{}")
    lab.fleet_desk.chosen("nobody", "north", 5, "{}")
    assert read_chosen(lab.folder / "choices.json") == {"gate": '{"armed": false}'}
