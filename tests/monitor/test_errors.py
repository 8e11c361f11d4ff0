"""What the library for settings says about a wrong input reaches the user in words of our own."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from monitor.errors import first_problem

_FOR_PROGRAMMERS = re.compile(
    r"Input|String|List|Tuple|Dict|Value|valid|dictionar|pattern|parse|integer|boolean|\bstring|finite n"
)


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: float = 1.0


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (dict[str, int], [], "it must hold names with values, as {...}"),
        (_Group, 3, "it must hold names with values, as {...}"),
        (_Group, {"nmber": 3}, "it is unknown here"),
        (list[int], 3, "it must be a list, as [...]"),
        (tuple[int, ...], 3, "it must be a list, as [...]"),
        (frozenset[int], 3, "it must be a list, as [...]"),
        (str, 3, "it must be text"),
        (int, "x", "it must be a whole number"),
        (int, 1.5, "it must be a whole number"),
        (int, None, "it must be a whole number"),
        (int, "9" * 6000, "it must be a whole number of fewer digits"),
        (float, "x", "it must be a number"),
        (float, [], "it must be a number"),
        (Annotated[float, Field(allow_inf_nan=False)], "nan", "it must be a number, and neither nan nor infinite"),
        (Path, 3, "it must be a path, as text"),
        (bool, "x", "it must be true or false"),
        (bool, 3.5, "it must be true or false"),
        (None, 3, "it must be left out"),
        (datetime.datetime, "noon", "it must be a date and time, such as 2026-03-02T08:00:00"),
        (datetime.time, "noon", "it must be a date and time, such as 2026-03-02T08:00:00"),
        (Annotated[str, StringConstraints(max_length=5)], "x" * 9, "it must have at most 5 characters"),
        (Annotated[str, StringConstraints(min_length=1)], "", "it must have at least 1 character"),
        (Annotated[str, StringConstraints(pattern="^[^/]+$")], "../x", "it must have at least 1 character, and no /"),
        (
            Annotated[str, StringConstraints(pattern="^a$")],
            "b",
            "it has characters that are not allowed here, or too many",
        ),
        (Annotated[list[int], Field(max_length=2)], [1, 2, 3], "it must have at most 2 entries"),
        (Annotated[list[int], Field(min_length=2)], [1], "it must have at least 2 entries, and has 1"),
        (Annotated[float, Field(gt=2)], 1, "it must be greater than 2"),
        (Literal["a", "b"], "c", "it must be 'a' or 'b'"),
    ],
)
def test_problems_are_told_in_words_of_our_own(kind: Any, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    said = first_problem(caught.value)[1]
    assert said == words
    assert not _FOR_PROGRAMMERS.search(said)
