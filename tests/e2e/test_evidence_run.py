"""Evidence from the whole product: a monitor in a separate process that writes evidence."""

import json
import signal
import time
from pathlib import Path

import av

from tests.e2e.test_command_line import refused
from tests.e2e.test_end_to_end import DEMO_MODEL, running
from tests.helpers.bright_events import files_in
from tests.helpers.commands import monitor


def test_an_alert_names_its_evidence_and_ctrl_c_leaves_it_whole(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    with running(tmp_path, "--demo", "--model", DEMO_MODEL, "--speed", "4", "--evidence", folder) as (process, client):
        start = client.wait_for(lambda m: m["kind"] == "alert" and m["phase"] == "start")
        process.send_signal(signal.SIGINT)
        asked_at = time.monotonic()
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - asked_at < 2.5, "2 s, and half a second for a busy machine"
        end = client.wait_for(lambda m: m["kind"] == "alert" and m["phase"] == "end")
    assert start["evidence"] == end["evidence"]
    *rest, clip = start["evidence"]
    written = files_in(folder)
    assert written in (sorted(rest), sorted(start["evidence"])), "no unfinished file; the clip may be missing"
    facts = json.loads((folder / next(n for n in start["evidence"] if n.endswith(".json"))).read_text())
    assert facts["phase"] == "end"
    assert facts["reasons"] == end["reasons"]
    assert facts["regions"] == end["regions"]
    if clip in written:
        with av.open(str(folder / clip)) as container:
            assert len(list(container.decode(video=0))) == facts["clip"]["frames"]


def test_evidence_in_a_file_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = monitor("--demo", "--no-publish", "--headless", "--model", DEMO_MODEL, "--evidence", tmp_path / "taken")
    refused(result, 2, "is not a folder: choose another folder for evidence")
