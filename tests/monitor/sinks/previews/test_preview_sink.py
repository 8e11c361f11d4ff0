"""Live pictures are made only while somebody looks, are small and few, and show heat only of what is unusual."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import zmq

from monitor.alerts.control import Look
from monitor.alerts.control_desk import Asker
from monitor.alerts.messages import MalformedError
from monitor.alerts.previews import LEASE_S, MOST_WAITING_BYTES, Preview, decode_preview, preview_topic
from monitor.client.controller import Controller
from monitor.reports import RunReport
from monitor.sinks.previews.preview_maker import WIDTH, PreviewMaker, Wanted
from monitor.sinks.previews.preview_sink import EVERY_S, HELD_EVERY_S, PreviewSink
from monitor.testing.captured import eventually
from monitor.testing.fakes import monitor_of, picture, scored
from monitor.testing.scripted import Clock
from monitor.testing.sink_contract import report_of
from monitor.types import Frame
from tests.helpers.looked_at import BRIGHT, SIZE, LookedAt, decoded, looked_at
from tests.helpers.publishing import DEADLINE_S


class Bus:
    """What a sink does at its publisher."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def preview_wanted(self, _camera: str, _kind: str) -> bool:
        return True

    def publish_preview(self, camera: str, kind: str, *_: object, **__: object) -> None:
        self.sent.append((camera, kind))


@pytest.fixture(scope="module")
def lab() -> Iterator[LookedAt]:
    with looked_at() as lab:
        yield lab


def pictures(lab: LookedAt, camera: str, *, heat: bool = False, count: int = 3) -> list[Preview]:
    """Look at a camera as a client does."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with Controller(lab.publisher.alerts_endpoint) as controller, context, context.socket(zmq.SUB) as socket:
        socket.linger = 0
        socket.connect(lab.publisher.scores_endpoint)
        socket.subscribe(preview_topic(camera, "heat" if heat else "picture"))
        reply = controller.ask(Look(cameras=(camera,), heat=heat))
        assert (reply.reply, reply.data["lease_s"], reply.data["unknown"]) == ("ok", LEASE_S, [])
        found = []
        for _ in range(count):
            assert socket.poll(round(DEADLINE_S * 1000))
            found.append(decode_preview(socket.recv_multipart()))
    return found


def test_pictures_come_while_somebody_looks_at_most_five_per_second(lab: LookedAt) -> None:
    found = pictures(lab, "door", count=5)
    assert [each.message.seq for each in found] == list(range(found[0].message.seq, found[0].message.seq + 5))
    assert found[4].message.captured_at - found[0].message.captured_at >= 4 * (EVERY_S - 0.05)
    assert (found[0].message.width, found[0].message.height) == SIZE
    assert decoded(found[0].jpeg).shape == (SIZE[1], SIZE[0], 3)


def test_heat_is_as_strong_as_the_score_and_a_camera_that_learns_has_none(lab: LookedAt) -> None:
    def redness(preview: Preview) -> float:
        image = decoded(preview.jpeg).astype(int)[20:]
        return float((image[..., 2] - image[..., 0]).max())

    (calm,) = pictures(lab, "door", heat=True, count=1)
    assert redness(calm) < 30
    lab.level = BRIGHT
    try:
        assert any(redness(each) > 60 for each in pictures(lab, "door", heat=True, count=8))
        (learning,) = pictures(lab, "yard", heat=True, count=1)
        assert learning.message.score is None
        assert redness(learning) < 30
    finally:
        lab.level = 25


def test_an_unknown_camera_is_named(lab: LookedAt) -> None:
    with Controller(lab.publisher.alerts_endpoint) as controller:
        reply = controller.ask(Look(cameras=("gate",)))
        assert reply.reply == "error"
        assert reply.said == "no camera gate is watched (cameras: door, yard): give the name of one that is"
        assert controller.ask(Look(cameras=("gate", "door"))).data["unknown"] == ["gate"]


def test_a_lease_ends_and_a_camera_that_is_removed_shows_nothing() -> None:
    clock, bus = Clock(), Bus()
    with PreviewSink(bus, clock) as sink:
        report = RunReport(1.0, 0, (report_of("cam"), report_of("yard")))
        sink.tick(report)
        sink.frame(scored(0.0))
        assert not sink._maker._wanted
        sink.leases._look(Look(cameras=("cam",)), Asker("here"))
        sink.frame(scored(0.1))
        assert eventually(lambda: bool(sink._maker._made))
        sink.tick(report)
        assert bus.sent == [("cam", "picture")]
        sink.frame(scored(0.2))  # too early after the last one
        clock.now += LEASE_S
        sink.tick(report)
        sink.frame(scored(0.3))
        sink.leases._look(Look(cameras=("cam",)), Asker("here"))
        sink.removed("cam")
        sink.frame(scored(0.4))
        assert not sink.leases.places
        assert not sink._maker._wanted
    assert bus.sent == [("cam", "picture")]


def test_a_file_that_is_held_while_it_is_learned_from_shows_its_last_picture() -> None:
    clock, bus = Clock(), Bus()
    with PreviewSink(bus, clock) as sink:
        report = RunReport(1.0, 0, (report_of("cam"),))
        last = scored(0.0)
        sink.frame(replace(last, frame=replace(last.frame, media_s=0.0)))
        sink.tick(report)
        assert not sink._maker._wanted, "nobody looks"
        sink.leases._look(Look(cameras=("cam",)), Asker("here"))

        def shown(count: int) -> bool:
            sink.tick(report)
            return bus.sent == [("cam", "picture")] * count

        assert eventually(lambda: shown(1))
        clock.now += HELD_EVERY_S
        assert eventually(lambda: shown(2))
        sink.added(monitor_of("cam"))
        clock.now += HELD_EVERY_S
        sink.tick(report)
        assert not sink._maker._wanted, "it is watched now, and its frames come again"


def test_only_the_newest_frame_of_a_camera_waits_and_large_ones_become_small() -> None:
    maker = PreviewMaker()
    for number in range(100):
        maker.want(("cam", "picture"), Wanted(Frame("cam", number, number / 25, picture(number, 2560, 1440))))
    assert len(maker._wanted) == 1
    with maker:
        assert eventually(lambda: bool(maker._made))
        (made,) = maker.take().values()
    assert made.size == (WIDTH, WIDTH * 9 // 16)
    assert abs(int(decoded(made.jpeg).mean()) - 99) < 3
    assert maker.take() == {}


def test_a_picture_that_cannot_be_made_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    with PreviewMaker() as maker:
        for number in range(2):
            broken = Frame("cam", number, number / 25, np.zeros((0, 0, 3), np.uint8))
            maker.want(("cam", "picture"), Wanted(broken))
        maker.want(("yard", "picture"), Wanted(Frame("yard", 0, 0.0, picture(25))))
        assert eventually(lambda: ("yard", "picture") in maker._made)
    assert caplog.text.count("a live picture cannot be made") == 1
    assert "cam: " in caplog.text


def test_who_does_not_read_loses_pictures_and_holds_little_memory(lab: LookedAt) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    topic = preview_topic("big", "picture")
    with context, context.socket(zmq.SUB) as socket:
        socket.linger, socket.rcvhwm, socket.rcvbuf = 0, 1, 4096
        socket.connect(lab.publisher.scores_endpoint)
        socket.subscribe(topic)
        assert eventually(lambda: lab.publisher.preview_wanted("big", "picture"))
        jpeg = b"\xff\xd8" + bytes(100_000)
        highest = 0
        for _ in range(300):
            lab.publisher.publish_preview("big", "picture", jpeg, SIZE, captured_at=1.0, score=float("nan"))
            peers = [each.peer for each in lab.publisher._scores.connections]
            highest = max([highest, *(peer.queued_bytes for peer in peers)])
    assert highest <= MOST_WAITING_BYTES + 2 * len(jpeg)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([b"preview/a/picture/", b"{}"], "expected a topic, a body and a JPEG"),
        ([b"preview/a/picture/", b"{}", b"GIF"], "expected a topic, a body and a JPEG"),
        ([b"preview/a/picture/", b"{}", b"\xff\xd8"], "a preview: "),
    ],
)
def test_what_is_no_picture_is_refused(parts: list[bytes], says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        decode_preview(parts)
