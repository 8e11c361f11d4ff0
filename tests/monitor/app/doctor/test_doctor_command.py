"""The doctor as a command: its report as a table and as JSON lines, its exit codes and its refusals."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from monitor.app.config_file import load_config
from monitor.app.doctor.checkup import Checkup, find_sources
from monitor.app.doctor.doctor_report import show_table, summary
from monitor.app.doctor.finding_report import Finding, State
from monitor.app.doctor.model_check import too_short_to_learn
from monitor.app.doctor.verdict import judge_stream
from tests.helpers.commands import doctor
from tests.helpers.examined import DEMO_MODEL, GOOD, SECRET, request
from tests.helpers.made_footage import write_video
from tests.places import ROOT


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits_the_terminal(width: int) -> None:
    findings = [
        judge_stream("a-name-that-is-far-too-long-for-a-column", GOOD, request("url", "rtsp://h/x"), 10.0),
        Finding("port", "alerts", State.PROBLEM, "[red] is in use", "stop it"),
    ]
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    show_table(findings, console)
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert any("[red] is in use" in line for line in lines), "the text of a finding is not markup"
    assert lines[-1] == "1 ok, 0 warnings, 1 problem: fix the problems first."
    assert summary(findings[:1]) == "1 ok, 0 warnings, 0 problems."


def test_json_lines_of_a_config_with_a_camera_that_refuses_and_a_file(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi")
    (tmp_path / "c.toml").write_text(
        f'model = "{DEMO_MODEL}"\n[cameras.yard]\nsource = "rtsp://admin:{SECRET}@127.0.0.1:9/x"\n'
        f'[cameras.archive]\nsource = "{video}"\n[publish]\nenabled = false\n'
    )
    result = doctor("--config", tmp_path / "c.toml", "--json", "--seconds", "1")
    assert result.returncode == 1, result.stderr
    assert SECRET not in result.stdout + result.stderr
    found = {f"{line['check']} {line['name']}": line for line in map(json.loads, result.stdout.splitlines())}
    assert found["camera yard"]["state"] == "problem"
    assert found["camera yard"]["facts"]["trouble"] == "refused"
    assert found["footage archive"]["facts"]["read"] == 4
    assert found[f"config {tmp_path / 'c.toml'}"]["state"] == "ok"
    assert found["device auto"]["state"] in ("ok", "warning")
    assert any(line["check"] == "model" for line in found.values())


def test_a_file_alone_without_a_model_is_only_a_warning(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.avi", frames=120)
    result = doctor(video, "--no-publish", "--device", "cpu", "--learn", "11s")
    assert result.returncode == 0, result.stdout + result.stderr
    first, second, *_ = result.stdout.splitlines()
    assert first == "ok       footage a: 32x24, 10 fps, all 120 frames read"
    assert second.startswith("warning  model: no model for a yet: ")


def test_a_source_that_cannot_be_used_is_not_told_to_lack_a_model() -> None:
    result = doctor("rtsp://127.0.0.1:9/x", "--no-publish", "--device", "cpu", "--seconds", "1")
    assert result.returncode == 1
    assert "problem  camera" in result.stdout
    assert "model" not in result.stdout


def test_a_file_shorter_than_what_is_to_be_learned_from_is_a_problem(tmp_path: Path) -> None:
    result = doctor(write_video(tmp_path / "a.avi"), "--no-publish", "--device", "cpu")
    assert result.returncode == 1, result.stdout + result.stderr
    found = "no model for it yet, and its 0 s are shorter than the 10 min of learning and the minimum of 10 s"
    assert f"problem  model a: {found}: a run ends before it watches it" in result.stdout
    assert "no model for a" not in result.stdout
    assert "--learn" not in result.stdout, "a shorter time would not help"
    assert "give --learn a shorter time (at least 10 s)" in too_short_to_learn("a", 18.0, 600.0, loop=False).mend
    looped = too_short_to_learn("a", 18.0, 600.0, loop=True)
    assert (looped.state, looped.found.partition(": ")[2]) == (State.WARNING, "a run learns from all of it")


def test_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[alert]\nmin_duration = 1\n")
    for arguments, sentence in (((), "nothing to check"), (("--config", tmp_path / "c.toml"), "did you mean")):
        result = doctor(*arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr


def test_the_example_config_can_be_examined() -> None:
    settings = load_config(ROOT / "configs/cameras.toml")
    sources, _ = find_sources(Checkup(settings))
    assert "door" in [source.name for source in sources]
