"""The runtime that drivers and servers run under: the real one, or that of a test.

It is handed down by the caller that runs a server or a driver. A test has its own time of day, runs
everything in one thread, and wants to see each exception. This module knows nothing else of tests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeAlias

import trio

# Calls a function in a worker thread. If cancelled, it waits for its end nevertheless.
InThread: TypeAlias = Callable[..., Awaitable[Any]]

_wall_time: Final = partial(datetime.now, UTC)


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
    in_thread: InThread = trio.to_thread.run_sync
    contain_errors: bool = True


DEFAULT_RUNTIME: Final = Runtime()
