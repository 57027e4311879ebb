"""What a driver's vectors and devices send through, and whose turn it is.

A send never waits for a peer; but a driver that only sends would never let others run, so after
some sends, or some time, it gives them a turn. It does so when it has sent: what an author does
right before a send, and the send, are one step, which nobody sees half done and no cancellation
cuts. This module knows neither peers nor properties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import trio

from trindi.protocol import to_utc
from trindi.transport import DEFAULT_RUNTIME, YieldBudget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from trindi.protocol import Event, setBLOBVector

__all__ = ["DriverSink", "Publisher"]


class Publisher(Protocol):
    """What connects a running driver to whoever listens to it."""

    def publish(self, event: Event) -> None:
        """Send an event to whoever wants it, without waiting."""

    async def publish_blob(self, event: setBLOBVector) -> None:
        """Send BLOBs, waiting a bounded time for receivers that keep up."""


class DriverSink:
    """What vectors and devices send through; it also gives other tasks their turn.

    Attributes:
        publisher: connects the driver to its peers; None while the driver is not running.
        runtime: those under which the driver runs, or ran last.
    """

    def __init__(self) -> None:
        self.publisher: Publisher | None = None
        self.runtime = DEFAULT_RUNTIME
        self._turns = YieldBudget()

    def start(self, publisher: Publisher) -> None:
        """Send to whoever listens from now on."""
        self.publisher = publisher
        self._turns = YieldBudget()

    def now(self) -> datetime:
        """The time that events are stamped with."""
        return self.runtime.now()

    def stamp(self, timestamp: datetime | None) -> datetime:
        """Return the timestamp of an event: the given one as UTC, or else the present time."""
        return self.runtime.now() if timestamp is None else to_utc(timestamp)

    def ready(self) -> Awaitable[None]:
        """Return what raises where the sender is cancelled: then nothing was sent.

        Raises:
            RuntimeError: the driver is not running.
        """
        if self.publisher is None:
            raise RuntimeError("the driver is not running: send from its handlers and tasks")
        return trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC105 - the caller awaits it

    async def yield_if_due(self) -> None:
        """Give others their turn now and then, something having been sent."""
        if self._turns.exhausted():
            await self._turns.checkpoint(done=True)

    def publish(self, event: Event) -> None:
        """Send an event, without waiting for anybody; nothing where the driver does not run."""
        if self.publisher is not None:
            self.publisher.publish(event)

    async def publish_blob(self, event: setBLOBVector) -> None:
        """Send BLOBs, waiting a bounded time for receivers that keep up."""
        if self.publisher is not None:
            await self.publisher.publish_blob(event)

    async def in_thread(self, load: Callable[[], bytes]) -> bytes:
        """Call what takes long in a worker thread. If cancelled, it is waited for all the same."""
        data: bytes = await self.runtime.in_thread(load)
        return data
