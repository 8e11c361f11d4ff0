import logging

import pytest

from monitor.alerts.complaints import COMPLAIN_EVERY_S, IN_ALL, PER_ADDRESS, Complaints


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def complaints(clock: Clock, caplog: pytest.LogCaptureFixture) -> Complaints:
    caplog.set_level(logging.WARNING)
    return Complaints(clock)


def test_a_client_that_tries_again_is_logged_once_a_minute(
    complaints: Complaints, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        complaints.say("10.0.0.1", "no keys")
    clock.now += COMPLAIN_EVERY_S
    complaints.say("10.0.0.1", "no keys")
    assert caplog.messages == ["refused a client at 10.0.0.1: no keys"] * 2


def test_a_client_with_a_new_key_each_time_fills_no_log_and_hides_no_other_client(
    complaints: Complaints, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10_000):
        complaints.say("10.0.0.1", f"its key {number} is unknown")
    complaints.say("10.0.0.2", "no keys")
    assert len(caplog.messages) == PER_ADDRESS + 2
    assert caplog.messages[-1] == "refused a client at 10.0.0.2: no keys"


def test_what_is_left_out_is_counted_and_said(
    complaints: Complaints, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        complaints.say(f"10.0.{number}", "no keys")
    assert len(caplog.messages) == IN_ALL + 1
    assert "counted only" in caplog.messages[-1]
    clock.now += COMPLAIN_EVERY_S
    complaints.say("10.0.0.1", "no keys")
    assert caplog.messages[-2:] == [
        f"refused clients {1000 - IN_ALL} more times in the last 60 seconds", "refused a client at 10.0.0.1: no keys",
    ]  # fmt: skip


def test_what_is_kept_for_complaints_does_not_grow(complaints: Complaints) -> None:
    for number in range(5000):
        complaints.say(f"10.0.{number}", f"key {number}")
    kept = [value for value in vars(complaints).values() if hasattr(value, "__len__")]
    assert max(map(len, kept)) <= IN_ALL
