"""The files of constraints belong to the dependencies in pyproject.toml."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = {
    canonicalize_name(wanted.name): wanted
    for wanted in map(Requirement, [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)])
    if wanted.name != PROJECT["name"]
}
OLDEST, NEWEST = ROOT / "constraints/oldest.txt", ROOT / "constraints/newest.txt"


def pins(file: Path) -> dict[str, Version]:
    """Name -> version. A line that is no plain pin fails."""
    found: dict[str, Version] = {}
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            name, _, version = line.partition("==")
            found[canonicalize_name(name, validate=True)] = Version(version)
    return found


@pytest.mark.parametrize("wanted", DIRECT.values(), ids=str)
def test_a_dependency_has_one_lower_bound_and_no_upper_one(wanted: Requirement) -> None:
    assert [bound.operator for bound in wanted.specifier] == [">="]


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    bounds = {name: Version(next(iter(wanted.specifier)).version) for name, wanted in DIRECT.items()}
    assert pins(OLDEST) == bounds


def test_the_newest_versions_are_allowed_and_complete() -> None:
    newest = pins(NEWEST)
    assert not [name for name, wanted in DIRECT.items() if newest[name] not in wanted.specifier]
    assert PROJECT["name"] not in newest


@pytest.mark.parametrize("file", [OLDEST, NEWEST], ids=lambda file: file.name)
def test_a_file_of_constraints_pins_each_package_once(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert len(pins(file)) == len(lines)


def test_the_cpu_build_is_allowed_and_has_no_cuda() -> None:
    found = pins(ROOT / "constraints/cpu.txt")
    assert set(found) == {"torch"}
    assert found["torch"].local == "cpu"
    assert found["torch"] in DIRECT[canonicalize_name("torch")].specifier
