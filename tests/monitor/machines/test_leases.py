import math

from hypothesis import given
from hypothesis import strategies as st

from monitor.machines.leases import LEASE_S, LeaseVoter

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["coordinator", "gateway", "fence coordinator", "fence gateway", "restart gateway", "pass"]),
        st.floats(0.0, 4.0),
    ),
    max_size=60,
)


@given(steps=STEPS, late_s=st.floats(0.0, 3.0))
def test_a_lease_that_both_voters_call_over_is_over_for_its_holder(
    steps: list[tuple[str, float]], late_s: float
) -> None:
    """One voter is enough to renew, both fence and wait: so no holder believes in a lease that both call over."""
    now, renewed_at = 100.0, -math.inf
    voters = {"coordinator": LeaseVoter(now), "gateway": LeaseVoter(now)}
    for voter in voters.values():
        voter.fence("gate", 1)
    fenced: set[str] = set()
    for step, seconds in steps:
        kind, _, name = step.rpartition(" ")
        if kind == "fence":
            assert voters[name].fence("gate", 2)
            fenced.add(name)
        elif kind == "restart":
            voters[name] = LeaseVoter(now, {"gate": 2 if name in fenced else 1})
        elif name != "pass":
            asked_at = now  # the request is on its way
            now += late_s
            if voters[name].renew("gate", 1, now):
                renewed_at = max(renewed_at, asked_at)
        now += seconds
        if fenced == {"coordinator", "gateway"} and not any(voter.wait_s("gate", 1, now) for voter in voters.values()):
            assert now - renewed_at >= LEASE_S


def test_a_voter_renews_nothing_below_its_fence_and_a_fence_never_goes_back() -> None:
    voter = LeaseVoter(0.0)
    assert voter.renew("gate", 3, 1.0)
    assert voter.fence("gate", 5)
    assert not voter.renew("gate", 3, 2.0)
    assert not voter.fence("gate", 4)
    assert voter.renew("gate", 5, 2.0)
    assert voter.lowest == {"gate": 5}


def test_a_released_lease_needs_no_wait_and_is_not_renewed() -> None:
    voter = LeaseVoter(0.0)
    voter.renew("gate", 3, 1.0)
    assert voter.wait_s("gate", 3, 2.0) == LEASE_S - 1.0
    voter.release("gate", 3)
    assert voter.wait_s("gate", 3, 2.0) == 0.0
    assert not voter.renew("gate", 3, 2.0)


def test_a_voter_that_was_started_again_waits_for_leases_that_it_may_have_renewed() -> None:
    voter = LeaseVoter(50.0, {"gate": 3})
    assert voter.wait_s("gate", 3, 51.0) == LEASE_S - 1.0
    assert voter.wait_s("gate", 3, 50.0 + LEASE_S) == 0.0
    assert voter.wait_s("gate", 7, 51.0) == 0.0


def test_what_is_over_is_forgotten() -> None:
    voter = LeaseVoter(0.0)
    voter.renew("gate", 1, 1.0)
    voter.fence("gate", 2)
    voter.tidy(5.0)
    assert voter.wait_s("gate", 1, 5.0) > 0
    voter.tidy(20.0)
    assert voter.wait_s("gate", 1, 20.0) == 0.0
    voter.forget("gate")
    assert voter.lowest == {"gate": 2}
