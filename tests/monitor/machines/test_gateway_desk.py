from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.alerts.journal import Journal
from monitor.alerts.messages import AlertMessage, HealthMessage, decode, encode
from monitor.alerts.publisher import Publisher
from monitor.errors import ConfigError
from monitor.machines.fleet_messages import Fence, LetGo, Renewal, Report, StepHead
from monitor.machines.gateway_desk import END_AFTER_S, GatewayDesk, Verdict
from monitor.machines.gateway_ledger import Ledger
from monitor.machines.leases import LEASE_S
from monitor.states import Phase
from tests.helpers.alert_messages import an_alert_message
from tests.helpers.publishing import ANY


class Gateway:
    def __init__(self, desk: GatewayDesk, journal: Journal, ledger: Ledger) -> None:
        self.desk, self.journal, self.ledger = desk, journal, ledger

    def take(
        self, position: int, epoch: int = 5, node: str = "south", age_s: float = 1.0, **changed: object
    ) -> Verdict:
        message = an_alert_message(event_id=f"{node}-gate-{position}", **changed)
        return self.desk.take(head(position, epoch, node, age_s), [b"alert/gate/", encode(message)], 0.0)

    def fence(self, epoch: int, node: str, now: float, old: int = 0) -> float:
        reply = self.desk.fence(Fence(number=1, cameras={"gate": (old, epoch, node)}), now)
        assert reply is not None
        return reply.wait_s["gate"]

    @property
    def told(self) -> list[AlertMessage]:
        page = self.journal.page(0, ("alert/",), limit=500, max_bytes=10**7)
        return [AlertMessage.model_validate_json(entry.body) for entry in page.entries]

    @property
    def health(self) -> list[HealthMessage]:
        page = self.journal.page(0, ("health/",), limit=500, max_bytes=10**7)
        return [HealthMessage.model_validate_json(entry.body) for entry in page.entries]


def head(position: int, epoch: int = 5, node: str = "south", age_s: float = 1.0, index: int = 0) -> StepHead:
    return StepHead(
        node=node, boot="boot", session=1, index=index, position=position, camera="gate", epoch=epoch, age_s=age_s
    )


def renewal(epoch: int, number: int = 1, node: str = "south", **changed: object) -> Renewal:
    report = Report(epoch=epoch, state="watching", since_s=1.0)
    fields = {"node": node, "boot": "boot", "number": number, "cameras": {"gate": report}}
    return Renewal.model_validate(fields | changed)


@contextmanager
def gateway(folder: Path, now: float = 0.0) -> Iterator[Gateway]:
    with (
        Journal(folder / "journal.sqlite3") as journal,
        Publisher(ANY, ANY, ANY, node="lab", journal=journal, carries=True) as publisher,
    ):
        ledger = Ledger.open(folder / "gateway.json", "lab", journal)
        yield Gateway(GatewayDesk(publisher, journal, ledger, now, lambda: 1e9 + now), journal, ledger)


def test_a_step_is_told_once_as_a_message_of_the_gateway(tmp_path: Path) -> None:
    with gateway(tmp_path) as lab:
        assert lab.take(7) is Verdict.TAKEN
        assert lab.take(7) is Verdict.DUPLICATE
        (told,) = lab.told
    assert (told.node, told.event_id, told.seq) == ("lab", "south-gate-7", 1)
    assert told.lease is not None
    assert (told.lease.node, told.lease.epoch, told.lease.seq) == ("south", 5, 7)


def test_a_gateway_that_was_killed_knows_what_it_has_taken(tmp_path: Path) -> None:
    with gateway(tmp_path) as lab:
        lab.take(7)
        lab.fence(6, "north", 0.0)  # saves the ledger
        lab.take(8)  # only the journal knows this one
    with gateway(tmp_path) as lab:
        assert [lab.take(position) for position in (7, 8, 9)] == [Verdict.DUPLICATE, Verdict.DUPLICATE, Verdict.TAKEN]
        assert lab.ledger.fences == {"gate": (6, "north")}
    (tmp_path / "gateway.json").unlink()
    with gateway(tmp_path) as lab:  # the journal knows it all
        assert [lab.take(position) for position in (7, 8, 9)] == [Verdict.DUPLICATE] * 3


def test_what_a_zombie_captured_is_rejected_and_what_it_captured_before_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with gateway(tmp_path) as lab:
        lab.take(7)
        lab.fence(6, "north", 0.0)
        assert lab.take(8, age_s=LEASE_S + 0.1) is Verdict.STALE
        assert lab.take(9, age_s=LEASE_S - 0.1) is Verdict.TAKEN
        assert lab.take(1, epoch=6, node="north") is Verdict.TAKEN
        assert lab.desk.counts == {Verdict.TAKEN: 3, Verdict.STALE: 1}
        assert len(lab.told) == 3
    assert sum("its lease was over: the alert is rejected" in line for line in caplog.messages) == 1


def test_what_is_no_message_is_ignored_and_the_rest_goes_on(tmp_path: Path) -> None:
    with gateway(tmp_path) as lab:
        assert lab.desk.take(head(1), [b"alert/gate/", b"{}"], 0.0) is Verdict.MALFORMED
        assert lab.desk.take(head(2), [b"heartbeat/"], 0.0) is Verdict.MALFORMED
        other = encode(an_alert_message(camera="door"))
        assert lab.desk.take(head(3), [b"alert/door/", other], 0.0) is Verdict.MALFORMED
        assert lab.take(4) is Verdict.TAKEN


def test_steps_of_a_session_are_taken_in_order(tmp_path: Path) -> None:
    parts = [b"alert/gate/", encode(an_alert_message())]
    with gateway(tmp_path) as lab:
        assert lab.desk.arrived(head(1, index=0), parts, 0.0).count == 1
        missing = lab.desk.arrived(head(3, index=2), parts, 0.0)
        assert (missing.count, missing.again) == (1, True)
        assert lab.desk.arrived(head(2, index=1), parts, 0.0).count == 2
        assert lab.desk.counts == {Verdict.TAKEN: 2}


def test_a_lease_is_renewed_until_it_is_fenced_and_the_wait_is_what_is_left_of_it(tmp_path: Path) -> None:
    with gateway(tmp_path) as lab:
        assert lab.fence(5, "south", 0.0) == 0.0
        assert lab.desk.renew(renewal(5), 20.0).refused == ()
        assert lab.fence(6, "north", 24.0, old=5) == LEASE_S - 4.0
        assert lab.desk.renew(renewal(5, 2), 25.0).refused == ("gate",)
        released = {"gate": LetGo(epoch=5, since_s=2.0, ended_s=0.0)}
        lab.desk.renew(renewal(5, 3, cameras={}, released=released), 26.0)
        assert lab.fence(6, "north", 26.0, old=5) == 0.0
        reply = lab.desk.fence(Fence(number=2, cameras={"gate": (5, 4, "west")}), 26.0)
        assert reply is not None
        assert (reply.wait_s, reply.highest, reply.heard_s) == ({}, 6, {"south": 0.0})


def test_nodes_without_a_camera_are_not_asked_about_cameras(tmp_path: Path) -> None:
    with gateway(tmp_path) as lab:
        assert lab.desk.holders() == set()
        lab.fence(5, "south", 0.0)
        assert lab.desk.holders() == {"south"}
        lab.fence(6, "north", 1.0, old=5)
        lab.desk.renew(renewal(6, node="west", cameras={}), 1.0)
        assert lab.desk.holders() == {"north"}


def test_a_fence_that_cannot_be_stored_is_not_answered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with gateway(tmp_path) as lab:
        (tmp_path / ".gateway.json.partial").mkdir()
        assert lab.desk.fence(Fence(number=1, cameras={"gate": (0, 5, "south")}), 0.0) is None
        (tmp_path / ".gateway.json.partial").rmdir()
        assert lab.fence(5, "south", 1.0) == 0.0
    assert any("ledger of the gateway cannot be written" in line for line in caplog.messages)


def test_a_node_of_another_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with gateway(tmp_path) as lab:
        reply = lab.desk.renew(renewal(5, protocol=2), 0.0)
        assert reply.refused == ("gate",)
        assert "install the same version of True Sight on all machines" in reply.error
        assert lab.desk.counts["wrong version"] == 1


def test_a_camera_with_a_node_that_is_away_is_offline_and_is_said_to_be_back(tmp_path: Path) -> None:
    online = HealthMessage.model_validate(
        {"schema": 1, "node": "s", "epoch": "e", "seq": 1, "sent_at": 1e9, "camera": "gate", "state": "online",
         "since": 1e9}
    )  # fmt: skip
    with gateway(tmp_path) as lab:
        lab.fence(5, "south", 0.0)
        lab.desk.take(head(1), [b"health/gate/", encode(online)], 0.0)
        lab.desk.renew(renewal(5), 1.0)
        for now in (5.0, LEASE_S + 1.1, LEASE_S + 2.0):
            lab.desk.tick(now)
        assert [message.state for message in lab.health] == ["online", "offline"]
        assert lab.health[-1].detail == "south, which watches it, does not answer"
        lab.desk.renew(renewal(5, 2), LEASE_S + 3.0)
        assert [message.state for message in lab.health] == ["online", "offline", "online"]


def test_an_open_event_of_a_node_that_is_away_ends_once(tmp_path: Path) -> None:
    with gateway(tmp_path) as lab:
        lab.take(7)
        lab.desk.tick(100.0)
        assert len(lab.told) == 1  # its epoch is not over
    with gateway(tmp_path) as lab:  # it stays open if the gateway is started again
        assert len(lab.told) == 1
        lab.fence(6, "north", 0.0)
        lab.desk.tick(1.0)
        lab.desk.tick(END_AFTER_S + 1.1)
        assert [(message.phase, message.interrupted) for message in lab.told] == [("start", False), ("end", True)]
        end = encode(an_alert_message(event_id="south-gate-7", phase=Phase.END, ended_at=1e9, ended_s=11.0))
        assert lab.desk.take(head(8), [b"alert/gate/", end], 50.0) is Verdict.LATE
        assert len(lab.told) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "the ledger of the gateway .* is damaged"),
        (b'{"a": 1}', "belongs to another program"),
        (b'{"format": "true-sight gateway", "gateway": "lab", "position": -1}', "is damaged .position"),
        (b'{"format": "true-sight gateway", "gateway": "other"}', "belongs to the gateway 'other', not to 'lab'"),
    ],
)
def test_a_ledger_that_is_damaged_or_foreign_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "gateway.json"
    path.write_bytes(content)
    with Journal(tmp_path / "journal.sqlite3") as journal, pytest.raises(ConfigError, match=sentence):
        Ledger.open(path, "lab", journal)
    assert path.read_bytes() == content


def test_a_message_of_a_fleet_is_one_of_the_protocol(tmp_path: Path) -> None:
    with gateway(tmp_path) as lab:
        lab.take(7)
        (entry,) = lab.journal.page(0, ("alert/",), limit=5, max_bytes=10**6).entries
    assert decode([b"alert/gate/", entry.body]).message.node == "lab"
