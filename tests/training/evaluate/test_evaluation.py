from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.errors import UsageError
from monitor.model.model_store import DetectorEntry, HeldOutSummary, Model, ModelCard, Provenance
from monitor.scores.held_out import HeldOut
from monitor.testing.fakes import Brightness
from monitor.types import Detection
from tests.places import SHARED_DATA as DATA
from training.evaluate.evaluation import Evaluation, Settings, evaluate, overlap
from training.evaluate.evaluation_report import text, timings, write_json
from training.evaluate.labels import LabelledVideo, load_labels
from training.evaluate.ranking import Judged, metrics
from training.evaluate.watching import WatchSettings
from training.output import Post
from training.progress import Report

QUIET = Report(quiet=True)
CHECKERS = np.kron(np.tile([[0, 16], [16, 0]], (4, 6)), np.ones((2, 2)))[..., None].astype(np.uint8)


class GreyLevel(Brightness):
    """The score is the mean grey level, 0..255, so every score is known."""

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        return [Detection(float(o.frame.image.mean())) for o in batch]


def brightness_model() -> Model:
    scores = np.tile([50.0, 51.0, 52.0, 53.0], 10)
    held_out = HeldOut(np.arange(40) / 10, np.zeros(40, np.int32), {"brightness": scores})
    about = Provenance(recipe="none", data=[], frames=0, seed=0, commit=None, device="cpu", trained_at="")
    card = ModelCard(
        format="true-sight-model",
        format_version=1,
        name="bright",
        monitor_version="0",
        detectors=[DetectorEntry(name="brightness", settings={})],
        weights_sha256="",
        held_out=HeldOutSummary(frames=40, clips=1, duration_s=4, scores={}),
        provenance=about,
    )
    return Model(card, (GreyLevel(),), held_out, "0" * 64)


def frames(folder: Path, levels: Sequence[int]) -> None:
    folder.mkdir(parents=True)
    for i, level in enumerate(levels):
        # A frame without structure counts as a covered camera, and a change of the whole frame counts as a change of
        # the light. Neither is scored. So five rows never change, and the other rows give the requested mean.
        picture = np.full((16, 24, 3), round(level + (level - levels[0]) * 5 / 11), np.uint8)
        picture[:5] = levels[0]
        cv2.imwrite(str(folder / f"{i:04}.png"), picture + CHECKERS)


def labels(folder: Path, entries: Mapping[str, object]) -> Path:
    path = folder / "labels.json"
    path.write_text(json.dumps(entries))
    return path


def measured(videos: Sequence[LabelledVideo], settings: Settings | None = None) -> Evaluation:
    return evaluate(videos, brightness_model(), QUIET, settings).evaluation


def judged(name: str, abnormal: Sequence[int], score: Sequence[float]) -> Judged:
    return Judged(name, np.array(abnormal, np.bool_), np.array(score, np.float64))


def test_images_are_watched_at_the_rate_that_is_given(tmp_path: Path) -> None:
    frames(tmp_path / "01", [50] * 20 + [150] * 20)
    videos = load_labels(labels(tmp_path, {"01": {"frames": 40, "abnormal": [[20, 39]]}}))
    analysed = [measured(videos, Settings(watch=WatchSettings(10.0, fps=fps))).analysed for fps in (25.0, 5.0)]
    assert analysed == [16, 40]


# --- figures


class Blind(GreyLevel):
    """Judges nothing."""

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        return [Detection(math.nan) for _ in batch]


def test_footage_that_no_detector_can_judge_has_no_figures(tmp_path: Path) -> None:
    frames(tmp_path / "01", [50] * 60)
    labels(tmp_path, {"01": {"frames": 60, "abnormal": [[20, 40]]}})
    model = replace(brightness_model(), detectors=(Blind(),))
    with pytest.raises(UsageError, match="no detector could judge any frame: give footage of the camera"):
        evaluate(load_labels(tmp_path / "labels.json"), model, QUIET)


def test_micro_is_over_all_frames_and_macro_over_videos_with_both_classes() -> None:
    found = metrics(
        [
            judged("perfect", [0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
            judged("reversed", [0, 1], [0.7, 0.3]),
            judged("normal", [0, 0], [0.0, 0.0]),
        ]
    )
    # 15 pairs of an abnormal and a normal frame: .8 and .9 beat all five, .3 all but .7.
    assert found.auc_micro == pytest.approx(14 / 15)
    assert found.auc_macro == pytest.approx((1.0 + 0.0) / 2)
    assert found.ap_micro == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert found.ap_macro == pytest.approx((1.0 + 0.5) / 2)
    assert found.chance == pytest.approx(3 / 8)
    assert found.chance_macro == pytest.approx(0.5)


def test_frame_without_a_score_counts_as_the_least_abnormal() -> None:
    assert metrics([judged("a", [0, 0, 1], [math.nan, 0.2, 0.8])]).auc_micro == 1.0
    assert metrics([judged("a", [1, 0, 0], [math.nan, 0.2, 0.8])]).auc_micro == 0.0


@pytest.mark.parametrize("kind", [0, 1])
def test_one_class_alone_cannot_be_measured(kind: int) -> None:
    with pytest.raises(UsageError, match="all labelled frames are"):
        metrics([judged("a", [kind] * 3, [0.1, 0.2, 0.3])])


# --- a complete evaluation


def test_detector_that_sees_the_abnormal_stretch_reaches_one(tmp_path: Path) -> None:
    levels = [50] * 40 + [150] * 40
    frames(tmp_path / "a/01", levels)
    path = labels(tmp_path, {"a/01": {"frames": 80, "abnormal": [[45, 79]]}})
    found = measured(load_labels(path))
    assert (found.frames, found.abnormal, found.videos, found.mixed_videos) == (80, 35, 1, 1)
    # The median has a delay of two frames, but no normal frame before frame 45 scores higher than an abnormal one.
    assert found.scores.auc_micro > 0.95
    # Only the frame at the step differs from the frame before it, and it is normal. So the AUC is at most chance.
    assert found.frame_difference.auc_micro <= 0.5
    assert "frame difference" in text(found)
    narrow = text(found, 80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert set(narrow.split()) == set(text(found).split()), "no word is missing"


def test_causal_and_published_post_processing_are_both_reported(tmp_path: Path) -> None:
    frames(tmp_path / "01", [50, 60] * 20 + [150, 160] * 20)
    path = labels(tmp_path, {"01": {"frames": 80, "abnormal": [[40, 79]]}})
    for post in Post:
        found = measured(load_labels(path), Settings(post))
        assert found.post == post.value
        assert found.scores.auc_micro > 0.95


def test_missing_frames_are_left_out_and_the_labels_stay_in_step(tmp_path: Path) -> None:
    frames(tmp_path / "01", [50] * 20 + [150] * 20)
    for number in (5, 6, 30):
        (tmp_path / "01" / f"{number:04}.png").unlink()
    path = labels(tmp_path, {"01": {"frames": 40, "abnormal": [[20, 39]]}})
    found = measured(load_labels(path))
    assert (found.frames, found.abnormal) == (37, 19)


def test_labels_of_another_video_are_refused(tmp_path: Path) -> None:
    frames(tmp_path / "01", [50] * 20)
    path = labels(tmp_path, {"01": {"frames": 10, "abnormal": [[2, 4]]}})
    with pytest.raises(UsageError, match="01 has 20 frames but 10 labels"):
        measured(load_labels(path))


def test_json_holds_every_figure_and_null_for_what_cannot_be_told(tmp_path: Path) -> None:
    frames(tmp_path / "01", [50] * 20)
    frames(tmp_path / "02", [200] * 20)
    entries = {"01": {"frames": 20, "abnormal": []}, "02": {"frames": 20, "abnormal": [[0, 19]]}}
    found = measured(load_labels(labels(tmp_path, entries)))
    write_json(found, tmp_path / "figures.json")
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written.keys() == asdict(found).keys()
    assert written["scores"]["auc_micro"] == 1.0
    assert written["scores"]["auc_macro"] is None  # no video has both classes


# --- labels


def test_timings_show_what_was_measured_however_short() -> None:
    shown = timings({"decode": 0.0341, "health": 0.42, "motion": 12.34})
    assert shown == "Median ms per analysed frame: decode 0.034, health 0.42, motion 12; together 13"


def test_subset_is_a_name_or_the_start_of_names(tmp_path: Path) -> None:
    names = ["avenue/testing_videos/17.avi", "avenue/training_videos/10.mp4", "avenue/training_videos/11.mp4",
             "ped1/test/01.avi", "ped1/normal/18_0.mp4"]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    path = labels(tmp_path, {name: {"frames": 5, "abnormal": []} for name in names})
    assert [v.name for v in load_labels(path, "avenue")] == names[:2]
    assert [v.name for v in load_labels(path, "ped1")] == ["ped1/test/01.avi"]
    assert [v.name for v in load_labels(path, "ped1/normal")] == ["ped1/normal/18_0.mp4"]
    with pytest.raises(UsageError, match=r"no file in .* belongs to 'umn'"):
        load_labels(path, "umn")


def test_converted_file_is_found_by_its_stem(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/01.mp4").touch()
    (tmp_path / "v/011.mp4").touch()
    (video,) = load_labels(labels(tmp_path, {"v/01.avi": {"frames": 5, "abnormal": [[1, 3]]}}))
    assert video.path == tmp_path / "v/01.mp4"
    assert video.abnormal.tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(
    "entries",
    [
        {"a": {"frames": 5, "abnormal": [[3, 5]]}},
        {"a": {"frames": 5, "abnormal": [[3]]}},
        {"a": {"frames": 0, "abnormal": []}},
        {"a": {"frames": 5, "abnormal": [], "more": 1}},
        [1, 2],
    ],
)
def test_malformed_labels_are_refused_with_one_sentence(tmp_path: Path, entries: Any) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UsageError, match=r"labels\.json cannot be used") as caught:
        load_labels(labels(tmp_path, entries))
    assert "\n" not in str(caught.value)


def test_file_that_the_labels_name_but_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a/17\.avi, but it is not in"):
        load_labels(labels(tmp_path, {"a/17.avi": {"frames": 5, "abnormal": []}}))


def test_footage_trained_on_is_found_among_the_test_videos(tmp_path: Path) -> None:
    for name in ("train/01", "train/02", "test/01"):
        frames(tmp_path / name, [1])
    names = ("train/01", "train/02", "test/01")
    videos = load_labels(labels(tmp_path, {name: {"frames": 1, "abnormal": []} for name in names}))
    assert overlap(videos, [str(tmp_path / "train/01")]) == ["train/01"]
    assert overlap(videos, [str(tmp_path / "train")]) == ["train/01", "train/02"]
    assert overlap(videos, ["demo"]) == []


@pytest.mark.skipif(not (DATA / "labels.json").exists(), reason="the real footage is missing: ../shared/data")
def test_real_labels_fit_the_real_footage() -> None:
    videos = load_labels(DATA / "labels.json", "ped1")
    assert len(videos) == 17
    (video,) = (v for v in videos if v.name.endswith("09.avi"))
    found = measured([video])
    assert (found.frames, found.abnormal) == (200, 48)
    assert 0 <= found.frame_difference.auc_micro <= 1
