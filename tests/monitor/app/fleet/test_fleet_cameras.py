from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.app.config_file import load_config
from monitor.app.fleet.fleet_cameras import parsed_labels, read_fleet
from monitor.errors import ConfigError
from monitor.machines.fleet_messages import Order
from monitor.machines.fleet_state import Wish
from monitor.machines.head_parts import read_cameras, write_cameras
from monitor.machines.monitor_engine import _table

CONFIG = """
model = "models/street"
analysis_fps = 8
[alert]
min_duration_s = 2.0
cooldown_s = 30
[capture]
isolation = "thread"
[cameras.door]
source = "rtsp://user:${DOOR_PASSWORD}@door.example/1"
alert.cooldown_s = 60
schedule.armed = ["22:00-06:00"]
labels = ["gpu", "site=south"]
pin = "north"
[cameras.yard]
source = "yard.mp4"
analysis_fps = 0
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "fleet.toml"
    path.write_text(text)
    return path


def test_a_camera_gets_its_table_and_the_common_settings_and_its_secret_is_literal_on_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "p${HOME}w")
    _, wishes, unused = read_fleet(written(tmp_path, CONFIG))
    door, yard = wishes["door"], wishes["yard"]
    assert (door.source, door.fps, yard.fps) == ("rtsp://user:p${HOME}w@door.example/1", 8.0, 25.0)
    assert (door.needs, door.pin) == ({"gpu": "", "site": "south"}, "north")
    assert json.loads(door.settings)["alert"] == {"min_duration_s": 2.0, "cooldown_s": 60}
    assert unused == ("capture",)
    write_cameras(tmp_path / "cameras.json", wishes)
    assert read_cameras(tmp_path / "cameras.json") == wishes
    order = Order(epoch=1, role="active", source=door.source, fps=door.fps, settings=door.settings)
    on_node = load_config(written(tmp_path, _table("door", order))).cameras["door"]
    assert on_node.source == door.source
    assert on_node.model == Path("models/street")
    assert on_node.alert is not None
    assert (on_node.alert.cooldown_s, on_node.analysis_fps) == (60, 8)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('labels = "gpu"', "'cameras.door.labels': should be a list"),
        ('labels = ["=x"]', "'cameras.door.labels': '=x' is no label"),
        ('pin = "a b"', "'cameras.door.pin'"),
        ("pins = 1", "unknown setting 'cameras.door.pins'"),
    ],
)
def test_a_mistake_in_a_camera_names_its_setting(tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_fleet(written(tmp_path, f'[cameras.door]\nsource = "0"\n{more}\n'))


def test_a_list_of_cameras_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    write_cameras(path, {"door": Wish(source="0")})
    path.write_text(path.read_text().replace('"source"', '"sauce"'))
    with pytest.raises(ConfigError, match="is damaged"):
        read_cameras(path)


def test_labels_are_names_or_names_with_values() -> None:
    assert parsed_labels(["gpu", "site = south"]) == {"gpu": "", "site": "south"}


@pytest.mark.parametrize("table", ["[metrics]\nenabled = true", '[mqtt]\nhost = "broker.example"'])
def test_a_table_that_a_head_cannot_serve_is_refused(tmp_path: Path, table: str) -> None:
    config = tmp_path / "fleet.toml"
    config.write_text(f'[cameras.door]\nsource = "rtsp://door.example/1"\n{table}\n')
    with pytest.raises(ConfigError, match=r"a head cannot serve \[m\w+\]: remove it and give it to each node"):
        read_fleet(config)
