"""Who has sent a request that has passed the gate, and what is refused to them. For the API's functions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi import Path as InPath

from monitor.web.user_file import Who

Key = Annotated[str, InPath(pattern="^[0-9a-f]{32}$")]
"""The id of an event or a moment in a path."""


def who_asks(request: Request) -> Who:
    """Who has sent a request that has passed the gate."""
    who: Who = request.state.who
    return who


Asking = Annotated[Who, Depends(who_asks)]


def operator(who: Asking) -> Who:
    """The same, if it is an operator. Raises HTTPException."""
    if not who.may_change:
        raise HTTPException(403, "only an operator may do this: log in as one")
    return who


Operating = Annotated[Who, Depends(operator)]
