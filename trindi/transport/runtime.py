"""The runtime that drivers and servers run under: the real one, or that of a test.

It is handed down by the caller that runs a server or a driver. A test has its own time of day, runs
everything in one thread, and wants to see each exception. A `YieldBudget` says when a task that
always has something to do lets others run: a full checkpoint after each step would be fair, and
slow, so the task makes one after some steps, or some time, whichever comes first. A `WaitingBudget`
says how long may be waited for one that is slow.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeAlias

import trio

InThread: TypeAlias = Callable[..., Awaitable[Any]]
"""Calls a function in a worker thread. If cancelled, it still waits for the end of the call."""

MAX_THREADS: Final = 8
"""Threads of ours at one time; those of authors, all of which may be stuck, are others."""

MAX_LOADS: Final = 2
"""Of these, threads that load what peers have sent: more of them at one time gain little, and keep
the task that serves all waiting for Python's lock."""

_limiter: Final = trio.lowlevel.RunVar[trio.CapacityLimiter]("trindi's threads")
_loads: Final = trio.lowlevel.RunVar[trio.CapacityLimiter]("trindi's loads")

_wall_time: Final = partial(datetime.now, UTC)


async def run_in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a thread of ours: what peers send must not keep an author waiting."""
    limiter = _get(_limiter, MAX_THREADS)
    return await trio.to_thread.run_sync(function, *args, limiter=limiter)


def loading() -> trio.CapacityLimiter:
    """Return what each load of something that a peer has sent is to hold."""
    return _get(_loads, MAX_LOADS)


def _get(limiter: trio.lowlevel.RunVar[trio.CapacityLimiter], most: int) -> trio.CapacityLimiter:
    try:
        return limiter.get()
    except LookupError:
        limiter.set(trio.CapacityLimiter(most))
        return limiter.get()


def check_trio() -> None:
    """Raise RuntimeError where Trio does not run, as under asyncio."""
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "trindi runs under Trio, and not under asyncio: start the program with trio.run(main),"
            " and see 'From asyncio' in docs/trio.md"
        )


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a test chooses differently from a server.

    Attributes:
        now: the time of day, aware UTC, that events are stamped with.
        in_thread: calls what takes long: encoding or decoding large BLOBs, reading their files.
        contain_errors: exceptions of handlers are logged, and a driver that fails is started again.
            False: an exception ends the run of the server or driver.
    """

    now: Callable[[], datetime] = _wall_time
    in_thread: InThread = run_in_thread
    contain_errors: bool = True


DEFAULT_RUNTIME: Final = Runtime()

STREAK: Final = 0.001  # seconds without a checkpoint; each step looks at the clock
MAX_STREAK: Final = 64  # steps without a checkpoint: a mock clock stands still


class YieldBudget:
    """The steps that one task, or one driver, may take before its next checkpoint."""

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
        """Begin a step; return whether `checkpoint` must come before it."""
        self._steps += 1
        return self._steps >= MAX_STREAK or self._now() - self._start >= STREAK

    async def checkpoint(self, *, done: bool = False) -> None:
        """Let other tasks run. If the step is done already, this cannot be cancelled."""
        if done:
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            await trio.lowlevel.checkpoint()
        self._begin()

    async def step(self) -> None:
        """Begin a step, after a checkpoint if one is due. If cancelled, none is begun."""
        if self.exhausted():
            await self.checkpoint()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()


class WaitingBudget:
    """Seconds that may be spent waiting; a share of the time that passes is added again.

    So a wait of up to `most` seconds is possible now and then, and in the long run only the share.
    """

    __slots__ = ("_at", "_left", "_most", "_share")

    def __init__(self, most: float, share: float) -> None:
        self._most = most
        self._share = share
        self._left = most
        self._at = -math.inf  # when so much was left

    def left(self) -> float:
        """Return how many seconds may be spent now; 0 or less: none."""
        now = trio.current_time()
        self._left = min(self._most, self._left + self._share * (now - self._at))
        self._at = now
        return self._left

    def spend(self, seconds: float) -> None:
        self._left = self.left() - seconds
