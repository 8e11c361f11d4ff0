"""Cameras over rtsps, TCP and UDP: what each server allows, and which certificates are accepted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from monitor.app.doctor.children import probe
from monitor.app.doctor.facts import Failure, FootageFacts, Request, StreamFacts, Trouble
from monitor.errors import CaptureError
from monitor.sources.camera import CameraSource
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.link import VARIABLE, Link, certificate_problem
from monitor.testing.rtsp_server import RtspServer

BALL = {"/ball": "ball:160x120@25"}
PASSWORD = "s3cret"  # noqa: S105


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="module")
def encrypted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    path = tmp_path_factory.mktemp("tls") / "camera.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(path))
    with RtspServer(BALL, tls=path) as server:
        yield server


def shape(url: str, link: Link) -> tuple[int, ...] | None:
    """The shape of a picture that a camera sends to a decoder process."""
    source = isolate(CameraSource("gate", url, link=link), "auto")
    with source.open() as reader:
        while True:
            reader.grab()
            if (picture := reader.retrieve()) is not None:
                return picture.shape


def examined(url: str, link: Link) -> StreamFacts | Failure:
    """What the doctor finds."""
    found = probe(Request("url", url, 0.5, 25.0, 5.0, 4.0, 1.0, 30.0, options=link.options))
    assert not isinstance(found, FootageFacts)
    return found


@pytest.mark.rtsp
def test_a_camera_is_watched_over_rtsps_without_a_check(encrypted: RtspServer) -> None:
    assert shape(encrypted.url("/ball"), Link()) == (120, 160, 3)


@pytest.mark.rtsp
def test_a_certificate_of_a_known_authority_is_accepted(encrypted: RtspServer, ca: Path) -> None:
    link = Link(transport="tcp", check=True, ca=ca)
    assert shape(encrypted.url("/ball"), link) == (120, 160, 3)
    assert isinstance(examined(encrypted.url("/ball"), link), StreamFacts)


@pytest.mark.rtsp
def test_a_certificate_of_nobody_known_is_refused(encrypted: RtspServer) -> None:
    url = encrypted.url("/ball", f"admin:{PASSWORD}")
    with pytest.raises(
        CaptureError, match=r"the certificate of rtsps://.* is refused: unable to get local issuer"
    ) as e:
        shape(url, Link(check=True))
    assert PASSWORD not in str(e.value)
    found = examined(url, Link(check=True))
    assert isinstance(found, Failure)
    assert found.trouble is Trouble.CERTIFICATE
    assert "unable to get local issuer" in found.detail


@pytest.mark.rtsp
def test_a_certificate_for_another_host_is_refused(encrypted: RtspServer, ca: Path) -> None:
    url = encrypted.url("/ball").replace("127.0.0.1", "localhost")
    with pytest.raises(CaptureError, match="Hostname mismatch"):
        shape(url, Link(check=True, ca=ca))


@pytest.mark.rtsp
@pytest.mark.parametrize("allowed", ["tcp", "udp"])
def test_a_transport_that_the_camera_does_not_allow_fails_and_the_other_one_works(allowed: str) -> None:
    usual, wrong = (Link(), Link("tcp")) if allowed == "udp" else (Link("tcp"), Link("udp"))
    with RtspServer(BALL, only=allowed) as server:
        assert shape(server.url("/ball"), usual) == (120, 160, 3)
        with pytest.raises(CaptureError, match="cannot be opened"):
            shape(server.url("/ball"), wrong)


@pytest.mark.rtsp
def test_the_doctor_uses_the_camera_s_transport() -> None:
    with RtspServer(BALL, only="udp") as server:
        assert examined(server.url("/ball"), Link("tcp")) == Failure(Trouble.TRANSPORT, "TCP")
        assert isinstance(examined(server.url("/ball"), Link("udp")), StreamFacts)


def test_a_check_without_a_certificate_is_an_error_not_an_open_connection() -> None:
    with pytest.raises(CaptureError, match="has no certificate to check: use its rtsps:// address"):
        CameraSource("gate", "rtsp://127.0.0.1:9/x", link=Link(check=True)).open()


def test_the_usual_link_leaves_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    Link().set_for_opencv()
    assert VARIABLE not in os.environ


def test_options_of_the_user_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "buffer_size;1000000")
    Link(transport="udp").set_for_opencv()
    assert os.environ[VARIABLE] == "buffer_size;1000000|rtsp_transport;udp"
    monkeypatch.delenv(VARIABLE)
    Link(check=True, ca=Path("/ca.pem")).set_for_opencv()
    assert os.environ[VARIABLE] == "rtsp_flags;prefer_tcp|tls_verify;1|ca_file;/ca.pem"


def test_a_certificate_of_nobody_that_answers_is_no_problem_of_its_own(ca: Path, tmp_path: Path) -> None:
    assert certificate_problem("rtsps://127.0.0.1:9/x", str(ca), 1.0) is None
    copy = shutil.copy(ca, tmp_path)
    assert certificate_problem("rtsps://127.0.0.1:notaport/x", str(copy), 1.0) is None
