"""The thermostat with a target, under virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import thermostat_target
from tests.kit.examples import attach
from trindi import State, newNumberVector, setNumberVector

if TYPE_CHECKING:
    import trio
    import trio.testing


def target(value: float) -> newNumberVector:
    return newNumberVector("Thermostat", "targetvector", {"target": value})


async def test_the_room_follows_the_target(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = await attach(nursery, thermostat_target.make_driver())
    await client.send(target(25))
    answer = await client.next(setNumberVector, "targetvector")
    assert (answer.state, answer["target"]) == (State.OK, 25.0)
    await client.read_for(600)
    client.heard.clear()
    await client.read_for(3600)
    temperatures = [event["temperature"] for event in client.heard]
    assert len(temperatures) == 360
    assert 24.3 < min(temperatures) < 24.7
    assert 25.3 < max(temperatures) < 25.7


async def test_a_target_that_is_too_hot_is_refused(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = thermostat_target.make_driver()
    client = await attach(nursery, driver)
    await client.send(target(31))
    answer = await client.next(setNumberVector, "targetvector")
    assert (answer.state, answer["target"]) == (State.ALERT, 15.0)
    assert "not within 5 and 30" in answer.message
    assert driver.target["target"] == 15.0
