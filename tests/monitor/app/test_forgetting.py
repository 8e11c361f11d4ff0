"""Forgetting a camera: what goes, what stays, and what is said, with and without a running monitor."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.alerts.control import Forget
from monitor.alerts.control_desk import Asker, Done
from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.app.camera_traces import Places
from monitor.app.choice_store import Choice, ChoiceStore
from monitor.app.forget_command import app
from monitor.app.forgetting import Forgetter, RunMemory
from monitor.client.forget_request import WITH_TIMES, WITHOUT_TIMES
from monitor.delivery.ledger import Ledger, ledger_path
from monitor.errors import UsageError
from monitor.learning.footage import CARD
from monitor.sinks.evidence.evidence_files import EvidenceFiles
from monitor.states import AlertEvent, Phase
from monitor.teaching.verdict_store import KeptEvent, Verdict, VerdictStore, taught_path
from tests.helpers.publishing import ANY, publish_alert
from tests.helpers.teachable import event_of

END = AlertEvent(1, Phase.END, 10.0, 12.5, score=0.2, peak_score=1.5, peak_s=10.5, notify=True)
NOW = time.time()
EPOCH = "0123456789abcdef-01234567"


def fill(state: Path) -> None:
    """A state folder with something of every kind of two cameras; one event of the first is ten days old."""
    path = state / "runs/journal.sqlite3"
    with Journal(path) as journal, Publisher(ANY, ANY, ANY, node="lab", journal=journal) as publisher:
        for camera in ("door", "yard"):
            publish_alert(publisher, camera, jpeg=b"picture of " + camera.encode())
            publish_alert(publisher, camera, END)
    traits = event_of(200).traits
    assert traits is not None
    with VerdictStore(taught_path(path)) as store:
        for camera, at in (("door", NOW), ("door", NOW - 10 * 86_400), ("yard", NOW)):
            event_id = f"e1-{camera}-{at:.0f}"
            store.keep(KeptEvent(event_id, camera, at, at + 1, 1.5, True, traits))
            store.give(Verdict(event_id, camera, "normal", False, True, at, "me", {}))
            for name in EvidenceFiles.of(camera, at, 1, ".mp4").all:
                file = state / "evidence" / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(b"x")
        store.note("me", "armed", "yard is disarmed")
        store.note("me", "feedback", f"door: event {EPOCH}-door-1 is normal")
        store.note("me", "name", "events named 'delivery' never notify")
    for camera in ("door", "yard"):
        day = state / "runs/moments" / camera / "2026-03-02"
        day.mkdir(parents=True)
        for name in ("101500.000-1-peak.jpg", "101500.000-1.json", "101500.000-1.mp4"):
            (day / name).write_text(camera)
        (day.parent / "watched.json").write_text("{}")
        day = state / "runs/normal" / camera / "2026-03-02"
        day.mkdir(parents=True)
        (day / "101500.000-1-normal.jpg").write_text(camera)
        (day.parent / "masks.txt").write_text("")
    for name in ("calibrations/door", "memories/door"):
        file = state / f"runs/{name}.safetensors"
        file.parent.mkdir()
        file.write_bytes(b"x")
    (state / "models/door/v0001").mkdir(parents=True)
    (state / "models/door/v0001/model.json").write_text('{"format": "true-sight-model"}')
    (state / "models/door/footage").mkdir()
    (state / "models/door/footage" / CARD).write_text("{}")
    choices = ChoiceStore(state / "runs/choices.json")
    choices.choose("door", Choice(per_day=3.0, armed=False))
    choices.choose("yard", Choice(armed=False))
    with Ledger(ledger_path(path)) as ledger:
        counts = {camera: {"day": "2026-03-02", "today": 1, "last": ""} for camera in ("door", "yard")}
        quiet = [f"{EPOCH}-door-7", f"{EPOCH}-front-door-7", f"{EPOCH}-yard-7"]
        ledger.write("mqtt", 5, json.dumps({"quiet": quiet, "states": {"door": "online"}, "cameras": counts}))
        held = {"held": {"door": 2}, "held_key": f"{EPOCH}-door-7:start", "problems": {"door": {"told": True}}}
        ledger.write("notify.phone", 5, json.dumps(held))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    fill(tmp_path)
    return tmp_path


@pytest.fixture
def places(state: Path) -> Iterator[Places]:
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(state / "runs/journal.sqlite3"))
        store = stack.enter_context(VerdictStore(taught_path(journal.path)))
        yield Places(
            journal, store, state / "evidence", state / "runs/moments", state / "runs/normal", state / "models"
        )


def done(forgetter: Forgetter, request: Forget) -> Done:
    steps = forgetter.serve(request, Asker("here"))
    assert not isinstance(steps, Done)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            found = ended.value
            break
    assert isinstance(found, Done)
    return found


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file()}


ALL = WITHOUT_TIMES


def test_a_preview_says_what_would_go_and_deletes_nothing(places: Places, state: Path) -> None:
    found = done(Forgetter(places), Forget(camera="door", what=ALL))
    assert found.said == (
        "door: would delete 2 messages, 8 evidence files, 2 normal pictures, 4 moment files, 2 verdicts, "
        "2 kept events, 1 recorded change, 1 threshold file, 1 model version, 1 recording, "
        "1 memory file, 1 chosen setting and 2 receiver states"
    )
    assert done(Forgetter(places), Forget(camera="door", what=ALL)).said == found.said
    assert files(state / "evidence") == {"door", "yard"}


def test_everything_of_a_camera_goes_and_nothing_of_another(places: Places, state: Path) -> None:
    told: list[tuple[str, bool]] = []
    run = RunMemory(forgotten=lambda *given: told.append(given))
    forgetter = Forgetter(places, run)
    found = done(forgetter, Forget(camera="door", what=ALL, preview=False))
    assert found.said.startswith("door: deleted 2 messages, 8 evidence files")
    assert told == [("door", True)]
    assert files(state / "evidence") == {"yard"}
    assert not (state / "models/door").exists()
    assert not (state / "runs/calibrations/door.safetensors").exists()
    page = places.journal.page(0, ("",), limit=100, max_bytes=10**6)
    assert {entry.topic for entry in page.entries} == {"alert/yard/"}
    assert [each.camera for each in places.store.verdicts()] == ["yard"]
    with pytest.raises(UsageError, match="nothing is known of a camera 'door'"):
        done(forgetter, Forget(camera="door", what=ALL, preview=False))


def test_what_is_deleted_is_no_longer_in_the_files(state: Path, places: Places) -> None:
    done(Forgetter(places), Forget(camera="door", what=ALL, preview=False))
    kept = b"".join(path.read_bytes() for path in (state / "runs").glob("*.sqlite3*"))
    assert b"picture of yard" in kept
    assert b"picture of door" not in kept


def test_no_trace_of_the_camera_is_left_in_the_state_folder(state: Path) -> None:
    given = ["door", "--state", str(state), "--evidence", str(state / "evidence"), "--all", "--yes"]
    assert run(*given)[0] == 0
    left = [path for path in state.rglob("*") if path.name.split(".")[0] == "door"]
    assert not left
    word = re.compile(rb"(?<!front-)door")
    found = {
        str(path.relative_to(state)): word.findall(path.read_bytes()) for path in state.rglob("*") if path.is_file()
    }
    assert not any(found.values()), found
    assert {path.name for path in state.rglob("*") if path.name == "yard"}  # another camera's files stay
    assert b"yard is disarmed" in (state / "runs/journal-taught.sqlite3").read_bytes()
    assert ChoiceStore(state / "runs/choices.json").of("yard") == Choice(armed=False)
    with Ledger(ledger_path(state / "runs/journal.sqlite3")) as ledger:
        position, kept = ledger.read("mqtt") or (0, "{}")
        assert (position, json.loads(kept)["quiet"]) == (5, [f"{EPOCH}-front-door-7", f"{EPOCH}-yard-7"])


def test_a_run_is_told_to_forget_what_it_holds(places: Places) -> None:
    told: list[str] = []
    with Ledger(ledger_path(places.journal.path)) as ledger:
        waited = iter([False, False, True])

        def deliveries(camera: str) -> Callable[[], bool]:
            told.append(f"deliveries of {camera}")
            return lambda: next(waited)

        memory = RunMemory(
            learning=lambda _: True,
            moments=lambda camera, *_: told.append(f"moments of {camera}"),
            normal=lambda camera, *_: told.append(f"normal pictures of {camera}"),
            memories=lambda camera: (places.beside / f"memories/{camera}.safetensors").unlink(),
            choices=lambda camera: told.append(f"choices of {camera}"),
            ledger=ledger,
            deliveries=[deliveries],
        )
        found = done(Forgetter(places, memory), Forget(camera="door", what=ALL, preview=False))
    assert told == ["normal pictures of door", "moments of door", "choices of door", "deliveries of door"]
    assert "it is learning now, so its recording stays" in found.said
    assert (places.models / "door/footage" / CARD).exists()
    assert "door" not in str(found.note)


def test_only_a_time_goes(places: Places, state: Path) -> None:
    request = Forget(camera="door", to_at=NOW - 86_400, what=WITH_TIMES, preview=False)
    found = done(Forgetter(places), request)
    assert found.data["counts"] == {
        "message": 0, "evidence file": 4, "normal picture": 1, "moment file": 3, "verdict": 1, "kept event": 1,
        "recorded change": 0,
    }  # fmt: skip
    assert len(places.store.event_ids("door")) == 1
    assert len(list((state / "evidence/door").rglob("*.json"))) == 1


def test_a_camera_that_is_watched_but_has_nothing_is_no_mistake(places: Places) -> None:
    found = done(Forgetter(places, RunMemory(known=lambda name: name == "gate")), Forget(camera="gate"))
    assert found.said == "gate: would delete nothing"


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


def test_the_command_forgets_while_no_monitor_runs(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.app.forgetting._until", lambda _: pytest.fail("it waits for a run that is not there"))
    given = ["door", "--state", str(state), "--evidence", str(state / "evidence")]
    code, out, err = run(*given, "--all")
    assert (code, err) == (0, "nothing is deleted yet: add --yes\n")
    assert out.startswith("door: would delete 2 messages, 8 evidence files")
    code, out, _ = run(*given, "--all", "--yes")
    assert (code, out.startswith("door: deleted 2 messages")) == (0, True)
    assert files(state / "evidence") == {"yard"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what to forget: --from and --to, or --all"),
        (["--all", "--from", "2h"], "--all means all times"),
        (["--from", "soon"], "--from: 'soon' is neither an age"),
        (["--all", "--what", "wings"], "what.0: it must be"),
        (["--from", "2h", "--what", "models"], "models cannot be forgotten for a time only"),
        (["--from", "1h", "--to", "2h"], "the time ends before it begins"),
    ],
)
def test_a_wrong_command_is_one_sentence(state: Path, words: list[str], said: str) -> None:
    code, _, err = run("door", "--state", str(state), *words)
    assert code == 2
    assert said in err


def test_a_journal_in_use_is_left_to_the_running_monitor(state: Path) -> None:
    with Journal(state / "runs/journal.sqlite3"):
        code, _, err = run("door", "--state", str(state), "--all", "--yes")
    assert code == 1
    assert "monitor.client forget door" in err
    assert run("door", "--state", str(state / "nowhere"), "--all")[0] == 2
