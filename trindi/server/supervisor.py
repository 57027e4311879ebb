"""Runs each upstream, and runs it again when it fails, later each time.

A failure costs only the upstream's own devices: they are withdrawn, and come back with it. An
instrument that was unplugged for hours is back soon after its cable is: by default an upstream is
tried again for ever.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import trio

from trindi.errors import check_count, check_delay
from trindi.transport import contained
from trindi.visible import get_logger

if TYPE_CHECKING:
    from trindi.server.hub import Hub
    from trindi.server.upstream import Upstream

logger = get_logger("trindi.server")

RESTART_DELAY: Final = 1.0
"""Seconds before the first restart; each further one waits twice as long."""

MAX_RESTART_DELAY: Final = 60.0
"""Seconds that a restart waits at most. An upstream that ran so long starts with a clean slate."""


class Supervisor:
    def __init__(self, hub: Hub, *, max_restarts: int | None, restart_delay: float) -> None:
        self._hub = hub
        self._max_restarts = math.inf
        if max_restarts is not None:
            self._max_restarts = check_count("max_restarts", max_restarts, 0)
        self._restart_delay = check_delay("restart_delay", restart_delay)
        self._supervised: dict[Upstream, _Supervised] = {}

    def start(self, nursery: trio.Nursery, upstream: Upstream) -> trio.Event:
        """Start an upstream; return what is set once it has started, failed or ended.

        One that cannot start must not keep the others from being served.
        """
        supervised = self._supervised[upstream] = _Supervised()
        nursery.start_soon(self._run, upstream, supervised, name=upstream.name)
        return supervised.has_started

    async def remove(self, upstream: Upstream) -> None:
        """End an upstream, withdraw its devices, and forget it, once its tasks have ended.

        If cancelled, all that happens without the caller.
        """
        supervised = self._supervised.get(upstream)
        if supervised is None:
            self._hub.remove_upstream(upstream)
            await trio.lowlevel.checkpoint()
        else:
            supervised.is_removed = True
            supervised.scope.cancel()
            await supervised.ended.wait()

    async def _run(self, upstream: Upstream, supervised: _Supervised) -> None:
        """Run an upstream until it has failed too often, or `remove` ends it."""
        try:
            with supervised.scope:
                await self._keep_running(upstream, supervised)
        finally:
            del self._supervised[upstream]
            if supervised.is_removed:
                self._hub.withdraw(upstream, "[INFO] the driver of {} was removed", for_good=True)
                self._hub.remove_upstream(upstream)
            else:
                self._hub.release(upstream)
            supervised.started()
            supervised.ended.set()

    async def _keep_running(self, upstream: Upstream, supervised: _Supervised) -> None:
        failures, delay = 0, self._restart_delay
        while True:
            began = trio.current_time()
            await self._run_once(upstream, supervised)
            if trio.current_time() - began >= MAX_RESTART_DELAY:
                failures, delay = 0, self._restart_delay
            failures += 1
            if failures > self._max_restarts:
                reason = f"has failed too often ({failures}): it is left down"
                logger.error("%s %s", upstream.name, reason)
                self._hub.withdraw(upstream, f"[ERROR] the driver of {{}} {reason}", for_good=True)
                return
            self._hub.withdraw(upstream, "[ERROR] the driver of {} has failed")
            supervised.started()
            await trio.sleep(delay)
            delay = max(delay, min(2 * delay, MAX_RESTART_DELAY))
            upstream.restarts += 1

    async def _run_once(self, upstream: Upstream, supervised: _Supervised) -> None:
        runtime = upstream.runtime = self._hub.runtime

        def log(error: BaseException) -> bool:
            if runtime.contain_errors:
                logger.error("%s has failed", upstream.name, exc_info=error)
            return runtime.contain_errors

        with contained(log):
            await upstream.run(self._hub, task_status=supervised)


class _Supervised:
    """One upstream while it is supervised; each of its runs says here that it has started."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.has_started = trio.Event()
        self.ended = trio.Event()
        self.is_removed = False

    def started(self, _value: None = None) -> None:
        self.has_started.set()
