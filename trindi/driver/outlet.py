"""What a driver's vectors and devices send through, and whose turn it is.

A send never waits for a peer; but a driver that only sends would never let others run, so after
some sends, or some time, it gives them a turn. This module knows neither peers nor properties.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol

import trio

if TYPE_CHECKING:
    from trindi.protocol import Event, setBLOBVector

__all__ = ["DriverOutlet", "Link"]

STREAK: Final = 0.001
"""Seconds a driver may send without giving others a turn; each send looks at the clock."""

MAX_STREAK: Final = 64
"""Sends without giving others a turn, for a clock that stands still (a mock clock does)."""


class Link(Protocol):
    """What connects a running driver to whoever listens to it."""

    def publish(self, event: Event) -> None:
        """Send an event to whoever wants it, without waiting."""

    async def publish_blob(self, event: setBLOBVector) -> None:
        """Send BLOBs, waiting a bounded time for receivers that keep up."""


class DriverOutlet:
    """What vectors and devices send through; it also gives other tasks their turn."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self._streak_start = 0.0
        self._streak = 0

    def now(self) -> datetime:
        """The time that events are stamped with."""
        return datetime.now(UTC)

    def _linked(self) -> Link:
        if self.link is None:
            raise RuntimeError("the driver is not running: send from its handlers and tasks")
        return self.link

    async def send(self, event: Event) -> None:
        """Send an event, without waiting for anybody."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._linked().publish(event)
        await self._give_turn()

    async def _give_turn(self) -> None:
        now = trio.current_time()
        self._streak += 1
        if now - self._streak_start >= STREAK or self._streak >= MAX_STREAK:
            self._streak = 0
            # The event is on its way already; being cancelled now must not look as if it were not.
            await trio.lowlevel.cancel_shielded_checkpoint()
            self._streak_start = trio.current_time()

    async def send_blob(self, event: setBLOBVector) -> None:
        """Send BLOBs, waiting a bounded time for receivers that keep up."""
        await trio.lowlevel.checkpoint()
        await self._linked().publish_blob(event)

    async def read_blob(self, source: Path | IO[bytes]) -> bytes:
        """Read a file in a worker thread."""
        if isinstance(source, Path):
            return await trio.to_thread.run_sync(source.read_bytes)
        return await trio.to_thread.run_sync(source.read)
