"""What set_and_wait returns: what the device has said, and which values are not those asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.client import OFF, ON, blobs, joined, numbers, report, switches, texts
from trindi import (
    Message,
    PropertyAlert,
    PropertyTimeout,
    Rule,
    SizeFormat,
    State,
    setBLOBVector,
    setSwitchVector,
    setTextVector,
)
from trindi.protocol import NewVector, resolution

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trio.testing import MockClock

    from tests.kit.peers import Server
    from trindi import Answer
    from trindi.protocol import Event

PARKED = "[WARNING] Please unpark the mount"


async def answered(
    nursery: trio.Nursery, server: Server, request: Awaitable[Answer], *events: Event
) -> Any:
    """Return what a request ends with: the answer, or the error."""
    ended: list[Any] = []

    async def wait() -> None:
        try:
            ended.append(await request)
        except (PropertyAlert, PropertyTimeout) as error:
            ended.append(error)

    nursery.start_soon(wait)
    await server.pong()
    await server.until(lambda event: isinstance(event, NewVector))
    await trio.testing.wait_all_tasks_blocked()
    await server.send(*events)
    await trio.testing.wait_all_tasks_blocked()
    return ended.pop() if ended else None


def number(state: State, x: float, **more: Any) -> Event:
    return report(state, members={"x": x, "y": 2.0}, **more)


async def test_a_device_that_does_as_asked(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers()) as (client, server):
        request = client["Dev"]["target"].set_and_wait(x=5)
        answer = await answered(nursery, server, request, number(State.OK, 5.0))
        assert (answer.state, answer.done) == ("Ok", True)
        assert (answer.differences, answer.messages) == ({}, ())


@pytest.mark.parametrize("state", [State.IDLE, State.OK])
async def test_a_device_that_refuses_without_an_alert(
    nursery: trio.Nursery, autojump_clock: MockClock, state: State
) -> None:
    # A parked mount of libindi does so.
    async with joined(numbers(), Message("Dev", "[INFO] before")) as (client, server):
        request = client["Dev"]["target"].set_and_wait(x=5)
        said = [Message("Dev", PARKED), Message("Other", "[INFO] something else")]
        answer = await answered(nursery, server, request, *said, number(state, 1.0))
        assert answer.state is state
        assert not answer.done
        assert answer.differences == {"x": (5.0, 1.0)}
        assert [one.message for one in answer.messages] == [PARKED]


@pytest.mark.parametrize(
    ("end", "done"), [(State.OK, True), (State.IDLE, False)], ids=["Ok", "Idle"]
)
async def test_a_device_that_was_busy_knows_when_it_has_done_it(
    nursery: trio.Nursery, autojump_clock: MockClock, end: State, done: bool
) -> None:
    # An exposure counts down; one that is aborted is Idle in the end.
    async with joined(numbers()) as (client, server):
        request = client["Dev"]["target"].set_and_wait(x=5)
        reports = [number(State.BUSY, 5.0), number(State.BUSY, 2.0), number(end, 0.0)]
        answer = await answered(nursery, server, request, *reports)
        assert answer.was_busy
        assert answer.done is done
        assert answer.differences == {"x": (5.0, 0.0)}


async def test_only_what_came_back_is_compared(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers()) as (client, server):
        request = client["Dev"]["target"].set_and_wait(x=5)
        answer = await answered(nursery, server, request, report(State.OK))
        assert answer.done
        request = client["Dev"]["target"].set_and_wait(x=5)
        changed = report(State.OK, members={"y": 99.0})
        assert (await answered(nursery, server, request, changed)).differences == {}


@pytest.mark.parametrize(
    ("display", "asked", "reported", "same"),
    [
        ("%5.2f", 18.126, 18.13, True),
        ("%5.2f", 18.126, 18.12, True),
        ("%5.2f", 18.12, 18.13, False),
        ("%.0f", 18.5, 19.0, True),
        ("%.0f", 18.0, 19.0, False),
        ("%g", 1234567.0, 1234560.0, True),
        ("%g", 1234567.0, 1234550.0, False),
        ("%e", 0.0, 0.0, True),
        ("%10.6m", 5.5, 5.5002, True),
        ("%10.6m", 5.5, 5.501, False),
        ("%9.3m", 5.5, 5.51, True),
        ("not a format", 5.1, 5.1, True),
        ("not a format", 5.1, 5.2, False),
        ("%5.2f", 5.1, math.nan, False),
    ],
)
async def test_what_the_format_rounds_is_no_difference(
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    display: str,
    asked: float,
    reported: float,
    same: bool,
) -> None:
    async with joined(numbers(limits=(0, 0, 0))) as (client, server):
        vector = client["Dev"]["target"]
        member: Any = vector.members["x"]
        member.format = display
        answer = await answered(
            nursery, server, vector.set_and_wait(x=asked), number(State.OK, reported)
        )
        assert answer.done is same


def test_one_in_the_last_place_of_a_format() -> None:
    wanted = {"%f": 1e-6, "%.1e": 10.0, "%.0g": 100.0, "%5.9m": 1 / 360_000, "%5.3m": 1 / 60}
    assert {one: pytest.approx(resolution(123.4, one)) for one in wanted} == wanted
    assert resolution(1, "%d") == 0


BUTTONS = [
    # A button is Off again when it has done its work.
    (Rule.AT_MOST_ONE, State.OK, OFF, OFF, True),
    (Rule.AT_MOST_ONE, State.IDLE, OFF, OFF, False),
    (Rule.AT_MOST_ONE, State.OK, ON, OFF, False),
    (Rule.ONE_OF_MANY, State.OK, ON, OFF, False),
    (Rule.ONE_OF_MANY, State.OK, OFF, ON, True),
]


@pytest.mark.parametrize(("rule", "state", "slow", "fast", "done"), BUTTONS)
async def test_switches(
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    rule: Rule,
    state: State,
    slow: Any,
    fast: Any,
    done: bool,
) -> None:
    async with joined(switches(rule)) as (client, server):
        request = client["Dev"]["mode"].set_and_wait(fast=True)
        event = setSwitchVector("Dev", "mode", {"slow": slow, "fast": fast}, state)
        answer = await answered(nursery, server, request, event)
        assert answer.done is done


async def test_texts_blobs_and_what_cannot_be_read(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    write_only = texts("secret", perm="wo")
    async with joined(texts(), write_only, blobs()) as (client, server):
        device = client["Dev"]
        for text, done in [(" new ", True), ("new", True), ("old", False)]:
            request = device["note"].set_and_wait(a=" new")
            event = setTextVector("Dev", "note", {"a": text, "b": "two"}, State.OK)
            assert (await answered(nursery, server, request, event)).done is done
        request = device["secret"].set_and_wait(a="password")
        event = setTextVector("Dev", "secret", {"a": "***", "b": ""}, State.OK)
        assert (await answered(nursery, server, request, event)).done
        await client.enable_blobs("Dev", "image")
        request = device["image"].set_and_wait(file=b"abc")
        sizeformat = {"file": SizeFormat(1, ".bin")}
        other = setBLOBVector("Dev", "image", {"file": b"x"}, sizeformat, State.OK)
        assert (await answered(nursery, server, request, other)).done


async def test_an_error_has_all_that_the_device_has_said(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers(timeout=5.0)) as (client, server):
        vector = client["Dev"]["target"]
        said: list[Event] = [
            Message("Dev", "[INFO] one"),
            report(State.ALERT, message="[ERROR] two"),
        ]
        alert = await answered(nursery, server, vector.set_and_wait(x=5), *said)
        assert [one.message for one in alert.messages] == ["[INFO] one", "[ERROR] two"]
        said = [Message("Dev", "[INFO] three"), report(State.BUSY)]
        late: list[PropertyTimeout] = []

        async def wait() -> None:
            with pytest.raises(PropertyTimeout) as raised:
                await vector.set_and_wait(x=5)
            late.append(raised.value)

        nursery.start_soon(wait)
        await server.pong()
        await server.send(*said)
        await trio.sleep(6)
        assert [one.message for one in late[0].messages] == ["[INFO] three"]
