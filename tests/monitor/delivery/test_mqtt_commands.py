"""What a payload asks for, and what is refused in one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.alerts.control import Arm, Budget, ControlRequest, Feedback, Undo
from monitor.delivery.mqtt_commands import BURST, CommandLimit, command_request
from monitor.errors import UsageError


@pytest.mark.parametrize(
    ("what", "payload", "request_"),
    [
        ("armed", b"ON", Arm(camera="door", armed=True)),
        ("armed", b"off", Arm(camera="door", armed=False)),
        ("false_alarms_per_day", b"0.5", Budget(camera="door", per_day=0.5)),
        ("false_alarms_per_day", b" 5 ", Budget(camera="door", per_day=5.0)),
        ("last_event", b"normal", Feedback(event="last", verdict="normal", camera="door")),
        ("last_event", b"real", Feedback(event="last", verdict="real", camera="door")),
        ("last_event", b"undo", Undo(event="last", camera="door")),
    ],
)
def test_a_payload_is_a_request(what: str, payload: bytes, request_: ControlRequest) -> None:
    assert command_request("door", what, payload) == request_


@pytest.mark.parametrize(
    ("what", "payload", "said"),
    [
        ("armed", b"", "send ON or OFF to .../armed/set"),
        ("armed", b"1", "send ON or OFF"),
        ("last_event", b"delivery", "send normal, real or undo"),
        ("false_alarms_per_day", b"", "the budget is not a number: send false alarms per day, such as 0.5"),
        ("false_alarms_per_day", b"nan", "is not a number"),
        ("false_alarms_per_day", b"inf", "is not a number"),
        ("false_alarms_per_day", b"9" * 40, "is not a number"),
        ("false_alarms_per_day", b"0", "give a budget from 0.000001 to 1000000 false alarms per day"),
        ("false_alarms_per_day", b"-1", "give a budget from 0.000001 to"),
        ("false_alarms_per_day", b"1e7", "to 1000000 false alarms per day"),
    ],
)
def test_what_makes_no_sense_is_refused(what: str, payload: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=r"^door: ") as refused:
        command_request("door", what, payload)
    assert said in str(refused.value)


@given(st.sampled_from(["armed", "false_alarms_per_day", "last_event", "other"]), st.binary(max_size=100))
def test_any_payload_is_a_request_or_a_sentence(what: str, payload: bytes) -> None:
    asked: ControlRequest | str
    try:
        asked = command_request("door", what, payload)
    except UsageError as error:
        asked = str(error)
    assert isinstance(asked, ControlRequest) or asked.startswith("door: ")


def test_a_flood_is_cut_to_one_per_second() -> None:
    limit = CommandLimit()
    assert sum(limit.admits(100.0 + number / 1000) for number in range(1000)) == BURST
    assert [limit.admits(at) for at in (101.0, 101.5, 102.5)] == [True, False, True]
