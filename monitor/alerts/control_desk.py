"""Who may ask for what on the control socket, and who does it. No I/O, one thread.

    desk.serve(Undo, lambda request, asker: store.undo(request.event))

What takes longer than some milliseconds is a generator: it yields between small steps, and returns its result. Until
then, other requests and cameras are served.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from monitor.alerts.control import ControlReply, ControlRequest, Ping, decode_request
from monitor.alerts.messages import MalformedError, encode
from monitor.errors import MonitorError, RunError
from monitor.text.outside import safe

log = logging.getLogger(__name__)

BURST, PER_S = 200.0, 5.0
"""Changes that all clients together may make: at most BURST at once, and PER_S per second in the long run."""


class TooManyError(MonitorError):
    """A change is refused for now. The reply's data say when to ask again."""


@dataclass(frozen=True, slots=True)
class Asker:
    """The client that asks. name: of its key; "" without keys. changes: whether it may change anything.

    person  for whom it asks, as the client says; "" if it does not say
    """

    address: str
    name: str = ""
    changes: bool = True
    person: str = ""

    def __str__(self) -> str:
        client = f"{self.name} at {self.address}" if self.name else self.address
        return f"{self.person} by {client}" if self.person else client


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a request: a sentence for people, and values for programs.

    note  the sentence for the record of changes; None: the same
    """

    said: str
    data: dict[str, Any] = field(default_factory=dict)
    note: str | None = None


WAITING = True
"""What a step gives if nothing can be done now, because a thread works: the next step is due a tick later."""
Steps = Generator[bool | None, None, Done]
Server = Callable[[Any, Asker], Done | Steps]
R = TypeVar("R", bound=ControlRequest)


class Desk:
    """Answers requests. ``record`` is told of each change that was made: who asked, the request, and what was done."""

    def __init__(
        self,
        node: str,
        epoch: str,
        record: Callable[[Asker, ControlRequest, str], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.node, self.epoch = node, epoch
        self._record, self._clock = record, clock
        self._servers: dict[type[ControlRequest], Server] = {}
        self._left, self._filled_at = BURST, clock()
        self.why_not = "this run cannot do that"
        """What a client is told if nobody serves its request."""
        self.serve(Ping, _ping)

    def serve(self, kind: type[R], server: Callable[[R, Asker], Done | Steps]) -> None:
        """From now on, this function does what requests of this kind ask for. It raises MonitorError to refuse."""
        self._servers[kind] = cast(Server, server)

    def server_of(self, kind: type[ControlRequest]) -> Server | None:
        """Who does what requests of this kind ask for; None if nobody does."""
        return self._servers.get(kind)

    def recorded_by(self, record: Callable[[Asker, ControlRequest, str], None]) -> None:
        """Tell this function of each change from now on."""
        self._record = record

    def answer(self, payload: bytes, asker: Asker) -> Generator[bool | None, None, bytes]:
        """Do what any payload asks for, step by step. The last step returns the reply's part. Raises nothing."""
        tag = ""
        try:
            request = decode_request(payload)
            tag = request.tag
            asker = replace(asker, person=request.asked_by)
            began = self._server(request, asker)(request, asker)
            done = began if isinstance(began, Done) else (yield from began)
        except TooManyError as error:
            return self._reply("error", tag, Done(str(error), {"wait_s": 1.0 / PER_S}))
        except (MalformedError, MonitorError) as error:
            log.debug("refused a request of %s: %s", asker, safe(error))
            data = {"temporary": True} if isinstance(error, RunError) else {}
            return self._reply("error", tag, Done(str(error), data))
        except Exception as error:
            log.exception("a request of %s failed", safe(asker))
            return self._reply(
                "error", tag, Done(f"the monitor failed to do this ({type(error).__name__}): see its log")
            )
        if _makes_change(request):
            log.info("%s, asked by %s", safe(done.note or done.said), safe(asker))
            self._record(asker, request, done.note or done.said)
        return self._reply("ok", tag, done)

    def _server(self, request: ControlRequest, asker: Asker) -> Server:
        """Who does it. Raises MonitorError if nobody does, or if the client may not ask for it."""
        if _makes_change(request):
            self._admit(asker)
        server = self._servers.get(type(request))
        if server is None:
            raise MonitorError(self.why_not)
        return server

    def _admit(self, asker: Asker) -> None:
        if not asker.changes:
            raise MonitorError(
                f"the key of '{asker.name}' may only read: move {asker.name}.key from the folder clients to the folder "
                "controllers of the monitor's keys to let it change things"
            )
        now = self._clock()
        self._left = min(BURST, self._left + PER_S * (now - self._filled_at))
        self._filled_at = now
        if self._left < 1:
            raise TooManyError(f"too many changes: the monitor takes {PER_S:g} per second; wait a moment, then go on")
        self._left -= 1

    def _reply(self, reply: str, tag: str, done: Done) -> bytes:
        kind: Any = reply
        return encode(
            ControlReply(reply=kind, tag=tag, node=self.node, epoch=self.epoch, said=done.said, data=done.data)
        )


def _makes_change(request: ControlRequest) -> bool:
    return request.changes and not getattr(request, "preview", False)


def _ping(_: Ping, asker: Asker) -> Done:
    may = "may change things" if asker.changes else "may only read"
    return Done(f"the monitor answers; this client {may}", {"changes": asker.changes, "name": asker.name})
