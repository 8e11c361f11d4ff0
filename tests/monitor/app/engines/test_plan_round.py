"""A change of several engines: all carry it out, or none."""

from __future__ import annotations

import pytest

from monitor.app.config import MonitorConfig
from monitor.app.engines.engine_messages import Applied, Decided, Plan, Ready, Refused
from monitor.app.engines.plan_round import PlanRound, RoundState
from monitor.errors import ModelError


@pytest.fixture
def told() -> list[tuple[int, object]]:
    return []


def begin(told: list[tuple[int, object]]) -> PlanRound:
    plan = Plan(7, MonitorConfig(), (), ())
    return PlanRound({1: plan, 2: plan}, lambda engine, message: told.append((engine, message)))


def applied(number: int = 7) -> Applied:
    return Applied(number, (), (), (), 0, "")


def test_plans_are_carried_out_when_all_engines_are_ready_and_not_before(told: list[tuple[int, object]]) -> None:
    change = begin(told)
    change.take(1, Ready(7))
    change.take(2, Ready(6))  # of an earlier plan
    assert [type(message) for _, message in told] == [Plan, Plan]
    change.take(2, Ready(7))
    assert told[2:] == [(engine, Decided(7, carry_out=True)) for engine in (1, 2)]
    change.take(1, applied())
    states = [change.state]
    change.take(2, applied())
    assert [*states, change.state] == [RoundState.APPLYING, RoundState.DONE]


def test_one_engine_that_refuses_keeps_all_as_they_are(told: list[tuple[int, object]]) -> None:
    change = begin(told)
    change.take(1, Ready(7))
    change.take(2, Refused(7, ModelError("the model is damaged: learn again")))
    assert change.state is RoundState.REFUSED
    assert str(change.error) == "the model is damaged: learn again"
    assert told[2:] == [(engine, Decided(7, carry_out=False)) for engine in (1, 2)]


def test_an_engine_that_ends_refuses_or_is_done_if_its_successor_begins_with_the_plan(
    told: list[tuple[int, object]],
) -> None:
    change = begin(told)
    change.lost(2)
    assert change.state is RoundState.REFUSED

    change = begin(told)
    for engine in (1, 2):
        change.take(engine, Ready(7))
    change.take(1, applied())
    change.lost(3)  # another engine, which has no part in it
    change.lost(2)
    assert change.state is RoundState.DONE
