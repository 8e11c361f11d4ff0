"""The doctor's checks of the machine: models, ports, keys, disks and the device."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.alerts.binding import listen
from monitor.alerts.endpoints import control_beside
from monitor.alerts.journal import Journal
from monitor.alerts.keys import make_keys
from monitor.app.choice_store import Choice, ChoiceStore
from monitor.app.config import JournalConfig, MonitorConfig, PublishConfig
from monitor.app.doctor.device_check import Machine, judge_device, usable_device
from monitor.app.doctor.disk_check import check_choices, check_evidence, check_journal, check_records
from monitor.app.doctor.finding_report import ModelFacts, State
from monitor.app.doctor.model_check import check_model, judge_load, judge_model, misfit
from monitor.app.doctor.port_check import check_keys, check_ports
from monitor.scores.calibration import DAY_S
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.text.commands import learn_command, python_command
from tests.helpers.examined import DEMO_MODEL, listening

# Models


def test_a_model_is_described_and_timed() -> None:
    finding = check_model(DEMO_MODEL, (320, 180), MonitorConfig(analysis_fps=5.0), "cpu")
    facts = finding.facts
    assert isinstance(facts, ModelFacts)
    assert facts.id.startswith("demo@")
    assert facts.detectors == ("motion", "static")
    assert facts.held_out_s == pytest.approx(DAY_S / facts.supported_per_day), "both are of the calibration footage"
    assert facts.ms_a_frame > 0
    assert facts.cameras_a_thread == int(200 / facts.ms_a_frame)
    assert (finding.state, facts.supported_per_day > 1) == (State.WARNING, True)
    assert "longer normal footage" in finding.mend
    assert judge_model(facts, facts.supported_per_day + 1).state is State.OK
    assert judge_model(replace(facts, data=("http://***@10.0.0.5/live?***",)), 1e6).state is State.OK
    old = judge_model(replace(facts, data=("x.mp4", "rtsp://u:hunter2@10.0.0.5/live")), 1e6)
    assert old.state is State.WARNING
    assert old.mend.startswith("its model.json holds the address of a camera, which may hold a password: delete it")


def test_a_damaged_newest_version_is_said_with_the_one_that_is_used(tmp_path: Path) -> None:
    for version in ("v0001", "v0002"):
        shutil.copytree(DEMO_MODEL, tmp_path / version)
    (tmp_path / "v0002" / "weights.safetensors").write_bytes(b"x")
    finding = check_model(tmp_path, (320, 180), MonitorConfig(), "cpu")
    assert finding.state is State.WARNING
    assert f"the model in {tmp_path / 'v0002'} is damaged" in finding.found
    assert "a run uses the older version v0001: " in finding.found
    assert f"copy the model folder again, or delete {tmp_path / 'v0002'} and learn the camera again" in finding.mend


def test_a_damaged_and_a_missing_model(tmp_path: Path) -> None:
    missing = check_model(tmp_path / "none", (320, 180), MonitorConfig(), "cpu")
    assert (missing.state, missing.found) == (State.PROBLEM, f"no model folder at {tmp_path / 'none'}")
    assert "training learn" in missing.mend
    for file in DEMO_MODEL.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:-7])
    damaged = check_model(tmp_path, (320, 180), MonitorConfig(), "cpu")
    assert damaged.state is State.PROBLEM
    assert "damaged" in damaged.found
    assert damaged.mend == f"copy the model folder again, or delete {tmp_path} and learn the camera again"
    assert "copy" not in damaged.found, "reported once"
    (tmp_path / "model.json").unlink()
    other = check_model(tmp_path, (320, 180), MonitorConfig(), "cpu")
    assert (other.state, other.mend) == (State.PROBLEM, "copy the model folder again, or train it again")


def test_a_machine_that_cannot_keep_up_is_told_what_it_can() -> None:
    assert judge_load({"a": 20.0, "b": 20.0}, 0.4, 2, 10.0).state is State.OK
    over = judge_load({"a": 60.0, "b": 60.0}, 1.8, 2, 10.0)
    assert over.state is State.WARNING
    assert "analysis_fps = 6" in over.mend
    assert "sub-streams" in over.mend


# Ports


def test_every_address_is_bound_and_let_go() -> None:
    publish = PublishConfig(alerts="tcp://127.0.0.1:*", scores="tcp://127.0.0.1:*")
    for _ in range(2):
        found = {finding.name: finding.state for finding in check_ports(publish)}
        assert (found["alerts"], found["scores"]) == (State.OK, State.OK)


def test_an_address_in_use_and_one_open_to_others() -> None:
    with listening() as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        used, exposed, *_ = check_ports(PublishConfig(alerts=endpoint, scores="tcp://0.0.0.0:5561"))
    assert (used.name, used.state, used.found) == ("alerts", State.PROBLEM, f"{endpoint} is in use")
    assert "stop the program that uses it" in used.mend
    assert (exposed.name, exposed.state) == ("scores", State.PROBLEM)
    assert "open to other machines" in exposed.found


def test_keys(tmp_path: Path) -> None:
    assert not list(check_keys(PublishConfig()))
    (missing,) = check_keys(PublishConfig(keys=tmp_path))
    assert missing.state is State.PROBLEM
    assert python_command("-m monitor.client keys DIR") in missing.mend
    make_keys(tmp_path, "desk")
    publish = PublishConfig(alerts="tcp://0.0.0.0:*", scores="tcp://127.0.0.1:*", keys=tmp_path / "monitor")
    (good,) = check_keys(publish)
    assert (good.state, good.found) == (State.OK, "clients that may connect: desk")
    assert next(iter(check_ports(publish))).state is State.OK, "with keys, an address may be open to other machines"
    (tmp_path / "monitor/clients/desk.key").unlink()
    (nobody,) = check_keys(publish)
    assert (nobody.state, nobody.found) == (State.WARNING, "no client may connect")


# Disk


def test_the_journal_is_looked_at_and_left_alone(tmp_path: Path) -> None:
    journal = JournalConfig(path=tmp_path / "runs" / "journal.sqlite3")
    assert check_journal(journal).state is State.OK
    assert not journal.path.parent.exists()
    with Journal(journal.path):
        assert check_journal(journal).state is State.OK
    journal.path.write_bytes(b"no database at all")
    foreign = check_journal(journal)
    assert (foreign.state, foreign.found) == (State.PROBLEM, f"{journal.path} is not a journal of this monitor")
    assert journal.path.read_bytes() == b"no database at all"
    assert check_journal(JournalConfig(path=tmp_path)).found == f"{tmp_path} is a folder"
    assert check_journal(JournalConfig(path=journal.path / "j.sqlite3")).state is State.PROBLEM
    assert "lower max_mb" in check_journal(JournalConfig(path=tmp_path / "j", max_mb=1e6)).mend


def test_choices_are_read_and_left_alone(tmp_path: Path) -> None:
    journal = JournalConfig(path=tmp_path / "journal.sqlite3")
    assert list(check_choices(journal)) == []
    store = ChoiceStore(tmp_path / "choices.json")
    store.choose("door", Choice(per_day=3.0, armed=False))
    (good,) = check_choices(journal)
    assert (good.state, good.found) == (State.OK, "clients have chosen: door 3 per day disarmed")
    store.path.write_text("{")
    (damaged,) = check_choices(journal)
    assert damaged.state is State.WARNING
    assert "is damaged: budgets and arming are as the config says" in damaged.found
    assert store.path.read_text() == "{"


def test_the_usual_control_address_is_checked(tmp_path: Path) -> None:
    alerts = f"ipc://{tmp_path}/alerts"
    publish = PublishConfig(alerts=alerts, scores=f"ipc://{tmp_path}/s", history=f"ipc://{tmp_path}/h")
    assert [each.state for each in check_ports(publish)] == [State.OK] * 4
    with closing(listen(control_beside(alerts))):
        *_, control = check_ports(publish)
    assert (control.name, control.state) == ("control", State.WARNING)
    assert control.found.endswith("; clients can change nothing")


def test_an_evidence_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = check_evidence(EvidenceSettings(folder=tmp_path / "file" / "evidence"))
    assert (finding.state, finding.found) == (State.PROBLEM, f"{tmp_path / 'file'} is a file, not a folder")


def test_a_folder_where_nothing_can_be_written() -> None:
    finding = check_evidence(EvidenceSettings(folder=Path("/proc/evidence")))
    assert finding.state is State.PROBLEM
    assert "is not writable" in finding.found


def test_room_on_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    assert check_evidence(EvidenceSettings(folder=folder, keep_gb=1e-6)).state is State.OK
    small = check_evidence(EvidenceSettings(folder=folder, keep_gb=1e9))
    assert "keep_gb = " in small.mend
    assert not folder.exists(), "the check creates no folder"


def test_records(tmp_path: Path) -> None:
    nowhere, folder = check_records(tmp_path / "none" / "s.jsonl", tmp_path, 10.0)
    assert (nowhere.state, folder.state) == (State.PROBLEM, State.PROBLEM)
    (tmp_path / "s.jsonl").write_text("old")
    (again,) = check_records(tmp_path / "s.jsonl", None, 10.0)
    assert "would be overwritten" in again.found
    assert "0.11 GB per day" in again.found
    assert (tmp_path / "s.jsonl").read_text() == "old"


def test_a_model_that_does_not_fit_the_camera() -> None:
    assert misfit("door", (640, 360), (1280, 720)) is None
    finding = misfit("door", (640, 360), (640, 480))
    assert finding is not None
    assert finding.state is State.PROBLEM
    assert finding.mend.startswith("use --model with the model that was learned from it, or learn it again: ")
    assert learn_command("door") in finding.mend


# Device


CPU = Machine("2.11.0", "13.0", (), False, False, "", 4, 0.5)
GPU = replace(CPU, gpus=("NVIDIA H100",), driver=True)


@pytest.mark.parametrize(
    ("wanted", "machine", "state", "found", "device"),
    [
        ("auto", CPU, State.OK, "runs on the CPU: no NVIDIA driver", "cpu"),
        ("cpu", GPU, State.OK, "runs on the CPU as requested", "cpu"),
        ("auto", GPU, State.OK, "runs on NVIDIA H100", "auto"),
        ("auto", replace(GPU, load=9.0), State.WARNING, "4 CPU cores, load now 9.0", "auto"),
        ("auto", replace(CPU, load=9.0), State.WARNING, "4 CPU cores, load now 9.0", "cpu"),
        ("cuda:1", GPU, State.PROBLEM, "the last GPU here is cuda:0", "cpu"),
        ("cuda", CPU, State.PROBLEM, "no NVIDIA driver", "cpu"),
        ("auto", replace(CPU, driver=True, built_for=None), State.WARNING, "built without CUDA", "cpu"),
        ("auto", replace(CPU, driver=True, hidden=True), State.WARNING, "CUDA_VISIBLE_DEVICES", "cpu"),
        ("cuda", replace(CPU, driver=True, complaint="driver too old"), State.PROBLEM, "driver too old", "cpu"),
    ],
)
def test_the_device_and_why_it_is_no_gpu(wanted: str, machine: Machine, state: State, found: str, device: str) -> None:
    finding = judge_device(wanted, machine)
    assert (finding.state, bool(finding.mend)) == (state, state is not State.OK)
    assert found in finding.found
    assert usable_device(wanted, machine) == device
