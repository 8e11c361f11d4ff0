"""The release script writes one version everywhere, builds, and refuses what would be a wrong release."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

COPIED = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "run_monitor.py", ".gitignore", ".ci/release")
CHANGES = "# Changes\n\n## Unreleased\n\n- New.\n\n## 0.1.0 - 2026-01-01\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with all that a build needs, but few modules."""
    for name in (*COPIED, "configs/cameras.toml", "monitor/__init__.py", "training/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "monitor/__init__.py").write_text('__version__ = "0.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    return tmp_path


def git(project: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *arguments], cwd=project, check=True, capture_output=True, text=True).stdout


def release(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    who = {f"GIT_{role}_{part}": "test@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    environment = os.environ | who | {"PYTHON": sys.executable}
    command = [str(project / ".ci/release"), *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, env=environment)


def test_a_release_has_one_version_everywhere(project: Path) -> None:
    done = release(project, "0.2.0")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (project / "dist").iterdir()) == [
        "true_sight-0.2.0-py3-none-any.whl",
        "true_sight-0.2.0.tar.gz",
    ]
    assert (project / "monitor/__init__.py").read_text() == '__version__ = "0.2.0"\n'
    changes = (project / "CHANGELOG.md").read_text()
    assert changes.startswith("# Changes\n\n## Unreleased\n\n## 0.2.0 - 20")
    assert "- New.\n\n## 0.1.0" in changes
    assert git(project, "tag", "--points-at", "HEAD") == "v0.2.0\n"
    assert git(project, "log", "-1", "--format=%s") == "Release 0.2.0\n"
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "give the version to release"),
        (("v1",), "give the version to release"),
        (("0.0.9",), "version 0.0.9 is older than 0.1.0"),
    ],
)
def test_a_wrong_version_is_refused(project: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = release(project, *arguments)
    assert (done.returncode, sentence in done.stderr) == (2, True)
    assert git(project, "log", "--format=%s") == "Begin\n"


def test_a_version_that_exists_and_open_changes_are_refused(project: Path) -> None:
    git(project, "tag", "v0.3.0")
    assert "the tag v0.3.0 exists" in release(project, "0.3.0").stderr
    (project / "new.txt").touch()
    assert "changes that are not committed" in release(project, "0.4.0").stderr


def test_a_release_without_a_section_of_changes_is_refused(project: Path) -> None:
    (project / "CHANGELOG.md").write_text("# Changes\n")
    git(project, "commit", "-q", "-am", "Empty")
    assert "no section 'Unreleased'" in release(project, "0.2.0").stderr
