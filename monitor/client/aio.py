"""The subscriber for asyncio programs.

    async for alert in AsyncAlertSubscriber("tcp://127.0.0.1:5560").alerts():
        ...

It waits for the sockets' file descriptors in the event loop. It needs no thread, and cancellation works as usual.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

from monitor.alerts.messages import AlertMessage
from monitor.client.items import Item, Received
from monitor.client.notes import note
from monitor.client.subscriber import AlertSubscriber


class AsyncAlertSubscriber:
    """An asynchronous context manager and iterator of items. It takes the arguments of AlertSubscriber.

    It needs an event loop that can watch file descriptors: any loop except the default loop of Windows.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.subscriber = AlertSubscriber(*arguments, **options)
        self._entered = False

    @property
    def token(self) -> str | None:
        """Pass it as ``since`` to continue after the last item from the iteration."""
        return self.subscriber.token

    async def __aenter__(self) -> Self:
        self.subscriber.__enter__()
        self._entered = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._entered = False
        self.subscriber.__exit__()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        try:
            while (item := self.subscriber.next_now()) is None:
                await self._wait()
        except StopIteration:
            raise StopAsyncIteration from None
        return item

    async def alerts(self, *, strict: bool = False) -> AsyncIterator[AlertMessage]:
        """Yield only the alerts, each exactly once and in order. Other items are logged, see AlertSubscriber.alerts."""
        if not self._entered:
            async with self:
                async for alert in self.alerts(strict=strict):
                    yield alert
            return
        async for item in self:
            if isinstance(item, Received):
                if isinstance(item.message, AlertMessage):
                    yield item.message
            else:
                note(item, strict=strict)

    async def _wait(self) -> None:
        """Wait until a socket may have data.

        A descriptor signals only new data. That is enough, because ``next_now`` has read all earlier data.
        """
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        descriptors = [waiting.FD for waiting in self.subscriber.sockets()]
        for descriptor in descriptors:
            loop.add_reader(descriptor, news.set)
        try:
            async with asyncio.timeout(self.subscriber.wait_s()):
                await news.wait()
        except TimeoutError:
            pass
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)
