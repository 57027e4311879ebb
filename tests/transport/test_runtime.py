"""The threads that large BLOBs are loaded in, and those of authors: neither waits for the other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trindi.transport import DEFAULT_RUNTIME
from trindi.transport.runtime import MAX_THREADS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@pytest.mark.parametrize("ours_first", [True, False])
async def test_what_peers_send_and_what_authors_call_have_threads_of_their_own(
    nursery: trio.Nursery, ours_first: bool
) -> None:
    of_authors: Callable[..., Awaitable[Any]] = trio.to_thread.run_sync
    trio.to_thread.current_default_thread_limiter().total_tokens = MAX_THREADS
    in_thread = DEFAULT_RUNTIME.in_thread
    stuck, other = (in_thread, of_authors) if ours_first else (of_authors, in_thread)
    done = threading.Event()
    for _ in range(2 * MAX_THREADS):
        nursery.start_soon(stuck, done.wait)
    await trio.testing.wait_all_tasks_blocked()
    try:
        # If they shared them, this would wait for ever.
        assert await other(int, "1") == 1
    finally:
        done.set()
