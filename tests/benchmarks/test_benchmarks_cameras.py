"""The calculations of the benchmarks of cameras and memory. These tests do not measure speed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.camera_memory import HEADER, Held, Sample, row_of
from benchmarks.cameras import Step, figures_of, line_of, summary
from benchmarks.lib.live_file import STAGGER_S, LiveFile, LiveFileReader, live_files, next_in_phase
from benchmarks.lib.load import Measured, Seen, between, measure, quantile
from benchmarks.lib.machine import busy_of, cores, cpu_model, this_machine, wait_until_quiet
from benchmarks.lib.overload_steps import Bend, verdict
from benchmarks.lib.process_memory import Memory, memory_of, parse_rollup
from benchmarks.lib.search import confirmed, largest
from benchmarks.lib.street_camera import FPS, HEIGHT, WIDTH, write_street
from benchmarks.lib.watched import Task, Window
from monitor.alerts.messages import SCHEMA, ScoreMessage
from monitor.app.demo import MODEL_FOLDER
from monitor.errors import CaptureError, RunError
from monitor.sources.opencv import open_capture
from monitor.sources.video import VideoSource
from tests.helpers.made_footage import write_video


class SleepyClock:
    """A clock that advances only while somebody sleeps or is busy."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


@contextmanager
def opened(source: LiveFile, clock: SleepyClock) -> Iterator[LiveFileReader]:
    with LiveFileReader(open_capture(str(source.path)), source, clock, clock.sleep) as reader:
        yield reader


def shade(reader: LiveFileReader) -> int:
    """The index of a frame of ``write_video``: each frame is brighter than the one before by 20."""
    image = reader.retrieve()
    assert image is not None
    return round(float(image.mean()) / 20)


# A file as a live camera


def test_each_frame_comes_when_it_is_due_and_the_file_is_shown_again_and_again(tmp_path: Path) -> None:
    source = LiveFile(write_video(tmp_path / "v.avi", frames=3), "cam", fps=25.0)
    clock = SleepyClock(now_s=7 * STAGGER_S)
    with opened(source, clock) as reader:
        shown, came_s = [], []
        for _ in range(7):
            position = reader.grab()
            assert position.time_s == pytest.approx(clock.now_s - 7 * STAGGER_S)
            came_s.append(clock.now_s)
            shown.append(shade(reader))
    assert shown == [0, 1, 2, 0, 1, 2, 0]
    assert [b - a for a, b in pairwise(came_s)] == pytest.approx([0.04] * 6)


def test_a_late_reader_gets_at_once_all_that_is_due_and_is_then_in_step_again(tmp_path: Path) -> None:
    source = LiveFile(write_video(tmp_path / "v.avi", frames=8), "cam", fps=25.0)
    clock = SleepyClock()
    with opened(source, clock) as reader:
        reader.grab()
        clock.now_s += 0.13
        clock.slept_s.clear()
        numbers = [reader.grab().index for _ in range(3)]
        assert not clock.slept_s
        numbers.append(reader.grab().index)
        assert clock.slept_s == pytest.approx([0.03])
    assert numbers == [1, 2, 3, 4]


def test_a_file_can_be_begun_anywhere(tmp_path: Path) -> None:
    source = LiveFile(write_video(tmp_path / "v.avi", frames=8), "cam", fps=25.0, begin=0.5)
    with opened(source, SleepyClock()) as reader:
        reader.grab()
        assert shade(reader) == 4


def test_a_file_that_is_no_video_is_a_lost_camera(tmp_path: Path) -> None:
    (tmp_path / "v.avi").write_text("no video")
    with pytest.raises(CaptureError, match="is not a video that OpenCV can read"):
        LiveFile(tmp_path / "v.avi", "cam", fps=25.0).open()


@pytest.mark.parametrize("now_s", [0.0, 0.05, 12.34, 1e6 + 0.19])
def test_cameras_keep_their_distance_whenever_they_are_opened(now_s: float) -> None:
    first_s = next_in_phase(now_s, 0.05)
    assert 0 <= first_s - now_s <= STAGGER_S
    assert (first_s - 0.05) / STAGGER_S == pytest.approx(round((first_s - 0.05) / STAGGER_S), abs=1e-6)


def test_cameras_of_a_file_differ_in_name_phase_and_place() -> None:
    cameras = live_files(Path("v.mp4"), 24, fps=25.0)
    for of in ("name", "phase_s", "begin"):
        assert len({getattr(camera, of) for camera in cameras}) == 24
    assert all(0 <= camera.phase_s < STAGGER_S and 0 <= camera.begin < 1 for camera in cameras)
    assert all(camera.live for camera in cameras)


# The number of cameras


@pytest.mark.parametrize("start", [1, 4, 100])
@pytest.mark.parametrize("truth", [0, 1, 3, 4, 5, 17, 64])
def test_the_largest_count_is_found_and_none_is_tried_twice(truth: int, start: int) -> None:
    tried: list[int] = []

    def passes(count: int) -> bool:
        tried.append(count)
        return count <= truth

    assert largest(passes, start, 64) == truth
    assert len(tried) == len(set(tried)) <= 13
    assert all(1 <= count <= 64 for count in tried)


def test_a_count_that_is_not_confirmed_gives_way_to_the_next_lower_one() -> None:
    assert confirmed(lambda count: count <= 5, 7) == 5
    assert confirmed(lambda _: False, 3) == 0
    assert confirmed(lambda _: True, 0) == 0


def test_what_counts_begins_once_every_camera_is_warm_and_ends_after_its_time() -> None:
    window = Window(warm_up_s=2.0, seconds=3.0)
    looks = [(0.0, (0, 4)), (5.0, (1, 9)), (6.9, (2, 9)), (7.1, (3, 9)), (9.0, (4, 9)), (10.0, (5, 9)), (10.2, (6, 9))]
    assert [at_s for at_s, counts in looks if window.due(at_s, counts)] == [7.1, 10.2]
    assert window.over


GOOD = Measured(
    cameras=2,
    decode_only=False,
    seconds=8.0,
    frames_in=(200, 199),
    analysed=(80, 79),
    dropped=(0, 0),
    reconnects=(0, 0),
    cpu=0.5,
    score_ages_s=(0.05,) * 159,
    alert_ages_s=(0.06,) * 9,
)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"frames_in": (200, 196)}, "a camera gave 196 of 200 frames due"),
        ({"dropped": (0, 3)}, "3 frames dropped"),
        ({"reconnects": (1, 0)}, "1 cameras lost"),
        ({"analysed": (80, 77)}, "only 77 of 80 frames due of a camera were analysed"),
        ({"score_ages_s": (0.05,) * 90 + (0.3,) * 10}, "frame to score p99 300 ms"),
        ({"alert_ages_s": (0.25,)}, "frame to alert p99 250 ms"),
        ({"alert_ages_s": ()}, "no alert came"),
        ({"failure": "not all cameras started"}, "not all cameras started"),
    ],
)
def test_what_was_not_as_it_has_to_be_is_said(change: dict[str, object], fault: str) -> None:
    assert GOOD.faults() == []
    assert replace(GOOD, **change).faults() == [fault]  # type: ignore[arg-type]


def test_decoding_alone_owes_no_scores() -> None:
    alone = replace(GOOD, decode_only=True, analysed=(0, 0), score_ages_s=(), alert_ages_s=())
    assert alone.faults() == []
    assert replace(alone, frames_in=(100, 200)).faults() == ["a camera gave 100 of 200 frames due"]


def test_quantiles_are_of_what_was_sent_while_it_counted() -> None:
    ages = between([(1.0, 9.0), (2.0, 0.1), (3.0, 0.3), (4.0, 9.0)], 2.0, 3.5)
    assert ages == (0.1, 0.3)
    assert quantile(ages, 0.5) == pytest.approx(0.2)
    assert quantile((), 0.5) != quantile((), 0.5)


def test_a_subscriber_counts_ages_and_what_was_not_scored() -> None:
    seen = Seen()
    for second, score in ((100.0, None), (100.1, 0.5), (100.2, 0.7)):
        message = ScoreMessage(
            schema=SCHEMA, node="n", epoch="e", seq=1, sent_at=second, camera="a", time_s=second, frame_index=0,
            score=score, captured_at=second - 0.02,
        )  # fmt: skip
        seen.take(message, second + 0.01)
    assert [age for _, age in seen.score_ages] == pytest.approx([0.03] * 3)
    assert (seen.scores, seen.unscored) == ([0.5, 0.7], 1)
    assert seen.first_at["a"] == pytest.approx(100.11)
    assert [late for _, late in seen.behind] == pytest.approx([0.0] * 3)


def test_what_a_late_decoder_gives_is_behind_although_it_was_read_just_now() -> None:
    seen = Seen()
    for second, late in ((0.0, 0.3), (1.0, 0.0), (2.0, 0.5), (3.0, 4.0)):
        message = ScoreMessage(
            schema=SCHEMA, node="n", epoch="e", seq=1, sent_at=second, camera="a", time_s=second, frame_index=0,
            score=0.1, captured_at=100.0 + second + late,
        )  # fmt: skip
        seen.take(message, 100.0 + second + late + 0.01)
    assert [late for _, late in seen.behind[1:]] == pytest.approx([0.0, 0.5, 4.0])
    assert max(age for _, age in seen.score_ages) == pytest.approx(0.01)


def test_the_result_names_both_counts_their_ratio_and_the_limits() -> None:
    steps = [Step(replace(GOOD, cameras=18), ()), Step(replace(GOOD, cameras=40, decode_only=True), ())]
    text = "\n".join(summary(18, 40, 2, steps, 256))
    assert "cameras watched: 18, decoded alone: 40" in text
    assert "with 18: 25% of 2 cores used" in text
    assert "at least 16 on 2 cores: kept" in text
    assert "45% of decoding alone; aim 60%: not kept" in text
    assert "16 on 2 cores: unknown, because" in "\n".join(summary(18, 40, 8, steps, 256))
    assert summary(0, 0, 2, [], 256)[1].endswith("not kept")
    assert "share of decoding alone: unknown" in "\n".join(summary(16, 16, 2, [], 16))


def test_failures_beside_other_programs_are_said_to_be_such() -> None:
    calm, disturbed = replace(GOOD, other=0.1, dropped=(1, 0)), replace(GOOD, other=1.25, dropped=(1, 0))
    steps = [Step(measured, tuple(measured.faults())) for measured in (calm, disturbed, replace(GOOD, other=1.5))]
    assert "in 1 of 2 steps that failed, other programs used up to 1.2 cores" in summary(1, 2, 2, steps, 256)[-1]
    assert "other programs" not in "".join(summary(1, 2, 2, steps[:1], 256))


def test_steps_are_a_line_each_and_json_without_every_single_age() -> None:
    steps = [Step(GOOD, ()), Step(replace(GOOD, failure="not all cameras started"), ("not all cameras started",))]
    assert line_of(steps[0]).endswith("keeps up")
    assert line_of(steps[1]) == "watching   2  not all cameras started"
    figures = json.loads(json.dumps(figures_of(steps)))
    assert figures[0]["score_ages_s"] == {"n": 159, "p50": 0.05, "p95": 0.05, "p99": 0.05}
    assert figures[0]["frames_in"] == [200, 199]


# Memory

ROLLUP = """\
55d0c0000000-7ffd00000000 ---p 00000000 00:00 0                          [rollup]
Rss:              200000 kB
Pss:              102400 kB
Pss_Dirty:         60000 kB
Shared_Clean:      90000 kB
Private_Clean:      1024 kB
Private_Dirty:     50176 kB
Private_Hugetlb:       0 kB
"""


def test_shared_memory_counts_in_parts_and_private_memory_in_full() -> None:
    assert parse_rollup(ROLLUP) == Memory(pss=100.0, uss=50.0)
    assert parse_rollup(ROLLUP) + Memory(1.0, 2.0) == Memory(101.0, 52.0)
    with pytest.raises(ValueError, match="no Pss"):
        parse_rollup("Name:\tpython\n")


def test_the_memory_of_a_process_that_has_ended_is_none() -> None:
    mine = memory_of(os.getpid())
    assert 0 < mine.uss <= mine.pss
    assert memory_of(2**22 + 1) == Memory()


def held(minutes: int) -> Held:
    samples = tuple(
        Sample(60.0 * m, Memory(300.0, 250.0 + (500.0 if m < minutes / 2 else 0.1 * m)), Memory(80.0, 40.0))
        for m in range(minutes + 1)
    )
    return Held(4, samples, 2.0, 3.5, 7)


def test_growth_is_told_of_the_second_half_only() -> None:
    assert held(10).slope_mb_an_hour == pytest.approx(6.0)
    assert held(1).slope_mb_an_hour is None
    cells = dict(zip(HEADER, row_of(held(10)), strict=True))
    assert cells["total PSS"] == "380 MB"
    assert (cells["per camera"], cells["per decoder"]) == ("95 MB", "20.0 MB")
    assert (cells["slope"], cells["first score"], cells["dropped"]) == ("+6.0 MB/h", "2.0 s", "7")


# The machine, the video, and a run


def test_the_machine_is_named() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n") == "Some CPU @ 2 GHz"
    assert cpu_model("processor\t: 0\n")
    assert "cores; Python" in this_machine()


def test_work_is_what_is_neither_idle_nor_waiting_nor_a_guest_s() -> None:
    assert busy_of("cpu  1 20 300 9999 9999 4000 50000 600000 7 7\ncpu0 5 5 5 5 5 5 5 5 5 5\n") == 654321
    assert wait_until_quiet(cores() + 1, patience_s=60.0, every_s=0.01)
    assert not wait_until_quiet(0.0, patience_s=0.0, every_s=0.01)


def test_the_street_is_written_at_the_size_and_rate_of_a_camera(tmp_path: Path) -> None:
    write_street(tmp_path / "street.mp4", 0.4)
    with VideoSource(tmp_path / "street.mp4").open() as reader:
        frames = 0
        while reader.grab() is not None:
            image = reader.retrieve()
            assert image is not None
            assert image.shape == (HEIGHT, WIDTH, 3)
            frames += 1
        assert (frames, reader.fps) == (10, FPS)


def test_a_monitor_on_live_files_is_measured_from_outside(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.avi", frames=12)
    task = Task(str(video), str(MODEL_FOLDER), cameras=2, seconds=0.5, warm_up_s=0.0)
    watched, seen = measure(task, tmp_path / "log")
    assert (watched.failure, len(watched.frames_in), len(watched.analysed)) == ("", 2, 2)
    assert seen.score_ages
    assert seen.score_ages[0][1] > 0
    decoded, nothing = measure(replace(task, decode_only=True), tmp_path / "log")
    assert (decoded.failure, decoded.analysed) == ("", (0, 0))
    assert min(decoded.frames_in) > 0
    assert not nothing.score_ages


def test_a_monitor_that_cannot_start_is_an_error_with_its_own_words(tmp_path: Path) -> None:
    task = Task("v.avi", str(tmp_path), cameras=1, seconds=1.0, warm_up_s=0.0)
    with pytest.raises(RunError, match=r"did not start: .* is not a model folder"):
        measure(task, tmp_path / "log")


# With more cameras than the machine can watch


def test_a_machine_that_bends_keeps_most_of_its_best_sum_and_one_that_breaks_does_not() -> None:
    def bend(cameras: int, analysed: int, age_s: float) -> Bend:
        measured = Measured(
            cameras,
            decode_only=False,
            seconds=20.0,
            frames_in=(500,) * cameras,
            analysed=(analysed,) * (cameras - 1) + (analysed + 20,),
            dropped=(40,) * cameras,
            score_ages_s=(0.1,) * 9,
            behind_s=(age_s,) * 9,
        )
        return Bend.of(measured)

    best = bend(16, 200, 0.1)
    assert (best.low, best.high, best.came) == (10.0, 11.0, 1.0)
    assert best.share == pytest.approx(1.0, abs=0.01)
    assert best.dropped == 32.0
    assert "watching  16  analysed  161.0 per second" in best.line()
    kept, spread = verdict([best, bend(24, 120, 0.2), bend(32, 88, 0.4)])
    assert kept.startswith("with 32 cameras: 88% of the best sum (161 per second with 16)")
    assert kept.endswith(": kept")
    assert spread == "spread over cameras: 4.4 to 5.4 analysed per second"
    for broken in (bend(32, 40, 0.4), bend(32, 88, 0.7)):
        assert verdict([best, broken])[0].endswith(": not kept")
