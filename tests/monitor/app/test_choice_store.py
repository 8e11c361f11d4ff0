"""What people have chosen for cameras is kept whole, and nothing that is written there by others does harm."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from monitor.app.choice_store import Choice, ChoiceStore
from monitor.app.config import MonitorConfig
from monitor.app.link_config import LinkConfig
from monitor.app.place_config import MaskConfig, ZoneConfig
from monitor.errors import ConfigError, RunError


def test_a_choice_is_kept_over_a_restart_and_for_this_user_only(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "choices.json"
    store = ChoiceStore(file)
    assert store.of("door") == Choice(per_day=None, armed=True)
    store.choose("door", Choice(per_day=2.5, armed=False))
    store.choose("yard", Choice(armed=False))
    later = ChoiceStore(file)
    assert (later.of("door"), later.of("yard")) == (Choice(per_day=2.5, armed=False), Choice(armed=False))
    assert file.stat().st_mode & 0o777 == 0o600
    later.choose("yard", Choice())
    assert json.loads(file.read_text())["cameras"] == {"door": {"per_day": 2.5, "armed": False}}
    assert [each.name for each in file.parent.iterdir()] == ["choices.json"]


@pytest.mark.parametrize(
    "content",
    ["", "nonsense", "[]", '{"version": 2}', '{"cameras": {"door": {"per_day": -1}}}', '{"cameras": {"door": 5}}'],
)
def test_a_damaged_file_is_kept_aside(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "choices.json"
    file.write_text(content)
    store = ChoiceStore(file)
    assert store.of("door") == Choice()
    assert "cameras are as the config says" in caplog.text
    assert (tmp_path / "choices.json.damaged").read_text() == content
    store.choose("door", Choice(armed=False))
    assert not ChoiceStore(file).of("door").armed


def test_a_choice_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder belongs")
    store = ChoiceStore(tmp_path / "runs" / "choices.json")
    with pytest.raises(RunError, match="so nothing has changed: free space on the disk"):
        store.choose("door", Choice(armed=False))
    assert store.of("door").armed


CORNERS = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5))


def test_masks_that_cannot_be_read_keep_the_monitor_from_starting(tmp_path: Path) -> None:
    file = tmp_path / "choices.json"
    ChoiceStore(file).choose("door", Choice(masks={"window": MaskConfig(polygon=CORNERS)}))
    good = file.read_bytes()
    assert ChoiceStore(file).of("door").masks["window"].mask.polygon.points == CORNERS
    file.write_bytes(good[:-5])
    with pytest.raises(ConfigError, match="is damaged, and it holds privacy masks: put back a good copy"):
        ChoiceStore(file)
    assert file.read_bytes() == good[:-5], "it is left as it is"


def test_what_is_chosen_joins_what_the_file_says_which_wins(tmp_path: Path) -> None:
    store = ChoiceStore(tmp_path / "choices.json")
    near, far = MaskConfig(polygon=CORNERS), MaskConfig(polygon=CORNERS, look="pixelated")
    zone = ZoneConfig(polygon=CORNERS, sensitivity=0.5)
    store.choose("door", Choice(masks={"window": near, "desk": near}, zones={"road": zone}, paused=True))
    store.choose("yard", Choice(added=LinkConfig(source="rtsp://a.example/1", transport="tcp")))
    store.choose("gate", Choice(added=LinkConfig(source="rtsp://b.example/1")))
    content = {"cameras": {"door": {"source": "0", "masks": {"window": far}}, "gate": {"source": "1"}}}
    settings = MonitorConfig.model_validate(content).with_choices(store)
    assert settings.masks_of("door") == {"desk": near, "window": far}
    assert settings.zones_of("door") == {"road": zone}
    assert settings.is_paused("door")
    assert settings.added == {"yard"}
    assert {name: camera.source for name, camera in settings.cameras.items()} == {
        "door": "0", "gate": "1", "yard": "rtsp://a.example/1",
    }  # fmt: skip
    assert settings.links["yard"].transport == "tcp"
    store.choose("door", Choice())
    assert settings.masks_of("door") == {"desk": near, "window": far}, "until the stream is opened again"
    assert settings.zones_of("door") == {}


def test_what_is_no_file_in_its_place_is_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "choices.json"
    os.mkfifo(path)
    assert ChoiceStore(path).of("cam") == Choice()
    assert caplog.messages == [f"{path} cannot be read (it is a pipe, not a file): cameras are as the config says"]
