"""An engine makes live pictures of its cameras while somebody looks at them, and only then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from monitor.alerts.control import Look
from monitor.alerts.control_desk import Asker, Desk
from monitor.alerts.messages import encode
from monitor.alerts.previews import Kind
from monitor.app.engines.engine_messages import PreviewTold, Ready, Show, Tick
from monitor.app.engines.front_previews import FrontPreviews
from monitor.testing.sink_contract import report_of
from tests.monitor.app.engines.test_front import Lab


@dataclass
class Bus:
    """The publisher, as far as pictures go. wanted: whether clients have subscribed."""

    wanted: bool = True
    sent: list[tuple[str, Kind, bytes]] = field(default_factory=list)

    def preview_wanted(self, camera: str, kind: Kind) -> bool:  # noqa: ARG002
        return self.wanted

    def publish_preview(self, camera: str, kind: Kind, jpeg: bytes, size: tuple[int, int], **_: Any) -> None:
        assert size == (2, 1)
        self.sent.append((camera, kind, jpeg))


class Looked(Lab):
    """The cameras door and yard in an engine each; somebody may look at them."""

    def __init__(self) -> None:
        super().__init__("door", "yard", engines=2)
        for engine, camera in ((1, "door"), (2, "yard")):
            self.say(engine, Ready(0), Tick(0, (report_of(camera),), {}, 0, (), ()))
        self.bus = Bus()
        self.previews = FrontPreviews(self.front, self.bus, self.send)  # type: ignore[arg-type]
        self.desk = Desk("lab", "e1")
        self.previews.leases.serve_at(self.desk)
        self.heard_ticks()

    def heard_ticks(self) -> None:
        self.previews.tick(self.front.report())

    def look(self, *cameras: str) -> None:
        with pytest.raises(StopIteration):
            next(self.desk.answer(encode(Look(cameras=cameras)), Asker("127.0.0.1")))

    def shown(self) -> list[tuple[int, list[str]]]:
        found = [(engine, each) for engine, each in self.sent if isinstance(each, Show)]
        self.sent.clear()
        return [(engine, sorted(camera for camera, _ in show.places)) for engine, show in found]


@pytest.fixture
def lab() -> Looked:
    return Looked()


def test_pictures_come_from_the_engine_of_the_camera_as_long_as_somebody_looks(lab: Looked) -> None:
    lab.heard_ticks()
    assert lab.shown() == []
    lab.look("yard")
    lab.heard_ticks()
    lab.heard_ticks()
    assert lab.shown() == [(2, ["yard"])], "told once"
    lab.say(2, PreviewTold("yard", "picture", b"jpeg", (2, 1), 1.0, 0.5))
    lab.say(1, PreviewTold("yard", "picture", b"late", (2, 1), 1.0, 0.5))
    assert lab.bus.sent == [("yard", "picture", b"jpeg")], "only its engine shows it"
    lab.bus.wanted = False
    lab.heard_ticks()
    assert lab.shown() == [(2, [])], "nobody gets it"


def test_the_next_engine_of_a_camera_shows_it(lab: Looked) -> None:
    lab.look("door", "yard")
    lab.heard_ticks()
    assert lab.shown() == [(1, ["door"]), (2, ["yard"])]
    lab.kill(1)
    lab.front.tick()
    lab.heard_ticks()
    assert (3, ["door"]) in lab.shown()
    lab.previews.removed("yard")
    lab.look("yard")
    lab.heard_ticks()
    assert lab.shown() == [(2, ["yard"])], "its engine has forgotten it"
