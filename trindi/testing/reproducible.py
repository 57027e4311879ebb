"""What makes a test do the same each time: its scheduler, its time of day, and no threads.

Trio puts the tasks that are ready into a random order, so that no program can come to rely on one.
Under a mock clock that is the last thing that differs between two runs of a test, but for threads
and what comes from outside. So the order is drawn from a seed there; another seed gives another
order, and a test should pass with each.
"""

from __future__ import annotations

import warnings
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
    # A Trio that has it elsewhere: `make_reproducible` says so, and all else works.
    _run = None  # type: ignore[assignment]

__all__ = ["EPOCH", "at_once", "make_reproducible", "make_runtime", "virtual_now"]

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The time of day at which virtual time is 0."""

_seeded: trio.lowlevel.RunVar[bool] = trio.lowlevel.RunVar("trindi: seeded", default=False)


def is_virtual() -> bool:
    """Whether time is virtual in this run of Trio."""
    return isinstance(trio.lowlevel.current_clock(), MockClock)


def virtual_now() -> datetime:
    """The time of day, where time is virtual."""
    return EPOCH + timedelta(seconds=trio.current_time())


async def at_once(function: Callable[..., Any], *args: Any, **_options: Any) -> Any:
    """Stand in for `trio.to_thread.run_sync`: call a function here and now, not in a thread.

    A mock clock runs on while a thread works. Everything waits for the function, so that it must
    not wait for anything that another task is to do.
    """
    await trio.lowlevel.checkpoint()
    return function(*args)


def make_runtime(*, contain_errors: bool = False) -> Runtime:
    """The runtime of a test: those of this run's clock."""
    if is_virtual():
        return Runtime(now=virtual_now, in_thread=at_once, contain_errors=contain_errors)
    return Runtime(
        now=DEFAULT_RUNTIME.now, in_thread=DEFAULT_RUNTIME.in_thread, contain_errors=contain_errors
    )


def make_reproducible(seed: int | None = None) -> None:
    """Draw the order of tasks from a seed from now on, to the end of this run of Trio.

    Does nothing where time is not virtual: then the order depends on the kernel as well.

    Args:
        seed: another one gives another order. Where none is given, that of this run goes on; the
            first is 0.
    """
    if not is_virtual() or (seed is None and _seeded.get()):
        return
    # Trio has no public name for it. These are the two that it has for Hypothesis: with the first,
    # the order depends on random numbers alone; the second is where these come from.
    if not (hasattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING") and hasattr(_run, "_r")):
        warnings.warn(
            f"trio {trio.__version__} has no seed for its scheduler that trindi knows of: "
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
    """Leaves the scheduler as it was before, when the run is over."""

    def __init__(self) -> None:
        self._deterministic = _run._ALLOW_DETERMINISTIC_SCHEDULING
        self._state = _run._r.getstate()

    def after_run(self) -> None:
        """Part of Trio's instruments."""
        _set_scheduler(self._deterministic)
        _run._r.setstate(self._state)
