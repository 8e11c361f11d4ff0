from __future__ import annotations

import os
import socket

import pytest

from monitor.app.doctor.facts import Failure, Request, Trouble
from monitor.app.doctor.verdict import judge_failure
from monitor.sources.finding import open_sources
from monitor.sources.proxy import bypass_proxy, is_own_network, proxy_of
from monitor.sources.reach import Barrier, find_barrier, why_unreachable
from monitor.testing.web_camera import WebCamera
from tests.monitor.sources.test_snapshot import pictures

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with a proxy at a port that refuses connections."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("no_proxy", "example.org")  # restored even if the test changes it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://user:Planted@127.0.0.1:{free.getsockname()[1]}")
    return monkeypatch


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("path", ["/snap.jpg", "/snapshot.cgi"])
def test_a_camera_of_the_own_network_is_asked_without_the_proxy(path: str) -> None:
    with WebCamera({path: pictures()}) as camera:
        (source,) = open_sources([camera.url(path)])
        with source.open() as reader:
            reader.grab()
            assert reader.retrieve() is not None
    assert os.environ["no_proxy"] == "example.org,127.0.0.1"


def test_hosts_are_added_once_and_nothing_is_changed_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    addresses = [
        "http://cam/x",
        "http://u:p@10.0.0.2:81/x",
        "rtsp://10.0.0.3/x",
        "http://8.8.8.8/x",
        "http://[fe80::1]/",
    ]
    bypass_proxy(addresses)
    assert "no_proxy" not in os.environ
    monkeypatch.setenv("NO_PROXY", "cam, other")
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("no_proxy", "")
    for _ in range(2):
        bypass_proxy(addresses)
        assert os.environ["no_proxy"].split(",") == ["cam", "other", "10.0.0.2", "fe80::1", "[fe80::1]"]
    monkeypatch.setenv("no_proxy", "*")
    bypass_proxy(addresses)
    assert os.environ["no_proxy"] == "*"


@pytest.mark.parametrize("host", ["127.0.0.1", "192.168.1.20", "10.1.2.3", "fe80::1%e0", "::1", "camera", "door.local"])
def test_what_is_of_the_own_network(host: str) -> None:
    assert is_own_network(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "camera.example.com", "", "2606:4700::1"])
def test_what_is_not(host: str) -> None:
    assert not is_own_network(host)


@pytest.mark.usefixtures("proxied")
def test_a_proxy_that_cannot_be_reached_is_named_and_not_the_camera() -> None:
    url = "http://admin:Planted@camera.example.com/mjpg"
    barrier = find_barrier(url)
    assert barrier is not None
    assert barrier[0] is Barrier.PROXY
    why = why_unreachable(url)
    assert why is not None
    assert why.startswith("the proxy 127.0.0.1:")
    assert "Planted" not in why
    request = Request("url", url, 5.0, 25.0, 5.0, 4.0, 1.0, 20.0)
    finding = judge_failure("camera", "door", Failure(Trouble.PROXY, barrier[1]), request)
    assert finding.found.startswith("the proxy 127.0.0.1:")
    assert "no_proxy" in finding.mend
    other = judge_failure("camera", "door", Failure(Trouble.SERVER_ERROR), request)
    assert "asked through the proxy 127.0.0.1:" in other.found
    assert "put camera.example.com into the variable no_proxy" in other.mend


@pytest.mark.usefixtures("proxied")
def test_only_web_addresses_use_the_proxy() -> None:
    assert proxy_of("rtsp://camera.example.com/x") is None
    assert proxy_of("http://example.org/x") is None, "no_proxy names it"
    assert proxy_of("http://[") is None
    assert proxy_of("https://camera.example.com/x") is not None, "FFmpeg uses http_proxy for it, too"


@pytest.mark.parametrize("odd", ["", "http://", "http://:80", "http://[", "x:99999", "http://h:x"])
def test_an_odd_proxy_is_no_traceback(monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", odd)
    proxy_of("http://camera.example.com/x")
    bypass_proxy(["http://10.0.0.2/x"])
