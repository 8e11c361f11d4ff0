import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from zmq.utils import z85

from monitor.alerts.key_files import KeyFolder, load_key
from monitor.alerts.keys import ServerKeys, make_keys
from monitor.errors import ConfigError


def pair() -> tuple[bytes, bytes]:
    return zmq.curve_keypair()


def content(public: bytes) -> bytes:
    return b'metadata\ncurve\n    public-key = "' + public + b'"\n'


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path)


def written_over(file: Path, new: bytes) -> None:
    with file.open("r+b") as written:
        written.write(new)


def written_over_with_its_old_times(file: Path, new: bytes) -> None:
    before = file.stat()
    written_over(file, new)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(file: Path, new: bytes) -> None:
    (file.parent / "partial").write_bytes(new)
    (file.parent / "partial").replace(file)


@pytest.mark.parametrize("change", [written_over, written_over_with_its_old_times, replaced])
def test_a_key_that_is_changed_counts_at_once(change: Callable[[Path, bytes], None], folder: KeyFolder) -> None:
    old, new = pair()[0], pair()[0]
    file = folder.folder / "client.key"
    file.write_bytes(content(old))
    assert folder.name_of(old) == "client"
    change(file, content(new))
    assert folder.name_of(old) is None
    assert folder.name_of(new) == "client"


def test_an_unchanged_folder_is_not_read_again(folder: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    key = pair()[0]
    (folder.folder / "client.key").write_bytes(content(key))
    monkeypatch.setattr("monitor.alerts.key_files._SETTLED_NS", -(10**12))  # as if the change were long ago
    assert folder.name_of(key) == "client"
    monkeypatch.setattr("monitor.alerts.key_files.load_key", None)
    assert folder.name_of(key) == "client"


def pipe(file: Path) -> None:
    os.mkfifo(file)


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def huge(file: Path) -> None:
    with file.open("wb") as written:
        written.truncate(10**12)


def loop(file: Path) -> None:
    file.symlink_to(file)


def no_equals(file: Path) -> None:
    file.write_bytes(b"public-key\n")


@pytest.mark.parametrize("make", [pipe, device, huge, loop, no_equals, Path.mkdir])
def test_what_is_no_key_file_is_left_out_and_said_once(
    make: Callable[[Path], None], folder: KeyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    key = pair()[0]
    (folder.folder / "client.key").write_bytes(content(key))
    make(folder.folder / "bad.key")
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            assert folder.name_of(key) == "client"
    assert len(caplog.messages) == 1
    assert "bad.key" in caplog.text


def test_a_folder_that_is_gone_is_said_once_and_refuses_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = KeyFolder(tmp_path / "gone")
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            assert folder.name_of(b"x" * 40) is None
    assert len(caplog.messages) == 1


def test_a_client_s_file_may_have_any_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    make_keys(tmp_path)
    clients = tmp_path / "monitor/clients"
    name = os.fsdecode(b"\xff\xfe.key")
    key = load_key(clients / "client.key")[0]
    (clients / "client.key").rename(clients / name)
    ServerKeys(tmp_path / "monitor").admit(z85.decode(key), "127.0.0.1")
    assert "\\xff\\xfe connects from 127.0.0.1" in caplog.text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(b"public-key")
@example(b"public-key =")
@example(b'public-key = "' + b"\xff" * 40 + b'"')
@example(content(b"0" * 40) + b"secret-key = 1")
@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda value: b"public-key = " + value))
def test_a_key_file_of_any_bytes_is_read_or_refused(tmp_path: Path, written: bytes) -> None:
    file = tmp_path / "any.key"
    file.write_bytes(written)
    with suppress(ConfigError):
        assert len(z85.decode(load_key(file)[0])) == 32


def test_a_file_of_zeromq_s_own_tools_is_read(tmp_path: Path) -> None:
    public, secret = zmq.auth.create_certificates(tmp_path, "made")
    expected = zmq.auth.load_certificate(secret)
    assert load_key(Path(secret)) == expected
    assert load_key(Path(public)) == (expected[0], None)
