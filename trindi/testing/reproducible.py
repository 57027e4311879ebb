"""Reproducible tests: a seed for the scheduler, a virtual time of day, and no threads.

Under a mock clock, only threads and the random order in which Trio runs tasks that are ready differ
between two runs of a test. So the order is drawn from a seed; a test should pass with any.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import trio
from trio.testing import MockClock

from trindi.transport import DEFAULT_RUNTIME, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    from trio._core import _run
except ImportError:
    # Another layout of Trio: `make_reproducible` warns, and the rest works.
    _run = None  # type: ignore[assignment]

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The time of day at which virtual time is 0."""

_seeded: trio.lowlevel.RunVar[bool] = trio.lowlevel.RunVar("trindi: seeded", default=False)


def is_virtual() -> bool:
    return isinstance(trio.lowlevel.current_clock(), MockClock)


def virtual_now() -> datetime:
    """Return the time of day under a mock clock."""
    return EPOCH + timedelta(seconds=trio.current_time())


async def at_once(function: Callable[..., Any], *args: Any, **_options: Any) -> Any:
    """Stand in for `trio.to_thread.run_sync`: call the function at once, in this thread.

    A mock clock would jump while a thread works. All tasks wait for the function, so that it must
    not wait for one of them.
    """
    await trio.lowlevel.checkpoint()
    return function(*args)


def make_runtime(*, contain_errors: bool = False) -> Runtime:
    if is_virtual():
        return Runtime(now=virtual_now, in_thread=at_once, contain_errors=contain_errors)
    return replace(DEFAULT_RUNTIME, contain_errors=contain_errors)


def make_reproducible(seed: int | None = None) -> None:
    """Draw the order of tasks from a seed, from now to the end of this run of Trio.

    Without a mock clock it does nothing: then the order depends on the kernel as well. By default
    the current seed stays; the first is 0.
    """
    if not is_virtual() or (seed is None and _seeded.get()):
        return
    # Trio has no public name for this. It has two private ones for Hypothesis: the first makes the
    # order depend on random numbers alone; the second is their source.
    if not (hasattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING") and hasattr(_run, "_r")):
        warnings.warn(
            f"trindi finds no seed for the scheduler of trio {trio.__version__}: "
            "tasks that are ready together may run in another order each time",
            stacklevel=2,
        )
        return
    if not _seeded.get():
        _seeded.set(True)
        trio.lowlevel.add_instrument(_Restore())
    _set_scheduler(True)
    _run._r.seed(seed or 0)


def _set_scheduler(deterministic: bool) -> None:
    vars(_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = deterministic


class _Restore(trio.abc.Instrument):
    """Restores the scheduler when the run is over."""

    def __init__(self) -> None:
        self._deterministic = _run._ALLOW_DETERMINISTIC_SCHEDULING
        self._state = _run._r.getstate()

    def after_run(self) -> None:
        _set_scheduler(self._deterministic)
        _run._r.setstate(self._state)
