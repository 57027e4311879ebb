"""Whose turn it is: a task that always has something to do must let others run all the same.

A full checkpoint after each step would be fair, and slow. So the turn goes round after some steps,
or some time, whichever comes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_STREAK", "STREAK", "YieldBudget"]

STREAK: Final = 0.001
"""Seconds a task may go on without giving others a turn; each step looks at the clock."""

MAX_STREAK: Final = 64
"""Steps without giving others a turn, for a clock that stands still (a mock clock does)."""


class YieldBudget:
    """The steps that one task, or one driver, takes."""

    __slots__ = ("_now", "_start", "_steps")

    def __init__(self) -> None:
        self._start = 0.0
        self._steps = 0
        self._now: Callable[[], float] = self._begin

    def _begin(self) -> float:
        self._steps = 0
        # `trio.current_time` would look for the clock each time.
        self._now = trio.lowlevel.current_clock().current_time
        self._start = self._now()
        return self._start

    def exhausted(self) -> bool:
        """Begin a step; True where others must have their turn first, by `go_round`."""
        self._steps += 1
        return self._steps >= MAX_STREAK or self._now() - self._start >= STREAK

    async def checkpoint(self, *, done: bool = False) -> None:
        """Let the others run. Not cancelled where the step is done: it cannot be taken back."""
        if done:
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            await trio.lowlevel.checkpoint()
        self._begin()

    async def step(self) -> None:
        """Begin a step, others having had their turn if it is time. If cancelled, none is begun."""
        if self.exhausted():
            await self.checkpoint()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
