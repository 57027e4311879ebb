"""Calling code of an author or a user: what it raises must end no more than what it was called for.

Such code may raise anything. A stray `asyncio.CancelledError` or `GeneratorExit`, or a group with
one in it, is no `Exception`, and a fault like any other nevertheless.
"""

from __future__ import annotations

import os
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_PASSING: Final = (trio.Cancelled, KeyboardInterrupt, SystemExit)

_ASYNCIO_NOTE: Final = (
    "asyncio does not work here, under Trio: write trio.sleep(…) where this has asyncio.sleep(…)"
)


class contained:  # noqa: N801 - a context manager, named as `contextlib.suppress` is
    """Give what is raised within to `handle`, which returns whether that is the end of it.

    What ends the program, and Trio's cancellation, passes, also where it comes in a group: then
    `handle` gets the rest of the group.
    """

    def __init__(self, handle: Callable[[BaseException], bool]) -> None:
        self._handle = handle

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        if error is None or isinstance(error, _PASSING):
            return False
        passing, fault = None, error
        if isinstance(error, BaseExceptionGroup):
            passing, rest = error.split(_PASSING)
            if rest is None:
                return False
            fault = error if passing is None else rest
        note_asyncio(fault)
        if not self._handle(fault):
            return False
        if passing is not None:
            raise passing
        return True


def note_asyncio(error: BaseException) -> None:
    """Add a note to what asyncio, or Trio about it, raises where Trio runs and asyncio does not."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            note_asyncio(one)
    elif _is_of_asyncio(error) and _ASYNCIO_NOTE not in getattr(error, "__notes__", ()):
        error.add_note(_ASYNCIO_NOTE)


def _is_of_asyncio(error: BaseException) -> bool:
    # No loop runs: a RuntimeError. A future, or None, has come to Trio: a TypeError. A future was
    # to be made: an AttributeError of None.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(error, (RuntimeError, TypeError, AttributeError)):
        return False
    modules = (
        frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)
    )
    return asyncio._get_running_loop() is None and any(
        str(name).partition(".")[0] == "asyncio" for name in modules
    )


def error_text(error: BaseException) -> str:
    """Return what an error says; "" where asking it fails."""
    with contained(lambda _: True):
        return str(error)
    return ""


def describe(error: BaseException) -> str:
    """Return the type of an error, what it says, and whether that is for want of asyncio."""
    note = _ASYNCIO_NOTE if _is_of_asyncio(error) else ""
    return ": ".join(filter(None, [type(error).__name__, error_text(error), note]))


def error_number(error: BaseException) -> int:
    """Return the system's number of an error; of several attempts, that of the last; 0 if none."""
    error = _last_attempt(error)
    # The numbers of gaierror are others.
    if not isinstance(error, OSError) or isinstance(error, socket.gaierror):
        return 0
    return error.errno or 0


def _last_attempt(error: BaseException) -> BaseException:
    while isinstance(cause := error.__cause__, (OSError, ExceptionGroup)):
        error = cause.exceptions[-1] if isinstance(cause, ExceptionGroup) else cause
    return error


def error_reason(error: BaseException) -> str:
    """Return what the system says of an error; of several attempts, what it says of the last."""
    error = _last_attempt(error)
    if number := error_number(error):
        return os.strerror(number)
    return getattr(error, "strerror", None) or " ".join(error_text(error).split())
