"""Secrets in the config: from the environment or from files, and never in any output."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app.config_file import load_config
from monitor.errors import ConfigError
from monitor.text import redaction
from monitor.text.redaction import redact
from tests.helpers import commands

SECRET = "hunter2 Correct/Horse"  # noqa: S105 - planted


@pytest.fixture(autouse=True)
def _no_secret_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_secrets", ())
    monkeypatch.setenv("CAMERA_PASSWORD", SECRET)
    monkeypatch.delenv("NOT_SET", raising=False)


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cameras.toml"
    path.write_text(text)
    return path


def secret_file(tmp_path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path = tmp_path / "password"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def source(tmp_path: Path, text: str) -> str:
    return load_config(config(tmp_path, f"[cameras.door]\nsource = '{text}'")).cameras["door"].source


def test_a_variable_is_put_in(tmp_path: Path) -> None:
    assert source(tmp_path, "rtsp://joe:${CAMERA_PASSWORD}@cam/live") == f"rtsp://joe:{SECRET}@cam/live"


def test_a_file_is_put_in_without_its_last_line_break(tmp_path: Path) -> None:
    password = secret_file(tmp_path, "rtsp://joe:pw@cam/live\n")
    assert source(tmp_path, f"file:{password}") == "rtsp://joe:pw@cam/live"
    secret_file(tmp_path, "pw\r\n", 0o640)
    assert source(tmp_path, f"rtsp://joe:${{file:{password}}}@cam/live") == "rtsp://joe:pw@cam/live"


def test_a_path_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    secret_file(tmp_path, "0")
    assert source(tmp_path, "file:~/password") == "0"


def test_numbers_lists_and_names_take_values_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGET", "3")
    monkeypatch.setenv("DETECTOR", "static")
    text = "node = '${CAMERA_PASSWORD}'\nfalse_alarms_per_day = '${BUDGET}'\ndetectors = ['motion', '${DETECTOR}']"
    settings = load_config(config(tmp_path, text))
    assert (settings.node, settings.false_alarms_per_day) == (SECRET, 3)
    assert settings.detectors == ("motion", "static")


def test_text_that_looks_like_a_reference_can_be_written(tmp_path: Path) -> None:
    assert source(tmp_path, "rtsp://joe:$${pw}$1@cam/live") == "rtsp://joe:${pw}$1@cam/live"


def test_a_value_is_not_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD", "${NOT_SET}file:")
    assert source(tmp_path, "${ODD}") == "${NOT_SET}file:"


def test_a_setting_that_a_flag_replaces_needs_no_value(tmp_path: Path) -> None:
    path = config(tmp_path, "[publish]\nalerts = '${NOT_SET}'")
    assert load_config(path, {"publish.alerts": "tcp://127.0.0.1:1"}).publish.alerts == "tcp://127.0.0.1:1"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("${NOT_SET}", "the environment variable NOT_SET is not set: set it before the start"),
        ("${EMPTY}", "the environment variable EMPTY is empty: set it before the start"),
        ("${LINES}", "the environment variable LINES holds control characters: set it again"),
        ("rtsp://joe:hunter2${", "'${' is not followed by NAME} or file:PATH}"),
        ("rtsp://joe:${hunter2!}", "'${' is not followed by NAME} or file:PATH}"),
        ("file:", "'file:' is not followed by a path"),
        ("file:/nowhere/hunter", "cannot read the file /nowhere/hunter (No such file or directory)"),
        ("file:.", "cannot read the file . (it is a folder, not a file)"),
        ("${file:~nobody-here/x}", "no home folder is known for '~nobody-here'"),
    ],
)
def test_what_cannot_be_put_in_is_one_sentence_that_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, sentence: str
) -> None:
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("LINES", "hunter2\nx")
    with pytest.raises(ConfigError) as caught:
        source(tmp_path, value)
    assert f"cameras.toml: setting 'cameras.door.source': {sentence}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (SECRET, 0o644, "every user can read the file {}: run `chmod o-r` on it"),
        (" \n", 0o600, "the file {} is empty"),
        (f"{SECRET}\n{SECRET}", 0o600, "the file {} holds several lines or control characters"),
        (b"\xff\xfe", 0o600, "the file {} is no text (UTF-8)"),
        (b"x" * 70_000, 0o600, "cannot read the file {} (it is larger than 64 kB): write only the value into it"),
    ],
)
def test_a_file_that_cannot_hold_a_secret_is_refused(
    tmp_path: Path, content: str | bytes, mode: int, sentence: str
) -> None:
    path = secret_file(tmp_path, content, mode)
    with pytest.raises(ConfigError) as caught:
        source(tmp_path, f"file:{path}")
    assert f"setting 'cameras.door.source': {sentence.format(path)}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_each_mistake_has_a_line(tmp_path: Path) -> None:
    path = config(tmp_path, "[publish]\nalerts = '${NOT_SET}'\nscores = 'file:/nowhere'")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert [line.split(": ")[1] for line in str(caught.value).split("\n")] == [
        "setting 'publish.alerts'",
        "setting 'publish.scores'",
    ]


def test_a_missing_secret_hides_no_other_mistake_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIVEN", "hunter2-value")
    path = tmp_path / "c.toml"
    path.write_text(
        "mqtt = { host = 'h', port = '${MISSING}', protocol = '${GIVEN}', bse = 'x' }\n"
        "webhook.a = { url = '${MISSING}', secret = 'short' }\nqueue.size = -1\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    lines = [line.removeprefix(f"{path}: ") for line in str(caught.value).split("\n")]
    assert [line for line in lines if "MISSING" in line] == lines[:2]
    assert [line.partition("'")[2].partition("'")[0] for line in lines[:2]] == ["mqtt.port", "webhook.a.url"]
    assert {line.partition("'")[2].partition("'")[0] for line in lines[2:]} == {
        "mqtt.protocol",
        "mqtt.bse",
        "queue.size",
    }
    assert "hunter2" not in str(caught.value)


def test_a_mistake_in_a_value_does_not_show_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT", "pin1")
    text = "detectors = ['${SHORT}']\n[publish]\nalerts = '${CAMERA_PASSWORD}'\nscores = '${CAMERA_PASSWORD}'"
    with pytest.raises(ConfigError) as caught:
        load_config(config(tmp_path, text))
    assert "setting 'detectors': '***' is not a detector" in str(caught.value)
    assert "setting 'publish': alerts and scores cannot share the address ***" in str(caught.value)


def test_a_secret_is_hidden_everywhere_also_if_it_is_no_part_of_an_address(tmp_path: Path) -> None:
    source(tmp_path, "rtsp://joe:${CAMERA_PASSWORD}@cam/live")
    assert redact(f"FFmpeg says: {SECRET} is wrong") == "FFmpeg says: *** is wrong"
    assert redact("hunter2%20Correct%2FHorse, hunter2%20Correct/Horse") == "***, ***"
    assert redact(f"rtsp://joe:{SECRET}@cam/live") == "rtsp://***@cam/live"


def test_names_paths_and_short_values_stay_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE", "front-office")
    monkeypatch.setenv("PLACE", "/srv/pictures")
    monkeypatch.setenv("INDEX", "0")
    text = "node = '${NODE}'\n[evidence]\nfolder = '${PLACE}/x'\n[cameras.door]\nsource = '${INDEX}'"
    load_config(config(tmp_path, text))
    assert redact("front-office keeps 0 pictures in /srv/pictures") == "front-office keeps 0 pictures in /srv/pictures"


@pytest.mark.parametrize("command", [commands.monitor, commands.doctor])
def test_the_monitor_and_the_doctor_say_it(tmp_path: Path, command: object) -> None:
    path = config(tmp_path, "[cameras.door]\nsource = 'rtsp://joe:${NOT_SET}@127.0.0.1/live'")
    assert callable(command)
    ended = command("--config", path)
    assert ended.returncode == 2
    assert "error: " in ended.stderr
    assert "setting 'cameras.door.source': the environment variable NOT_SET is not set" in ended.stderr


def test_the_doctor_watches_a_camera_with_a_secret_and_shows_it_nowhere(tmp_path: Path) -> None:
    path = config(
        tmp_path,
        "[cameras.door]\nsource = 'rtsp://joe:${file:" + str(secret_file(tmp_path, "hunter2")) + "}@127.0.0.1:1/live'\n"
        "[capture]\nopen_timeout_s = 1.0\n",
    )
    ended = commands.doctor("--config", path, "--seconds", "0.5", "--no-publish", "--json")
    assert ended.returncode == 1
    assert "127.0.0.1" in ended.stdout
    assert "hunter2" not in ended.stdout + ended.stderr
