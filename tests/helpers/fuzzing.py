"""Arbitrary input for tests: damaged documents and bytes, and how many cases to try.

A test of arbitrary input is a hypothesis test, so it has the marker ``fuzz``. ``make nightly`` runs all of them with
the profile ``nightly``: many cases, half an hour per test at most.
"""

from __future__ import annotations

import copy
import math
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from monitor.alerts.messages import MalformedError
from monitor.errors import MonitorError

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"


def cases(few: int, many: int) -> settings:
    """The number of cases: few for every change, many in the nightly run."""
    return settings(
        max_examples=many if NIGHTLY else few,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )


def said(error: MonitorError | MalformedError) -> None:
    assert str(error).strip(), "an error has a sentence"


numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, -1, 1, 2**31, 2**63, 10**400, math.inf, -math.inf, math.nan, 5e-324, 1e308, 0.5])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
Place = tuple[Any, Any]
"""A dictionary or list, and the key or index of one of its items."""


def places(content: Any) -> list[Place]:
    """Everything in a tree that can be changed."""
    keys = content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    return [place for key in list(keys) for place in [(content, key), *places(content[key])]]


@st.composite
def damaged(draw: st.DrawFn, content: Any, changes: int = 3) -> Any:
    """The tree with some values replaced, removed, renamed, duplicated or swapped."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, changes))):
        found = places(content)
        if not found:
            break
        inside, key = draw(st.sampled_from(found))
        other, other_key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "replace", "take away", "rename", "exchange"])):
            case "replace":
                inside[key] = draw(values)
            case "take away":
                del inside[key]
            case "rename" if isinstance(inside, dict):
                inside[draw(st.text(max_size=6)) + str(key)[1:]] = inside.pop(key)
            case _:
                first, second = copy.deepcopy(inside[key]), copy.deepcopy(other[other_key])
                inside[key] = second
                if (other, other_key) in places(content):
                    other[other_key] = first
    return content


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with some bits flipped, truncated, or with other bytes inserted."""
    found = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        if found:
            found[draw(st.integers(0, len(found) - 1))] ^= 1 << draw(st.integers(0, 7))
    at = draw(st.integers(0, len(found)))
    match draw(st.sampled_from(["flipped", "cut", "more", "nested", "digits"])):
        case "cut":
            del found[at:]
        case "more":
            found[at:at] = draw(st.binary(max_size=20))
        case "nested":
            found[at:at] = draw(st.sampled_from([b"[", b'{"a":', b"{a=["])) * draw(st.sampled_from([3, 2000]))
        case "digits":
            found[at:at] = b"9" * draw(st.sampled_from([20, 5000]))
    return bytes(found)
