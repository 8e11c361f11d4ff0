import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.alerts.messages import AlertMessage
from monitor.client import Received
from monitor.client.saved_pictures import EvidenceFolder, file_name, picture_path
from monitor.sinks.evidence.evidence_files import EvidenceFiles
from monitor.states import Phase
from tests.monitor.alerts.test_messages import MESSAGES

(ALERT, *_) = (message for message in MESSAGES if isinstance(message, AlertMessage))


def received(event_id: str, jpeg: bytes) -> Received:
    return Received(ALERT.model_copy(update={"event_id": event_id}), jpeg, 0)


@pytest.mark.parametrize("camera", ["n" * 126, "n" * 4000, "a/b", "\u3042" * 60, "..", ""])
def test_pictures_of_two_events_never_overwrite_each_other(camera: str, tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path / "pictures")
    ids = [f"0123456789abcdef0123456789abcdef-{camera}-{number}" for number in (1, 2, 11)]
    ids += [re.sub(r"[^A-Za-z0-9_.-]", "_", name) + "x" for name in ids]
    files = {folder.save(received(name, name.encode())) for name in ids}
    assert len(files) == len(ids)
    written = [file for file in (tmp_path / "pictures").rglob("*") if file.is_file()]
    assert {file.read_bytes() for file in written} == {name.encode() for name in ids}


def test_a_plain_name_stays_as_it_is() -> None:
    assert file_name("7f3a-door.cam_2-12") == "7f3a-door.cam_2-12"


def test_pictures_have_the_names_of_the_monitors_evidence_and_sort_by_date() -> None:
    def path(started_at: float, number: int, camera: str = "gate.1") -> str:
        event_id = f"18c2f0a1b2c3d4e5-0a1b2c3d-{camera}-{number}"
        changed = {"camera": camera, "event_id": event_id, "started_at": started_at, "phase": Phase.START}
        return picture_path(ALERT.model_copy(update=changed))

    for camera in ("gate.1", "front-door_2"):
        evidence = EvidenceFiles.of(camera, 1_700_000_000.1239, 12, ".mp4")
        assert path(1_700_000_000.1239, 12, camera) == evidence.start
    times = [1_700_000_000.0, 1_700_000_000.5, 1_700_009_999.0, 1_700_100_000.0, 1_800_000_000.0]
    paths = [path(at, number) for number, at in enumerate(times)]
    assert paths == sorted(paths)


@pytest.mark.parametrize("started_at", [1e300, -1e300, float("inf"), float("nan"), -1.0])
def test_a_picture_without_a_possible_date_is_saved_too(started_at: float, tmp_path: Path) -> None:
    message = ALERT.model_copy(update={"started_at": started_at})
    file = EvidenceFolder(tmp_path).save(Received(message, b"jpeg", 0))
    assert file is not None
    assert file.read_bytes() == b"jpeg"


@settings(max_examples=100, deadline=None)
@example(["a/b", "a_b"])
@example([".", "..", "", "..."])
@example(["\ud800"])
@example(["n" * 200 + "1", "n" * 200 + "2"])
@given(st.lists(st.text(alphabet=st.characters() | st.sampled_from("./_n"), max_size=200), unique=True, max_size=5))
def test_any_names_become_different_names_in_the_folder(names: list[str]) -> None:
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,149}", file) for file in files)
