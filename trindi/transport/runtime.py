"""The runtime that drivers and servers run under: the real one, or that of a test.

It is handed down by the caller that runs a server or a driver. A test has its own time of day, runs
everything in one thread, and wants to see each exception. This module knows nothing else of tests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import trio

InThread: TypeAlias = Callable[..., Awaitable[Any]]
"""Calls a function with arguments in a worker thread, and returns what it returns. If cancelled, it
waits for the end of the function nevertheless."""


def _wall_time() -> datetime:
    return datetime.now(UTC)


async def _in_worker_thread(function: Callable[..., Any], *args: Any) -> Any:
    return await trio.to_thread.run_sync(function, *args)


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
    in_thread: InThread = _in_worker_thread
    contain_errors: bool = True


DEFAULT_RUNTIME: Final = Runtime()
"""The real time of day and worker threads; errors are contained."""
