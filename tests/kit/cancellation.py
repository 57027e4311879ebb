"""Cancelling a scenario before each step that its tasks take, and looking for what is left.

A task runs in steps, from one await that gave others a turn to the next. A scenario is run to count
them, and then once for each, with its scope cancelled just before that step. So every await that
can be cancelled is, sooner or later, while what it waits for is still to come.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import trio

from tests.kit.processes import DEADLINE, join
from tests.kit.stdio import open_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trio.testing import MockClock


ENOUGH = 4
"""How often a scenario ends before its next step comes, to have been cancelled at all of them."""


class Scenario(Protocol):
    """What is to be cancelled. It must work again afterwards, with the same objects."""

    async def run(self, steps: Steps) -> None:
        """Do it all, what may be cancelled under ``steps.counted()``."""

    def check(self) -> None:
        """Assert that nothing of it goes on."""


class Steps(trio.abc.Instrument):
    """Counts the steps of tasks, and cancels before one of them.

    Attributes:
        count: steps that were counted.
        cancelled: whether the scope was cancelled.
    """

    def __init__(self, cancel_at: int = 0) -> None:
        self.count = 0
        self.cancelled = False
        self._cancel_at = cancel_at
        self._scope: trio.CancelScope | None = None

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count steps, and cancel what is within before the chosen one."""
        with trio.CancelScope() as scope:
            self._scope = scope
            try:
                yield
            finally:
                self._scope = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Part of trio's instruments."""
        del task
        if self._scope is None or self.cancelled:
            return
        self.count += 1
        if self.count == self._cancel_at:
            self.cancelled = True
            self._scope.cancel()


def cancel_at_every_step(
    make: Callable[[], Scenario], make_clock: Callable[[], MockClock] | None = None
) -> None:
    """Cancel a scenario at its first step, at its second, and so on to its last.

    Each time nothing may be left: no task, descriptor or thread, no warning, no exception. Then the
    same scenario is run again, and must come to its end.
    """
    # What is there already need not be looked through again and again.
    gc.collect()
    gc.freeze()
    step = in_vain = 0
    try:
        # Sockets and threads may save, or cost, a step here and there.
        while in_vain < ENOUGH:
            step += 1
            steps = Steps(step)
            try:
                _run(make(), steps, make_clock)
            except BaseException as error:
                error.add_note(f"cancelled at step {step}")
                raise
            in_vain = 0 if steps.cancelled else in_vain + 1
    finally:
        gc.unfreeze()
    assert step > ENOUGH


def _run(scenario: Scenario, steps: Steps, make_clock: Callable[[], MockClock] | None) -> None:
    # Tasks of one batch go in an order that is drawn; the same for each run.
    trio._core._run._r.seed(0)
    descriptors, threads = open_descriptors(), _busy_threads()
    with _nothing_unraisable(), warnings.catch_warnings():
        warnings.simplefilter("error")
        clock = make_clock() if make_clock else None
        trio.run(_cancel_and_run_again, scenario, steps, clock=clock, instruments=[steps])
        gc.collect()
    assert open_descriptors() == descriptors
    _wait_until(lambda: _busy_threads() <= threads)


async def _cancel_and_run_again(scenario: Scenario, steps: Steps) -> None:
    living = trio.lowlevel.current_statistics().tasks_living
    with _give_up_when_it_hangs():
        await scenario.run(steps)
        scenario.check()
        assert trio.lowlevel.current_statistics().tasks_living == living
        if steps.cancelled:
            await scenario.run(Steps())
            scenario.check()
            assert trio.lowlevel.current_statistics().tasks_living == living


@contextmanager
def _give_up_when_it_hangs() -> Iterator[None]:
    """A bound in real time: a mock clock would be at the end of any other at once."""
    token, done = trio.lowlevel.current_trio_token(), threading.Event()
    scope = trio.CancelScope()

    def watch() -> None:
        if not done.wait(DEADLINE):
            token.run_sync_soon(scope.cancel)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with scope:
            yield
    finally:
        done.set()
        join(watcher)
    assert not scope.cancelled_caught, "it hangs"


@contextmanager
def _nothing_unraisable() -> Iterator[None]:
    """Errors and warnings that only the garbage collector sees: sockets left open, and the like."""
    found: list[Any] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda problem: found.append((problem.exc_value, repr(problem.object)))
    try:
        yield
    finally:
        sys.unraisablehook = before
    assert found == []


def _busy_threads() -> set[threading.Thread]:
    """Threads other than those that trio keeps for its next use."""
    return {t for t in threading.enumerate() if not t.name.startswith("Trio thread")}


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"left: {_busy_threads()}"
        threading.Event().wait(0.001)
