"""The command ``discover``: the config file that it prints, its refusals and exit codes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import run_monitor
from monitor.app.config_file import load_config
from monitor.app.discovery.camera_text import Credentials, best_stream, config_lines
from monitor.app.discovery.discover_command import app
from monitor.app.discovery.onvif_device import FoundCamera, Stream
from monitor.app.discovery.probing import Device
from monitor.testing.onvif_camera import OnvifCamera

PASSWORD = "s3cret-w0rd"  # noqa: S105
LOGIN = ("viewer", PASSWORD)


@pytest.fixture(autouse=True)
def variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAM_PASSWORD", PASSWORD)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_what_it_prints_is_a_config_file_that_the_monitor_reads(tmp_path: Path) -> None:
    with OnvifCamera(login=LOGIN) as first, OnvifCamera(login=LOGIN, host="127.0.0.2") as second:
        result = run(first.place, second.place, "--user", "viewer", "--password", "${CAM_PASSWORD}")
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert "2560x1440, at most 25 frames/s, H264" in result.stdout
    assert "2 cameras, 0 without streams" in result.stderr
    path = tmp_path / "cameras.toml"
    path.write_text(result.stdout)
    cameras = load_config(path, {"state": tmp_path}).cameras
    assert {name: camera.source for name, camera in cameras.items()} == {
        "axis-p1375-1": f"rtsp://viewer:{PASSWORD}@127.0.0.1:554/onvif/sub-token",
        "axis-p1375-2": f"rtsp://viewer:{PASSWORD}@127.0.0.2:554/onvif/sub-token",
    }


def test_a_password_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    path.chmod(0o600)
    with OnvifCamera(login=LOGIN) as camera:
        result = run(camera.place, "--user", "viewer", "--password", f"file:{path}")
    assert result.exit_code == 0, result.output
    source = tomllib.loads(result.stdout)["cameras"]["axis-p1375"]["source"]
    assert source == f"rtsp://viewer:${{file:{path}}}@127.0.0.1:554/onvif/sub-token"


@pytest.mark.parametrize("login", [(), ("--user", "other", "--password", "${CAM_PASSWORD}")])
def test_a_refused_user_is_one_sentence_and_exit_code_1(login: tuple[str, ...]) -> None:
    with OnvifCamera(login=LOGIN) as camera:
        result = run(camera.place, *login)
    assert result.exit_code == 1
    assert "it refuses the request for this user: " in result.stdout
    assert ("check --user and the password" if login else "give --user") in result.stdout
    assert tomllib.loads(result.stdout) == {}
    assert PASSWORD not in result.output


def test_no_answer_is_one_sentence_and_exit_code_1() -> None:
    result = run("--interface", "lo", "--seconds", "0.1")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("no camera answered within 0.1 s: check that ONVIF is switched on")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--interface", "eth99"), "this machine has no interface 'eth99': choose from"),
        (("rtsp://cam/x",), "is no address of a camera: write HOST, HOST:PORT"),
        (
            ("cam", "--user", "a", "--password", PASSWORD),
            "--password must be '${NAME}' (in single quotes)",
        ),
        (("cam", "--user", "a", "--password", "${NOT_SET_HERE}"), "variable NOT_SET_HERE is not set"),
        (("cam", "--user", "a", "--password", "file:/nowhere"), "cannot read the file /nowhere"),
        (("cam", "--user", "a"), "there is no terminal to ask for the password"),
        (("cam", "--password", "${CAM_PASSWORD}"), "give --user, too"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert sentence in " ".join(result.stderr.split())
    assert PASSWORD not in result.output


def test_it_is_a_command_of_the_monitor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["run_monitor.py", "discover", "--interface", "eth99"])
    with pytest.raises(SystemExit) as ended:
        run_monitor.start()
    assert ended.value.code == 2
    assert "no interface 'eth99'" in capsys.readouterr().err


def found(*streams: Stream, name: str = "", problem: str = "") -> FoundCamera:
    return FoundCamera(Device("192.0.2.1", "http://192.0.2.1/x"), name, streams, problem)


def stream(width: int, height: int, url: str = "rtsp://192.0.2.1/x") -> Stream:
    return Stream(url, width, height, 25.0, "H264")


def test_the_smallest_stream_that_is_large_enough_is_advised() -> None:
    main, sub, tiny, unknown = stream(2560, 1440), stream(704, 576), stream(320, 180), stream(0, 0)
    assert best_stream([main, sub, tiny]) is sub
    assert best_stream([main, tiny]) is main
    assert best_stream([tiny, unknown]) is tiny
    assert best_stream([unknown]) is unknown


def test_a_password_is_written_nowhere_even_if_the_camera_puts_it_into_its_address() -> None:
    credentials = Credentials("ad min", "p@ss word", "${P}")
    url = "rtsp://192.0.2.1/user=admin&password=p%40ss%20word&x"
    text = "\n".join(config_lines([found(stream(640, 360, url))], credentials))
    assert "p%40ss" not in text
    assert "p@ss" not in text
    assert 'source = "rtsp://ad%20min:${P}@192.0.2.1/user=admin&password=${P}&x"' in text
    assert "needs encoded" in text


def test_names_of_cameras_cannot_forge_lines_and_are_unique() -> None:
    cameras = [found(stream(640, 360), name=name) for name in ("x\n[metrics]", "x\n[metrics]", "", "a.b", "п" * 300)]
    text = "\n".join(config_lines([*cameras, found(name="y", problem="does not answer")], None))
    assert len(tomllib.loads(text)["cameras"]) == 5
    assert set(tomllib.loads(text)) == {"cameras"}
