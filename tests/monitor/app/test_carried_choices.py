"""What people have chosen goes with a camera from node to node."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app.carried_choices import CarriedChoices, open_choices
from monitor.app.choice_store import Choice, ChoiceStore
from monitor.app.place_config import MaskConfig
from monitor.errors import ConfigError, RunError

MASK = MaskConfig(polygon=((0.0, 0.0), (0.5, 0.0), (0.5, 0.5)))


def a_node(folder: Path) -> ChoiceStore:
    (folder / "chosen").mkdir(parents=True, exist_ok=True)
    return open_choices(folder)


def test_a_choice_is_in_the_file_of_its_camera_and_the_next_node_takes_it_over(tmp_path: Path) -> None:
    north, south = a_node(tmp_path / "north"), a_node(tmp_path / "south")
    assert isinstance(north, CarriedChoices)
    north.choose("door", Choice(per_day=2.0, paused=True, relearn_from="v0003", masks={"window": MASK}))
    south.choose("door", Choice(armed=False, relearn_from="v0001"))
    south.choose("yard", Choice(armed=False))
    content = (tmp_path / "north/chosen/door.json").read_text()
    (tmp_path / "south/chosen/door.json").write_text(content)
    south.arrive()
    taken = Choice(per_day=2.0, paused=True, relearn_from="v0001", masks={"window": MASK})
    assert south.of("door") == taken, "but for the version that is learned again, which is of that node"
    assert south.of("yard") == Choice(armed=False)
    assert a_node(tmp_path / "south").of("door") == taken
    (tmp_path / "south/chosen/door.json").write_text("{}")
    assert a_node(tmp_path / "south").of("door") == Choice(relearn_from="v0001")


def test_a_damaged_file_keeps_the_camera_closed_because_it_may_hold_masks(tmp_path: Path) -> None:
    south = a_node(tmp_path)
    (tmp_path / "chosen/door.json").write_text('{"masks": 7}')
    with pytest.raises(ConfigError, match="may hold privacy masks of door"):
        south.arrive()
    with pytest.raises(ConfigError, match="may hold privacy masks of door"):
        a_node(tmp_path)


def test_what_cannot_go_with_the_camera_is_said(tmp_path: Path) -> None:
    south = a_node(tmp_path)
    (tmp_path / "chosen/door.json").mkdir()
    with pytest.raises(RunError, match="cannot go with door to another node"):
        south.choose("door", Choice(armed=False))


def test_a_monitor_that_is_no_node_has_no_such_files(tmp_path: Path) -> None:
    store = open_choices(tmp_path)
    assert type(store) is ChoiceStore
    store.arrive()
    store.choose("door", Choice(armed=False))
    assert not (tmp_path / "chosen").exists()
