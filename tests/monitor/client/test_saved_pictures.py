import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.alerts.messages import AlertMessage
from monitor.client import Received
from monitor.client.saved_pictures import EvidenceFolder, file_name
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
    assert {file.read_bytes() for file in (tmp_path / "pictures").iterdir()} == {name.encode() for name in ids}


def test_a_plain_name_stays_as_it_is() -> None:
    assert file_name("7f3a-door.cam_2-12") == "7f3a-door.cam_2-12"


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
