"""Every module has a unique name, and its tests are in the folder that matches its package."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import ROOT

PACKAGES = ("monitor", "training", "benchmarks")


def folders(root: Path) -> Iterator[Path]:
    """Every package below ``root``, ``root`` included."""
    return (path.parent for path in root.rglob("__init__.py"))


def test_a_module_s_name_stands_once() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    counted = Counter(path.stem for path in files if path.stem not in ("__init__", "__main__"))
    twice = {name for name, count in counted.items() if count > 1}
    assert not [str(path.relative_to(ROOT)) for path in sorted(files) if path.stem in twice]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_of_tests_mirrors_a_package(package: str) -> None:
    tests = ROOT / "tests" / package
    mirrored = {path.relative_to(tests) for path in folders(tests)}
    assert mirrored
    assert mirrored <= {path.relative_to(ROOT / package) for path in folders(ROOT / package)}


def test_beside_the_mirrors_stand_only_the_end_to_end_tests_and_the_helpers() -> None:
    tests = ROOT / "tests"
    tops = {path.relative_to(tests).parts[0] for path in tests.rglob("*.py") if path.parent != tests}
    assert tops == {*PACKAGES, "e2e", "helpers"}


def test_every_folder_of_tests_is_a_package() -> None:
    tests = ROOT / "tests"
    assert not [path.parent for path in tests.rglob("*.py") if not (path.parent / "__init__.py").exists()]
