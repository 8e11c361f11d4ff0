from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.accuracy import HEADER, LEARNED, PUBLISHED, SCENES, Result, Scene, Variants, markdown, rows
from monitor.testing.fakes import Brightness, brightness_model
from training.evaluate.corrupt import Corruption
from training.evaluate.evaluation import Evaluation
from training.evaluate.events import EventFigures
from training.evaluate.labels import SUBSETS
from training.evaluate.localisation import HitRate
from training.evaluate.ranking import Metrics

METRICS = Metrics(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, auc_micro_interval=(0.85, 0.95))
FOUND = Evaluation(
    model="m@0", post="causal", corruption=None, analysis_fps=10.0, videos=3, mixed_videos=3, frames=30, abnormal=15,
    analysed=30, unreadable=0, not_scored={}, scores=METRICS, detectors={"motion": METRICS},
    frame_difference=replace(METRICS, auc_micro=0.6, auc_micro_interval=None),
    events=EventFigures(1.0, 4, 3, 0.75, 1.25, (), 0.5, 0.0, (0.0, 7.4), ()),
    hit_rates={"fused": HitRate(0.5, 10), "frame difference": HitRate(0.25, 10)}, rbdc=0.5,
    ms={"decode": 1.0, "motion": 4.0},
)  # fmt: skip


def test_table_has_the_bar_of_each_scene_once_and_a_line_a_model() -> None:
    results = [("a", LEARNED, 12.3), ("a", PUBLISHED, math.nan), ("b", LEARNED, 1.0)]
    table = rows([Result(*result, FOUND) for result in results])
    assert table[0] == HEADER
    assert {len(row) for row in table} == {len(HEADER)}
    assert [row[0] for row in table[1:]] == ["a", "a", "a", "b", "b"]
    assert [row[1] for row in table[1:]] == ["frame difference", LEARNED, PUBLISHED, "frame difference", LEARNED]
    assert table[1][2] == "0.600"
    assert table[2][2:6] == ("0.900 [0.850, 0.950]", "0.800", "0.700 (0.500)", "3 of 4")
    assert table[2][6:] == ("1.2", "0.0 (0)", "0.500", "12", "5.0")
    assert table[3][9] == ""
    assert len(markdown(table).splitlines()) == 7


def test_a_learned_model_is_also_measured_without_each_detector_and_with_faults() -> None:
    class Other(Brightness):
        name = "other"

    model = replace(brightness_model(), detectors=(Brightness(), Other()))
    faults = Corruption(flip=0.1)
    lines = list(Variants(("other", "scene"), faults).of(model))
    assert [line[0] for line in lines] == [LEARNED, f"{LEARNED} without other", f"{LEARNED}, {faults}"]
    assert [[d.name for d in line[1].detectors] for line in lines] == [
        ["brightness", "other"],
        ["brightness"],
        ["brightness", "other"],
    ]
    assert [line[2] for line in lines] == [None, None, faults]
    (alone,) = Variants(("brightness",)).of(brightness_model())  # without its only detector, no variant is left
    assert alone[0] == LEARNED


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_nothing_that_is_learned_from_is_tested_on(scene: Scene) -> None:
    assert scene.subset in SUBSETS
    assert not any(path.startswith(SUBSETS[scene.subset]) for path in scene.paths)
