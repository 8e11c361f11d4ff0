import tomllib

from tests.places import ROOT


def test_every_package_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("monitor", "training")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert found == set(listed)
