"""Requests that a handler has returned from without a word.

The client shows such a property as Busy, for ever. An answer may come later, from the hardware
loop; after the property's timeout there is none. This module knows neither handlers nor peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_TIMEOUT: Final = 60.0
"""Seconds in which something is sent for a property that a client has set, once the handler has
returned. Where the property has a `timeout`, that many."""


class Unanswered:
    def __init__(self) -> None:
        # One for each property: None while the handler works.
        self._open: dict[tuple[str, str], trio.CancelScope | None] = {}

    def begin(self, devicename: str, vectorname: str) -> None:
        """Note that a handler is called for a request; an older one keeps its deadline."""
        self._open.setdefault((devicename, vectorname), None)

    def note(self, event: Any) -> None:
        """Note something that the driver says of its property."""
        if self._open:
            scope = self._open.pop((event.devicename, getattr(event, "vectorname", None)), None)  # type: ignore[arg-type]
            if scope is not None:
                scope.cancel()

    def end(
        self,
        nursery: trio.Nursery,
        names: tuple[str, str],
        timeout: float,
        expire: Callable[[float], None],
    ) -> None:
        """Note that the handler has returned; call `expire` if nothing is said until then."""
        if self._open.get(names, self) is None:
            scope = self._open[names] = trio.CancelScope()
            nursery.start_soon(self._wait, names, scope, timeout or ANSWER_TIMEOUT, expire)

    async def _wait(
        self,
        names: tuple[str, str],
        scope: trio.CancelScope,
        timeout: float,
        expire: Callable[[float], None],
    ) -> None:
        with scope:
            await trio.sleep(timeout)
            del self._open[names]
            expire(timeout)

    def clear(self) -> None:
        self._open.clear()
