"""The client's commands for verdicts, against a desk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.alerts.control import Arm, Budget, Changes, Feedback, Forget, Name, Preview, Undo, Verdicts
from monitor.alerts.control_desk import Desk, Done
from monitor.client.__main__ import app
from monitor.errors import UsageError
from tests.helpers.controlled import controlled

ASKED: list[object] = []


def serving(desk: Desk) -> None:
    """Note what is asked; refuse events that begin with ``no``."""
    ASKED.clear()

    def take(request: Feedback, _: object) -> Done:
        if request.event.startswith("no"):
            raise UsageError(f"no event {request.event} is kept")
        ASKED.append(request.model_copy(update={"tag": ""}))
        return Done(f"{request.event} is {request.verdict}")

    desk.serve(Feedback, take)
    desk.serve(Preview, lambda request, _: Done(f"would have hidden 7 of 41 alarms ({request.event})"))
    desk.serve(Undo, lambda request, _: Done(f"{request.event} undone"))
    desk.serve(Name, lambda request, _: Done(f"{request.name} {request.alert}"))
    desk.serve(Budget, lambda each, _: Done(f"{each.camera} {each.per_day}{' tried' * each.preview}"))
    desk.serve(Arm, lambda request, _: Done(f"{request.camera} {request.armed}"))
    desk.serve(Forget, lambda request, _: Done(f"{'would delete' if request.preview else 'deleted'} {request.camera}"))
    verdict = {
        "event": "e1-door-1", "camera": "door", "verdict": "normal", "scope": "here", "all_hours": True,
        "given_at": 0.0, "given_by": "desk at 10.0.0.1",
    }  # fmt: skip
    desk.serve(Verdicts, lambda *_: Done("1 verdict", {"verdicts": [verdict], "names": {"cyclist": "never"}}))
    change = {"at": 0.0, "by": "desk", "request": "undo", "said": "e1 undone"}
    desk.serve(Changes, lambda *_: Done("1 change", {"changes": [change]}))


def run(*words: str, prepared: bool = True) -> tuple[int, str, str]:
    with controlled(serving) as publisher:
        at = ["--endpoint", publisher.alerts_endpoint] if prepared else []
        result = CliRunner().invoke(app, [*words, *at])
    return result.exit_code, result.stdout, result.stderr


def test_a_verdict_and_its_options_reach_the_monitor() -> None:
    words = ("feedback", "e1-door-1", "normal", "--scope", "picture", "--all-hours", "--camera", "door")
    assert run(*words) == (0, "e1-door-1 is normal\n", "")
    wanted = Feedback(event="e1-door-1", verdict="normal", scope="picture", all_hours=True, camera="door")
    assert [wanted] == ASKED
    assert run("feedback", "e1", "normal", "--preview")[1] == "would have hidden 7 of 41 alarms (e1)\n"
    assert run("undo", "e1")[1] == "e1 undone\n"
    assert run("name", "cyclist", "never")[1] == "cyclist never\n"
    assert json.loads(run("undo", "e1", "--json")[1]) == {"reply": "ok", "said": "e1 undone"}


def test_budget_and_arming_reach_the_monitor() -> None:
    assert run("set-budget", "door", "0.5") == (0, "door 0.5\n", "")
    assert run("set-budget", "door", "config")[1] == "door None\n"
    assert run("set-budget", "door", "2", "--preview")[1] == "door 2.0 tried\n"
    assert run("arm", "door")[1] == "door True\n"
    assert run("disarm", "door")[1] == "door False\n"


def test_what_the_monitor_refuses_is_an_exit_code() -> None:
    assert run("feedback", "no-such", "real") == (1, "", "error: no event no-such is kept\n")


def test_a_file_of_verdicts_is_given_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.jsonl"
    lines = [{"event": "e1", "verdict": "real"}, {"event": "no", "verdict": "x"}, {"event": "e3", "verdict": "cyclist"}]
    file.write_text("\n\n".join(json.dumps(line) for line in lines))
    code, out, err = run("feedback", "--file", str(file))
    assert (code, out) == (1, "e1 is real\ne3 is cyclist\n")
    assert "error: no event no is kept" in err
    assert len(ASKED) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no verdict"),
        ('{"event": "e1", "verdict": "real"}\nnonsense', "line 2 of"),
        ('["e1"]', "must be an object"),
        ("{", 'no JSON: write it as {"event": "ID", "verdict": "normal"}'),
        ('{"event": "e1"}', "verdict is missing: it must be normal, real, or a name"),
        ('{"event": 7, "verdict": "real"}', "event must be the id of an event, as text"),
        ('{"event": "e1", "verdict": "normal", "scope": "there"}', "scope must be here or picture"),
        ('{"event": "e1", "verdict": "normal", "all_hours": "yes"}', "all_hours must be true or false"),
        (json.dumps({"event": "e1", "verdict": "x" * 10_000}), "at most 64 characters"),
        (json.dumps({"event": "x" * 5000, "verdict": "real"}), "event: it must have at most 300 characters"),
        ('{"event": "", "verdict": "real"}', "event: it must have at least 1 character"),
    ],
)
def test_a_file_with_a_mistake_gives_no_verdict_at_all(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "verdicts.jsonl"
    file.write_text(content)
    code, _, err = run("feedback", "--file", str(file), prepared=False)
    assert code == 2
    assert said in " ".join(err.split())
    assert ASKED == []


@pytest.mark.parametrize(
    "words",
    [
        ("feedback",),
        ("feedback", "e1"),
        ("feedback", "e1", "real", "--file", "x"),
        ("name", "a", "perhaps"),
        ("set-budget", "door", "much"),
        ("set-budget", "door", "0"),
        ("set-budget", "door", "nan"),
        ("arm", "a/b"),
    ],
)
def test_a_wrong_command_line_is_refused(words: tuple[str, ...]) -> None:
    assert run(*words, prepared=False)[0] == 2


def test_lists_are_lines() -> None:
    _, out, _ = run("verdicts")
    assert "door  e1-door-1  normal  here, all hours  by desk at 10.0.0.1" in out
    assert out.endswith("events named 'cyclist': never\n")
    assert "desk  e1 undone" in run("changes")[1]


def test_forget_only_says_what_would_go_until_it_is_confirmed() -> None:
    assert run("forget", "door", "--all") == (0, "would delete door\n", "nothing is deleted yet: add --yes\n")
    assert run("forget", "door", "--from", "2h", "--yes") == (0, "deleted door\n", "")
    assert run("forget", "door")[0] == 2


def test_more_verdicts_than_the_monitor_takes_at_once_arrive_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.alerts.control_desk.BURST", 2.0)
    monkeypatch.setattr("monitor.alerts.control_desk.PER_S", 50.0)
    file = tmp_path / "verdicts.jsonl"
    file.write_text("\n".join(json.dumps({"event": f"e{number}", "verdict": "real"}) for number in range(12)))
    code, out, err = run("feedback", "--file", str(file))
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(ASKED) == 12


def test_options_before_the_command_are_obeyed_or_refused() -> None:
    with controlled(serving) as publisher:
        at = ["--endpoint", publisher.alerts_endpoint, "--timeout", "20"]
        found = CliRunner().invoke(app, [*at, "--camera", "door", "undo", "last"])
        assert (found.exit_code, found.stdout) == (0, "last undone\n")
        found = CliRunner().invoke(app, ["--endpoint", "tcp://127.0.0.1:9", "undo", "e1", *at])
        assert (found.exit_code, found.stdout) == (0, "e1 undone\n")
    for words in (["--since", "2h", "undo", "e1"], ["--keys", "folder", "keys", "made"]):
        found = CliRunner().invoke(app, words)
        assert found.exit_code == 2
        assert found.stderr == f"error: {words[0]} does not belong to the command {words[2]}: leave it out\n"
