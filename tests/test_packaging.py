"""What is built and installed: the product with its data and licence, and nothing else; its commands run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

from monitor import __version__
from tests.places import ROOT

BUILT = ("monitor", "training", "configs", "run_monitor.py", "pyproject.toml", "MANIFEST.in")
TEXTS = ("README.md", "CHANGELOG.md", "LICENSE")
DATA = (
    "monitor/py.typed",
    "monitor/assets/demo/model.json",
    "monitor/assets/demo/weights.safetensors",
    "training/autoencoder/recipes/default.toml",
    "training/autoencoder/recipes/published.toml",
    *(str(path.relative_to(ROOT)) for path in (ROOT / "monitor/web/static").iterdir()),
)
INFO = f"true_sight-{__version__}.dist-info"


def build(kind: str, source: Path, target: Path) -> Path:
    """Build a wheel or an sdist as pip does, without the network."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(target)!r})"
    # setuptools copies its working files; a warning of its own about that is not this project's.
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in (*BUILT, "tests", "benchmarks"):
        without_caches = shutil.ignore_patterns("__pycache__")
        place = ROOT / name
        shutil.copytree(place, source / name, ignore=without_caches) if place.is_dir() else shutil.copy(place, source)
    for name in TEXTS:
        shutil.copy(ROOT / name, source)
    return build("sdist", source, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    return build("wheel", unpacked / sdist.name.removesuffix(".tar.gz"), tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the installed commands. The packages that they need are those of the tests."""
    place = tmp_path_factory.mktemp("installed")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--ignore-installed",
    ]
    subprocess.run([*pip, "--prefix", place, wheel], check=True, cwd=place)
    return place / "bin"


def run(commands: Path, name: str, *arguments: str, cwd: Path) -> str:
    (packages,) = commands.parent.glob("lib/python*/site-packages")
    environment = os.environ | {"PYTHONPATH": str(packages), "HOME": str(cwd)}
    command = [str(commands / name), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules() -> set[str]:
    files = {path for top in ("monitor", "training") for path in (ROOT / top).rglob("*.py")}
    return {str(path.relative_to(ROOT)) for path in files} | {"run_monitor.py"}


def test_the_wheel_holds_the_product_its_data_and_its_licence_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if not name.endswith("/")}
        licence = archive.read(f"{INFO}/licenses/LICENSE").decode()
    info = {name for name in files if name.startswith(INFO)}
    example = f"true_sight-{__version__}.data/data/share/true-sight/cameras.toml"
    assert files - info == modules() | {*DATA, example}
    assert licence == (ROOT / "LICENSE").read_text()


def test_the_sdist_holds_what_the_wheel_is_built_from_and_no_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert names >= modules() | {*DATA, *TEXTS, "configs/cameras.toml", "pyproject.toml"}
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "docs"))]


def test_the_installed_commands_run_and_name_themselves(commands: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in commands.iterdir()) == [
        "true-sight",
        "true-sight-client",
        "true-sight-training",
    ]
    assert run(commands, "true-sight", "--version", cwd=tmp_path) == f"True Sight {__version__}\n"
    assert "true-sight doctor --help" in run(commands, "true-sight", "--help", cwd=tmp_path)
    assert "Usage: true-sight doctor" in run(commands, "true-sight", "doctor", "--help", cwd=tmp_path)
    assert "Usage: true-sight-training" in run(commands, "true-sight-training", "--help", cwd=tmp_path)
    assert "true-sight-client" in run(commands, "true-sight-client", "--help", cwd=tmp_path)


def test_the_installed_demo_learns_and_watches_without_a_checkout(commands: Path, tmp_path: Path) -> None:
    # The first abnormal episode of the scene is over after 16 s.
    short = ("--learn", "12s", "--analysis-fps", "5", "--max-frames", "160")
    shown = run(commands, "true-sight", "--demo", *short, "--speed", "max", "--headless", "--no-publish", cwd=tmp_path)
    assert "Alerts compared with the ground truth" in shown
    assert f"Next: `{commands / 'true-sight'}` without arguments" in shown
    assert not list(tmp_path.iterdir())


def test_the_installed_monitor_has_the_model_of_the_demo_and_its_network(commands: Path, tmp_path: Path) -> None:
    (model,) = commands.parent.glob("lib/python*/site-packages/monitor/assets/demo")
    arguments = ("--demo", "--model", str(model), "--speed", "max", "--max-frames", "60", "--headless", "--no-publish")
    assert "True Sight ran for" in run(commands, "true-sight", *arguments, cwd=tmp_path)


def test_every_package_of_the_product_is_installed_and_no_other() -> None:
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("[!.]*/**/__init__.py")}
    installed = {name for name in packages if any(fnmatch(name, pattern) for pattern in find["include"])}
    assert installed == {name for name in packages if name.split(".")[0] in ("monitor", "training")}
    modules = {path for top in ("monitor", "training") for path in (ROOT / top).rglob("*.py")}
    assert not [path for path in modules if not (path.parent / "__init__.py").exists()], "it would not be installed"
