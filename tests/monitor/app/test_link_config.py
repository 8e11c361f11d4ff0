"""The settings of a camera's connection: what is refused, and that a change opens the camera anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from monitor.app.config import MonitorConfig
from monitor.app.config_file import load_config
from monitor.app.planning import find_sources, plan_cameras
from monitor.errors import ConfigError
from monitor.sources.camera import CameraSource
from monitor.sources.isolated.isolated_source import IsolatedSource
from monitor.sources.link import Link


def config(folder: Path, lines: str) -> MonitorConfig:
    path = folder / "cameras.toml"
    path.write_text(lines)
    return load_config(path, {"state": folder})


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


def test_a_camera_gets_its_link_by_its_name(tmp_path: Path, ca: Path) -> None:
    settings = config(
        tmp_path,
        f'[cameras.door]\nsource = "rtsps://127.0.0.1/a"\nca = "{ca}"\n'
        '[cameras.yard]\nsource = "rtsp://127.0.0.1/b"\ntransport = "udp"\n'
        '[cameras.gate]\nsource = "rtsp://127.0.0.1/c"\n',
    )
    links = {}
    for source in find_sources([], settings):
        assert isinstance(source, IsolatedSource)
        assert isinstance(source.inner, CameraSource)
        links[source.name] = source.inner.link
    assert links == {"door": Link(check=True, ca=ca), "yard": Link(transport="udp"), "gate": Link()}


def test_another_link_opens_the_camera_anew(tmp_path: Path) -> None:
    def planned(line: str) -> tuple[object, ...]:
        settings = config(tmp_path, f'[cameras.yard]\nsource = "rtsp://127.0.0.1/b"\n{line}\n')
        (camera,) = plan_cameras(find_sources([], settings), settings, None)
        return camera.opened_with

    assert planned("") == planned("")
    assert planned("") != planned('transport = "udp"')


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('source = "rtsp://h/a"\ntransport = "quic"', "setting 'cameras.a.transport': should be 'tcp' or 'udp'"),
        ('source = "http://h/a"\ntransport = "tcp"', "only a source with rtsp:// or rtsps:// has a transport"),
        ('source = "0"\ntransport = "udp"', "only a source with rtsp:// or rtsps:// has a transport"),
        (
            'source = "rtsps://h/a"\ntransport = "udp"',
            "over udp, pictures of an rtsps:// source would not be encrypted",
        ),
        ('source = "rtsp://h/a"\ncheck_certificate = true', "only a source with rtsps:// has a certificate"),
        ('source = "rtsps://h/a"\nca = "/nowhere.pem"', "'cameras.a.ca': cannot read /nowhere.pem (No such file"),
        ('source = "rtsps://h/a"\nca = "/etc/hostname"', "/etc/hostname holds no certificate"),
        ('source = "rtsps://h/a"\nca = "/a;b.pem"', "the path must hold none of the characters ;|"),
        ('source = "rtsp://h/a"\ntransport = "udp"\n[capture]\nisolation = "thread"', 'set isolation = "auto" under'),
    ],
)
def test_a_link_that_cannot_be_is_one_sentence(tmp_path: Path, lines: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config(tmp_path, f"[cameras.a]\n{lines}\n")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
