"""A run that serves metrics; and the documents and the dashboard that name them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.test_command_line import FREE_PORTS, refused
from tests.e2e.test_end_to_end import DEMO_MODEL
from tests.helpers.commands import doctor, monitor
from tests.places import ROOT

DEADLINE_S = 60.0
LOCAL = "127.0.0.1:0"
NAME = re.compile(r"\btruesight_[a-z_]+")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A scrape of a run that has scored frames. Also: the run answers about its health, and ends in time."""
    folder = tmp_path_factory.mktemp("run")
    command = [sys.executable, "-u", str(ROOT / "run_monitor.py"), "--demo", "--model", str(DEMO_MODEL), "--headless"]
    command += ["--alerts", "tcp://127.0.0.1:*", "--scores", "tcp://127.0.0.1:*", "--history", "tcp://127.0.0.1:*"]
    process = subprocess.Popen([*command, "--metrics", LOCAL], cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "metrics are served at" in line)
        address = re.search(r"http://[\d.:]+", line)
        assert address is not None
        deadline = time.monotonic() + DEADLINE_S
        while True:
            with urllib.request.urlopen(f"{address[0]}/metrics", timeout=DEADLINE_S) as answer:  # noqa: S310
                found: str = answer.read().decode()
            if re.search(r'truesight_score\{camera="demo"\}', found):
                break
            assert time.monotonic() < deadline
        with urllib.request.urlopen(f"{address[0]}/readyz", timeout=DEADLINE_S) as answer:  # noqa: S310
            assert answer.read() == b"ok\n"
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
    return found


def test_a_run_serves_the_figures_of_its_cameras(text: str) -> None:
    assert re.search(r'truesight_camera_up\{camera="demo"\} 1.0', text)
    assert re.search(r'truesight_frame_age_seconds_count\{camera="demo"\} [1-9]', text)
    assert re.search(r'truesight_last_frame_timestamp_seconds\{camera="demo"\} 1\.\d+e\+09', text)
    assert "truesight_journal_size_bytes" in text
    stages = set(re.findall(r'truesight_stage_duration_seconds_count\{detector="([^"]*)",stage="(\w+)"\} [1-9]', text))
    assert {("", "prepare"), ("", "wait"), ("", "judge")} < stages
    assert ("motion", "detect") in stages


def test_the_documents_the_dashboard_and_the_rules_name_metrics_that_exist(text: str) -> None:
    families = set(re.findall(r"^# TYPE (truesight_\w+)", text, re.MULTILINE))
    families = {name for name in families if not name.endswith("_created")}
    documented = set(re.findall(r"^\| `(truesight_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    assert documented == families
    series = families | {f"{name}_{part}" for name in families for part in ("bucket", "sum", "count")}
    dashboard = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for named in ("\n".join(asked), (ROOT / "deploy/prometheus-rules.yml").read_text()):
        assert set(NAME.findall(named)) <= series


def test_promtool_accepts_the_metrics_of_a_run_and_the_rules(text: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool, of Debian's package prometheus")
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    complaints = [line for line in (checked.stdout + checked.stderr).splitlines() if "truesight" in line]
    assert complaints == []
    rules = [promtool, "check", "rules", str(ROOT / "deploy/prometheus-rules.yml")]
    assert subprocess.run(rules, capture_output=True, text=True).returncode == 0


def test_an_address_that_is_none_is_refused() -> None:
    result = monitor("--demo", "--model", DEMO_MODEL, "--metrics", "9108", "--headless", *FREE_PORTS)
    refused(result, 2, "--metrics: should be HOST:PORT, such as 127.0.0.1:9108")


def test_the_doctor_tries_the_address(tmp_path: Path) -> None:
    config = tmp_path / "cameras.toml"
    config.write_text(f"[cameras.a]\nsource = '{tmp_path}'\n[metrics]\nenabled = true\nlisten = '192.0.2.1:9108'\n")
    found = doctor("--config", config, "--no-publish").stdout
    assert "problem  port metrics: metrics cannot be served at 192.0.2.1:9108 (" in found
    assert "fix: choose another address with --metrics or [metrics] listen" in found
