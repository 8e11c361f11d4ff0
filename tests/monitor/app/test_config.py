import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from monitor.app.config import MonitorConfig, json_schema
from monitor.app.config_file import load_config
from monitor.app.flags import given_flags
from monitor.app.state_place import with_places
from monitor.errors import ConfigError
from tests.places import CONFIGS


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cameras.toml"
    path.write_text(text)
    return path


def test_without_a_file_everything_has_its_default() -> None:
    assert load_config(None) == with_places(MonitorConfig())


def test_a_file_lists_only_what_differs_and_flags_win_over_it(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        false_alarms_per_day = 3
        analysis_fps = 5
        [cameras.door]
        source = "rtsp://10.0.0.2/live"
        model = "models/door"
        [alert]
        min_duration_s = 1.5
        """,
    )
    config = load_config(path, {"analysis_fps": 8.0, "alert.off": 0.5})
    assert config.false_alarms_per_day == 3
    assert config.analysis_fps == 8
    assert (config.alert.min_duration_s, config.alert.off, config.alert.on) == (1.5, 0.5, 1.0)
    assert config.cameras["door"].model == Path("models/door")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("false_alarm_per_day = 1", "unknown setting 'false_alarm_per_day': did you mean 'false_alarms_per_day'?"),
        ("[alert]\nmin_duration = 1", "unknown setting 'alert.min_duration': did you mean 'min_duration_s'?"),
        ("[queue]\ncapacty = 1", "did you mean 'capacity'?"),
        ("[publish]\nalert = 'x'", "did you mean 'alerts'?"),
        ("[cameras.a]\nsorce = 'x'", "did you mean 'source'?"),
        ("zzzz = 1", "known here:"),
        ("speed = 4", "unknown setting 'speed': did you mean 'speed' under [playback]?"),
        ("open_timeout = 4", "did you mean 'open_timeout_s' under [capture]?"),
        ("folder = 'x'", "did you mean 'folder' under [evidence] or under [moments] or under [normal]?"),
        ("source = 'x'", "did you mean 'source' under [cameras.NAME]?"),
        ("[alert]\nanalysis_fps = 5", "did you mean 'analysis_fps' above all [groups] or under [cameras.NAME]?"),
        ("[playback]\nmodel = 'x'", "did you mean 'model' above all [groups] or under [cameras.NAME]?"),
        ("[alert]\noff = 2.0", "off (2.0) must not be above on (1.0)"),
        ("[queue]\ncapacity = 0", "at least 1"),
        ("[smoothing]\nmin_window_s = 9.0", "min <= max"),
        ("[cameras.'a b']\nsource = 'x'", "camera name 'a b'"),
        ("[cameras.a]", "cameras.a.source"),
        ("[cameras]\na = 'rtsp://h/x'", "setting 'cameras.a': should be a group of settings: write [cameras.a]"),
        ("alert = 3", "setting 'alert': should be a group of settings: write [alert], and its settings below"),
        ("engines = 'many'", "setting 'engines': must be \"auto\", or a number from 1 to 64"),
        ("[learning]\non = 'maybe'", "setting 'learning.on': should be true or false"),
        ("device = 'gpu'", "device"),
        ("device = " + "9" * 6000, "is not valid TOML: it has a whole number of more than 64 bits"),
        ("detectors = 'motion'", "setting 'detectors': should be a list, as [...]"),
        ("time_zone = 3\n[capture]\nopen_timeout_s = 'x'", "setting 'capture.open_timeout_s': should be a number"),
        ("[capture]\nopen_timeout_s = nan", "setting 'capture.open_timeout_s': should be"),
        ("[journal]\npath = 3", "setting 'journal.path': should be a path, as text"),
        ("[cameras.a]\nsource = 3", "setting 'cameras.a.source': should be text"),
        ("[mqtt]\nhost = 'mqtt://h'", "setting 'mqtt.host': should be a host name or IP address"),
        ("[mqtt]\nhost = 'h'\nbase = 'a/b'", "setting 'mqtt.base': should be 1 to 64 letters, digits, - and _"),
        (
            "[cameras.a]\nsource = 'x'\nmasks = [[[1e308, -1e308], [0, nan], [1, 1]]]",
            "setting 'cameras.a.masks': should be groups with names of your choice: write masks.NAME.polygon = [[",
        ),
        ("analysis_fps = -1", "analysis_fps"),
        ("not toml", "not valid TOML"),
        (
            "detectors = ['motion', 'statix']",
            "setting 'detectors': 'statix' is not a detector: choose from appearance, motion, scene,",
        ),
    ],
)
def test_every_mistake_is_named_with_what_to_do(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mqtt.host = 'mqtt://h:1883'", "'mqtt.host': should be a host name or IP address, without mqtt://, port"),
        ("mqtt.base = 'a/+/b'", "'mqtt.base': should be 1 to 64 letters, digits, - and _"),
        ("mqtt.discovery_prefix = '#'", "'mqtt.discovery_prefix': should be 1 to 64 letters, digits, - and _"),
        ("device = 'gpu'", "'device': should be auto, cpu, cuda or cuda:N"),
        ("notify.a = { url = 'x', cameras = ['a b'] }", "'notify.a.cameras.0': should be the name of a camera: use"),
        (
            "notify.a = { url = 'x', per_camera.'a b' = {} }",
            "camera name 'a b' under 'notify.a.per_camera': use letters",
        ),
        ("notify.'a b' = { url = 'x' }", "notify name 'a b': use letters"),
        ("webhook.'a b' = { url = 'http://h', secret = '0123456789abcdef' }", "webhook name 'a b': use letters"),
        ("cameras.'a b' = {}", "camera name 'a b': use letters"),
        ("cameras.a.masks.'a b' = { polygon = [] }", "name 'a b' of a place under 'cameras.a.masks': use letters"),
    ],
)
def test_what_does_not_match_is_told_in_own_words(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "c.toml")
    assert sentence in str(caught.value)
    assert "pattern" not in str(caught.value)


def test_each_setting_with_a_pattern_has_its_words() -> None:
    """The test above has a case of each. Names of groups and of cameras share one pattern."""
    found = set(re.findall(r'"pattern": "((?:[^"\\\\]|\\\\.)*)"', json.dumps(json_schema())))
    found |= set(re.findall(r'"\^[^"]*\$": ', json.dumps(json_schema())))
    named = {each for each in found if "[A-Za-z0-9_][A-Za-z0-9_" in each}
    assert len(found - named) == 3, f"host, a part of a topic, device; give each other one words and a case: {found}"


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, "modle = 'x'\n[alert]\nonn = 1\n"))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[evidence]\nwidht = 640\nquality = 0\n", ["did you mean 'width'", "quality must be 1 to 100"]),
        ("zzzz = 1\n[alert]\nqqqq = 1\noff = 2.0\n", ["'zzzz'", "'alert.qqqq'", "off (2.0)"]),
    ],
)
def test_an_unknown_key_does_not_hide_what_else_is_wrong_in_its_group(
    tmp_path: Path, text: str, told: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    lines = str(caught.value).splitlines()
    assert len(lines) == len(told)
    for sentence in told:
        assert sum(sentence in line for line in lines) == 1, lines


@pytest.mark.parametrize(
    "text",
    [
        "[alert]\nonn = 3.0\noff = 2.0\n",
        "[playback]\nspede = 'max'\n",
        "[queue]\ncapacty = 0\n",
        "[learning]\nduration = '10m'\n",
        "[publsh]\nalerts = 'tcp://127.0.0.1:5561'\n",
        "[cameras.a]\nsorce = 3\n",
    ],
)
def test_what_follows_from_a_guess_is_no_second_mistake(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert "did you mean" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1, "the value of an unknown key is not checked"


def test_flags_that_were_not_given_change_nothing() -> None:
    flags: dict[str, Any] = {
        "model": None, "fps": None, "analysis_fps": None, "false_alarms_per_day": None, "device": None, "alerts": None,
        "scores": None, "history": None, "control": None, "publish": None, "journal": None, "evidence": None,
    }  # fmt: skip
    assert load_config(None, given_flags(**flags)) == with_places(MonitorConfig())
    given = given_flags(**(flags | {"publish": False, "evidence": Path("kept"), "analysis_fps": 0.0}), speed="max")
    config = load_config(None, given)
    assert (config.publish.enabled, config.evidence.enabled, config.evidence.folder) == (False, True, Path("kept"))
    assert (config.analysis_fps, config.playback.speed) == (0.0, None)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("learning.duration_s", 2.0, "--learn: should be greater than or equal to 10 s"),
        ("playback.fps", 0.0, "--fps: should be greater than 0 frames per second"),
        ("playback.fps", float("inf"), "--fps: should be less than or equal to 1000 frames per second"),
        ("analysis_fps", -1.0, "--analysis-fps: should be greater than or equal to 0 frames per second"),
        ("playback.speed", -1.0, "--speed: should be a number above 0, or max"),
        ("false_alarms_per_day", 0.0, "--false-alarms-per-day: should be a number from 0.000001 to 1000000"),
        ("device", "gpu", "--device: should be auto, cpu, cuda or cuda:N"),
    ],
)
def test_a_mistake_in_a_flag_names_the_flag_and_not_the_file(
    tmp_path: Path, key: str, value: object, sentence: str
) -> None:
    path = write(tmp_path, "[journal]\ndays = 0\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {key: value})
    rest = f"{path}: setting 'journal.days': should be greater than 0"
    assert sorted(str(caught.value).splitlines()) == sorted([sentence, rest])


def test_no_password_gets_into_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, "[cameras.a]\nsource = 3\nmodel = 'rtsp://u:hunter2@h/x'\nx='rtsp://u:hunter2@h/'"))
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the config file .*none\.toml .*: check the path"):
        load_config(tmp_path / "none.toml")


def test_speed_max_means_as_fast_as_possible(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "[playback]\nspeed = 'max'")).playback.speed is None
    assert load_config(None, {"playback.speed": "max"}).playback.speed is None


def test_the_example_config_is_valid_and_shows_every_group() -> None:
    config = load_config(CONFIGS / "cameras.toml")
    assert config.cameras
    text = (CONFIGS / "cameras.toml").read_text()
    groups = [name for name, field in MonitorConfig.model_fields.items() if f"[{name}" in text or f"{name} =" in text]
    assert set(groups) == set(MonitorConfig.model_fields)
    usual = with_places(MonitorConfig())
    assert config.model_copy(update={"cameras": {}}) == usual, "everything except the cameras has its default"
    assert not any(camera.model for camera in config.cameras.values()), "no camera names a model that is missing"


def test_the_schema_knows_every_setting() -> None:
    assert set(json_schema()["properties"]) == set(MonitorConfig.model_fields)


@pytest.mark.parametrize("line", ["key{} = 1", "[group{}.more]\nx = 1", "[cameras.c{}]\nx = 1", "[alert.x{}]"])
def test_of_thousands_of_mistakes_the_first_are_named_at_once(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, "\n".join(line.format(number) for number in range(4000)))
    started = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert time.process_time() - started < 5
    first, *_, last = str(caught.value).splitlines()
    assert "0" in first
    assert last.endswith("more mistakes follow: correct these first")
    assert str(caught.value).count("\n") < 100


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[cameras.door.alert.alert]\non = 1", "unknown setting 'cameras.door.alert.alert'"),
        ("[cameras.door.alert]\nonn = 1", "did you mean 'on'?"),
        ("[cameras.door.health]\nhealth = 1", "unknown setting 'cameras.door.health.health'"),
        ("[cameras.cameras]\ncameras = 1", "unknown setting 'cameras.cameras.cameras'"),
        ("[alert.alert.alert]\nalert = 1", "unknown setting 'alert.alert'"),
    ],
)
def test_a_group_within_itself_is_one_mistake(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        load_config(write(tmp_path, text))
