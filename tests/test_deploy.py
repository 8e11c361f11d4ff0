"""The files for an operation: systemd accepts them, and they name commands and flags that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import run_monitor
from tests.places import ROOT
from tests.test_docs import flags

UNIT = ROOT / "deploy/systemd/true-sight.service"
MOST_EXPOSED = 30
"""Tenths: ``systemd-analyze security`` gives 0 (nothing exposed) to 10."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze")
    return subprocess.run([program, *arguments], capture_output=True, text=True)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is installed here."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/true-sight/bin/true-sight", sys.executable))
    return path


def test_systemd_accepts_the_unit(unit: Path) -> None:
    checked = analyze("verify", "--man=no", str(unit))
    about_it = [line for line in checked.stderr.splitlines() if "true-sight" in line]
    assert about_it == []


def test_the_unit_exposes_little(unit: Path) -> None:
    checked = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_user_of_the_unit_is_made(tmp_path: Path) -> None:
    program = shutil.which("systemd-sysusers")
    if program is None:
        pytest.skip("needs systemd-sysusers")
    folder = tmp_path / "usr/lib/sysusers.d"
    folder.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    shutil.copy(ROOT / "deploy/systemd/true-sight.conf", folder)
    subprocess.run([program, f"--root={tmp_path}", "true-sight.conf"], check=True, capture_output=True)
    users = (tmp_path / "etc/passwd").read_text().splitlines()
    assert [user for user in users if user.endswith(":/var/lib/true-sight:/usr/sbin/nologin")]


def test_the_unit_starts_a_command_with_flags_that_exist() -> None:
    started = re.search(r"^ExecStart=/opt/true-sight/bin/(\S+)(.*)$", UNIT.read_text(), re.MULTILINE)
    assert started is not None
    assert started[1] == "true-sight"
    assert set(re.findall(r"--[a-z-]+", started[2])) <= flags(run_monitor.app)
