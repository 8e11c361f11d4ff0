"""Receivers in a run of the monitor and in the doctor, from the config file on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.app.config_file import load_config
from monitor.app.doctor.delivery_check import check_receivers
from monitor.app.doctor.finding_report import State
from monitor.errors import ConfigError
from monitor.testing.webhook_server import WebhookServer
from tests.helpers.commands import Finished, monitor
from tests.helpers.examined import DEMO_MODEL
from tests.helpers.made_footage import write_video

SECRET = "hunter2 hunter2 hunter2"  # noqa: S105 - of tests


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as serving:
        yield serving


def config(folder: Path, url: str, more: str = "") -> Path:
    video = write_video(folder / "a.avi", frames=40)
    path = folder / "c.toml"
    path.write_text(
        f'model = "{DEMO_MODEL}"\n[cameras.archive]\nsource = "{video}"\n'
        '[playback]\nspeed = "max"\n[health]\nenabled = false\n'
        '[publish]\nalerts = "tcp://127.0.0.1:*"\nscores = "tcp://127.0.0.1:*"\nhistory = "tcp://127.0.0.1:*"\n'
        f'[webhook.house]\nurl = "{url}"\nsecret = "{SECRET}"\n{more}'
    )
    return path


def watch(path: Path, *flags: str) -> Finished:
    return monitor("--config", path, "--headless", "--verbose", "--duration", "20s", *flags)


def test_a_run_delivers_and_ends_when_all_is_delivered(tmp_path: Path, server: WebhookServer) -> None:
    result = watch(config(tmp_path, server.url))
    assert result.returncode == 0, result.stderr
    kinds = [(request.json["kind"], request.json["message"].get("state")) for request in server.received]
    assert ("health", "ended") in kinds
    assert ("alert", None) in kinds, "the end of a file and of an event on its last frame come in either order"
    assert len(set(server.ids)) == len(server.ids)
    assert f"webhook.house: {len(kinds)} delivered" in result.stderr
    assert "hunter2" not in result.stderr
    assert "token-1234" not in result.stderr


def test_a_run_notifies_people_too(tmp_path: Path, server: WebhookServer) -> None:
    with WebhookServer() as phone:
        url = phone.url.partition("?")[0].replace("http", "json", 1)
        more = f'[notify.phone]\nurl = "{url}"\ntitle = "{{what}} {{camera}}"\ntext = "{{text}}"\n'
        result = watch(config(tmp_path, server.url, more))
        assert result.returncode == 0, result.stderr
        started = [r.json["message"] for r in server.received if r.json["message"].get("phase") == "start"]
        assert started, "the brightness jumps"
        titles = [request.json["title"] for request in phone.received]
    assert titles == ["Alert archive"] * sum(message["notify"] for message in started)
    assert "token-1234" not in result.stderr + result.stdout


def test_a_run_goes_well_without_its_receiver_and_the_next_one_delivers(tmp_path: Path, server: WebhookServer) -> None:
    server.status = 500
    path = config(tmp_path, server.url)
    failed = watch(path)
    assert failed.returncode == 0, failed.stderr
    assert "the next run sends the rest" in failed.stderr
    lost = {*server.ids}
    assert len(lost) == 1, "messages come in order"
    server.status = 200
    server.received.clear()
    assert watch(path).returncode == 0
    states = [request.json["message"].get("state") for request in server.received]
    assert lost <= {*server.ids}
    assert states.count("ended") == 2
    assert len(set(server.ids)) == len(server.ids)


@pytest.mark.parametrize("flag", ["--no-journal", "--no-publish"])
def test_a_receiver_needs_the_journal(tmp_path: Path, flag: str) -> None:
    result = watch(config(tmp_path, "https://h/x"), flag)
    assert result.returncode == 2
    assert "[webhook.house] sends what the journal stores, but this run keeps no journal: run it with" in result.stderr


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("secrt = 1", "unknown setting 'webhook.house.secrt': did you mean 'secret'?"),
        ("[webhook.'a b']\nurl = 'x'", "webhook name 'a b': use letters"),
        ("[webhook.b]\nurl = 'hunter2'\nsecret='hunter2hunter2hunter2'", "setting 'webhook.b': url must be an http"),
        ("timeout = 3", "unknown setting 'webhook.house.timeout': did you mean 'timeout_s'?"),
        (
            "[notify.phone]\nurl = 'json://h'\nquiets = ['x']",
            "unknown setting 'notify.phone.quiets': did you mean 'quiet'?",
        ),
        (
            "[notify.phone]\nurl = 'json://h'\nquiet = ['x']",
            "setting 'notify.phone.quiet': 'x' is no time of the week: write",
        ),
        ("[mqtt]\nuser = 'x'", "setting 'mqtt': host is missing: name the broker"),
        ("[mqtt]\nhst = 'x'", "unknown setting 'mqtt.hst': did you mean 'host'?"),
        ("[alert]\nsecret = 3", "did you mean 'secret' under [webhook.NAME]?"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(tmp_path: Path, more: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(config(tmp_path, "https://h/x", more))
    assert sentence in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_webhook_without_a_name_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[[webhook]]\nurl = 'https://h/x'\n")
    with pytest.raises(ConfigError, match=r"should be groups with names of your choice: write \[webhook.NAME\]"):
        load_config(path)


# The doctor


def test_the_doctor_connects_and_sends_only_on_request(tmp_path: Path, server: WebhookServer) -> None:
    settings = load_config(config(tmp_path, server.url))
    (quiet,) = check_receivers(settings, send=False)
    assert (quiet.state, server.received) == (State.OK, [])
    assert "can be reached; `--notify` sends a test message" in quiet.found
    (sent,) = check_receivers(settings, send=True)
    assert (sent.state, sent.name) == (State.OK, "webhook.house")
    assert server.received[0].json["kind"] == "test"
    server.status = 403
    (refused,) = check_receivers(settings, send=True)
    assert refused.state is State.PROBLEM
    assert refused.found.endswith("answers 403, the login may not do this")
    assert refused.mend == "check url, headers and secret"


def test_the_doctor_names_what_is_wrong(tmp_path: Path) -> None:
    with WebhookServer() as gone:
        url = gone.url
    (finding,) = check_receivers(load_config(config(tmp_path, url)), send=False)
    assert finding.state is State.PROBLEM
    assert finding.found.endswith("refuses the connection")
    assert finding.mend
    assert "token" not in finding.found
    (finding,) = check_receivers(load_config(config(tmp_path, url), {"journal.enabled": False}), send=False)
    assert finding.mend.startswith("run it with journal and publishing")
    (finding,) = check_receivers(load_config(config(tmp_path, "https://h/x", "ca = 'none.pem'")), send=False)
    assert "cannot use the certificates in none.pem" in finding.found
