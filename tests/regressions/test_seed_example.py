"""Ported is a test: the thermostat of the seed, with only the edits that porting allows, runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

import thermostat
from tests.kit.driver import ask, settle, start, values
from trindi import Message, defNumberVector, getProperties, newNumberVector, setNumberVector

if TYPE_CHECKING:
    from tests.kit.driver import Peer, RecordingPublisher

# The example is as untyped as its author left it.
make_driver: Any = thermostat.make_driver


@pytest.fixture(params=[True, False], ids=["auto_send_def", "by the author"])
def driver(request: pytest.FixtureRequest) -> Any:
    driver: Any = make_driver()
    driver.auto_send_def = request.param
    return driver


def definitions(publisher: RecordingPublisher, peer: Peer) -> list[defNumberVector]:
    """What the asking client hears, whoever answers."""
    return [
        event for event in publisher.events + peer.replies if isinstance(event, defNumberVector)
    ]


async def test_answers_with_its_definition(driver: Any, nursery: trio.Nursery) -> None:
    publisher = await start(nursery, driver)
    peer = await ask(driver, getProperties())
    (definition,) = definitions(publisher, peer)
    assert (definition.devicename, definition.vectorname) == ("Thermostat", "temperaturevector")
    assert (definition.label, definition.group) == ("temperaturevector", "Main Control")
    assert (definition.perm, definition.state) == ("ro", "Ok")
    assert dict(definition) == {"temperature": 20.0}
    assert definition.memberlabels["temperature"] == ("temperature", "%3.1f", -50, 99, 0)


async def test_answers_each_time(driver: Any, nursery: trio.Nursery) -> None:
    publisher = await start(nursery, driver)
    peer = await ask(driver, getProperties())
    await ask(driver, getProperties("Thermostat"), peer)
    await ask(driver, getProperties("Thermostat", "temperaturevector"), peer)
    await ask(driver, getProperties("Telescope"), peer)
    assert len(definitions(publisher, peer)) == 3


async def test_reports_every_ten_seconds(
    driver: Any, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    publisher = await start(nursery, driver)
    await trio.sleep(61)
    reports = publisher.of(setNumberVector)
    assert len(reports) == 6
    temperatures = values(reports, "temperature")
    assert temperatures == sorted(temperatures, reverse=True)
    # It cools by 0.1 every two seconds; at the tenth second either task may come first.
    for index, temperature in enumerate(temperatures, start=1):
        assert temperature == pytest.approx(20 - 0.5 * index, abs=0.11)


async def test_keeps_the_temperature_near_its_target(
    driver: Any, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    publisher = await start(nursery, driver)
    await trio.sleep(3600)
    temperatures = values(publisher.of(setNumberVector), "temperature")
    assert len(temperatures) in (359, 360)
    settled = temperatures[len(temperatures) // 2 :]
    assert 14.2 < min(settled) < 14.8
    assert 15.2 < max(settled) < 15.8


async def test_a_client_cannot_set_the_temperature(driver: Any, nursery: trio.Nursery) -> None:
    publisher = await start(nursery, driver)
    request = newNumberVector("Thermostat", "temperaturevector", {"temperature": 99.0})
    reply: Any = (await ask(driver, request)).take()
    assert (reply.state, dict(reply)) == ("Alert", {"temperature": 20.0})
    assert "read-only" in reply.message
    assert driver["Thermostat"]["temperaturevector"]["temperature"] == 20.0
    assert not [event for event in publisher.events if isinstance(event, Message)]


async def test_ends_with_every_task_cancelled(
    driver: Any, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        await start(nursery, driver)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    await settle()
    assert not driver.running
