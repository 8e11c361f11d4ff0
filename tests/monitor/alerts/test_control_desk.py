"""Requests at the desk: who may ask, what is refused in one sentence, and what is recorded."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alerts.control import (
    ControlReply,
    ControlRequest,
    Feedback,
    Forget,
    Ping,
    Undo,
    decode_reply,
    decode_request,
)
from monitor.alerts.control_desk import BURST, Asker, Desk, Done, Steps
from monitor.alerts.messages import MalformedError, encode
from monitor.errors import RunError, UsageError

ME = Asker("127.0.0.1")
READER = Asker("10.0.0.2", "phone", changes=False)


def answer(desk: Desk, payload: bytes | ControlRequest, asker: Asker = ME) -> ControlReply:
    """Run a request to its end."""
    steps = desk.answer(payload if isinstance(payload, bytes) else encode(payload), asker)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return decode_reply(ended.value)


def desk(**more: Any) -> Desk:
    made = Desk("lab", "e1", **more)
    made.serve(Undo, lambda request, _: Done(f"undone {request.event}", {"event": request.event}))
    return made


def test_a_request_is_done_answered_and_recorded_with_who_asked() -> None:
    noted: list[tuple[str, str, str]] = []
    made = desk(record=lambda asker, request, said: noted.append((str(asker), request.request, said)))
    reply = answer(made, Undo(event="e1-door-1", tag="7"), Asker("10.0.0.3", "desk"))
    assert (reply.reply, reply.tag, reply.said, reply.data) == ("ok", "7", "undone e1-door-1", {"event": "e1-door-1"})
    assert (reply.node, reply.epoch) == ("lab", "e1")
    assert answer(made, Ping()).data == {"changes": True, "name": ""}
    answer(made, Undo(event="e", asked_by="ann"), Asker("10.0.0.3", "page"))
    assert noted == [
        ("desk at 10.0.0.3", "undo", "undone e1-door-1"),
        ("ann by page at 10.0.0.3", "undo", "undone e"),
    ]


def test_a_client_that_may_only_read_is_told_how_to_let_it() -> None:
    made = desk()
    assert answer(made, Ping(), READER).said == "the monitor answers; this client may only read"
    reply = answer(made, Undo(event="e"), READER)
    assert reply.reply == "error"
    assert "move phone.key from the folder clients to the folder controllers" in reply.said


@pytest.mark.parametrize(
    "payload",
    [
        b'{"request": "armed", "camera": "door", "armed": "yes"}',
        b'{"request": "armed", "camera": "door", "armed": 0}',
        b'{"request": "budget", "camera": "door", "per_day": "0.5"}',
        b'{"request": "budget", "camera": "door", "per_day": true}',
        b'{"request": "feedback", "event": "e", "verdict": "normal", "all_hours": "off"}',
        b'{"request": "forget", "camera": "door", "preview": "no"}',
        b'{"request": "forget", "camera": "door", "from_at": "0"}',
        b'{"request": "changes", "limit": "5"}',
    ],
)
def test_a_value_of_another_type_is_refused_and_never_guessed(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_request(payload)


def test_numbers_and_flags_of_their_own_type_are_taken() -> None:
    for payload in (
        b'{"request": "armed", "camera": "door", "armed": false}',
        b'{"request": "budget", "camera": "door", "per_day": 2}',
        b'{"request": "budget", "camera": "door", "per_day": null}',
        b'{"request": "forget", "camera": "door", "what": ["alerts"], "preview": false, "from_at": 0, "to_at": 5.5}',
        b'{"request": "changes", "limit": 5}',
    ):
        decode_request(payload)


def test_a_preview_changes_nothing_so_a_reader_may_ask_for_it() -> None:
    noted: list[str] = []
    made = desk(record=lambda *given: noted.append(given[2]))
    made.serve(Forget, lambda _request, _: Done("3 events would go"))
    assert answer(made, Forget(camera="door"), READER).said == "3 events would go"
    assert answer(made, Forget(camera="door", preview=False), READER).reply == "error"
    assert noted == []


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "request: it is no JSON"),
        (b"\xff", "request: it is no JSON"),
        (b"[]", "request: "),
        (b"{}", "request: 'request' is missing"),
        (b'{"request": "reboot"}', "request: 'request' must be one of 'ping'"),
        (b'{"request": "undo"}', "event: it is missing"),
        (b'{"request": "undo", "event": ""}', "event: it must have at least 1"),
        (b'{"request": "feedback", "event": "e", "verdict": "' + b"x" * 10_000 + b'"}', "verdict: it must have"),
        (b'{"request": "feedback", "event": "e", "verdict": "  "}', "verdict: it must have at least 1"),
        (b'{"request": "feedback", "event": "e", "verdict": "real", "scope": "moon"}', "scope: "),
        (b'{"request": "forget", "camera": "a/b"}', "camera: "),
        (b'{"request": "forget", "camera": "a", "from_at": 1e999}', "from_at: "),
    ],
)
def test_a_request_that_makes_no_sense_gets_one_sentence(payload: bytes, said: str) -> None:
    reply = answer(desk(), payload)
    assert reply.reply == "error"
    assert reply.said.startswith(said)
    assert len(reply.said) <= 300


def test_what_nobody_serves_and_what_fails_is_said(caplog: pytest.LogCaptureFixture) -> None:
    made = desk()
    made.why_not = "this run keeps no journal"
    assert answer(made, Feedback(event="e", verdict="real")).said == "this run keeps no journal"

    def broken(_request: Feedback, _: Asker) -> Done:
        raise ZeroDivisionError

    def refusing(_request: Undo, _: Asker) -> Done:
        raise UsageError("there is no such event: look again")

    made.serve(Feedback, broken)
    made.serve(Undo, refusing)
    with caplog.at_level(logging.ERROR):
        assert "ZeroDivisionError" in answer(made, Feedback(event="e", verdict="real")).said
    refused = answer(made, Undo(event="e"))
    assert (refused.said, refused.data) == ("there is no such event: look again", {})

    def full(_request: Undo, _: Asker) -> Done:
        raise RunError("the disk is full: free space")

    made.serve(Undo, full)
    refused = answer(made, Undo(event="e"))
    assert (refused.said, refused.data) == ("the disk is full: free space", {"temporary": True})


def test_long_work_goes_step_by_step() -> None:
    made, done = desk(), []

    def slow(_request: Undo, _: Asker) -> Steps:
        def steps() -> Generator[None, None, Done]:
            for number in range(3):
                done.append(number)
                yield
            return Done("all")

        return steps()

    made.serve(Undo, slow)
    steps = made.answer(encode(Undo(event="e")), ME)
    next(steps)
    assert done == [0], "one step at a time"
    assert answer(made, Ping()).reply == "ok", "others are answered meanwhile"
    assert decode_reply(_rest(steps)).said == "all"


def _rest(steps: Generator[bool | None, None, bytes]) -> bytes:
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return bytes(ended.value)


def test_a_flood_of_changes_is_refused_until_it_ebbs() -> None:
    now = [0.0]
    made = desk(clock=lambda: now[0])
    replies = [answer(made, Undo(event="e")).reply for _ in range(int(BURST) + 5)]
    assert replies.count("ok") == BURST
    assert replies[-1] == "error"
    assert answer(made, Ping()).reply == "ok", "reading is not limited"
    now[0] = 10.0
    assert answer(made, Undo(event="e")).reply == "ok"


def test_fields_of_a_newer_client_are_ignored() -> None:
    assert answer(desk(), json.dumps({"request": "ping", "schema": 9, "colour": "red"}).encode()).reply == "ok"


@given(
    st.binary(max_size=80)
    | st.dictionaries(st.text(max_size=9), st.text(max_size=9)).map(lambda d: json.dumps(d).encode())
)
def test_whatever_is_asked_there_is_a_reply(payload: bytes) -> None:
    assert answer(desk(), payload).reply in ("ok", "error")
