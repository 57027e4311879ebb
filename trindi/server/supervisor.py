"""Runs each upstream, and runs it again when it fails, later each time.

A failure costs only the upstream's own devices: they are withdrawn, and come back with it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from trindi.errors import check_count, check_delay

if TYPE_CHECKING:
    from trindi.server.hub import Hub
    from trindi.server.upstream import Upstream

logger = logging.getLogger("trindi.server")

MAX_RESTARTS: Final = 10
"""How often an upstream that fails is started again, as often as indiserver does (§5.1)."""

RESTART_DELAY: Final = 1.0
"""Seconds before the first restart; each further one waits twice as long."""

MAX_RESTART_DELAY: Final = 60.0
"""Seconds that a restart waits at most. An upstream that ran so long starts with a clean slate."""


class Supervisor:
    def __init__(self, hub: Hub, *, max_restarts: int, restart_delay: float) -> None:
        self._hub = hub
        self._max_restarts = check_count("max_restarts", max_restarts, 0)
        self._restart_delay = check_delay("restart_delay", restart_delay)
        self._scopes: dict[Upstream, trio.CancelScope] = {}
        self._ended: dict[Upstream, trio.Event] = {}

    async def run(
        self, upstream: Upstream, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run an upstream until it has failed too often, or `remove` ends it.

        It counts as started once the upstream has started, or failed for the first time: one that
        cannot start must not keep the others from being served.
        """
        ended = self._ended[upstream] = trio.Event()
        try:
            with trio.CancelScope() as scope:
                self._scopes[upstream] = scope
                await self._keep_running(upstream, task_status)
            if scope.cancelled_caught:
                self._remove(upstream)
        finally:
            del self._scopes[upstream], self._ended[upstream]
            ended.set()

    async def remove(self, upstream: Upstream) -> None:
        """End an upstream, withdraw its devices, and forget it, once its tasks have ended.

        If cancelled, all that happens without the caller.
        """
        if upstream in self._ended:
            self._scopes[upstream].cancel()
            await self._ended[upstream].wait()
        else:
            self._remove(upstream)
            await trio.lowlevel.checkpoint()

    def _remove(self, upstream: Upstream) -> None:
        self._hub.withdraw(upstream, "was removed")
        self._hub.remove_upstream(upstream)

    async def _keep_running(self, upstream: Upstream, task_status: trio.TaskStatus[None]) -> None:
        failures, delay = 0, self._restart_delay
        once = _Once(task_status)
        while True:
            began = trio.current_time()
            await self._run_once(upstream, once)
            self._hub.withdraw(upstream, "has failed")
            once.started()
            if trio.current_time() - began >= MAX_RESTART_DELAY:
                failures, delay = 0, self._restart_delay
            if failures >= self._max_restarts:
                logger.error("%s has failed %d times: it is left down", upstream.name, failures + 1)
                return
            await trio.sleep(delay)
            failures += 1
            delay = max(delay, min(2 * delay, MAX_RESTART_DELAY))
            upstream.restarts += 1

    async def _run_once(self, upstream: Upstream, task_status: trio.TaskStatus[None]) -> None:
        runtime = self._hub.runtime
        try:
            await upstream.run(self._hub, runtime=runtime, task_status=task_status)
        # Where it fails while the server is being cancelled, the cancellation goes on.
        except* Exception:
            if not runtime.contain_errors:
                raise
            logger.exception("%s has failed", upstream.name)


class _Once:
    """A task status that may be told of each start; it passes on the first."""

    def __init__(self, task_status: trio.TaskStatus[None]) -> None:
        self._task_status = task_status
        self._is_started = False

    def started(self, _value: None = None) -> None:
        if not self._is_started:
            self._is_started = True
            self._task_status.started()
