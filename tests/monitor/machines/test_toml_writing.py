import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitor.machines.toml_writing import toml_text
from tests.places import ROOT

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(settings=st.dictionaries(TEXTS, VALUES, max_size=4))
def test_what_is_written_is_read_as_it_was(settings: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(settings)) == settings


def test_the_example_of_a_config_is_written_whole() -> None:
    settings = tomllib.loads((ROOT / "configs/cameras.toml").read_text())
    assert tomllib.loads(toml_text(settings)) == settings
