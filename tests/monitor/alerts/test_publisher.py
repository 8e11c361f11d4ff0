from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from monitor.alerts.journal import Journal
from monitor.alerts.journal_rows import Entry
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.messages import AlertMessage
from monitor.alerts.publisher import Publisher
from monitor.errors import BindError, ConfigError
from monitor.states import AlertEvent, CameraState, Phase, Reason, Region

ANY = "tcp://127.0.0.1:*"
MODEL = ModelRef(id="street", hash="ab12")
DEADLINE_S = 20.0


def a_publisher(**changes: Any) -> Publisher:
    return Publisher(**({"alerts": ANY, "scores": ANY, "node": "lab"} | changes))


def an_event(phase: Phase = Phase.START, number: int = 1) -> AlertEvent:
    ended_s = 12.5 if phase is Phase.END else None
    return AlertEvent(number, phase, 10.0, ended_s, score=1.25, peak_score=1.5, peak_s=10.5, notify=True)


def publish_alert(
    publisher: Publisher, camera: str = "cam1", *, jpeg: bytes | None = None, **event: Any
) -> AlertMessage:
    return publisher.publish_alert(
        camera,
        an_event(**event),
        started_at=1.5e9,
        ended_at=None,
        model=MODEL,
        frame_age_s=0.1,
        dropped_frames=0,
        jpeg=jpeg,
    )


def publish_score(publisher: Publisher, camera: str = "cam1", score: float = 0.5) -> None:
    publisher.publish_score(camera, time_s=1.0, frame_index=3, score=score, captured_at=1.5e9, raw={"motion": 2.0})


@contextmanager
def subscribed(publisher: Publisher, endpoint: str, *topics: str, room: int = 1000) -> Iterator[zmq.Socket[bytes]]:
    """A plain SUB socket. The publisher has received its subscriptions."""
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.linger = 0
        sub.rcvhwm = room
        sub.rcvtimeo = int(DEADLINE_S * 1000)
        for topic in topics:
            sub.subscribe(topic)
        sub.connect(endpoint)
        deadline = time.monotonic() + DEADLINE_S
        while not publisher.update_subscriptions(timeout_s=0.1) >= set(topics):
            assert time.monotonic() < deadline, "the subscriptions never arrived"
        yield sub


def received(sub: zmq.Socket[bytes]) -> tuple[str, dict[str, Any], list[bytes]]:
    topic, body, *rest = sub.recv_multipart()
    return topic.decode(), json.loads(body), rest


def test_numbers_have_no_holes_within_a_topic_and_the_heartbeat_names_the_last_of_each() -> None:
    with a_publisher() as publisher, subscribed(publisher, publisher.alerts_endpoint, "") as sub:
        for camera in ("cam1", "cam10", "cam1"):
            publish_alert(publisher, camera)
        publisher.publish_health("cam1", CameraState.STALLED, since=1.5e9, detail="no frame for 5 s")
        publish_score(publisher)
        publish_score(publisher)
        assert publisher.heartbeat_if_due(100.0)
        assert publisher.heartbeat_if_due(101.0)
        came = [received(sub) for _ in range(6)]
    assert [(topic, body["seq"]) for topic, body, _ in came] == [
        ("alert/cam1/", 1),
        ("alert/cam10/", 1),
        ("alert/cam1/", 2),
        ("health/cam1/", 1),
        ("heartbeat/", 1),
        ("heartbeat/", 2),
    ]
    assert came[-1][1]["last_seq"] == {"alert/cam1/": 2, "alert/cam10/": 1, "health/cam1/": 1, "score/cam1/": 2}
    assert {(body["node"], body["epoch"], body["schema"]) for _, body, _ in came} == {("lab", publisher.epoch, 1)}
    assert abs(came[0][1]["sent_at"] - time.time()) < 60


def test_an_alert_carries_the_event_its_model_and_where_and_why() -> None:
    with a_publisher() as publisher, subscribed(publisher, publisher.alerts_endpoint, "alert/") as sub:
        publisher.publish_alert(
            "cam1",
            an_event(Phase.END, number=4),
            started_at=1.5e9,
            ended_at=1.5e9 + 2.5,
            model=MODEL,
            frame_age_s=0.25,
            dropped_frames=7,
            regions=[Region(np.int64(1), np.int64(2), 3, 4, np.float32(0.5))],  # type: ignore[arg-type]
            reasons=[Reason("speed", np.float32(3.0), 1.0, "px/s")],  # type: ignore[arg-type]
            expected_false_alarms_per_day=1.0,
            media_s=10.0,
        )
        topic, body, rest = received(sub)
    assert topic == "alert/cam1/"
    assert rest == []
    assert body.pop("lease") is None
    del body["sent_at"], body["position"]
    assert body == {
        "schema": 1, "node": "lab", "epoch": publisher.epoch, "seq": 1,
        "event_id": f"{publisher.epoch}-cam1-4", "phase": "end", "camera": "cam1",
        "started_at": 1.5e9, "ended_at": 1.5e9 + 2.5, "started_s": 10.0, "ended_s": 12.5,
        "score": 1.25, "peak_score": 1.5, "threshold": 1.0, "expected_false_alarms_per_day": 1.0, "notify": True,
        "interrupted": False, "media_s": 10.0, "about": "anomaly", "early": False, "also": [],
        "alike": None, "name": "", "armed": True, "normal_at": None,
        "regions": [{"x": 1, "y": 2, "width": 3, "height": 4, "score": 0.5}],
        "reasons": [{"term": "speed", "value": 3.0, "usual": 1.0, "unit": "px/s",
                     "text": "speed 3 px/s, usual here up to 1 px/s"}],
        "model": {"id": "street", "hash": "ab12"}, "frame_age_s": 0.25, "dropped_frames": 7, "evidence": [],
    }  # fmt: skip


def test_a_picture_goes_with_start_and_end_only() -> None:
    with a_publisher() as publisher, subscribed(publisher, publisher.alerts_endpoint, "alert/") as sub:
        for phase in Phase:
            publish_alert(publisher, phase=phase, jpeg=b"\xff\xd8picture")
        came = {body["phase"]: rest for _, body, rest in (received(sub) for _ in range(3))}
    assert came == {"start": [b"\xff\xd8picture"], "update": [], "end": [b"\xff\xd8picture"]}


def test_a_subscription_to_cam1_does_not_catch_cam10() -> None:
    with a_publisher() as publisher, subscribed(publisher, publisher.alerts_endpoint, "alert/cam1/") as sub:
        publish_alert(publisher, "cam10")
        publish_alert(publisher, "cam1")
        assert received(sub)[0] == "alert/cam1/"


def test_scores_that_nobody_wanted_are_counted_and_those_after_a_subscription_arrive() -> None:
    with a_publisher() as publisher:
        publish_score(publisher)
        with subscribed(publisher, publisher.scores_endpoint, "score/cam1/") as sub:
            publish_score(publisher, "cam2")
            publish_score(publisher)
            topic, body, _ = received(sub)
            assert (topic, body["seq"]) == ("score/cam1/", 2)
        with subscribed(publisher, publisher.scores_endpoint, "score/") as sub:
            publish_score(publisher)
            assert received(sub)[1]["seq"] == 3


def test_scores_go_out_on_their_own_socket_and_nan_as_null() -> None:
    with a_publisher() as publisher, subscribed(publisher, publisher.scores_endpoint, "") as sub:
        publish_alert(publisher)
        publish_score(publisher, score=math.nan)
        publish_score(publisher, score=0.25)
        came = [received(sub)[:2] for _ in range(2)]
    assert [(topic, body["seq"], body["score"], body["raw"]) for topic, body in came] == [
        ("score/cam1/", 1, None, {"motion": 2.0}),
        ("score/cam1/", 2, 0.25, {"motion": 2.0}),
    ]


def test_a_heartbeat_is_due_once_a_second() -> None:
    with a_publisher() as publisher:
        assert [publisher.heartbeat_if_due(now) for now in (50.0, 50.9, 51.0, 51.5, 54.0)] == [
            True, False, True, False, True,
        ]  # fmt: skip


class WatchedJournal(Journal):
    """Records whether a message was stored before a subscriber received it. Can be full."""

    sub: zmq.Socket[bytes]
    full = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.arrived_before: list[int] = []

    def append(self, entry: Entry, open_events: Mapping[str, Entry]) -> bool:
        self.arrived_before.append(self.sub.poll(0))
        if self.full:
            self.unjournalled += 1
            return False
        return super().append(entry, open_events)


def test_alerts_and_health_reach_the_journal_before_the_wire_and_heartbeats_do_not(tmp_path: Path) -> None:
    with (
        WatchedJournal(tmp_path / "j") as journal,
        a_publisher(journal=journal) as publisher,
        subscribed(publisher, publisher.alerts_endpoint, "alert/", "health/", "heartbeat/") as journal.sub,
    ):
        publish_alert(publisher, jpeg=b"picture")
        first = journal.sub.recv_multipart()
        publisher.publish_health("cam1", CameraState.ONLINE, since=1.5e9)
        second = journal.sub.recv_multipart()
        publisher.heartbeat_if_due(1.0)
        kept = journal.page(0, [""], limit=10, max_bytes=10**6).entries
    assert [(entry.topic, entry.seq, entry.body, entry.jpeg) for entry in kept] == [
        ("alert/cam1/", 1, first[1], b"picture"),
        ("health/cam1/", 1, second[1], None),
    ]
    assert journal.arrived_before == [0, 0]


def test_an_alert_that_cannot_be_journalled_is_sent_all_the_same_and_heartbeats_count_it(tmp_path: Path) -> None:
    with (
        WatchedJournal(tmp_path / "j") as journal,
        a_publisher(journal=journal) as publisher,
        subscribed(publisher, publisher.alerts_endpoint, "") as journal.sub,
    ):
        journal.full = True
        publish_alert(publisher, number=1)
        journal.full = False
        publish_alert(publisher, number=2)
        publisher.heartbeat_if_due(1.0)
        came = [received(journal.sub)[1] for _ in range(3)]
        kept = journal.page(0, [""], limit=10, max_bytes=10**6).entries
    assert [body["seq"] for body in came[:2]] == [1, 2]
    assert came[2]["unjournalled"] == 1
    assert [entry.seq for entry in kept] == [2]


def test_positions_of_alerts_and_health_have_no_holes_within_a_run_and_grow_over_runs(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal, a_publisher(journal=journal) as publisher:
        sent = [publish_alert(publisher).position for _ in range(3)]
        sent.append(publisher.publish_health("cam1", CameraState.ONLINE, since=1.5e9).position)
    first = sent[0]
    assert first is not None
    assert sent == [first + n for n in range(4)]
    with Journal(tmp_path / "j") as journal, a_publisher(journal=journal) as later:
        after = publish_alert(later).position
        assert after is not None
        assert after > first + 3


def test_a_new_subscriber_gets_a_heartbeat_at_once() -> None:
    with a_publisher() as publisher:
        assert publisher.heartbeat_if_due(50.0)
        with subscribed(publisher, publisher.alerts_endpoint, "heartbeat/") as sub:
            assert publisher.heartbeat_if_due(50.1)
            assert received(sub)[1]["last_seq"] == {}
            with subscribed(publisher, publisher.alerts_endpoint, "heartbeat/") as second:
                deadline = time.monotonic() + DEADLINE_S
                while not publisher.heartbeat_if_due(50.2):
                    assert time.monotonic() < deadline
                assert received(second)[0] == "heartbeat/"


def test_each_run_has_a_later_epoch() -> None:
    first, second = a_publisher(), a_publisher()
    assert first.epoch < second.epoch


def test_a_port_in_use_is_named_and_nothing_stays_bound() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        free = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
    with a_publisher() as running:
        taken = running.alerts_endpoint
        with pytest.raises(BindError, match=f"{taken} is in use: stop the program"), a_publisher(alerts=taken):
            pass
        with pytest.raises(BindError, match=f"{taken} is in use"), a_publisher(alerts=free, scores=taken):
            pass
        with a_publisher(alerts=free) as second:
            assert second.alerts_endpoint == free


def test_an_address_of_no_interface_is_a_bind_error() -> None:
    with (
        pytest.raises(BindError, match=r"tcp://192\.0\.2\.1:5560 is not an address of this machine"),
        a_publisher(alerts="tcp://192.0.2.1:5560", insecure=True),
    ):
        pass


@pytest.mark.parametrize("endpoint", ["tcp://*:5560", "tcp://0.0.0.0:5560", "tcp://[::]:5560", "tcp://eth0:5560"])
@pytest.mark.parametrize("which", ["alerts", "scores", "history"])
def test_an_address_open_to_other_machines_needs_an_explicit_word(which: str, endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"open to other machines.*monitor.client keys.*insecure = true"):
        a_publisher(**{which: endpoint})


def test_with_insecure_an_open_address_is_bound() -> None:
    with a_publisher(alerts="tcp://*:*", insecure=True) as publisher:
        assert publisher.alerts_endpoint.startswith("tcp://0.0.0.0:")


def test_a_history_that_other_machines_cannot_reach_as_they_do_the_alerts_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    a_publisher(alerts="tcp://*:*", history="tcp://*:*", insecure=True)
    a_publisher(alerts="tcp://*:*", insecure=True)
    assert caplog.text == ""
    a_publisher(alerts="tcp://*:*", history=ANY, insecure=True)
    assert "clients there cannot recover missed alerts" in caplog.text


@pytest.mark.parametrize("endpoint", ["tcp://localhost:0", "tcp://127.0.0.1:0", "tcp://127.0.0.1:*"])
def test_a_wildcard_port_becomes_readable(endpoint: str) -> None:
    with a_publisher(alerts=endpoint) as publisher:
        assert int(publisher.alerts_endpoint.rpartition(":")[2]) > 0
        assert publisher.alerts_endpoint != publisher.scores_endpoint


def test_a_malformed_address_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="'localhost' is not an address"):
        a_publisher(scores="localhost")


def test_ipc_paths_work_and_can_be_used_again_afterwards(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/alerts"
    for _ in range(2):
        with a_publisher(alerts=endpoint) as publisher, subscribed(publisher, endpoint, "alert/") as sub:
            publish_alert(publisher)
            assert received(sub)[1]["seq"] == 1


def test_an_ipc_path_in_use_is_not_taken_over_and_a_file_is_not_overwritten(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/alerts"
    with a_publisher(alerts=endpoint) as first:
        with pytest.raises(BindError, match="is in use"), a_publisher(alerts=endpoint):
            pass
        with subscribed(first, endpoint, "alert/") as sub:
            publish_alert(first)
            assert received(sub)[0] == "alert/cam1/"
    notes = tmp_path / "notes"
    notes.write_text("precious")
    with pytest.raises(BindError, match="would overwrite a file"), a_publisher(alerts=f"ipc://{notes}"):
        pass
    assert notes.read_text() == "precious"
    with pytest.raises(BindError, match="folder that does not exist"), a_publisher(alerts=f"ipc://{tmp_path}/a/b"):
        pass


def test_a_subscriber_that_does_not_read_neither_stops_the_publisher_nor_a_second_subscriber() -> None:
    sent = 1500
    with (
        a_publisher(alerts_high_water_mark=5) as publisher,
        subscribed(publisher, publisher.alerts_endpoint, "alert/cam1/", room=1) as stuck,
        subscribed(publisher, publisher.alerts_endpoint, "health/") as reading,
    ):
        for number in range(1, sent + 1):  # publishing does not block on the subscriber that does not read
            publish_alert(publisher, number=number, jpeg=bytes(20_000))
            if number % 100 == 0:
                publisher.publish_health("cam1", CameraState.ONLINE, since=0.0)
                assert received(reading)[1]["seq"] == number // 100
        stuck.rcvtimeo = 300
        arrived = 0
        try:
            while True:
                stuck.recv_multipart()
                arrived += 1
        except zmq.Again:
            pass
        assert 0 < arrived < sent


def test_what_was_published_last_still_arrives_when_the_publisher_closes_at_once() -> None:
    with ExitStack() as open_after_the_publisher:
        with a_publisher() as publisher:
            sub = open_after_the_publisher.enter_context(subscribed(publisher, publisher.alerts_endpoint, "alert/"))
            publish_alert(publisher, phase=Phase.END, jpeg=bytes(500_000))
        topic, body, rest = received(sub)
    assert (topic, body["phase"], len(rest[0])) == ("alert/cam1/", "end", 500_000)


def test_a_subscription_is_seen_to_come_and_to_go() -> None:
    with a_publisher() as publisher:
        with subscribed(publisher, publisher.alerts_endpoint, "alert/cam1/"):
            assert publisher.update_subscriptions() == {"alert/cam1/"}
        assert publisher.update_subscriptions(timeout_s=DEADLINE_S) == frozenset()
