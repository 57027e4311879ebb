"""The focuser, under virtual time: a move takes long, and an abort overtakes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

import focuser
from tests.kit.examples import attach
from trindi import State, SwitchState, newNumberVector, newSwitchVector, setNumberVector

if TYPE_CHECKING:
    from tests.kit.peers import Client

POSITION = "FOCUS_ABSOLUTE_POSITION"
ABORT = newSwitchVector("Focuser", "FOCUS_ABORT_MOTION", {"ABORT": SwitchState.ON})


def go(steps: float) -> newNumberVector:
    return newNumberVector("Focuser", "ABS_FOCUS_POSITION", {POSITION: steps})


async def arrive(client: Client) -> setNumberVector:
    return await client.next(setNumberVector, "ABS_FOCUS_POSITION", state=State.OK)


async def test_a_move_reports_its_way_and_arrives(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = await attach(nursery, focuser.make_driver())
    start = trio.current_time()
    await client.send(go(48_300))
    assert (await arrive(client))[POSITION] == 48_300
    assert trio.current_time() - start == pytest.approx(2)
    way = [event[POSITION] for event in client.heard]
    assert way == [50_000, 49_500, 49_000, 48_500, 48_300, 48_300]
    assert {event.state for event in client.heard[:-1]} == {State.BUSY}


@pytest.mark.parametrize("seconds", [0, 0.1, 0.5, 3])
async def test_an_abort_overtakes_a_move(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, seconds: float
) -> None:
    driver = focuser.make_driver()
    client = await attach(nursery, driver)
    await client.send(go(90_000))
    await trio.sleep(seconds)
    await client.send(ABORT)
    asked = trio.current_time()
    stopped = await client.next(setNumberVector, "ABS_FOCUS_POSITION", state=State.IDLE)
    assert trio.current_time() == asked
    assert 50_000 <= stopped[POSITION] <= 50_000 + 1000 * seconds
    client.heard.clear()
    await client.read_for(100)
    # It stands where it said that it does, and has said nothing of a move since.
    assert driver.position[POSITION] == stopped[POSITION]
    assert not [event for event in client.heard if isinstance(event, setNumberVector)]


async def test_an_abort_in_the_same_breath_stops_the_move(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = focuser.make_driver()
    client = await attach(nursery, driver)
    await client.send(go(90_000), ABORT)
    await client.read_for(100)
    assert driver.position[POSITION] == 50_000
    assert driver.position.state is State.IDLE


async def test_a_new_move_takes_the_place_of_the_old_one(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = await attach(nursery, focuser.make_driver())
    await client.send(go(90_000))
    await trio.sleep(2.1)
    await client.send(go(51_000))
    assert (await arrive(client))[POSITION] == 51_000
    way = [event[POSITION] for event in client.heard]
    assert max(way) == 52_000
    assert {event.state for event in client.heard[:-1]} == {State.BUSY}
