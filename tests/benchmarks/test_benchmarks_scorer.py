"""The parts of the detectors' benchmarks that could print a wrong figure."""

from pathlib import Path

import pytest
import torch

from benchmarks.lib import published_plain
from benchmarks.lib.interleaved import Laps, medians
from benchmarks.lib.pictures import street_pictures, video_pictures
from benchmarks.lib.published_plain import PlainPublished, learn_a_little
from benchmarks.lib.roofline import Cost, Peak, cost
from benchmarks.lib.streamed import Streamed
from benchmarks.stages import WARM_UP, subjects, table
from monitor.errors import SourceError
from tests.helpers.commands import module


def test_cases_are_timed_in_turns() -> None:
    order: list[str] = []
    found = medians({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2, repeats=2)
    assert order == ["a", "b", *["a", "a", "b", "b"] * 2]
    assert list(found) == ["a", "b"]


def test_laps_add_up_by_stage() -> None:
    laps = Laps()
    for _ in range(2):
        laps.start()
        laps.lap("one")
        laps.lap("other")
    assert list(laps.seconds) == ["one", "other"]
    assert all(seconds > 0 for seconds in laps.seconds.values())


def test_flop_and_bytes_of_a_product_are_counted_and_views_move_nothing() -> None:
    a, b = torch.rand(20, 30), torch.rand(30, 50)
    found = cost(lambda: (a @ b).view(50, 20).permute(1, 0)[3:])
    assert found == Cost(2 * 20 * 30 * 50, 4 * (20 * 30 + 30 * 50 + 20 * 50))
    assert cost(lambda: a.to(torch.bfloat16)).moved == 20 * 30 * (4 + 2)


def test_the_roofline_is_the_slower_of_calculating_and_moving() -> None:
    limits = Peak(flop_s=100.0, bytes_s=10.0)
    assert limits.least_s(Cost(200, 10)) == 2.0
    assert limits.least_s(Cost(200, 50)) == 5.0


def test_streamed_batches_give_what_the_work_gives() -> None:
    batch = torch.arange(6).view(3, 2)
    streamed = Streamed(lambda x: x.sum(dim=1), batch, torch.device("cpu"), graph=True)
    assert streamed.run(3).tolist() == [1, 5, 9]


def test_learning_a_little_leaves_the_random_state_alone_and_is_repeatable() -> None:
    images = street_pictures(3, seed=1, abnormal=False)
    before = torch.random.get_rng_state()
    one, other = learn_a_little(images, steps=2), learn_a_little(images, steps=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert PlainPublished(one).score(images[0]) == PlainPublished(other).score(images[0])


def test_every_detector_is_in_the_table_stage_by_stage() -> None:
    normal = street_pictures(80, seed=11, abnormal=False)
    net = learn_a_little(normal[:4], steps=1)
    lines = table(subjects(normal, net), normal[: WARM_UP + 2], rounds=1, batches=(1, 2))
    names = [line.split()[0] for line in lines[1:]]
    others = ["motion", "static", "scene", "appearance", "health"]
    assert list(dict.fromkeys(names)) == ["true-sight", "true-sight-2", *others]
    assert [line[13:26].strip() for line in lines[1:5]] == ["five sizes", "network", "terms", "all of it"]
    assert all(float(value) > 0 for line in lines[1:] for value in line[26:].split())


def test_a_video_that_is_no_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.mp4"
    path.write_text("text")
    with pytest.raises(SourceError, match=r"no\.mp4"):
        video_pictures(path, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "tpu"], "'tpu' is not a device: use cpu"),
        (["--device", "cpu", "--batches", "0"], "--batches must be at least 1"),
    ],
)
def test_what_the_gpu_benchmark_cannot_use_is_said_in_a_sentence(arguments: list[str], said: str) -> None:
    done = module("benchmarks.gpu", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_gpu_the_path_runs_and_no_figure_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_plain, "learn_a_little", lambda images, **_: learn_a_little(images, steps=1))
    done = module("benchmarks.gpu", "--device", "cpu", "--batches", "2")
    assert done.returncode == 0, done.stderr
    assert "no GPU is used: batches of 2 ran" in done.stdout
    assert "frames/s, as" not in done.stdout
