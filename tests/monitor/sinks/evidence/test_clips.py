"""Pictures, clip and facts of an event, written by the code of the evidence thread, but without the thread."""

import json
import threading
from itertools import pairwise
from pathlib import Path

import av
import cv2
import pytest

from monitor.sinks.evidence.camera_evidence import CameraEvidence
from monitor.sinks.evidence.clips import Mp4Clip, WebmClip, open_clip
from monitor.sinks.evidence.evidence_files import Disk, EvidenceFiles, folder_name
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.states import Phase
from monitor.testing.fakes import picture, scored
from tests.helpers.bright_events import BRIGHT, CALM, files_in, levels, monitor, play


def keeper(folder: Path, settings: EvidenceSettings | None = None) -> CameraEvidence:
    return CameraEvidence("cam", settings or EvidenceSettings(), Disk(folder))


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
        assert image.shape[0] > 24, "the caption is below the picture"

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
    assert facts["expected_false_alarms_per_day"] == 288.0, "with a minute of footage: one in five minutes"
    assert facts["clip"] == {"started_s": round(started - 5.0, 3), "seconds": times[-1], "frames": len(times)}
    assert set(facts["files"]) == {Path(name).name for name in names.all}


@pytest.mark.parametrize("folder", ["10:00", "http:", "file:x"])
def test_the_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.chdir(tmp_path)
    alerts = play(levels((6, CALM), (2, BRIGHT), (9, CALM)), keeper(Path(folder)))
    names = EvidenceFiles.of("cam", alerts[0].started_at, 1, ".mp4")
    assert files_in(tmp_path / folder) == sorted(names.all)
    clip = WebmClip(Path(folder) / "c.webm", 32, 24)
    for time_s in (0.0, 0.3):
        clip.write(time_s, picture(90))
    assert clip.finish()


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
    assert decoded(tmp_path / second.clip)[1][0] > 100, "no frame from before the gap"


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
                late.set()  # it arrives while the clip of the second event is starting
            evidence.step(alert)
            names.append(EvidenceFiles.of("cam", alert.started_at, alert.event.number, ".mp4"))
    evidence.abandon()
    first, second = names[0], names[-1]
    assert files_in(tmp_path) == sorted([*first.all, second.start, second.facts])
    assert disk.lost == 1


def test_a_camera_that_catches_up_costs_no_clip(tmp_path: Path) -> None:
    """Frames that come late together are a microsecond apart, which is less than a tick of the file."""
    path = tmp_path / "cam" / "c.mp4"
    clip = open_clip(path, 32, 24, camera="cam", started_at=0.0)
    for time_s in (0.0, 0.1, *(0.1 + number * 1e-6 for number in range(1, 9)), 0.2):
        clip.write(time_s, picture(90))
    assert clip.finish() > 0
    times, _ = decoded(path)
    assert len(times) == 11
    assert times[-1] == pytest.approx(0.2, abs=1e-3)


def test_what_the_encoder_refuses_is_said_to_be_its_frames_and_not_the_disk(tmp_path: Path) -> None:
    clip = open_clip(tmp_path / "c.mp4", 32, 24, camera="cam", started_at=0.0)
    for time_s in (0.0, 0.1):
        clip.write(time_s, picture(90))
    assert isinstance(clip, Mp4Clip)
    clip._last_pts = -5
    clip.write(-0.1, picture(90))  # back in time
    with pytest.raises(OSError, match="the video encoder refuses the frames"):
        clip.finish()
    clip.abandon()


def test_a_lost_clip_of_a_moment_names_its_file_and_stops_no_evidence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    camera = keeper(tmp_path / "evidence")
    for item in levels((3, CALM)):
        camera.frame(item.frame)
    (tmp_path / "moments").write_text("in the way")
    path = tmp_path / "moments" / "cam" / "2026-03-02" / "101112.000-1.mp4"
    for _ in range(2):
        camera.clip_around(1.0, path)
    assert caplog.text.count("the clip of a moment is lost") == 1
    assert (
        f"cam: the clip of a moment is lost, {path} cannot be written: {tmp_path / 'moments'} is not a folder"
        in caplog.text
    )
    assert camera._disk.lost == 2
    assert camera._disk.usable("cam/2026-03-02/101112.000-1.mp4")
