"""The ranked day on the disk and on the bus: files for the owner only, nothing lost by a kill, a bounded folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.errors import ConfigError
from monitor.reports import RunReport
from monitor.sinks.evidence.alert_pictures import from_jpeg
from monitor.sinks.moments import moments_sink
from monitor.sinks.moments.moments_settings import MomentsSettings
from monitor.sinks.moments.moments_sink import PUBLISH_AFTER_S, MomentsSink
from monitor.sinks.normal.normal_pictures import NormalPicture
from monitor.states import Region
from monitor.stream.schedule_settings import ScheduleSettings
from monitor.testing.fakes import monitor_of, scored
from monitor.testing.sink_contract import report_of
from monitor.types import Image

CALM, ODD = 24, 60
QUIET = [CALM] * 15


class Bus:
    """Keeps what is published, and is the clock."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Mapping[str, Any], bytes | None]] = []
        self.now = 0.0

    def publish(self, camera: str, body: Mapping[str, Any], jpeg: bytes | None) -> None:
        self.sent.append((camera, body, jpeg))

    def clock(self) -> float:
        return self.now

    @property
    def ids(self) -> list[str]:
        return [body["moment_id"] for _, body, _ in self.sent]


def sink_of(folder: Path, bus: Bus, zone: str = "UTC", **settings: Any) -> MomentsSink:
    return MomentsSink(
        folder,
        MomentsSettings(**settings),
        lambda _: ScheduleSettings(time_zone=zone),
        bus.publish,
        epoch="e1",
        clock=bus.clock,
    )


def show(sink: MomentsSink, levels: Sequence[int], start_s: float = 0.0, *, alerts: bool = True) -> None:
    """Judge a second per level, as the main loop does. The fakes' frames are read at 1e9 and their time."""
    monitor = monitor_of("cam")
    sink.added(monitor)
    for number, level in enumerate(level for level in levels for _ in range(10)):
        judgement = monitor.update(scored(start_s + number / 10, level))
        sink.score(judgement)
        for alert in judgement.alerts if alerts else ():
            sink.alert(alert, report_of("cam"))


def tick(sink: MomentsSink) -> None:
    sink.tick(RunReport(1.0, 0, ()))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def test_moments_are_written_for_their_owner_and_published_after_minutes(tmp_path: Path) -> None:
    bus, old = Bus(), os.umask(0)
    try:
        with sink_of(tmp_path / "m", bus) as sink:
            show(sink, [CALM] * 3 + [ODD] * 2 + QUIET)
            tick(sink)
            assert bus.sent == []
            bus.now = PUBLISH_AFTER_S
            tick(sink)
            tick(sink)
            assert len(bus.sent) == 1
    finally:
        os.umask(old)
    ((camera, body, jpeg),) = bus.sent
    assert (camera, body["day"], body["per_day"], body["event_id"]) == ("cam", "2001-09-09", 10, "e1-cam-1")
    assert body["ranking"][0].moment_id == body["moment_id"]
    assert body["ranking"][0].rare == "nothing like it in 20 s"
    assert jpeg is not None
    assert from_jpeg(jpeg).shape[1] == 32
    assert [name.rpartition("-")[2] for name in files(tmp_path / "m")] == ["peak.jpg", "1.json", "watched.json"]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "m").rglob("*")}
    assert modes == {0o600, 0o700}


def test_the_nearest_normal_picture_is_written_and_named_and_goes_with_its_moment(tmp_path: Path) -> None:
    bus, asked = Bus(), []

    def nearest(camera: str, image: Image, regions: Sequence[Region]) -> NormalPicture:
        asked.append((camera, image.shape, len(regions)))
        return NormalPicture(1.5e9, b"a small picture", np.zeros((36, 64), np.uint8))

    sink = MomentsSink(
        tmp_path, MomentsSettings(), lambda _: ScheduleSettings(time_zone="UTC"), bus.publish, nearest=nearest
    )
    with sink:
        show(sink, [CALM] * 3 + [ODD] * 2 + QUIET)
    ((_, body, _),) = bus.sent
    assert body["normal_at"] == 1.5e9
    (name,) = [name for name in body["files"] if name.endswith("-normal.jpg")]
    assert (tmp_path / name).read_bytes() == b"a small picture"
    assert [camera for camera, *_ in asked] == ["cam"]
    with sink_of(tmp_path, bus) as later:
        later.added(monitor_of("cam"))
        later.forget("cam", 0.0, float("inf"))
    assert files(tmp_path) == ["watched.json"]


def test_a_killed_run_loses_nothing_that_was_found_and_the_next_continues_its_day(tmp_path: Path) -> None:
    bus = Bus()
    killed = sink_of(tmp_path, bus)
    killed.__enter__()
    show(killed, [CALM] * 3 + [ODD] * 2 + QUIET)
    killed._files.__exit__()  # what was handed over is on the disk; neither finish nor publish
    assert bus.sent == []
    with sink_of(tmp_path, bus) as sink:
        show(sink, [CALM] * 3 + [ODD + 20] * 2 + QUIET, start_s=4000.0)
        bus.now = PUBLISH_AFTER_S
        tick(sink)
        assert len(set(bus.ids)) == len(bus.ids) == 2
        last = bus.sent[-1][1]["ranking"]
        assert [one.moment_id for one in last] == [bus.ids[1], bus.ids[0]], "the second is higher"
        assert last[1].rare.startswith("something like it came once in")
    assert len(bus.sent) == 2, "nothing is sent twice"
    with sink_of(tmp_path, bus) as sink:
        sink.added(monitor_of("cam"))
        tick(sink)
    assert len(bus.sent) == 2, "also not by a later run"


def test_a_higher_peak_soon_after_takes_the_place_of_a_moment_and_its_files(tmp_path: Path) -> None:
    bus = Bus()
    with sink_of(tmp_path, bus) as sink:
        show(sink, [CALM] * 3 + [ODD] * 2 + QUIET + [ODD + 20] * 2 + QUIET)
        bus.now = PUBLISH_AFTER_S
        tick(sink)
    assert len(bus.sent) == 1
    assert len([name for name in files(tmp_path) if name.endswith(".jpg")]) == 1
    assert len(bus.sent[0][1]["ranking"]) == 1


def test_a_moment_that_was_published_is_said_to_be_replaced(tmp_path: Path) -> None:
    bus = Bus()
    with sink_of(tmp_path, bus) as sink:
        show(sink, [CALM] * 3 + [ODD] * 2 + QUIET)
        bus.now = PUBLISH_AFTER_S
        tick(sink)
        show(sink, [ODD + 30] * 2 + QUIET, start_s=100.0)
    first, second = bus.sent
    assert second[1]["replaces"] == (first[1]["moment_id"],)
    assert [one.moment_id for one in second[1]["ranking"]] == [second[1]["moment_id"]]


def test_only_the_first_of_a_day_are_kept(tmp_path: Path) -> None:
    bus = Bus()
    with sink_of(tmp_path, bus, per_day=2) as sink:
        for number in range(4):
            show(sink, [CALM] * 2 + [ODD + 5 * number] * 2 + QUIET, start_s=1000.0 * number)
    assert len([name for name in files(tmp_path) if name.endswith(".jpg")]) == 2
    ranking = bus.sent[-1][1]["ranking"]
    assert [one.score for one in ranking] == sorted((one.score for one in ranking), reverse=True)
    assert len(ranking) == 2


def test_at_the_end_of_a_day_its_rest_is_published(tmp_path: Path) -> None:
    bus = Bus()
    with sink_of(tmp_path, bus) as sink:
        midnight = 1_000_080_000.0 - 1e9  # 2001-09-10T00:00 UTC
        show(sink, [CALM] * 3 + [ODD] * 2 + QUIET, start_s=midnight - 30.0)
        assert bus.sent == []
        show(sink, [CALM] * 3, start_s=midnight + 1.0)
        assert [body["day"] for _, body, _ in bus.sent] == ["2001-09-09"]


def test_a_camera_that_is_gone_is_published_and_may_come_back_at_once(tmp_path: Path) -> None:
    bus = Bus()
    with sink_of(tmp_path, bus) as sink:
        show(sink, [CALM] * 3 + [ODD] * 2)
        sink.removed("cam")
        assert len(bus.sent) == 1
        sink.removed("never seen")
        show(sink, [CALM] * 3 + [ODD + 9] * 2, start_s=2000.0)
    assert len(bus.sent[-1][1]["ranking"]) == 2


def test_the_folder_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        moments_sink, "explained", lambda *_: np.random.default_rng(0).integers(0, 255, (900, 900, 3)).astype(np.uint8)
    )
    bus = Bus()
    for number in range(5):
        with sink_of(tmp_path, bus, keep_mb=1) as sink:
            show(sink, [CALM] * 3 + [ODD] * 2 + QUIET, start_s=90_000.0 * number)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2.1e6


@pytest.mark.parametrize("content", [b"", b"{", b'{"camera": 3}', b"\xff" * 100, b'{"camera":"cam","published":true}'])
def test_damaged_files_are_left_out(tmp_path: Path, content: bytes) -> None:
    bus = Bus()
    with sink_of(tmp_path, bus) as sink:
        show(sink, [CALM] * 3 + [ODD] * 2 + QUIET)
    for path in tmp_path.rglob("*.json"):
        path.write_bytes(content)
    with sink_of(tmp_path, bus) as sink:
        show(sink, [CALM] * 3 + [ODD] * 2 + QUIET, start_s=2000.0)
    assert len(bus.sent[-1][1]["ranking"]) == 1


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError,
        match=r"the folder of moments .* cannot be created \(.*file is not a folder\).*\[moments\] enabled = false",
    ):
        sink_of(tmp_path / "file", Bus()).__enter__()


def test_a_clip_is_asked_for_and_named_if_it_was_written(tmp_path: Path) -> None:
    bus, asked = Bus(), list[tuple[str, float]]()

    def clip(camera: str, time_s: float, path: Path) -> None:
        asked.append((camera, time_s))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip")

    sink = MomentsSink(
        tmp_path, MomentsSettings(), lambda _: ScheduleSettings(), bus.publish, clip, epoch="e1", clock=bus.clock
    )
    with sink:
        show(sink, [CALM] * 3 + [ODD] * 2 + QUIET)
    ((camera, time_s),) = asked
    assert camera == "cam"
    assert time_s == pytest.approx(3.4, abs=0.6)
    assert [name.rpartition(".")[2] for name in bus.sent[0][1]["files"]] == ["jpg", "mp4"]


def test_a_forgotten_camera_leaves_no_file_and_no_message(tmp_path: Path) -> None:
    bus = Bus()
    with sink_of(tmp_path, bus) as sink:
        show(sink, [*QUIET, ODD, *QUIET])
        bus.now = PUBLISH_AFTER_S + 1
        sink.forget("cam", 0.0, 1e12)
        sink.forget("cam", 0.0, float("inf"))
        sink.tick(RunReport(1.0, 0, ()))
    assert bus.sent == []
    assert [path for path in tmp_path.rglob("*") if path.suffix in (".jpg", ".mp4")] == []
