"""Settings of one camera in place of the common ones: budget, detectors, rate, alert rule, learning, health."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app.config import MonitorConfig
from monitor.app.config_file import load_config
from monitor.app.planning import plan_cameras
from monitor.detector.static_detector import StaticAge
from monitor.errors import ConfigError, ModelError
from monitor.model.model_store import save_model
from monitor.sinks.dashboard.threshold_words import threshold_words
from monitor.testing.fakes import LevelSource, held_out, provenance

CONFIG = """
false_alarms_per_day = 1
analysis_fps = 5
[alert]
off = 0.1
min_duration_s = 1.0
[cameras.door]
source = "rtsp://127.0.0.1/door"
false_alarms_per_day = 5
analysis_fps = 2
detectors = ["motion"]
alert.on = 0.2
alert.cooldown_s = 60
learning = { duration_s = 60, max_ms = 4 }
[cameras.yard]
source = "rtsp://127.0.0.1/yard"
"""


def config(folder: Path, text: str) -> MonitorConfig:
    path = folder / "cameras.toml"
    path.write_text(text)
    return load_config(path)


def test_what_a_camera_gives_replaces_the_common_settings_one_by_one(tmp_path: Path) -> None:
    settings = config(tmp_path, CONFIG)
    door, yard = settings.of_camera("door"), settings.of_camera("yard")
    assert (door.false_alarms_per_day, door.analysis_fps, door.detectors) == (5.0, 2.0, ("motion",))
    assert door.alert.model_dump() == {**settings.alert.model_dump(), "on": 0.2, "cooldown_s": 60.0}
    assert (door.learning.duration_s, door.learning.max_ms) == (60.0, 4.0)
    assert yard == settings
    assert settings.of_camera("unknown") is settings


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("alert.on = 0.05", "setting 'cameras.door.alert': off (0.1) must not be above on (0.05)"),
        ("alert.min_duration = 1", "'cameras.door.alert.min_duration': did you mean 'min_duration_s'?"),
        ("alert = 3", "write [cameras.door.alert], and its settings below"),
        ('detectors = ["x"]', "setting 'cameras.door.detectors': 'x' is not a detector"),
        ("analysis_fps = 0.001", "setting 'cameras.door.analysis_fps': must be 0 (every frame) or at least 0.01"),
        ("false_alarms = 3", "unknown setting 'cameras.door.false_alarms': did you mean 'false_alarms_per_day'?"),
        ("false_alarms_per_day = 0", "setting 'cameras.door.false_alarms_per_day': should be"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_camera(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        config(tmp_path, f'[alert]\noff = 0.1\n[cameras.door]\nsource = "x"\n{line}\n')
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_cameras_that_share_a_model_have_their_own_budget_rule_and_rate(tmp_path: Path) -> None:
    from monitor.learning.footage import FootageSource
    from monitor.replay import frames
    from monitor.stream.frame_rules import FrameRules, RuleSettings
    from tests.helpers.normal_street import record_street

    source = FootageSource(record_street(tmp_path / "footage", 3.0))
    static = StaticAge.fit([list(frames(source, FrameRules(RuleSettings())))])
    save_model(tmp_path / "model", "street", [static], held_out("static", level=5.0), provenance())
    settings = config(
        tmp_path,
        f'model = "{tmp_path / "model"}"\n'
        '[cameras.door]\nsource = "rtsp://127.0.0.1/door"\nfalse_alarms_per_day = 50\nanalysis_fps = 2\n'
        'alert.cooldown_s = 60\n[cameras.yard]\nsource = "rtsp://127.0.0.1/yard"\n',
    )
    sources = [LevelSource(name, [10], live=True) for name in ("door", "yard", "gate")]
    door, yard, gate = plan_cameras(sources, settings, None)
    assert door.model is yard.model is gate.model, "scored together"
    assert door.monitor is not None
    assert yard.monitor is not None
    assert gate.monitor is not None
    assert (door.monitor.scale.false_alarms_per_day, yard.monitor.scale.false_alarms_per_day) == (50.0, 1.0)
    assert yard.monitor.scale.scales == gate.monitor.scale.scales
    assert (door.monitor.settings.cooldown_s, yard.monitor.settings.cooldown_s) == (60.0, 30.0)
    assert (door.capture.analysis_fps, yard.capture.analysis_fps) == (2.0, 10.0)
    assert door.judged_by != yard.judged_by


def test_differing_budgets_are_said() -> None:
    assert threshold_words([], None, 0.0) == "1.00 = the budget of each camera"


def test_a_damaged_model_of_one_camera_does_not_keep_the_others_from_being_watched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = tmp_path / "models/door/v0001"
    damaged.mkdir(parents=True)
    (damaged / "model.json").write_text("{")
    settings = config(tmp_path, f'models_folder = "{tmp_path / "models"}"\n')
    door, yard = plan_cameras([LevelSource(name, [10], live=True) for name in ("door", "yard")], settings, None)
    assert "is damaged: model.json is not valid JSON" in caplog.text
    assert "it learns again now" in caplog.text
    assert door.learning is not None
    assert door.learning.again
    assert yard.learning is not None
    with pytest.raises(ModelError, match="is damaged"):
        plan_cameras([LevelSource("door", [10], live=True)], settings, None)
