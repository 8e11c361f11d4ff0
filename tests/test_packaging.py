import tomllib
from fnmatch import fnmatch

from tests.places import ROOT

INSTALLED = ("monitor", "training")


def test_every_package_is_installed() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {path.parent for top in INSTALLED for path in (ROOT / top).rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert names >= set(INSTALLED)
    assert not [name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)]


def test_neither_tests_nor_benchmarks_are_installed() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert not [name for name in ("tests", "benchmarks") for pattern in patterns if fnmatch(name, pattern)]
