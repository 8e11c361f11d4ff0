import tomllib
from fnmatch import fnmatch

from tests.places import ROOT


def test_every_package_of_the_product_is_installed_and_no_other() -> None:
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("[!.]*/**/__init__.py")}
    installed = {name for name in packages if any(fnmatch(name, pattern) for pattern in find["include"])}
    assert installed == {name for name in packages if name.split(".")[0] in ("monitor", "training")}
    modules = {path for top in ("monitor", "training") for path in (ROOT / top).rglob("*.py")}
    assert not [path for path in modules if not (path.parent / "__init__.py").exists()], "it would not be installed"
