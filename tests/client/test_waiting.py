"""Waiting until a property meets a condition."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.client import joined, numbers, report, texts
from trindi import IPyClient, RemoteVector, State, delProperty

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock


def is_above(bound: float, vector: RemoteVector) -> bool:
    return bool(vector["x"] >= bound)


class Waiter:
    """A task that waits."""

    def __init__(self, nursery: trio.Nursery, wait: Callable[[], Awaitable[object]]) -> None:
        self.results: list[Any] = []
        self._wait = wait
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        self.results.append(await self._wait())

    async def exhausted(self) -> bool:
        await trio.testing.wait_all_tasks_blocked()
        return bool(self.results)


async def test_a_condition_that_holds_already_returns_at_once(autojump_clock: MockClock) -> None:
    async with joined(numbers({"x": 5.0})) as (client, _server):
        vector = client["Dev"]["target"]
        assert await client.wait_for("Dev", "target", lambda v: v["x"] == 5) is vector
        assert await client.wait_for("Dev", "target") is vector
        assert await client.wait_defined("Dev", "target") is vector
        assert await client.wait_defined("Dev") is client["Dev"]
        assert await client.wait_state("Dev", "target", State.IDLE) is vector


async def test_a_condition_that_does_not_hold_is_waited_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers({"x": 1.0})) as (client, server):
        waiter = Waiter(nursery, lambda: client.wait_for("Dev", "target", lambda v: v["x"] > 2))
        assert not await waiter.exhausted()
        await server.send(report(members={"x": 2.0}))
        assert not await waiter.exhausted()
        await server.send(report(members={"x": 2.5}))
        assert await waiter.exhausted()


async def test_the_property_need_not_be_defined_yet(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined() as (client, server):
        waiters = [
            Waiter(nursery, partial(client.wait_for, "Dev", "target")),
            Waiter(nursery, partial(client.wait_defined, "Dev", "target")),
            Waiter(nursery, partial(client.wait_state, "Dev", "target", {"Ok", "Idle"})),
        ]
        device = Waiter(nursery, partial(client.wait_defined, "Dev"))
        await server.send(texts(), numbers(device="Other"))
        assert await device.exhausted()
        assert device.results == [client["Dev"]]
        assert not any([await waiter.exhausted() for waiter in waiters])
        await server.send(numbers())
        assert all([await waiter.exhausted() for waiter in waiters])


async def test_a_state_that_comes_and_goes_in_one_read_is_not_missed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers()) as (client, server):
        waiter = Waiter(nursery, lambda: client.wait_state("Dev", "target", {State.ALERT}))
        number = Waiter(nursery, lambda: client.wait_for("Dev", "target", lambda v: v["x"] == 7))
        await trio.testing.wait_all_tasks_blocked()
        await server.send(
            report(State.ALERT), report(members={"x": 7.0}), report(members={"x": 8.0})
        )
        assert await waiter.exhausted()
        assert await number.exhausted()
        assert client["Dev"]["target"].state is State.OK


async def test_events_of_other_properties_are_not_checked(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    looked: list[str] = []

    def look(vector: RemoteVector) -> bool:
        looked.append(vector.name)
        return False

    async with joined(numbers(), texts(), numbers(device="Other")) as (client, server):
        waiter = Waiter(nursery, lambda: client.wait_for("Dev", "target", look))
        await trio.testing.wait_all_tasks_blocked()
        await server.send(texts(), report(device="Other"), report())
        assert not await waiter.exhausted()
        # Once at the start of the wait, and once for the report.
        assert looked == ["target", "target"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, GeneratorExit])
async def test_an_error_of_the_predicate_is_raised_in_the_waiting_task(
    autojump_clock: MockClock, error: type[BaseException]
) -> None:
    async with joined(numbers(), texts()) as (client, server):
        with pytest.raises(KeyError, match="no member 'z'"):
            await client.wait_for("Dev", "target", lambda v: v["z"] > 0)

        def fail(vector: RemoteVector) -> bool:
            if vector.state is State.OK:
                raise error
            return False

        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                with pytest.raises(error):
                    await client.wait_for("Dev", "target", fail)

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await server.send(report(), report())
        # The client goes on.
        await server.send(report(State.BUSY))
        await client.wait_state("Dev", "target", {State.BUSY})


async def test_a_stale_property_does_not_meet_a_condition(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers({"x": 1.0})) as (client, server):
        vector = client["Dev"]["target"]
        await server.send(delProperty("Dev", "target"))
        waiter = Waiter(nursery, partial(client.wait_for, "Dev", "target"))
        assert not await waiter.exhausted()
        await server.send(numbers())
        assert await waiter.exhausted()
        assert waiter.results == [vector]


async def test_fail_after_bounds_a_wait(autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server):
        with pytest.raises(trio.TooSlowError), trio.fail_after(5):
            await client.wait_state("Dev", "target", {State.ALERT})
        # The wait leaves no trace.
        await server.send(report(State.ALERT))
        await client.wait_state("Dev", "target", {State.ALERT})


async def test_an_unknown_state_is_refused(autojump_clock: MockClock) -> None:
    client = IPyClient()
    with pytest.raises(ValueError, match="Fine"):
        await client.wait_state("Dev", "target", {"Fine"})


async def test_many_tasks_may_wait_for_one_property(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers()) as (client, server):
        waiters = [
            Waiter(nursery, partial(client.wait_for, "Dev", "target", partial(is_above, n)))
            for n in range(10, 15)
        ]
        await server.send(report(members={"x": 12.0}))
        assert [await waiter.exhausted() for waiter in waiters] == [True] * 3 + [False] * 2
        await server.send(report(members={"x": 99.0}))
        assert all([await waiter.exhausted() for waiter in waiters])


async def test_a_request_makes_a_vector_busy(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers(state=State.OK)) as (client, server):
        busy = Waiter(nursery, partial(client.wait_state, "Dev", "target", "Busy"))
        await client["Dev"]["target"].set(x=5)
        assert await busy.exhausted()
        # So it is Ok again only when the device says so.
        done = Waiter(nursery, partial(client.wait_state, "Dev", "target", "Ok"))
        assert not await done.exhausted()
        await server.send(report())
        assert await done.exhausted()


async def test_a_property_that_no_task_waits_for_any_more_is_forgotten(
    autojump_clock: MockClock,
) -> None:
    async with joined(numbers()) as (client, server), trio.open_nursery() as nursery:
        waiters = client._core._waiters._waiters
        for name in ("target", "other", None):
            nursery.start_soon(client.wait_defined, "Other", name)
            with trio.move_on_after(1):
                await client.wait_for("Dev", "target", lambda v: v["x"] > 2)
        assert set(waiters) == {("Other", "target"), ("Other", "other"), ("Other", None)}
        await server.send(numbers(device="Other"), texts("other", "Other"))
    assert waiters == {}
