"""Pictures, clips and facts of events, written by the code of the evidence thread, without the thread."""

import json
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from monitor.alerting import AlertSettings
from monitor.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.errors import ConfigError
from monitor.evidence import sink as evidence_sink
from monitor.evidence.camera import CameraEvidence
from monitor.evidence.clips import WebmClip, open_clip
from monitor.evidence.files import Disk, EvidenceFiles, folder_name
from monitor.evidence.handover import HandOver
from monitor.evidence.pictures import fit, heated, relative_heat, snapshot
from monitor.evidence.ring import OVERHEAD_BYTES, FrameRing
from monitor.evidence.settings import EvidenceSettings
from monitor.evidence.sink import EvidenceSink
from monitor.fusion import ModelScale
from monitor.messages import ModelRef
from monitor.model_store import Model
from monitor.sink import Sink
from monitor.smoothing import SmoothingSettings
from monitor.types import AlertEvent, Phase, Reason, Region, ScoredFrame
from tests.fakes import brightness_model, frame, picture, scored

DEADLINE_S = 20
CALM, BRIGHT = 25, 200
MODEL = ModelRef(id="brightness", hash="0" * 64)


def monitor(camera: str = "cam") -> CameraMonitor:
    scale = ModelScale(brightness_model(), 1.0, SmoothingSettings())
    return CameraMonitor(camera, scale, SmoothingSettings(), AlertSettings())


def levels(*parts: tuple[float, int], fps: float = 10.0) -> list[ScoredFrame]:
    """Frames of the given (seconds, grey level) one after another."""
    grey = [level for seconds, level in parts for _ in range(round(seconds * fps))]
    return [scored(number / fps, level) for number, level in enumerate(grey)]


def play(frames: Sequence[ScoredFrame], evidence: CameraEvidence) -> list[Alert]:
    watched, alerts = monitor(), []
    for item in frames:
        judgement = watched.update(item)
        evidence.frame(item.frame)
        for alert in judgement.alerts:
            evidence.step(alert)
            alerts.append(alert)
    for alert in watched.close():
        evidence.step(alert)
        alerts.append(alert)
    evidence.finish()
    return alerts


def keeper(folder: Path, settings: EvidenceSettings | None = None) -> CameraEvidence:
    return CameraEvidence("cam", settings or EvidenceSettings(), Disk(folder), model=MODEL, false_alarms_per_day=1.0)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def decoded(path: Path) -> tuple[list[float], list[float]]:
    """(times in seconds, mean grey levels) of a clip's frames."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    times = [float(f.pts * f.time_base) for f in frames if f.pts is not None and f.time_base is not None]
    return times, [float(f.to_ndarray(format="gray").mean()) for f in frames]


def test_an_event_leaves_two_pictures_a_clip_with_what_came_before_and_its_facts(tmp_path: Path) -> None:
    alerts = play(levels((12, CALM), (3, BRIGHT), (12, CALM)), keeper(tmp_path))
    assert [alert.event.phase for alert in alerts] == ["start", "end"]
    names = EvidenceFiles.of("cam", alerts[0].started_at, 1, ".mp4")
    assert files_in(tmp_path) == sorted(names.all)

    for name in (names.start, names.peak):
        image = cv2.imread(str(tmp_path / name))
        assert image is not None
        assert image.shape[0] > 24, "a caption stands beneath the picture"

    started, ended = alerts[0].event.started_s, alerts[1].event.ended_s
    assert ended is not None
    times, grey = decoded(tmp_path / names.clip)
    assert times[0] == 0.0
    assert len(times) == round((ended - started + 10.0) * 10) + 1, "5 s before, the event, 5 s after, no frame missing"
    assert all(later - earlier == pytest.approx(0.1, abs=1e-3) for earlier, later in pairwise(times))
    first_bright = next(t for t, level in zip(times, grey, strict=True) if level > 100)
    assert first_bright == pytest.approx(5.0, abs=0.25), "the median needs up to two frames to rise"

    facts = json.loads((tmp_path / names.facts).read_text())
    assert (facts["camera"], facts["event"], facts["phase"]) == ("cam", 1, "end")
    assert (facts["started_s"], facts["ended_s"]) == (started, ended)
    assert facts["reasons"][0]["text"].startswith("brightness")
    assert facts["model"] == {"id": "brightness", "hash": "0" * 64}
    assert facts["expected_false_alarms_per_day"] == 1.0
    assert facts["clip"] == {"started_s": round(started - 5.0, 3), "seconds": times[-1], "frames": len(times)}
    assert set(facts["files"]) == {Path(name).name for name in names.all}


def test_the_clip_is_h264_that_browsers_play_from_the_first_bytes_on(tmp_path: Path) -> None:
    alerts = play(levels((6, CALM), (2, BRIGHT), (9, CALM)), keeper(tmp_path))
    path = tmp_path / EvidenceFiles.of("cam", alerts[0].started_at, 1, ".mp4").clip
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert container.metadata["title"] == "cam"
    content = path.read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat"), "faststart"


def test_frames_keep_their_times_however_unevenly_they_come(tmp_path: Path) -> None:
    clip = open_clip(tmp_path / "c.mp4", 32, 24, camera="cam", started_at=1e9)
    wanted = [0.0, 0.04, 0.5, 0.51, 3.0]
    for time_s in wanted:
        clip.write(100.0 + time_s, picture(90))
    assert clip.finish() == (tmp_path / "c.mp4").stat().st_size
    assert decoded(tmp_path / "c.mp4")[0] == pytest.approx(wanted, abs=1e-4)


def test_without_pyav_a_webm_of_the_same_length_is_written(tmp_path: Path) -> None:
    clip = WebmClip(tmp_path / "c.webm", 32, 24)
    for time_s in (0.0, 0.3, 0.5, 2.0):
        clip.write(time_s, picture(90))
    clip.finish()
    times, _ = decoded(tmp_path / "c.webm")
    assert times[-1] == pytest.approx(2.0, abs=0.11)
    assert files_in(tmp_path) == ["c.webm"]


def test_a_long_event_s_clip_is_cut_and_its_facts_are_not(tmp_path: Path) -> None:
    settings = EvidenceSettings(before_s=1.0, max_clip_s=4.0)
    alerts = play(levels((6, CALM), (20, BRIGHT), (6, CALM)), keeper(tmp_path, settings))
    names = EvidenceFiles.of("cam", alerts[0].started_at, 1, ".mp4")
    assert decoded(tmp_path / names.clip)[0][-1] == pytest.approx(4.0, abs=0.11)
    facts = json.loads((tmp_path / names.facts).read_text())
    assert facts["phase"] == "end"
    assert facts["clip"]["seconds"] == pytest.approx(4.0, abs=0.11)
    assert (tmp_path / names.peak).exists()


def test_two_events_in_quick_succession_have_a_clip_each(tmp_path: Path) -> None:
    alerts = play(levels((6, CALM), (1, BRIGHT), (3, CALM), (1, BRIGHT), (9, CALM)), keeper(tmp_path))
    starts = [alert for alert in alerts if alert.event.phase is Phase.START]
    names = [EvidenceFiles.of("cam", alert.started_at, alert.event.number, ".mp4") for alert in starts]
    assert len(names) == 2
    assert files_in(tmp_path) == sorted([*names[0].all, *names[1].all])
    for name in names:
        assert json.loads((tmp_path / name.facts).read_text())["clip"]["frames"] == len(
            decoded(tmp_path / name.clip)[0]
        )


def test_a_gap_or_a_new_size_ends_the_clip_and_what_follows_begins_anew(tmp_path: Path) -> None:
    evidence, watched = keeper(tmp_path), monitor()
    before = levels((6, CALM), (2, BRIGHT))
    after = [scored(20.0 + item.frame.time_s, BRIGHT, segment=1) for item in before]
    alerts = []
    for item in [*before, *after]:
        judgement = watched.update(item)
        evidence.frame(item.frame)
        for alert in judgement.alerts:
            evidence.step(alert)
            alerts.append(alert)
    evidence.finish()
    assert [alert.event.phase for alert in alerts] == ["start", "end", "start", "update"]
    first, second = (EvidenceFiles.of("cam", a.started_at, a.event.number, ".mp4") for a in (alerts[0], alerts[2]))
    assert json.loads((tmp_path / first.facts).read_text())["phase"] == "end"
    assert decoded(tmp_path / first.clip)[0][-1] < 10.0
    assert decoded(tmp_path / second.clip)[1][0] > 100, "nothing from before the gap"


def test_names_are_known_at_the_start_and_safe_whatever_a_camera_is_called() -> None:
    files = EvidenceFiles.of("door", 1_700_000_000.5678, 12, ".mp4")
    assert files.start == "door/2023-11-14/221320.567-12-start.jpg"
    assert files.clip == "door/2023-11-14/221320.567-12.mp4"
    for name in ("..", ".", "a/b", "é b", ""):
        safe = folder_name(name)
        assert safe.isascii()
        assert "/" not in safe
        assert not safe.startswith(".")
    assert folder_name("a b") != folder_name("a_b")


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


def test_pictures_are_scaled_to_the_width_and_to_even_sides() -> None:
    assert fit(picture(9, 1281, 721), 640).shape == (360, 640, 3)
    assert fit(picture(9, 33, 25), 640).shape == (24, 32, 3)
    small = picture(9, 320, 180)
    assert fit(small, 640) is small


def test_heat_is_red_at_the_peak_and_leaves_the_rest_alone() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[1, 2] = 7.0
    tinted = heated(picture(100, 64, 64), heat)
    blue, green, red = (int(v) for v in tinted[24, 40])
    assert red > 150
    assert blue < 60
    assert green < 100
    assert tinted[60, 4].tolist() == [100, 100, 100]
    assert relative_heat(np.full((3, 3), 5.0, np.float32)).max() == 0.0
    heat[0, 0] = np.nan
    assert np.isfinite(relative_heat(heat)).all()


def test_boxes_are_given_in_source_pixels_and_drawn_to_scale() -> None:
    item = ScoredFrame(frame(1.0), (), 0.0)
    wide = ScoredFrame(type(item.frame)("cam", 0, 1.0, picture(0, 1280, 720)), (), 0.0)
    event = AlertEvent(1, Phase.START, 1.0, None, 1.2, 1.2, 1.0, notify=True)
    alert = Alert("cam", event, 1e9, None, 0.0, wide, (Region(200, 100, 400, 300, 1.0),), (Reason("speed", 3.0, 1.0),))
    drawn = snapshot(alert, 640)
    assert drawn.shape[1] == 640
    red = np.argwhere((drawn[..., 2] > 200) & (drawn[..., 0] < 50))
    assert red.min(axis=0).tolist() == pytest.approx([50, 100], abs=2)
    assert red.max(axis=0).tolist() == pytest.approx([200, 300], abs=2)
    assert (drawn[362:] > 128).any(), "a caption"


@pytest.mark.parametrize(("width", "at_least"), [(64, 6), (320, 3), (640, 2)])
def test_a_caption_is_never_cut(width: int, at_least: int) -> None:
    item = ScoredFrame(type(frame(1.0))("front-door", 0, 1.0, picture(0, width, 48)), (), 0.0)
    event = AlertEvent(1, Phase.START, 1.0, None, 3.47, 3.47, 1.0, notify=True)
    alert = Alert("front-door", event, 1e9, None, 0.0, item, (), (Reason("speed", 3.0, 1.0),))
    strip = snapshot(alert, width)[48:]
    assert strip.shape[0] >= 18 * at_least + 6, "it goes on in further lines"
    assert not strip[:, -3:].any(), "all of it ends before the edge"
    assert (strip > 128).any()


def test_a_hand_over_refuses_what_does_not_fit_and_never_waits() -> None:
    handover: HandOver[str] = HandOver()
    assert handover.offer("a", 60, 100)
    assert not handover.offer("b", 60, 100)
    assert handover.offer("event", 60, 150), "what matters more has a higher limit"
    assert [handover.take(0), handover.take(0), handover.take(0)] == ["a", "event", None]
    assert handover.bytes == 0
    assert handover.offer("c", 60, 100)
    handover.close()
    assert not handover.offer("d", 1, 100)
    assert not handover.ended
    assert handover.take(DEADLINE_S) == "c"
    assert handover.ended


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
        EvidenceSettings(**wrong)  # type: ignore[arg-type]


def tell(sink: Sink, judgement: Judgement, report: object = None) -> None:
    """What the main loop does."""
    sink.score(judgement)
    for alert in judgement.alerts:
        sink.alert(alert, report)  # type: ignore[arg-type]


def sink_for(folder: Path, stop: threading.Event | None = None) -> EvidenceSink:
    settings = EvidenceSettings(enabled=True, folder=folder)
    return EvidenceSink(
        settings,
        models={"cam": brightness_model()},
        false_alarms_per_day=1.0,
        rise_s=0.5,
        stop=stop or threading.Event(),
    )


def test_the_thread_writes_what_the_alerts_named_and_ends_with_the_run(tmp_path: Path) -> None:
    watched = monitor()
    with sink_for(tmp_path / "new") as sink:
        named: list[tuple[str, ...]] = []
        for item in levels((6, CALM), (2, BRIGHT), (4, CALM)):
            judgement = watched.update(item)
            tell(sink, judgement)
            named.extend(sink.names(alert) for alert in judgement.alerts)
    assert len(named) == 2
    assert named[0] == named[1], "the same at the start and at the end"
    assert files_in(tmp_path / "new") == sorted(named[0])
    assert (sink.disk.written, sink.disk.lost, sink.dropped) == (4, 0, 0)
    assert "evidence" not in [thread.name for thread in threading.enumerate()]


def test_after_a_reload_events_are_described_by_the_model_and_budget_that_saw_them(tmp_path: Path) -> None:
    card = brightness_model().card.model_copy(update={"name": "later"})
    models = {"cam": brightness_model()}
    later = Model(card, models["cam"].detectors, models["cam"].held_out, "1" * 64)
    watched = monitor()
    settings = EvidenceSettings(enabled=True, folder=tmp_path)
    stop = threading.Event()
    starts: list[Alert] = []
    with EvidenceSink(settings, models=models, false_alarms_per_day=1.0, rise_s=0.5, stop=stop) as sink:
        for item in levels((6, CALM), (2, BRIGHT)):
            judgement = watched.update(item)
            tell(sink, judgement)
            starts.extend(judgement.alerts)
        for alert in watched.close():
            sink.alert(alert, None)  # type: ignore[arg-type]
        sink.removed("cam")
        models["cam"] = later
        watched = CameraMonitor(
            "cam", ModelScale(later, 0.1, SmoothingSettings()), SmoothingSettings(), AlertSettings()
        )
        sink.added(watched)
        for item in levels((6, CALM), (2, BRIGHT), (8, CALM)):
            moved = replace(item, frame=replace(item.frame, segment=1_000_000, wall_time=item.frame.wall_time + 60))
            judgement = watched.update(moved)
            tell(sink, judgement)
            starts.extend(judgement.alerts)
    facts = [
        json.loads((tmp_path / EvidenceFiles.of("cam", a.started_at, a.event.number, ".mp4").facts).read_text())
        for a in starts
        if a.event.phase is Phase.START
    ]
    assert [f["model"]["id"] for f in facts] == ["brightness", "later"]
    assert [f["expected_false_alarms_per_day"] for f in facts] == [1.0, 0.1]
    assert [f["phase"] for f in facts] == ["end", "end"]
    assert all(f["clip"]["frames"] > 60 for f in facts), "both clips are whole"


def test_a_model_exchanged_in_mid_stream_costs_no_clip_and_a_camera_that_only_learned_may_go(tmp_path: Path) -> None:
    models = {"cam": brightness_model()}
    later = replace(models["cam"], hash="1" * 64)
    watched = monitor()
    settings = EvidenceSettings(enabled=True, folder=tmp_path)
    with EvidenceSink(settings, models=models, false_alarms_per_day=1.0, rise_s=0.5, stop=threading.Event()) as sink:
        sink.removed("learning")
        for number, item in enumerate(levels((6, CALM), (2, BRIGHT), (20, CALM), (2, BRIGHT), (8, CALM))):
            if number == 75:  # in the event
                for alert in watched.close():
                    sink.alert(alert, None)  # type: ignore[arg-type]
                before, watched = watched, monitor()
                watched.count_from(before.events)
                models["cam"] = later
                sink.added(watched)
            tell(sink, watched.update(item))
    facts = [json.loads(path.read_text()) for path in sorted(tmp_path.rglob("*.json"))]
    assert [f["model"]["hash"][0] for f in facts] == ["0", "1", "1"]
    assert all(f["clip"] is not None for f in facts), "what was open was completed"
    assert len(list(tmp_path.rglob("*.mp4"))) == len(facts)


def test_when_the_user_ends_the_run_an_open_clip_is_done_or_gone_in_time(tmp_path: Path) -> None:
    stop, watched = threading.Event(), monitor()
    with sink_for(tmp_path, stop) as sink:
        for item in levels((6, CALM), (40, BRIGHT)):
            tell(sink, watched.update(item))
        stop.set()
        ended_at = time.monotonic()
    assert time.monotonic() - ended_at < 2.0, "1.1 s, and what a busy machine adds"
    assert not [name for name in files_in(tmp_path) if "partial" in name]


def test_a_run_that_can_wait_no_longer_keeps_pictures_and_facts_and_removes_the_clip(tmp_path: Path) -> None:
    watched, late = monitor(), threading.Event()
    disk = Disk(tmp_path)
    evidence = CameraEvidence("cam", EvidenceSettings(), disk, late=late.is_set)
    scene = levels((6, CALM), (2, BRIGHT), (1, CALM), (10, CALM), (2, BRIGHT))
    names = []
    for item in scene:
        judgement = watched.update(item)
        evidence.frame(item.frame)
        for alert in judgement.alerts:
            if alert.event.number == 2:
                late.set()  # it comes while the second event's clip is to be begun
            evidence.step(alert)
            names.append(EvidenceFiles.of("cam", alert.started_at, alert.event.number, ".mp4"))
    evidence.abandon()
    first, second = names[0], names[-1]
    assert files_in(tmp_path) == sorted([*first.all, second.start, second.facts])
    assert disk.lost == 1


def test_what_the_thread_is_too_slow_for_is_dropped_and_counted_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_sink, "WAITING_BYTES", 32 * 24 * 3 * 5)
    sink = sink_for(tmp_path)  # its thread is not running: the slowest there is
    watched = monitor()
    started = time.monotonic()
    for item in levels((6, CALM), (2, BRIGHT), (4, CALM)):
        tell(sink, watched.update(item))
    assert time.monotonic() - started < DEADLINE_S / 4
    assert sink.dropped == 115, "five frames, the start and the end of the event wait"


def test_a_thread_that_fails_says_so_and_takes_nothing_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = scored(0.0)
    broken.frame.image.resize((0, 0, 3), refcheck=False)
    with sink_for(tmp_path) as sink:
        sink.score(Judgement(broken, 0.0, ()))
        assert not wait_for_end(sink)
        sink.score(Judgement(scored(1.0), 0.0, ()))
    assert sink.dropped == 1
    assert "evidence has stopped, alerts go on without it" in caplog.text


def wait_for_end(sink: EvidenceSink) -> bool:
    """True if the evidence thread is still running at the deadline."""
    thread = next((t for t in threading.enumerate() if t.name == "evidence"), None)
    if thread is not None:
        thread.join(DEADLINE_S)
    return sink._stage.alive


def test_a_file_in_the_folder_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="is no folder"):
        sink_for(tmp_path / "taken").__enter__()


def test_the_log_says_how_much_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with sink_for(tmp_path):
        pass
    assert "16 MB a camera in memory, on the disk up to 30 days and 10 GB" in caplog.text
