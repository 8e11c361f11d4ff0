"""Pictures of calm footage: when one is taken, whose eyes they are for, and what ends them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from monitor.errors import ConfigError
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.sinks.evidence.alert_pictures import from_jpeg
from monitor.sinks.evidence.evidence_files import began_at
from monitor.sinks.normal.normal_settings import NormalSettings
from monitor.sinks.normal.normal_sink import CALM_S, EVERY_S, FIRST, MASKS, NormalSink
from monitor.states import CameraState
from monitor.stream.schedule_settings import ScheduleSettings
from monitor.testing.captured import eventually
from monitor.testing.fakes import monitor_of, picture
from monitor.testing.sink_contract import report_of
from monitor.types import Detection, Frame, Health, ScoredFrame

CALM, ODD = 24, 200
START = 1e9


@dataclass
class Lab:
    """A sink, and the camera ``cam`` that it sees. masks: which masks it has now."""

    folder: Path
    masks: str = ""
    now_s: float = 0.0
    alerts: list[Alert] = field(default_factory=list)
    monitor: CameraMonitor = field(default_factory=lambda: monitor_of("cam"))

    def sink(self, **settings: object) -> NormalSink:
        given = NormalSettings(**settings)
        return NormalSink(self.folder, given, lambda _: ScheduleSettings(), lambda _: self.masks)

    def show(self, sink: NormalSink, levels: Sequence[int], *, learning: bool = False) -> None:
        """A second of frames at 10 per second for each level."""
        if not learning:
            sink.added(self.monitor)
        for level in (level for level in levels for _ in range(10)):
            self.now_s += 0.1
            image = picture(level)
            frame = Frame("cam", round(self.now_s * 10), self.now_s, image, wall_time=START + self.now_s)
            grey = image.mean(axis=2).astype(np.float32)
            seen = ScoredFrame(frame, (Detection(float(grey.mean()) / 255, grey),), 0.0)
            sink.frame(seen)
            if learning:
                continue
            judgement = self.monitor.update(seen)
            sink.score(judgement)
            for alert in judgement.alerts:
                self.alerts.append(alert)
                sink.alert(alert, report_of("cam"))

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("cam/*/*-normal.jpg"))

    @property
    def times(self) -> list[float]:
        """When the pictures on the disk were, seconds of the stream."""
        found = [began_at(path) for path in self.files]
        return [at - START for at in found if at is not None]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "normal")


def test_calm_frames_are_kept_for_the_owner_and_none_around_an_alarm(lab: Lab) -> None:
    old = os.umask(0)
    try:
        with lab.sink() as sink:
            lab.show(sink, [CALM] * 30 + [ODD] * 3 + [CALM] * 60)
    finally:
        os.umask(old)
    start, end = lab.alerts[0].event.started_s, lab.alerts[-1].event.ended_s
    assert end is not None
    assert len(lab.times) > 10
    assert not [at for at in lab.times if start - CALM_S < at < end + CALM_S]
    assert max(lab.times) <= lab.now_s - CALM_S, "what an alarm could still follow is not kept"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in lab.folder.rglob("*")}
    assert modes == {0o600, 0o700}
    assert from_jpeg(lab.files[0].read_bytes()).shape[0] <= 96


def test_an_alert_has_the_same_picture_at_its_start_and_its_end(lab: Lab) -> None:
    with lab.sink() as sink:
        lab.show(sink, [CALM] * 30)
        assert eventually(lambda: len(lab.files) > 5)
        lab.show(sink, [ODD] * 3 + [CALM] * 5)
        found = {id(sink.nearest_to(alert)) for alert in lab.alerts}
        assert len(lab.alerts) >= 2
        assert len(found) == 1
        nearest = sink.nearest_to(lab.alerts[0])
        assert nearest is not None
        assert nearest.at < START + lab.alerts[0].event.started_s - CALM_S
        assert sink.nearest("nobody", picture(CALM), []) is None


def test_a_camera_that_learns_gives_pictures_unless_its_picture_is_faulty(lab: Lab) -> None:
    lab.now_s = -60.0  # as in the demo
    with lab.sink() as sink:
        lab.show(sink, [CALM] * 15, learning=True)
        dark = Frame("dark", 1, 1.0, picture(CALM), health=Health(CameraState.DARK, "", False))
        sink.frame(ScoredFrame(dark, (), 0.0))
    assert lab.files
    assert not (lab.folder / "dark").exists()


def test_after_the_first_pictures_few_are_taken(lab: Lab) -> None:
    with lab.sink() as sink:
        lab.show(sink, [CALM] * 220)
    steps = np.diff(lab.times)
    assert len(lab.times) > FIRST
    assert steps[FIRST + 1 :].min() >= EVERY_S - 0.2


def test_a_later_run_knows_the_pictures_and_another_mask_deletes_them(lab: Lab) -> None:
    with lab.sink() as sink:
        lab.show(sink, [CALM] * 30)
    before = lab.files
    assert before
    with lab.sink() as sink:
        sink._camera("cam")
        assert eventually(lambda: sink.nearest("cam", picture(CALM), []) is not None)
    assert lab.files == before
    lab.masks = "window"
    with lab.sink() as sink:
        sink._camera("cam")
    assert lab.files == []
    with lab.sink() as sink:
        lab.show(sink, [CALM] * 30)
    assert (lab.folder / "cam" / MASKS).read_text() == "window"


def test_a_mask_that_is_drawn_during_the_run_deletes_them_too(lab: Lab) -> None:
    with lab.sink() as sink:
        lab.show(sink, [CALM] * 20)
        assert eventually(lambda: len(lab.files) > 3)
        lab.masks = "window"
        sink.removed("cam")
        lab.show(sink, [CALM])
        assert eventually(lambda: lab.files == [])
        assert sink.nearest("cam", picture(CALM), []) is None


def test_pictures_whose_masks_are_not_known_are_deleted(lab: Lab) -> None:
    with lab.sink() as sink:
        lab.show(sink, [CALM] * 20)
    (lab.folder / "cam" / MASKS).unlink()
    with lab.sink() as sink:
        sink._camera("cam")
    assert lab.files == []


def test_what_is_forgotten_is_shown_no_more_and_gone_from_the_disk(lab: Lab) -> None:
    with lab.sink() as sink:
        lab.show(sink, [CALM] * 30)
        assert eventually(lambda: len(lab.files) > 5)
        lab.show(sink, [ODD] * 3)
        nearest = sink.nearest_to(lab.alerts[0])
        assert nearest is not None
        sink.forget("cam", nearest.at, nearest.at)
        assert sink.nearest_to(lab.alerts[0]) is None
        other = sink.nearest("cam", picture(CALM), [])
        assert other is not None
        sink.forget("cam", 0.0, float("inf"))
        assert sink.nearest("cam", picture(CALM), []) is None
    assert lab.files == []


def test_damaged_files_cost_only_themselves_and_the_number_is_bounded(lab: Lab) -> None:
    with lab.sink(pictures=8) as sink:
        lab.show(sink, [CALM] * 60)
    assert len(lab.files) == 8
    broken, unreadable = lab.files[:2]
    broken.write_bytes(b"no picture")
    unreadable.unlink()
    unreadable.mkdir()
    with lab.sink(pictures=8) as sink:
        sink._camera("cam")
        assert eventually(lambda: sink.nearest("cam", picture(CALM), []) is not None)
    assert not broken.exists()
    assert len(lab.files) == 7


def test_a_disk_that_takes_nothing_costs_only_the_next_run(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    with lab.sink() as sink:
        (lab.folder / "cam").write_text("a file in the way")
        lab.show(sink, [CALM] * 30)
        assert eventually(lambda: sink.nearest("cam", picture(CALM), []) is not None)
    assert "cannot be written" in caplog.text
    assert lab.files == []


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "normal").write_text("")
    with pytest.raises(ConfigError, match=r"\[normal\] folder"), Lab(tmp_path / "normal").sink():
        pass
