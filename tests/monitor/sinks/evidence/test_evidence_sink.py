"""The evidence thread: its settings, its queue, what it writes and drops, and its end with the run."""

import json
import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitor.errors import ConfigError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.model.model_store import Model
from monitor.scores.smoothing import SmoothingSettings
from monitor.sinks.evidence import evidence_sink
from monitor.sinks.evidence.evidence_files import EvidenceFiles
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.evidence.evidence_sink import EvidenceSink
from monitor.sinks.evidence.retention import Retention
from monitor.sinks.evidence.ring import OVERHEAD_BYTES, FrameRing
from monitor.sinks.normal.normal_pictures import NormalPicture
from monitor.states import Phase
from monitor.testing.fakes import brightness_model, judgement, monitor_of, scored
from monitor.threads.channel import HandOver
from tests.helpers.bright_events import BRIGHT, CALM, DEADLINE_S, files_in, levels, monitor, sink_for, tell

# The queue


def test_the_ring_never_takes_more_memory_than_its_budget_and_says_once_when_that_is_too_little(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ring = FrameRing("cam", 10 * (1000 + OVERHEAD_BYTES), keep_s=5.0)
    for number in range(100):
        ring.add(number / 10, b"x" * 1000)
        assert ring.bytes <= ring.budget_bytes
    assert len(ring) == 10
    assert [entry.time_s for entry in ring.since(9.55)] == [9.6, 9.7, 9.8, 9.9]
    assert len(caplog.records) == 1
    assert "evidence.memory_mb" in caplog.text
    ring.add(10.0, b"x" * 100_000)
    assert ring.bytes <= ring.budget_bytes


def test_the_ring_keeps_no_more_than_it_needs() -> None:
    ring = FrameRing("cam", 10**9, keep_s=2.0)
    for number in range(100):
        ring.add(number / 10, b"x")
    assert len(ring) == 21
    assert ring.bytes == 21 * (1 + OVERHEAD_BYTES)


def test_a_hand_over_refuses_what_does_not_fit_and_never_waits() -> None:
    handover: HandOver[str] = HandOver()
    assert handover.offer("a", 60, 100)
    assert not handover.offer("b", 60, 100)
    assert handover.offer("event", 60, 150), "more important items have a higher limit"
    assert [handover.take(0), handover.take(0), handover.take(0)] == ["a", "event", None]
    assert handover.bytes == 0
    assert handover.offer("c", 60, 100)
    handover.close()
    assert not handover.offer("d", 1, 100)
    assert not handover.ended
    assert handover.take(DEADLINE_S) == "c"
    assert handover.ended


# The thread


def test_the_thread_writes_what_the_alerts_named_and_ends_with_the_run(tmp_path: Path) -> None:
    watched = monitor()
    with sink_for(tmp_path / "new") as sink:
        named: list[tuple[str, ...]] = []
        for item in levels((6, CALM), (2, BRIGHT), (4, CALM)):
            step = watched.update(item)
            tell(sink, step)
            named.extend(sink.names(alert) for alert in step.alerts)
    assert len(named) == 2
    assert named[0] == named[1], "the same at the start and at the end"
    assert files_in(tmp_path / "new") == sorted(named[0])
    assert (sink.disk.written, sink.disk.lost, sink.dropped) == (4, 0, 0)
    assert "evidence" not in [thread.name for thread in threading.enumerate()]


def test_the_nearest_normal_picture_stands_beside_the_event_and_its_time_in_the_facts(tmp_path: Path) -> None:
    normal = NormalPicture(1.5e9, b"a small picture", np.zeros((36, 64), np.uint8))
    settings = EvidenceSettings(enabled=True, folder=tmp_path)
    watched, named = monitor(), []
    with EvidenceSink(settings, stop=threading.Event(), nearest=lambda _: normal) as sink:
        sink.added(watched)
        for item in levels((6, CALM), (2, BRIGHT), (4, CALM)):
            step = watched.update(item)
            tell(sink, step)
            named += [(sink.names(alert), sink.normal_at(alert)) for alert in step.alerts]
    assert named[0] == named[1]
    files, at = named[0]
    assert at == 1.5e9
    assert files_in(tmp_path) == sorted(files)
    (path,) = tmp_path.rglob("*-normal.jpg")
    assert path.read_bytes() == b"a small picture"
    facts = json.loads(next(tmp_path.rglob("*.json")).read_text())
    assert facts["normal_at"] == "2017-07-14T02:40:00.000+00:00"
    assert path.name in facts["files"]


def test_after_a_reload_events_are_described_by_the_model_and_budget_that_saw_them(tmp_path: Path) -> None:
    card = brightness_model().card.model_copy(update={"name": "later"})
    first = brightness_model()
    later = Model(card, first.detectors, first.held_out, "1" * 64)
    watched = monitor()
    settings = EvidenceSettings(enabled=True, folder=tmp_path)
    stop = threading.Event()
    starts: list[Alert] = []
    with EvidenceSink(settings, stop=stop) as sink:
        sink.added(watched)
        for item in levels((6, CALM), (2, BRIGHT)):
            step = watched.update(item)
            tell(sink, step)
            starts.extend(step.alerts)
        for alert in watched.close():
            sink.alert(alert, None)  # type: ignore[arg-type]
        sink.removed("cam")
        watched = CameraMonitor(
            "cam", ModelScale(later, 0.1, SmoothingSettings()), SmoothingSettings(), AlertSettings()
        )
        sink.added(watched)
        for item in levels((6, CALM), (2, BRIGHT), (8, CALM)):
            moved = replace(item, frame=replace(item.frame, segment=1_000_000, wall_time=item.frame.wall_time + 60))
            step = watched.update(moved)
            tell(sink, step)
            starts.extend(step.alerts)
    facts = [
        json.loads((tmp_path / EvidenceFiles.of("cam", a.started_at, a.event.number, ".mp4").facts).read_text())
        for a in starts
        if a.event.phase is Phase.START
    ]
    assert [f["model"]["id"] for f in facts] == ["brightness", "later"]
    assert [f["expected_false_alarms_per_day"] for f in facts] == [288.0, 288.0]
    assert [f["phase"] for f in facts] == ["end", "end"]
    assert all(f["clip"]["frames"] > 60 for f in facts), "both clips are complete"


def test_a_model_exchanged_in_mid_stream_costs_no_clip_and_a_camera_that_only_learned_may_go(tmp_path: Path) -> None:
    later = replace(brightness_model(), hash="1" * 64)
    watched = monitor()
    settings = EvidenceSettings(enabled=True, folder=tmp_path)
    with EvidenceSink(settings, stop=threading.Event()) as sink:
        sink.added(watched)
        sink.removed("learning")
        for number, item in enumerate(levels((6, CALM), (2, BRIGHT), (20, CALM), (2, BRIGHT), (8, CALM))):
            if number == 75:  # during the event
                for alert in watched.close():
                    sink.alert(alert, None)  # type: ignore[arg-type]
                before, watched = watched, monitor_of("cam", later)
                watched.count_from(before.events)
                sink.added(watched)
            tell(sink, watched.update(item))
    facts = [json.loads(path.read_text()) for path in sorted(tmp_path.rglob("*.json"))]
    assert [f["model"]["hash"][0] for f in facts] == ["0", "1", "1"]
    assert all(f["clip"] is not None for f in facts), "an open clip was completed"
    assert len(list(tmp_path.rglob("*.mp4"))) == len(facts)


def test_when_the_user_ends_the_run_an_open_clip_is_done_or_gone_in_time(tmp_path: Path) -> None:
    stop, watched = threading.Event(), monitor()
    with sink_for(tmp_path, stop) as sink:
        for item in levels((6, CALM), (40, BRIGHT)):
            tell(sink, watched.update(item))
        stop.set()
        ended_at = time.monotonic()
    assert time.monotonic() - ended_at < 2.0, "1.1 s, and the rest for a busy machine"
    assert not [name for name in files_in(tmp_path) if "partial" in name]


def test_what_the_thread_is_too_slow_for_is_dropped_and_counted_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_sink, "WAITING_BYTES", 32 * 24 * 3 * 5)
    sink = sink_for(tmp_path)  # its thread does not run, as the slowest case
    watched = monitor()
    started = time.monotonic()
    for item in levels((6, CALM), (2, BRIGHT), (4, CALM)):
        tell(sink, watched.update(item))
    assert time.monotonic() - started < DEADLINE_S / 4
    assert sink.dropped == 115, "five frames, the start and the end of the event are queued"


def test_a_thread_that_fails_says_so_and_takes_nothing_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Retention, "check", failing)  # an error of one camera does not end the thread
    with sink_for(tmp_path) as sink:
        assert not wait_for_end(sink)
        sink.score(judgement(scored(1.0), 0.0))
    assert sink.dropped == 1
    assert "evidence has stopped, alerts continue without it" in caplog.text


def wait_for_end(sink: EvidenceSink) -> bool:
    """True if the evidence thread is still running at the deadline."""
    thread = next((t for t in threading.enumerate() if t.name == "evidence"), None)
    if thread is not None:
        thread.join(DEADLINE_S)
    return sink._stage.alive


# Settings


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"before_s": -1.0}, "before_s must be 0 to 600"),
        ({"before_s": 70.0}, "max_clip_s must be above before_s"),
        ({"width": 10}, "width must be"),
        ({"quality": 0}, "quality must be"),
        ({"keep_gb": 0.0}, "keep_gb must be above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EvidenceSettings.model_validate(wrong)


def test_a_file_in_the_folder_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="is not a folder"):
        sink_for(tmp_path / "taken").__enter__()


def test_the_log_says_how_much_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with sink_for(tmp_path):
        pass
    assert "16 MB per camera in memory, on the disk up to 30 days and 10 GB" in caplog.text
