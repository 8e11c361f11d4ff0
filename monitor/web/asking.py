"""Who sends a request, for the routes of the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request

from monitor.web.user_file import Role, Who


def who_asks(request: Request) -> Who:
    """Who has sent a request that has passed the gate."""
    who: Who = request.state.who
    return who


Asking = Annotated[Who, Depends(who_asks)]


def operator(who: Asking) -> Who:
    """Who has sent it, if that is an operator."""
    if who.role is not Role.OPERATOR:
        raise HTTPException(403, "only an operator may do this: log in as one")
    return who


Operating = Annotated[Who, Depends(operator)]
