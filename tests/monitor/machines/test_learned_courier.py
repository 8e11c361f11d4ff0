"""What a camera has learned follows it between nodes with real folders, sockets and a store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.machines import learned_courier
from monitor.machines.learned_courier import LearnedCourier
from monitor.machines.learned_folder import LearnedFolder, wins
from monitor.machines.store_messages import PIECE_BYTES, Learned
from monitor.machines.store_server import StoreServer
from monitor.model.model_versions import set_aside
from monitor.state_folder import given_event
from tests.helpers.publishing import ANY
from tests.monitor.machines.test_fleet_network import pumped, wait_for
from tests.monitor.machines.test_gateway_server import TOKEN

DEADLINE_S = 20.0


class Place:
    """A node's folder, and its courier."""

    def __init__(self, folder: Path, name: str, endpoint: str) -> None:
        self.folder = LearnedFolder.of(folder / name, "")
        self.courier = LearnedCourier(name, self.folder, endpoint, TOKEN)

    def learn(self, number: int, content: str, memory: bytes = b"") -> None:
        """As the monitor does it: a folder beside, which is renamed."""
        fresh = self.folder.models / "cam0" / "fresh"
        fresh.mkdir(parents=True)
        weights = hashlib.sha256(content.encode()).hexdigest()
        (fresh / "model.json").write_text(f'{{"format": "true-sight-model", "weights_sha256": "{weights}"}}')
        (fresh / "weights.safetensors").write_text(content)
        if memory:  # before the version, which the courier sees at once; it looks for a memory alone once per minute
            path = self.folder.beside / "memories/cam0.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(memory)
        fresh.rename(fresh.with_name(f"v{number:04d}"))

    @property
    def weights(self) -> str:
        """Content of the newest version."""
        name = self.folder.newest_name("cam0")
        return (self.folder.models / "cam0" / name / "weights.safetensors").read_text() if name else ""

    def opens(self) -> None:
        self.courier.want("cam0")
        wait_for(lambda: self.courier.is_ready("cam0"), DEADLINE_S)


@contextmanager
def nodes(folder: Path, endpoint: str, *names: str) -> Iterator[list[Place]]:
    places = [Place(folder, name, endpoint) for name in names]
    for place in places:
        place.courier.__enter__()
    try:
        yield places
    finally:
        for place in places:
            place.courier.__exit__()


def stored(server: StoreServer) -> Learned:
    return server.store.look("cam0")


def test_versions_and_the_memory_follow_a_camera_and_an_older_lease_overwrites_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory = bytes(range(256)) * (2 * PIECE_BYTES // 256) + b"end"
    server = StoreServer(tmp_path / "store", ANY, TOKEN)
    with pumped(server), nodes(tmp_path, server.socket.endpoint, "north", "south") as (north, south):
        north.opens()  # nobody knows anything: it learns
        north.courier.hold("cam0", 1)
        north.learn(1, "first", memory)
        wait_for(lambda: bool(stored(server).versions and stored(server).extras), DEADLINE_S)
        south.opens()
        assert south.weights == "first"
        assert (south.folder.beside / "memories/cam0.safetensors").read_bytes() == memory
        south.courier.hold("cam0", 2)
        wait_for(lambda: stored(server).epoch == 2, DEADLINE_S)
        south.learn(2, "grown in the south")
        wait_for(lambda: stored(server).versions[0].number == 2, DEADLINE_S)
        north.learn(2, "grown by a zombie")  # which still believes that it watches the camera
        wait_for(lambda: "is not kept" in caplog.text, DEADLINE_S)
        north.courier.drop("cam0")
        north.opens()
        assert north.weights == "grown in the south"
        assert north.folder.newest_name("cam0") == "v0003"
    assert [each.number for each in stored(server).versions] == [2, 1]


def test_a_damaged_version_of_the_store_is_said_and_the_one_before_it_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = StoreServer(tmp_path / "store", ANY, TOKEN)
    with pumped(server), nodes(tmp_path, server.socket.endpoint, "north", "south") as (north, south):
        north.courier.hold("cam0", 1)
        for number in (1, 2):
            north.learn(number, f"version {number}")
            wait_for(lambda number=number: len(stored(server).versions) == number, DEADLINE_S)  # type: ignore[misc]
        digest = stored(server).versions[0].files[1].digest
        (tmp_path / "store/cam0" / digest).write_bytes(b"version X")
        south.opens()
        assert south.weights == "version 1"
    assert "weights.safetensors of cam0 in the store is damaged: an older version is used" in caplog.text
    assert not list(south.folder.models.glob("cam0/.*"))


def test_a_store_that_is_away_delays_a_camera_for_a_moment_and_then_its_model_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = StoreServer(tmp_path / "store", f"ipc://{tmp_path}/store.socket", TOKEN)
    with pumped(server), nodes(tmp_path, server.socket.endpoint, "north") as (north,):
        north.courier.hold("cam0", 1)
        north.learn(1, "first")
        wait_for(lambda: bool(stored(server).versions), DEADLINE_S)
    monkeypatch.setattr(learned_courier, "WAIT_S", 0.2)
    with nodes(tmp_path, server.socket.endpoint, "south") as (south,):
        south.opens()
        assert south.weights == ""
        assert "opened with what this node has" in caplog.text
        with pumped(StoreServer(tmp_path / "store", server.socket.endpoint, TOKEN)):
            wait_for(south.courier.take_changed, DEADLINE_S)
        assert south.weights == "first"


def test_a_full_disk_at_the_node_is_said_and_the_camera_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = StoreServer(tmp_path / "store", ANY, TOKEN)
    with pumped(server), nodes(tmp_path, server.socket.endpoint, "north", "south") as (north, south):
        north.courier.hold("cam0", 1)
        north.learn(1, "first")
        wait_for(lambda: bool(stored(server).versions), DEADLINE_S)
        monkeypatch.setattr("monitor.machines.store_client.open_private", no_space)
        south.opens()
        assert "cam0: what it has learned cannot be read or written on this node (No space left" in caplog.text
    assert south.weights == ""


def no_space(*_: object) -> object:
    raise OSError(28, "No space left on device")


def test_a_version_that_is_damaged_on_its_node_is_not_sent_but_had_again_from_the_store(tmp_path: Path) -> None:
    server = StoreServer(tmp_path / "store", ANY, TOKEN)
    with pumped(server), nodes(tmp_path, server.socket.endpoint, "north") as (north,):
        north.courier.hold("cam0", 1)
        north.learn(1, "first")
        wait_for(lambda: bool(stored(server).versions), DEADLINE_S)
        north.courier.drop("cam0")
        (north.folder.models / "cam0/v0001/weights.safetensors").write_text("fir")
        assert north.folder.look("cam0").newest is None
        north.opens()
        assert north.weights == "first"


def test_a_node_that_was_the_last_one_to_watch_may_be_ahead_of_the_store(tmp_path: Path) -> None:
    north = Place(tmp_path, "north", "ipc://@nobody")
    north.learn(1, "first")
    first = north.folder.look("cam0").newest
    assert first is not None
    north.learn(2, "grown, and not sent")
    found = north.folder.look("cam0")
    assert not wins(Learned(), found, "north")
    assert not wins(Learned(epoch=1, node="north", versions=(first,)), found, "north")
    assert wins(Learned(epoch=2, node="south", versions=(first,)), found, "north")


def test_what_is_taught_goes_to_the_next_node_at_once_also_without_a_model(tmp_path: Path) -> None:
    server = StoreServer(tmp_path / "store", ANY, TOKEN)
    with pumped(server), nodes(tmp_path, server.socket.endpoint, "north", "south") as (north, south):
        north.courier.hold("cam0", 1)
        for content in ("a verdict", "two verdicts"):
            path = north.folder.beside / "taught/cam0.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            digest = hashlib.sha256(content.encode()).hexdigest()
            wait_for(lambda digest=digest: digest in {each.digest for each in stored(server).extras}, DEADLINE_S)  # type: ignore[misc]
        south.opens()
        assert (south.folder.beside / "taught/cam0.json").read_text() == "two verdicts"


def test_a_version_that_people_went_back_from_does_not_come_back(tmp_path: Path) -> None:
    server = StoreServer(tmp_path / "store", ANY, TOKEN)
    with pumped(server), nodes(tmp_path, server.socket.endpoint, "north", "south") as (north, south):
        north.courier.hold("cam0", 1)
        for number in (1, 2):
            north.learn(number, f"version {number}")
            wait_for(lambda number=number: len(stored(server).versions) == number, DEADLINE_S)  # type: ignore[misc]
        south.opens()
        set_aside(north.folder.models / "cam0/v0002")
        wait_for(lambda: stored(server).versions[0].number == 1, DEADLINE_S)
        assert north.weights == "version 1"
        south.courier.drop("cam0")
        south.opens()
        assert south.weights == "version 1"


def test_what_is_chosen_and_events_of_other_nodes_are_put_where_the_monitor_looks(tmp_path: Path) -> None:
    north = LearnedFolder.of(tmp_path, "")
    assert north.choice("cam0") == ""
    north.take_choice("cam0", "")
    assert not (north.beside / "chosen").exists()
    north.take_choice("cam0", '{"armed": false}')
    assert (north.beside / "chosen/cam0.json").read_text() == north.choice("cam0") == '{"armed": false}'
    north.take_event("../../e-cam0-1", b"event")
    assert given_event(north.beside / "taught", "../../e-cam0-1").read_bytes() == b"event"
    kept = {path.parent.relative_to(north.beside) for path in tmp_path.rglob("*.json")}
    assert kept == {Path("chosen"), Path("taught/given")}
