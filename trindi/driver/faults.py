"""Calls the author's handlers, and says what becomes of an exception in them.

It is the same for a handler and for the tasks that it has begun: the exception costs only what was
asked for. Only the hardware loop and the author's tasks, and what these begin, end a driver.
"""

from __future__ import annotations

import contextlib
import inspect
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

from trindi.transport import contained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import trio


class OnFault(Protocol):
    """Deals with what a handler, or a task that it has begun, raises; False: it goes on."""

    def __call__(self, error: BaseException, *, in_task: bool = False) -> bool: ...


# Trio gives a task the context of the code that starts it.
_on_fault: Final[ContextVar[OnFault | None]] = ContextVar("trindi: on_fault", default=None)


async def call_handler(
    handler: Callable[[Any], Awaitable[None]], event: Any, on_fault: OnFault
) -> None:
    token = _on_fault.set(on_fault)
    try:
        with contained(on_fault):
            await handler(event)
    finally:
        _on_fault.reset(token)


@contextlib.contextmanager
def no_handler() -> Iterator[None]:
    """Begin what is nobody's: a driver may be started by a handler of another one."""
    token = _on_fault.set(None)
    try:
        yield
    finally:
        _on_fault.reset(token)


def start_task(nursery: trio.Nursery, async_fn: Callable[..., Any], *args: Any) -> None:
    on_fault = _on_fault.get()
    if on_fault is None or inspect.iscoroutine(async_fn):
        nursery.start_soon(async_fn, *args)  # It says what is wrong with a coroutine object.
    else:
        nursery.start_soon(_run_task, on_fault, async_fn, args, name=async_fn)


async def _run_task(on_fault: OnFault, async_fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with contained(lambda error: on_fault(error, in_task=True)):
        await async_fn(*args)
