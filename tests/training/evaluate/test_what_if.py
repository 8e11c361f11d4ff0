"""Recorded scores reproduce the alerts of the run, and give those of other settings, without the model."""

import io
import json
import math
import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from monitor.errors import UsageError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.live.capture import CaptureSettings
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.reports import CameraReport
from monitor.scores.smoothing import SmoothingSettings
from monitor.sinks.score_record import Recorder, ScoreLine, alert_line, header_line, read_scores, score_line
from monitor.states import Phase
from monitor.testing.fakes import LevelSource, brightness_model, fleet_of, judgement, monitor_of, scored, watched_by
from monitor.types import Detection, ScoredFrame
from tests.helpers.commands import Finished, training
from tests.monitor.live.test_pipeline import SCENE, watch
from tests.places import ROOT
from training.evaluate.what_if import CameraOutcome, Changes, Outcome, notes, rate_text, replay, summary_table

SMOOTHING = SmoothingSettings(min_window_s=0.2, max_window_s=0.4, growth=10.0)


def without_model(lines: Sequence[str]) -> list[str]:
    """Alert lines without the fields that need the model; otherwise byte for byte equal."""
    contents = [json.loads(line) for line in lines]
    return [json.dumps({**content, "regions": [], "reasons": []}) for content in contents]


def outcome(path: Path, **changes: float) -> Outcome:
    named = {name: changes.pop(name) for name in ("threshold", "false_alarms_per_day") if name in changes}
    return replay(read_scores(path), Changes(**named, alert=changes))


def lines(found: Outcome) -> list[str]:
    return [alert_line(alert) for alert in found.alerts]


def frames() -> list[ScoredFrame]:
    """Calm, a little brighter, bright, calm; then a gap, and bright until the end."""
    levels = [25] * 60 + [29] * 30 + [60] * 12 + [26] * 60 + [200] * 30 + [25] * 60
    first = [scored(number / 10, level) for number, level in enumerate(levels)]
    return [*first, *(scored(60.0 + number / 10, 220, segment=1) for number in range(30))]


def judge(
    path: Path, budget: float = 1.0, alert: AlertSettings | None = None, items: Sequence[ScoredFrame] | None = None
) -> list[str]:
    """Write a score record and return the alert lines of the same run."""
    scale = ModelScale(brightness_model(), budget, SMOOTHING)
    watched = CameraMonitor("cam", scale, SMOOTHING, alert or AlertSettings())
    written, alerts = [header_line(watched, sort=True)], list[Alert]()
    for item in frames() if items is None else items:
        judged = watched.update(item)
        written.append(score_line(judged))
        alerts.extend(judged.alerts)
    alerts.extend(watched.close())
    path.write_text("".join(line + "\n" for line in written))
    return without_model([alert_line(alert) for alert in alerts])


@pytest.mark.parametrize("sort", [True, False])
def test_the_same_settings_give_the_run_s_own_alert_log(tmp_path: Path, sort: bool) -> None:
    paths = (tmp_path / "scores.jsonl", tmp_path / "alerts.jsonl")
    cameras = [LevelSource("yard", SCENE), LevelSource("door", [25] * 20 + [200] * 30)]
    with Recorder(*paths, sort=sort) as recorder:
        watch(cameras, recorder, capture=CaptureSettings(speed=None, analysis_fps=10))
    recorded = paths[1].read_text().splitlines()
    assert len(recorded) == 4
    again, told = lines(outcome(paths[0])), without_model(recorded)
    if not sort:  # an event that is open at a camera's end is told at that moment, which the scores do not say
        again, told = ([line for name in ("yard", "door") for line in all_ if name in line] for all_ in (again, told))
    assert again == told


def test_a_record_says_which_frames_were_not_armed(tmp_path: Path) -> None:
    items = [changed(item, frame=changed(item.frame, armed=item.frame.time_s > 20.0)) for item in frames()]
    recorded = judge(tmp_path / "one.jsonl", items=items)
    armed = [json.loads(line).get("armed", True) for line in recorded]
    assert False in armed
    assert True in armed
    assert lines(outcome(tmp_path / "one.jsonl")) == recorded


def test_two_runs_in_one_file_are_refused_and_not_counted_in_part(tmp_path: Path) -> None:
    judge(tmp_path / "one", items=frames()[:100])
    once = (tmp_path / "one").read_text().splitlines(keepends=True)
    assert outcome(tmp_path / "one").cameras[0].seconds == pytest.approx(9.9)
    damaged = (
        r"the scores of 'cam' at \d+\.\d s are invalid \(they come after those at \d+\.\d s\): record the run again"
    )
    for name, content, sentence in (
        ("twice", [*once, *once], "the record contains two runs of 'cam': give a file with only one run"),
        ("twice without a header", [*once, *once[1:]], damaged),
        ("backwards", [once[0], *reversed(once[1:])], damaged),
        ("a line twice", [*once[:50], once[49], *once[50:]], damaged),
    ):
        (tmp_path / name).write_text("".join(content))
        with pytest.raises(UsageError, match=sentence):
            outcome(tmp_path / name)


def what_if(*arguments: str | Path) -> Finished:
    return training("what-if", *arguments)


@pytest.mark.parametrize("budget", [0.01, 50.0, 1e5])
def test_another_budget_gives_what_a_run_with_it_would_have(tmp_path: Path, budget: float) -> None:
    judge(tmp_path / "one.jsonl")
    expected = judge(tmp_path / "other.jsonl", budget)
    assert expected
    assert lines(outcome(tmp_path / "one.jsonl", false_alarms_per_day=budget)) == expected


def test_other_alert_settings_give_what_a_run_with_them_would_have(tmp_path: Path) -> None:
    recorded = judge(tmp_path / "one.jsonl")
    changed = {"on": 3.0, "off": 2.0, "min_duration_s": 1.0, "merge_gap_s": 0.5, "update_every_s": 1.0}
    expected = judge(tmp_path / "other.jsonl", alert=AlertSettings(**changed, cooldown_s=0.0))
    assert expected != recorded
    assert lines(outcome(tmp_path / "one.jsonl", **changed, cooldown_s=0.0)) == expected


def test_a_record_holds_the_places_that_the_cool_down_needs(tmp_path: Path) -> None:
    def bright(number: int, left: bool, score: float) -> ScoredFrame:
        heat = np.zeros((6, 8), np.float32)
        heat[2, 1 if left else 6] = 1
        calm = scored(number / 10)
        return changed(calm, detections=(Detection(score, heat),)) if score else calm

    items, number = [], 0
    for left in (True, True, False, False):
        for score in [0.0] * 30 + [0.8] * 10:
            items.append(bright(number, left, score))
            number += 1
    expected = judge(tmp_path / "one.jsonl", items=items)
    starts = [json.loads(line) for line in expected if json.loads(line)["phase"] == "start"]
    assert [start["notify"] for start in starts] == [True, False, True, False]
    assert lines(outcome(tmp_path / "one.jsonl")) == expected
    for on in (0.6, 5.0):
        other = judge(tmp_path / "other.jsonl", alert=AlertSettings(on=on, off=on / 2), items=items)
        assert lines(outcome(tmp_path / "one.jsonl", on=on, off=on / 2)) == other
        assert [json.loads(line)["notify"] for line in other if '"start"' in line] == [True, False, True, False]


def test_a_factor_on_the_threshold_moves_both_of_its_edges(tmp_path: Path) -> None:
    judge(tmp_path / "one.jsonl")
    expected = judge(tmp_path / "other.jsonl", alert=AlertSettings(on=4.0, off=4 * 0.8))
    assert lines(outcome(tmp_path / "one.jsonl", threshold=4.0)) == expected
    assert not lines(outcome(tmp_path / "one.jsonl", threshold=1000.0))


def test_a_day_s_alerts_are_counted_in_scored_footage_without_its_gaps(tmp_path: Path) -> None:
    judge(tmp_path / "one.jsonl")
    found = outcome(tmp_path / "one.jsonl")
    (camera,) = found.cameras
    assert camera.seconds == pytest.approx(25.1 + 2.9)
    events = sum(alert.event.phase is Phase.START for alert in found.alerts)
    assert len(camera.events) == events > 1
    assert camera.per_day == pytest.approx(events * 86_400 / 28.0)


def test_a_budget_that_the_footage_does_not_show_is_called_extrapolated(tmp_path: Path) -> None:
    judge(tmp_path / "one.jsonl")
    found = outcome(tmp_path / "one.jsonl")
    assert any("rates down to 1400 false alarms per day" in note for note in notes(found, 1.0))
    assert not any("extrapolated" in note for note in notes(found, 5000.0))


def test_numbers_that_json_does_not_know_come_back(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    watched = monitor_of("cam")
    blind = judgement(scored(0.0), float("nan"))
    path.write_text(header_line(watched, sort=True) + "\n" + score_line(blind) + "\n")
    header, line = read_scores(path)
    assert not isinstance(header, ScoreLine)
    assert header.scale().senses == watched.scale.senses, "a minimum threshold of minus infinity"
    assert header.scale().scales == watched.scale.scales
    assert isinstance(line, ScoreLine)
    assert line.score != line.score


def test_a_last_line_cut_short_by_a_kill_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "scores.jsonl"
    judge(path)
    whole = len(list(read_scores(path)))
    assert caplog.text == ""
    path.write_text(path.read_text()[:-30])
    assert len(list(read_scores(path))) == whole - 1
    assert caplog.messages == [f"line {whole} of {path} is cut off and is left out: the run was ended early"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_score_that_is_no_number_is_damage(number: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    judge(path)
    lines = path.read_text().splitlines()
    lines[5] = re.sub(r'"score": [-0-9.e]+', f'"score": {number}', lines[5])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UsageError, match=r"scores\.jsonl is damaged \(line 6\): make one with"):
        list(read_scores(path))


def test_a_record_of_which_only_a_part_of_the_header_was_written_is_none(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    judge(path)
    path.write_text(path.read_text()[:100])
    with pytest.raises(UsageError, match="is no score record"):
        list(read_scores(path))


def test_a_camera_that_gets_another_model_in_the_run_gives_the_alerts_of_the_run(tmp_path: Path) -> None:
    paths = (tmp_path / "scores.jsonl", tmp_path / "alerts.jsonl")
    source, later = LevelSource("yard", ([25] * 60 + [200] * 40) * 6), changed(brightness_model(), hash="1" * 64)
    fleet = fleet_of(watched_by(source, capture=CaptureSettings(speed=12.0, analysis_fps=10)))
    steps = ["replace", "add"]
    wanted: list[str] = []

    class Exchange(Sink):
        """Asks for another model in the first event that begins, and for another camera in the next."""

        def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002
            if alert.event.phase is Phase.START and steps:
                wanted.append(steps.pop(0))

    def on_tick() -> None:
        if not wanted:
            return
        if wanted.pop() == "replace":
            fleet.replace(watched_by(source, later))
        else:
            with fleet.pipeline.reconfiguring():
                fleet.remove("yard")
                fleet.add(watched_by(source))

    with Recorder(*paths, sort=False) as recorder:
        Watch(fleet, [recorder, Exchange()]).run(threading.Event(), 20.0, on_tick)
    recorded = paths[1].read_text().splitlines()
    assert not steps
    assert paths[0].read_text().count('"record"') == 3, "a header for each model and camera"
    assert lines(outcome(paths[0])) == without_model(recorded)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: "hello\n" + text, r"is no score record, or one of another version \(line 1\)"),
        (lambda text: text.replace('"time_s": 0.5', '"time_s": "x"', 1), r"is damaged \(line 7\)"),
        (lambda text: text.partition("\n")[2], "without its header"),
        (lambda text: text + text, "two runs of 'cam'"),
        (lambda text: text.replace('"time_s": 0.5', '"time_s": 0.1', 1), "at 0.1 s are invalid"),
        (lambda text: text.replace('"version":2', '"version":3', 1), "another version"),
    ],
)
def test_what_is_no_score_record_is_refused(tmp_path: Path, change: object, sentence: str) -> None:
    path = tmp_path / "scores.jsonl"
    judge(path)
    assert callable(change)
    path.write_text(change(path.read_text()))
    with pytest.raises(UsageError, match=sentence):
        outcome(path)


def test_a_missing_file_and_settings_that_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        outcome(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UsageError, match="holds no scores: make one with"):
        outcome(tmp_path / "empty.jsonl")
    judge(tmp_path / "one.jsonl")
    with pytest.raises(UsageError, match=r"--off \(0.8\) must not be above --on \(0.1\)"):
        outcome(tmp_path / "one.jsonl", on=0.1)
    refused = what_if("--scores", tmp_path / "none.jsonl")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Traceback" not in refused.stderr


def test_the_table_names_every_alert_and_how_many_a_day_that_makes(tmp_path: Path) -> None:
    judge(tmp_path / "one.jsonl")
    shown = what_if("--scores", tmp_path / "one.jsonl", "--threshold", "4").stdout
    assert "28 s" in shown
    assert "counted in only 28 s of footage" in shown
    assert "per minute" in shown
    rows = [line.split() for line in shown.splitlines() if line.startswith("cam ")]
    assert len(rows) == 1 + len(outcome(tmp_path / "one.jsonl", threshold=4.0).cameras[0].events)


def test_names_too_long_for_the_table_are_shown_whole_all_the_same() -> None:
    names = [f"the-camera-at-the-far-end-of-the-northern-gate-{number}" for number in (1, 2)]
    console = Console(width=60, file=io.StringIO())
    with console.capture() as captured:
        console.print(summary_table(Outcome(tuple(CameraOutcome(name, 10.0) for name in names), ())))
    first = "".join(line.split(" ")[0] for line in captured.get().splitlines()[2:])
    assert first.endswith("".join(names))


def test_a_row_stays_one_line_in_a_pipe_however_long_the_name(tmp_path: Path) -> None:
    path, name = tmp_path / "scores.jsonl", "the-camera-at-the-far-end-of-the-northern-gate-of-the-harbour"
    judge(path)
    path.write_text(path.read_text().replace('"cam"', f'"{name}"'))
    command = [sys.executable, "-m", "training", "what-if", "--scores", str(path)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    rows = [line for line in shown.splitlines() if line.startswith(f"{name} ")]
    assert len(rows) == 1 + len(outcome(path).cameras[0].events)


@pytest.mark.parametrize(
    ("per_day", "text"), [(0.5, "0.5 per day"), (24, "24 per day"), (47, "2 per hour"), (5555, "3.9 per minute")]
)
def test_a_rate_is_told_in_a_unit_that_suits_it(per_day: float, text: str) -> None:
    assert rate_text(per_day) == text


@pytest.mark.parametrize("budget", [5e-324, 1e-300, 0.0, -1.0, 1e300, math.inf, math.nan])
def test_a_budget_that_no_threshold_can_meet_is_refused(budget: float) -> None:
    with pytest.raises(UsageError, match=r"--false-alarms-per-day is .*: give a number from 1e-06 to 1e\+06"):
        replay([], Changes(false_alarms_per_day=budget))


@pytest.mark.parametrize("factor", [0.0, -1.0, 5e-324, 1e300, math.inf, math.nan])
def test_a_factor_that_is_out_of_range_is_refused(factor: float) -> None:
    with pytest.raises(UsageError, match=r"--threshold is .*: give a number from 0\.01 to 1000"):
        replay([], Changes(threshold=factor))


@pytest.mark.parametrize("name", ["on", "off", "min_duration_s", "merge_gap_s", "update_every_s", "cooldown_s"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_setting_that_is_no_finite_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError):
        Changes(alert={name: value}).rule(AlertSettings())


def test_a_record_without_an_end_or_of_one_endless_line_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UsageError, match=r"cannot read .*it is a (pipe|device), not a file"):
            list(read_scores(path))
    with (tmp_path / "line").open("wb") as file:
        file.truncate(10**11)
    with pytest.raises(UsageError, match="is no score record"):
        list(read_scores(tmp_path / "line"))


@pytest.mark.parametrize(
    ("alert", "begin"),
    [
        ({"on": 0.5}, "--off (0.8) must not be above --on (0.5): choose"),
        ({"on": float("nan")}, "--on must be "),
        ({"off": float("inf")}, "--off must be "),
        ({"min_duration_s": -1.0}, "--min-duration must be 0 "),
        ({"merge_gap_s": -1.0}, "--merge-gap must be 0 "),
        ({"update_every_s": -1.0}, "--update-every must be 0 "),
        ({"cooldown_s": -1.0}, "--cooldown must be 0 "),
    ],
)
def test_a_mistake_in_a_flag_is_told_with_the_name_of_the_flag(alert: dict[str, float], begin: str) -> None:
    with pytest.raises(UsageError) as told:
        Changes(alert=alert).rule(AlertSettings())
    assert str(told.value).startswith(begin)
    assert str(told.value).endswith(": choose other values")
