"""Learning from normal footage: reading, held-out parts, versions that are written, footage that is refused."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from monitor.detector.base import Detector
from monitor.detector.registry import REGISTRY
from monitor.detector.scene.whole_scene import WholeScene
from monitor.detector.static_detector import StaticAge
from monitor.errors import ModelError, UsageError
from monitor.judging.fusion import ModelScale
from monitor.learning.footage import FootageSource, FootageWriter, recorded_s
from monitor.model.model_store import CARD_FILE, WEIGHTS_FILE, load_model
from monitor.model.model_versions import next_version, prune, version_folders
from monitor.scores.smoothing import SmoothingSettings
from monitor.testing.fakes import Brightness
from monitor.text.wording import about
from monitor.types import Frame
from tests.helpers.normal_street import SIZE, record_street, street
from training.learn import learn_model
from training.learn import normal_footage as normal_module
from training.learn.crossfit import cross_fit, deal, without
from training.learn.held_out_windows import windows
from training.learn.learn_model import LearnSettings, learn
from training.learn.learners import LEARNERS, Learner
from training.learn.normal_footage import read_normal
from training.learn.suitability import check_suitable, odd_scenes
from training.progress import JsonReport, Report
from training.recordings import recorded_sources

QUIET = Report(quiet=True)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_street(tmp_path_factory.mktemp("recorded") / "footage", 20.0)


@pytest.fixture(scope="module")
def known_learners() -> dict[str, Learner]:
    """They learn like the real ones, but only once per part of the footage for all tests."""
    known: dict[object, Detector] = {}

    def knowing(name: str) -> Learner:
        real = LEARNERS[name]

        def fit(clips: Sequence[Sequence[Frame]], seed: int, device: str, report: Report) -> Detector:
            key = (name, seed, *((clip[0].time_s, clip[-1].time_s, len(clip)) for clip in clips))
            if key not in known:
                known[key] = real.fit(clips, seed, device, report)
            return known[key]

        return Learner(fit)

    return {name: knowing(name) for name in ("motion", "static")}


@pytest.fixture
def learners_are_known(monkeypatch: pytest.MonkeyPatch, known_learners: dict[str, Learner]) -> None:
    for name, learner in known_learners.items():
        monkeypatch.setitem(LEARNERS, name, learner)


def test_a_recording_gives_its_pictures_at_their_times_and_goes_on_after_an_interruption(tmp_path: Path) -> None:
    writer = FootageWriter(tmp_path / "f", "door", (1280, 720), 10.0)
    for number in range(5):
        writer.add(3.0 + number / 10, street(number / 10))
    again = FootageWriter(tmp_path / "f", "door", (1280, 720), 10.0)
    again.add(100.0, street(9.0))
    again.add(100.1, street(9.1))
    source = FootageSource(tmp_path / "f")
    assert source.camera_size == (1280, 720)
    with source.open() as reader:
        times = []
        while (position := reader.grab()) is not None:
            image = reader.retrieve()
            assert image is not None
            assert image.shape == (SIZE[1], SIZE[0], 3)
            times.append(position.time_s)
    assert times == [0.0, 0.1, 0.2, 0.3, 0.4, 10.4, 10.5]
    assert recorded_s(tmp_path / "f") == pytest.approx(0.5)
    assert read_normal([source], QUIET).footage_s == pytest.approx(0.5), "the gap is not footage"


def test_short_footage_is_kept_whole_and_in_colour(footage: Path) -> None:
    read = read_normal([FootageSource(footage)], QUIET)
    assert read.whole
    assert read.frames == 200
    assert read.size == SIZE
    frame = read.stretches[0][50]
    assert frame.time_s == pytest.approx(5.0)
    assert np.abs(frame.image.astype(int) - street(5.0)).mean() < 4
    assert [f.time_s for f in read.stretches[0][10:12]] == pytest.approx([1.0, 1.1])


def test_of_long_footage_chunks_spread_over_it_are_kept_and_windows_between_them_held_out(
    footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("WHOLE_FRAMES", "CHUNKED_FRAMES"):
        monkeypatch.setattr(normal_module, limit, 90)
    monkeypatch.setattr(normal_module, "CHUNK_S", 2.0)
    monkeypatch.setattr("training.learn.held_out_windows.CHUNK_S", 2.0)
    read = read_normal([FootageSource(footage)], QUIET)
    assert read.stride == 4
    kept = [(s.times[0], s.times[-1]) for s in read.stretches]
    assert kept == [(0.0, 1.9), (8.0, 9.9), (16.0, 17.9)]
    held = [(w.from_s, w.to_s) for w in windows(read, 10.0)]
    assert held == [(2.0, 8.0), (10.0, 16.0), (18.0, 19.9)]


def test_from_long_footage_motion_learns_every_frame_and_is_held_out_on_all_of_it(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("WHOLE_FRAMES", "CHUNKED_FRAMES"):
        monkeypatch.setattr(normal_module, limit, 90)
    for module in ("normal_footage", "held_out_windows"):
        monkeypatch.setattr(f"training.learn.{module}.CHUNK_S", 2.0)
    monkeypatch.setattr("training.learn.whole_footage.SHORTEST_BLOCK_S", 2.0)
    monkeypatch.setitem(REGISTRY, "brightness", "monitor.testing.fakes:Brightness")
    monkeypatch.setitem(LEARNERS, "brightness", Learner(lambda *_: Brightness()))
    settings = LearnSettings("door", tmp_path, ("motion", "brightness", "appearance"))
    [version] = learn([FootageSource(footage)], ["footage"], settings, QUIET)
    model = load_model(version)
    assert model.learned_from_all
    assert [detector.name for detector in model.detectors] == ["motion", "brightness"], "appearance is for minutes"
    held_out = model.held_out
    assert len(held_out.time_s) == 200
    known = {name: np.isfinite(scores) for name, scores in held_out.scores.items()}
    assert known["motion"].sum() > 190, "each frame is held out for what the other blocks know"
    in_windows = (held_out.time_s % 8 >= 2) & (held_out.time_s < 19.9)
    assert not known["brightness"][~in_windows].any()
    assert known["brightness"][in_windows].mean() > 0.9
    assert (held_out.scores["motion"][known["motion"]] > 0).mean() > 0.3
    detector = model.detectors[0]
    assert not detector.settings()["spacing"]
    assert "pace" not in detector.tensors(), "exemplars of every place need no perspective"
    assert ModelScale(model, 1.0, SmoothingSettings()).scales["motion"].threshold > 1.0


def test_whole_pictures_of_the_scene_are_learned_only_from_most_of_a_day() -> None:
    scene = LEARNERS["scene"].whole
    assert scene is not None
    assert scene(Brightness(), 19 * 3600.0) is None, "another hour's light would be new"
    assert isinstance(scene(Brightness(), 23 * 3600.0), WholeScene)


@pytest.mark.parametrize("lengths", [[100], [40, 7, 90], list(range(10, 40))])
def test_every_frame_is_held_out_once_and_never_learned_from_by_what_scores_it(lengths: list[int]) -> None:
    pieces = deal(lengths)
    held = [(p.stretch, i) for p in pieces for i in range(p.start, p.stop)]
    assert sorted(held) == [(n, i) for n, length in enumerate(lengths) for i in range(length)]
    by_fold = [sum(p.stop - p.start for p in pieces if p.fold == fold) for fold in range(4)]
    assert max(by_fold) - min(by_fold) <= max(lengths)


def test_what_follows_a_held_out_part_is_a_clip_of_its_own(footage: Path) -> None:
    stretches = read_normal([FootageSource(footage)], QUIET).stretches
    clips = without(stretches, deal([200]), 1)
    assert [(c.times[0], c.times[-1]) for c in clips] == [(0.0, 4.9), (10.0, 19.9)]


@pytest.mark.usefixtures("learners_are_known")
def test_learning_writes_a_version_that_its_folder_loads(footage: Path, tmp_path: Path) -> None:
    told: list[Path] = []
    written = learn(
        [FootageSource(footage)], ["footage"], LearnSettings("door", tmp_path, ("motion", "scene")), QUIET, told.append
    )
    assert written == told == [tmp_path / "door/v0001"]
    model = load_model(tmp_path / "door")
    assert [d.name for d in model.detectors] == ["motion", "scene"]
    assert model.provenance.notes["version"] == 1
    assert (model.provenance.notes["width"], model.provenance.notes["height"]) == SIZE
    assert model.held_out.duration_s() == pytest.approx(4 * 4.9, abs=0.01)
    assert np.isfinite(model.held_out.scores["motion"]).mean() > 0.9


@pytest.mark.usefixtures("learners_are_known")
def test_what_takes_long_to_learn_comes_as_a_second_version_or_not_at_all(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(clips: Sequence[Sequence[Frame]], seed: int, device: str, report: Report) -> Detector:  # noqa: ARG001
        return Brightness()

    monkeypatch.setitem(REGISTRY, "brightness", "monitor.testing.fakes:Brightness")
    monkeypatch.setitem(LEARNERS, "brightness", Learner(slow, refit=False))
    monkeypatch.setattr(learn_model, "why_worse", lambda *_, **__: None)  # its five held-out seconds prove little
    settings = LearnSettings("door", tmp_path, ("motion", "brightness"))
    first, second = learn([FootageSource(footage)], ["f"], settings, Report())
    assert [d.name for d in load_model(first).detectors] == ["motion"]
    model = load_model(second)
    assert [d.name for d in model.detectors] == ["motion", "brightness"]
    known = np.isfinite(model.held_out.scores["brightness"])
    assert known.tolist() == [False] * 150 + [True] * 50, "it was fitted without the last quarter, and scored that"
    assert model.viewpoint is not None
    said = capsys.readouterr().err
    assert said.count("held out: ") == said.count("false alarms per day") == 1, "only of the version used in the end"
    shown = about(ModelScale(model, 1.0, SmoothingSettings()).supported_per_day)
    assert f"5 s that brightness has not learned from, which can confirm no rate below {shown} false alarms" in said
    monkeypatch.setitem(
        LEARNERS, "brightness", Learner(slow, refit=False, judge=lambda _detector, _clips, _report: None)
    )
    (only,) = learn([FootageSource(footage)], ["f"], settings, QUIET)
    assert [d.name for d in load_model(only).detectors] == ["motion"]


@pytest.mark.usefixtures("learners_are_known")
def test_a_network_is_left_out_where_next_to_nothing_could_be_held_back_from_it(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = LearnSettings("door", tmp_path, ("motion", "true-sight-2"))
    (only,) = learn([FootageSource(footage)], ["f"], settings, Report())
    assert [d.name for d in load_model(only).detectors] == ["motion"]
    assert "'true-sight-2' is left out" in (said := capsys.readouterr().err)
    assert "5 s are too short; give at least 40 s" in said
    assert "a network is still learning" not in said


def test_folds_in_processes_give_the_same_scores(footage: Path) -> None:
    stretches = [read_normal([FootageSource(footage)], QUIET).stretches[0][:80]]
    pieces = deal([80])
    alone, beside = (
        cross_fit(stretches, pieces, StaticAge.fit, refit=True, workers=workers).scores for workers in (1, 2)
    )
    assert [np.array_equal(a, b, equal_nan=True) for a, b in zip(alone, beside, strict=True)] == [True] * 4


TESTS = os.getpid()


def killing(clips: Sequence[Sequence[Frame]]) -> Detector:
    """Kills the process that fits, unless this is the process of the tests: as the system does without memory."""
    if os.getpid() != TESTS:
        os.kill(os.getpid(), signal.SIGKILL)
    return StaticAge.fit(clips)


def test_a_fold_of_which_the_process_is_killed_is_learned_again(footage: Path) -> None:
    stretches, said = [read_normal([FootageSource(footage)], QUIET).stretches[0][:40]], list[str]()
    pieces = deal([40])
    alone = cross_fit(stretches, pieces, StaticAge.fit, refit=True).scores
    again = cross_fit(stretches, pieces, killing, refit=True, workers=2, say=said.append).scores
    assert [np.array_equal(a, b, equal_nan=True) for a, b in zip(alone, again, strict=True)] == [True] * 4
    assert [line[:46] for line in said] == ["warning: a process that learns was killed, per"]


def test_a_damaged_newest_version_gives_way_to_the_one_before(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(REGISTRY, "brightness", "monitor.testing.fakes:Brightness")
    monkeypatch.setitem(LEARNERS, "brightness", Learner(lambda *_: Brightness()))
    settings = LearnSettings("door", tmp_path, ("brightness",))
    for _ in range(2):
        learn([FootageSource(footage)], ["footage"], settings, QUIET)
    (tmp_path / "door/v0002" / WEIGHTS_FILE).write_bytes(b"nothing")
    assert load_model(tmp_path / "door").provenance.notes["version"] == 1
    assert "older version" in caplog.text
    assert "v0001" in caplog.text
    (tmp_path / "door/v0001" / WEIGHTS_FILE).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="v0002 is damaged"):
        load_model(tmp_path / "door")


def test_the_last_versions_stay_and_numbers_go_on(tmp_path: Path) -> None:
    for _ in range(7):
        version = next_version(tmp_path)
        version.mkdir()
        (version / CARD_FILE).write_text('{"format": "true-sight-model"}')
        prune(tmp_path)
    assert [v.name for v in version_folders(tmp_path)] == ["v0007", "v0006", "v0005", "v0004", "v0003"]


def test_footage_of_two_scenes_is_refused_and_the_odd_one_named(footage: Path, tmp_path: Path) -> None:
    other = record_street(tmp_path / "upside-down/footage", 12.0, flip=True)
    with pytest.raises(UsageError, match=r"upside-down.* shows a different scene"):
        check_suitable(read_normal([FootageSource(footage), FootageSource(other)], QUIET))
    again = record_street(tmp_path / "again/footage", 12.0, seed=44)
    check_suitable(read_normal([FootageSource(footage), FootageSource(again)], QUIET))
    ten_s = read_normal([FootageSource(record_street(tmp_path / "ten/footage", 10.0))], QUIET)
    assert 9.5 < ten_s.footage_s < 10.0, "from the first frame to the last"
    check_suitable(ten_s)


def test_scenes_that_go_over_into_each_other_are_one() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 400)).astype(np.float32)
    assert odd_scenes([a, a + b, b]) == []
    assert odd_scenes([a, b, a, a]) == [1]


@pytest.mark.parametrize(("seconds", "why"), [(0.1, "only one frame"), (4.0, "too short to learn from")])
def test_too_little_footage_is_refused_and_nothing_written(tmp_path: Path, seconds: float, why: str) -> None:
    source = FootageSource(record_street(tmp_path / "f", seconds))
    with pytest.raises(UsageError, match=why):
        learn([source], ["f"], LearnSettings("door", tmp_path / "models"), QUIET)
    assert not version_folders(tmp_path / "models/door")


def test_a_camera_that_was_frozen_cannot_be_learned_from(tmp_path: Path) -> None:
    writer = FootageWriter(tmp_path / "f", "door", SIZE, 10.0)
    picture = street(1.0)
    for number in range(150):
        writer.add(number / 10, picture)
    with pytest.raises(UsageError, match="all frames of these 15 s are equal"):
        check_suitable(read_normal([FootageSource(tmp_path / "f")], QUIET))


def test_pictures_of_different_sizes_are_refused(footage: Path, tmp_path: Path) -> None:
    writer = FootageWriter(tmp_path / "other", "door", (64, 48), 10.0)
    writer.add(0.0, np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(UsageError, match="has 64x48, frames before it have 160x96"):
        read_normal([FootageSource(footage), FootageSource(tmp_path / "other")], QUIET)


def test_footage_of_which_nothing_can_be_decoded_is_refused(tmp_path: Path) -> None:
    writer = FootageWriter(tmp_path / "f", "door", SIZE, 10.0)
    for number in range(20):
        writer.add(number / 10, street(number / 10))
    for picture in (tmp_path / "f").glob("*/*.jpg"):
        picture.write_bytes(picture.read_bytes()[:500])
    with pytest.raises(UsageError, match="none of its frames can be decoded"):
        read_normal([FootageSource(tmp_path / "f")], QUIET)


def test_the_only_source_that_cannot_be_read_is_named_once_and_others_are_told_as_they_are_left_out(
    tmp_path: Path, footage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fake.mp4").write_bytes(b"no video")
    fake = recorded_sources([str(tmp_path / "fake.mp4")], "training_videos")
    with pytest.raises(UsageError, match=r"fake\.mp4 is not a video that OpenCV can read: convert the footage"):
        read_normal(fake, Report())
    assert "fake.mp4" not in capsys.readouterr().err
    read_normal([*fake, FootageSource(footage)], Report())
    assert "fake.mp4 is not a video that OpenCV can read: left out" in capsys.readouterr().err


def test_a_model_folder_is_not_overwritten_by_versions(tmp_path: Path, footage: Path) -> None:
    (tmp_path / "door").mkdir()
    (tmp_path / "door/model.json").write_text("{}")
    with pytest.raises(UsageError, match="choose another --name"):
        learn([FootageSource(footage)], ["f"], LearnSettings("door", tmp_path), QUIET)


def test_a_detector_that_cannot_be_learned_is_refused(tmp_path: Path, footage: Path) -> None:
    with pytest.raises(UsageError, match="'colour' is not a detector that can learn: choose from motion, static"):
        learn([FootageSource(footage)], ["f"], LearnSettings("door", tmp_path, ("colour",)), QUIET)


@pytest.mark.usefixtures("learners_are_known")
def test_how_far_learning_is_never_falls_until_a_version_is_written(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = JsonReport()
    report.every_s = 0.0
    settings = LearnSettings("door", tmp_path, ("motion", "static"))
    learn([FootageSource(footage)], ["door"], settings, report, report.version)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = [line for line in told if "step" in line]
    overall = [line["overall"] for line in steps]
    assert overall == sorted(overall)
    assert {line["step"].partition(",")[0] for line in steps} == {
        "reading the footage",
        "learning what the camera shows",
        "learning motion and static",
    }
    assert overall[0] == 0.0
    assert overall[-1] == pytest.approx(1.0)
    assert len(set(overall)) > 5
    assert "version" in told[-3]
    assert told[-2] == {"complete": True}
    assert told[-1]["say"].startswith("held out: 19 s, which can confirm no rate below ")


@pytest.mark.usefixtures("learners_are_known")
def test_a_detector_that_cannot_learn_from_short_footage_is_left_out(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def picky(clips: Sequence[Sequence[Frame]], seed: int, device: str, report: Report) -> Detector:  # noqa: ARG001
        raise UsageError("scene needs at least 32 pictures of normal footage; give more")

    monkeypatch.setitem(LEARNERS, "scene", Learner(picky))
    settings = LearnSettings("door", tmp_path, ("motion", "scene"))
    (only,) = learn([FootageSource(footage)], ["f"], settings, Report())
    assert [d.name for d in load_model(only).detectors] == ["motion"]
    assert "'scene' is left out: scene needs at least 32 pictures" in capsys.readouterr().err
    with pytest.raises(UsageError, match="scene needs at least 32 pictures"):
        learn([FootageSource(footage)], ["f"], LearnSettings("yard", tmp_path, ("scene",)), QUIET)
    assert not (tmp_path / "yard").exists()


def test_a_network_alone_that_fails_its_test_is_refused_with_a_sentence(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(clips: Sequence[Sequence[Frame]], seed: int, device: str, report: Report) -> Detector:  # noqa: ARG001
        return Brightness()

    monkeypatch.setitem(LEARNERS, "brightness", Learner(slow, refit=False, judge=lambda *_: None))
    with pytest.raises(UsageError, match="brightness did not learn well enough from this footage"):
        learn([FootageSource(footage)], ["f"], LearnSettings("door", tmp_path, ("brightness",)), QUIET)


@pytest.mark.usefixtures("learners_are_known")
def test_without_a_terminal_the_time_left_until_the_version_is_said(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = LearnSettings("door", tmp_path, ("motion", "static"))
    learn([FootageSource(footage)], ["door"], settings, Report(every_s=0.0))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("learning motion and static:")]
    assert len(said) > 5
    assert sum(" left" in line for line in said) >= len(said) // 2, "not at the beginning"
