"""Evidence of a node through the head: in pieces, by real sockets; nodes that are away and names that are none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.errors import RefusedError, RunError, UsageError
from monitor.machines.evidence_desk import EvidenceDesk, evidence_folder
from monitor.machines.evidence_fetcher import EvidenceFetcher, FolderError, MissingError
from monitor.machines.evidence_relay import GONE_S, HELLO, WANT, EvidenceRelay, FilePiece, FileWanted, NodeHello
from monitor.machines.fleet_messages import decoded, encoded
from monitor.machines.store_messages import PIECE_BYTES
from monitor.machines.store_server import StoreServer
from tests.helpers.publishing import ANY
from tests.monitor.machines.test_fleet_network import pumped, wait_for
from tests.monitor.machines.test_gateway_server import TOKEN

CLIP = "door/2026-03-02/101500.250-7.mp4"
PICTURE = "door/2026-03-02/101500.250-7-start.jpg"


@contextmanager
def asking(folder: Path | None, tmp_path: Path) -> Iterator[EvidenceFetcher]:
    """A head, the node ``north`` with this evidence, and one who asks, once the head knows the node."""
    server = StoreServer(tmp_path / "store", ANY, TOKEN)
    with (
        pumped(server),
        EvidenceDesk("north", folder, server.socket.endpoint, TOKEN),
        EvidenceFetcher(server.socket.endpoint, TOKEN) as fetcher,
    ):
        wait_for(lambda: "north" in server.relay.nodes, 10.0)
        yield fetcher


def test_a_clip_comes_whole_and_once_and_other_files_of_the_node_do_not(tmp_path: Path) -> None:
    content = bytes(range(256)) * (3 * PIECE_BYTES // 256) + b"end"
    evidence, to = tmp_path / "evidence", tmp_path / "here"
    (evidence / CLIP).parent.mkdir(parents=True)
    (evidence / CLIP).write_bytes(content)
    (tmp_path / "secret").write_text("not evidence")
    with asking(evidence, tmp_path) as fetcher:
        assert fetcher.fetch("north", CLIP, to)
        assert not fetcher.fetch("north", CLIP, to)
        with pytest.raises(MissingError, match="is not written yet, or was deleted"):
            fetcher.fetch("north", PICTURE, to)
        with pytest.raises(UsageError, match="is no name of evidence"):
            fetcher.fetch("north", "../secret", to)
        with pytest.raises(RunError, match="nowhere, which has the evidence, is away"):
            fetcher.fetch("nowhere", PICTURE, to)
        (to / "door/2026-03-03").write_text("in the way")
        with pytest.raises(FolderError, match="name another folder with --to"):
            fetcher.fetch("north", CLIP.replace("02/", "03/"), to)
    assert (to / CLIP).read_bytes() == content
    assert {path for path in to.rglob("*") if path.is_file()} == {to / CLIP, to / "door/2026-03-03"}


def test_a_node_without_evidence_and_a_wrong_token_get_a_sentence(tmp_path: Path) -> None:
    with asking(evidence_folder(""), tmp_path) as fetcher:
        with pytest.raises(RunError, match="north keeps no evidence"):
            fetcher.fetch("north", CLIP, tmp_path / "here")
        endpoint = fetcher._socket.endpoint
        with (
            EvidenceFetcher(endpoint, "another token than that of the fleet") as other,
            pytest.raises(RefusedError, match="refuses this token"),
        ):
            other.fetch("north", CLIP, tmp_path / "here")
    with EvidenceFetcher(endpoint, TOKEN, 0.1) as nobody, pytest.raises(RunError, match="nobody answers"):
        nobody.fetch("north", CLIP, tmp_path / "here")
    assert evidence_folder('[evidence]\nenabled = true\nfolder = "/var/e"\n') == Path("/var/e")


class Sent:
    """What the relay sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, ...]] = []

    def send(self, peer: bytes, kind: bytes, *parts: bytes) -> None:
        self.sent.append((peer, kind, *parts))


def test_a_node_that_is_silent_is_away_and_another_version_is_refused() -> None:
    now, socket = [0.0], Sent()
    relay = EvidenceRelay(socket, lambda: now[0])
    wanted = FileWanted(number=1, node="north", name=CLIP)
    relay.take(b"n", HELLO, [encoded(NodeHello(node="north"))])
    assert relay.take(b"c", WANT, [encoded(wanted)])
    assert not relay.take(b"c", b"q", [b""])
    now[0] = GONE_S
    relay.take(b"c", WANT, [encoded(wanted)])
    relay.take(b"c", WANT, [encoded(wanted.model_copy(update={"protocol": 9}))])
    assert [each[0] for each in socket.sent] == [b"n", b"c", b"c"]
    errors = [decoded(FilePiece, each[2]).error for each in socket.sent[1:]]
    assert "is away" in errors[0]
    assert "speaks version 9" in errors[1]
