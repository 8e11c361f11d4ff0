"""What a killed monitor leaves of its evidence, and what the next start makes of it."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import av
import pytest
from hypothesis import example, given

from monitor.sinks.evidence.camera_evidence import CameraEvidence
from monitor.sinks.evidence.clips import WebmClip, complete_clip
from monitor.sinks.evidence.evidence_files import Disk, EvidenceFiles, partial_path
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.evidence.repair import repair, sole_user
from monitor.testing.fakes import picture
from tests.helpers.bright_events import BRIGHT, CALM, files_in, levels, monitor, play, sink_for
from tests.helpers.fuzzing import broken, cases, damaged


def killed_during_an_event(folder: Path, bright_s: float = 8.0, calm_s: float = 0.0) -> EvidenceFiles:
    """The folder as a monitor leaves it that is killed so many seconds into an event. Returns the event's files."""
    running = folder.with_name("running")
    evidence, watched, names = CameraEvidence("cam", EvidenceSettings(), Disk(running)), monitor(), []
    for item in levels((6, CALM), (bright_s, BRIGHT), (calm_s, CALM)):
        judgement = watched.update(item)
        evidence.frame(item.frame)
        for alert in judgement.alerts:
            evidence.step(alert)
            names.append(EvidenceFiles.of("cam", alert.started_at, alert.event.number, ".mp4"))
    shutil.copytree(running, folder)
    evidence.abandon()
    return names[0]


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_kill_during_an_event_costs_the_last_seconds_of_its_clip_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = killed_during_an_event(tmp_path / "evidence")
    with caplog.at_level(logging.WARNING):
        repair(Disk(tmp_path / "evidence"))
    assert files_in(tmp_path / "evidence") == sorted([names.start, names.facts, names.clip])
    assert frames_in(tmp_path / "evidence" / names.clip) > 100, "of 5 s before and 8 s of the event"
    facts = json.loads((tmp_path / "evidence" / names.facts).read_text())
    assert (facts["phase"], facts["interrupted"], facts["camera"]) == ("end", True, "cam")
    assert set(facts["files"]) == {Path(name).name for name in (names.start, names.facts, names.clip)}
    assert "1 clip and the facts of 1 event completed" in caplog.text
    before = {name: (tmp_path / "evidence" / name).read_bytes() for name in files_in(tmp_path / "evidence")}
    repair(Disk(tmp_path / "evidence"))
    assert {name: (tmp_path / "evidence" / name).read_bytes() for name in before} == before, "once is enough"


def test_a_kill_after_the_end_of_an_event_leaves_an_event_that_ended(tmp_path: Path) -> None:
    names = killed_during_an_event(tmp_path / "evidence", bright_s=2.0, calm_s=4.0)
    repair(Disk(tmp_path / "evidence"))
    assert files_in(tmp_path / "evidence") == sorted(names.all)
    facts = json.loads((tmp_path / "evidence" / names.facts).read_text())
    assert (facts["phase"], "interrupted" in facts) == ("end", False)
    assert set(facts["files"]) == {Path(name).name for name in names.all}


def test_a_clip_that_was_only_just_begun_goes_and_is_not_named(tmp_path: Path) -> None:
    names = killed_during_an_event(tmp_path / "evidence")
    partial = partial_path(tmp_path / "evidence" / names.clip)
    for content in (b"", partial.read_bytes()[:48]):
        partial.write_bytes(content)
        repair(Disk(tmp_path / "evidence"))
        assert files_in(tmp_path / "evidence") == sorted([names.start, names.facts])
    facts = json.loads((tmp_path / "evidence" / names.facts).read_text())
    assert set(facts["files"]) == {Path(name).name for name in (names.start, names.facts)}


@pytest.mark.parametrize("share", [0.3, 0.62, 0.9])
def test_a_clip_cut_anywhere_is_played_up_to_there(tmp_path: Path, share: float) -> None:
    names = killed_during_an_event(tmp_path / "evidence")
    partial = partial_path(tmp_path / "evidence" / names.clip)
    whole = partial.read_bytes()
    partial.write_bytes(whole[: int(share * len(whole))])
    repair(Disk(tmp_path / "evidence"))
    clip = tmp_path / "evidence" / names.clip
    assert not partial.exists()
    assert not clip.exists() or frames_in(clip) > 0


def test_an_unfinished_webm_is_kept_if_it_shows_something(tmp_path: Path) -> None:
    path = tmp_path / "c.webm"
    clip = WebmClip(path, 32, 24)
    for index in range(100):
        clip.write(index / 10, picture(90))
    clip._writer.release()  # the file as it is when the frames have left the process
    assert complete_clip(partial_path(path), path) > 0
    partial_path(path).write_bytes(b"")
    assert complete_clip(partial_path(path), path) == 0


def test_a_folder_that_another_monitor_uses_is_not_repaired(tmp_path: Path) -> None:
    names = killed_during_an_event(tmp_path / "evidence")
    before = files_in(tmp_path / "evidence")
    with sole_user(tmp_path / "evidence") as first:
        assert first
        with sink_for(tmp_path / "evidence"):
            pass
        assert [name for name in files_in(tmp_path / "evidence") if name in before] == before
    with sink_for(tmp_path / "evidence"):
        pass
    assert names.clip in files_in(tmp_path / "evidence")


def test_files_of_others_are_neither_completed_nor_deleted(tmp_path: Path) -> None:
    others = {
        "cam/2026-01-01/.holiday.partial.mp4": b"half",
        "cam/2026-01-01/120000.000-1.json": b'{"files": ["gone.mp4"], "title": "mine"}',
        "cam/2026-01-01/120000.000-2.json": b"[" * 5000,
        "cam/2026-01-01/120000.000-3.json": b"",
        "cam/letters/.120000.000-1.partial.mp4": b"half",
        ".120000.000-1.partial.mp4": b"half",
    }
    for name, content in others.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    repair(Disk(tmp_path))
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == others


def test_an_existing_clip_is_never_replaced(tmp_path: Path) -> None:
    names = killed_during_an_event(tmp_path / "evidence")
    (tmp_path / "evidence" / names.clip).write_bytes(b"the clip")
    repair(Disk(tmp_path / "evidence"))
    assert (tmp_path / "evidence" / names.clip).read_bytes() == b"the clip"


def test_facts_name_no_clip_that_was_given_up(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    play(levels((6, CALM), (2, BRIGHT), (6, CALM)), CameraEvidence("cam", EvidenceSettings(), disk, late=lambda: True))
    for name in files_in(tmp_path):
        if name.endswith(".json"):
            named = json.loads((tmp_path / name).read_text())["files"]
            assert all((tmp_path / name).with_name(file).exists() for file in named)


def test_what_is_no_file_is_neither_read_nor_deleted(tmp_path: Path) -> None:
    date = tmp_path / "cam/2026-01-01"
    date.mkdir(parents=True)
    os.mkfifo(date / "120000.000-1.json")
    os.mkfifo(date / ".120000.000-2.partial.mp4")
    (date / "120000.000-3.json").mkdir()
    (date / "120000.000-4.json").symlink_to("/dev/zero")
    before = sorted(date.iterdir())
    repair(Disk(tmp_path))
    assert sorted(date.iterdir()) == before


FACTS = {"phase": "update", "camera": "cam", "files": ["120000.000-1.json", "gone.mp4"], "number": 1}


@cases(60, 5000)
@example(content=b"[" * 5000)
@example(content=b'{"phase": 1, "files": [[], 7, null, "\\ud800"]}')
@given(content=broken(json.dumps(FACTS).encode()) | damaged(FACTS).map(lambda facts: json.dumps(facts).encode()))
def test_facts_of_any_bytes_are_corrected_or_left(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cam/2026-01-01/120000.000-1.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    repair(Disk(tmp_path))
    assert path.read_bytes() == content or json.loads(path.read_bytes())["phase"] == "end"
