"""Child processes: where they import from, and that every one of them is started in the same way."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.processes import child_command, child_environment, how_it_died
from monitor.testing.captured import eventually
from tests.helpers.isolated import alive
from tests.places import ROOT

OTHER_PROGRAMS = {
    "training/provenance.py": "git, with a deadline",
    "monitor/testing/rtsp_server.py": "for tests",
    "monitor/testing/mosquitto.py": "for tests",
}


def test_a_child_imports_nothing_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pydantic.py", "numpy.py", "json.py", "monitor.py", "training.py"):
        (tmp_path / name).write_text("import os; os._exit(66)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep)  # an empty part means the working directory, too
    command = child_command("json.tool", "--help")
    command[-3:-1] = ["-c", "import json, monitor, sys; sys.exit('' in sys.path)"]
    for safe in (command, [word for word in command if word != "-P"]):
        assert subprocess.run(safe, cwd=tmp_path, env=child_environment(), check=False).returncode == 0


def test_a_child_started_by_hand_has_no_parent_to_end_with(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from monitor.processes import end_with_parent; end_with_parent(); print('runs')"
    monkeypatch.setenv("TRUE_SIGHT_PARENT", "no number")
    assert subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True) == "runs\n"


def test_a_child_of_a_parent_that_is_gone_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUE_SIGHT_PARENT", "1")
    script = "from monitor.processes import end_with_parent; end_with_parent(); print('runs')"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 1


MIDDLE = """
import subprocess, sys
from monitor.processes import child_environment, how_it_died
child = subprocess.Popen([sys.executable, "-c", '''
import signal, time
from monitor.processes import die_first, end_with_parent, how_it_died
end_with_parent()
die_first()
print(open("/proc/self/oom_score_adj").read(), flush=True)
time.sleep(600)
'''], env=child_environment(), stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), child.pid, flush=True)
child.wait()
"""


def test_a_child_ends_with_its_killed_parent_and_before_it_if_memory_runs_out() -> None:
    with subprocess.Popen([sys.executable, "-c", MIDDLE], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        adjusted, child = (int(word) for word in parent.stdout.readline().split())
        assert adjusted >= 500
        assert alive(child)
        parent.kill()
    assert eventually(lambda: not alive(child), within_s=5.0)


@pytest.mark.parametrize("package", ["monitor", "training"])
def test_every_child_of_the_product_is_started_in_the_same_way(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        text = path.read_text()
        assert "os.fork(" not in text
        if str(path.relative_to(ROOT)) in OTHER_PROGRAMS or "subprocess" not in text:
            continue
        for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) in ("subprocess.Popen", "subprocess.run", "Popen", "subprocess.check_output"):
                said = ast.unparse(call)
                assert "child_command(" in said, f"{path}:{call.lineno}"
                assert "env=child_environment()" in said, f"{path}:{call.lineno}"


LOADED = """
import subprocess, sys
from monitor.processes import ending_with_this_process, how_it_died
child = subprocess.Popen(["sleep", "600"], preexec_fn=ending_with_this_process())
print(child.pid, flush=True)
child.wait()
"""


def test_a_program_of_a_benchmark_ends_with_the_killed_benchmark() -> None:
    with subprocess.Popen([sys.executable, "-c", LOADED], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    assert eventually(lambda: not alive(child), within_s=5.0)


@pytest.mark.parametrize(
    ("code", "says"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-40, "signal 40"), (-64, "SIGRTMAX")]
)
def test_every_end_of_a_process_has_words(code: int, says: str) -> None:
    assert how_it_died(code) == says
