"""The roof of the page on safety closes in each case that the page names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from trindi import Device, IPyClient, IPyDriver, LightMember, LightVector, PropertyAlert
from trindi.testing import start_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from trio.testing import MockClock

    Load = Callable[[str], ModuleType | Any]


class Station(IPyDriver):
    """A weather station that reports every minute, until it is told to do something else."""

    silent = False
    state = "Ok"

    async def hardware(self) -> None:
        while True:
            if not self.silent:
                await self["Weather Station"]["WEATHER_STATUS"].send_setVector(state=self.state)
            await trio.sleep(60)


def make_station() -> Station:
    status = LightVector("WEATHER_STATUS", lightmembers=[LightMember("WIND", membervalue="Ok")])
    return Station([Device("Weather Station", [status])])


async def open_roof(nursery: trio.Nursery, drivers: list[IPyDriver]) -> IPyClient:
    client = await start_server(nursery, drivers, contain_errors=True)
    await trio.sleep(61)
    await client.set_and_wait("Roof", "SHUTTER", {"OPEN": True})
    await trio.sleep(3600)
    assert client["Roof"]["SHUTTER"]["OPEN"] == "On"
    return client


async def closed(client: IPyClient, why: str) -> float:
    """Wait until the roof closes, and return how long that took."""
    start = trio.current_time()
    vector = await client.wait_for("Roof", "SHUTTER", lambda v: v["CLOSE"] == "On")
    assert vector.message == f"[WARNING] The roof closes: {why}"
    with pytest.raises(PropertyAlert, match="The weather is bad, or not known"):
        await client.set_and_wait("Roof", "SHUTTER", {"OPEN": True})
    return trio.current_time() - start


async def test_when_the_weather_is_bad(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    station = make_station()
    client = await open_roof(nursery, [station, snippet("safety").make_driver()])
    station.state = "Alert"
    assert await closed(client, "the weather is bad") <= 60
    station.state = "Ok"
    await trio.sleep(61)
    await client.set_and_wait("Roof", "SHUTTER", {"OPEN": True})


async def test_when_the_station_is_silent_though_it_answers(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    station = make_station()
    client = await open_roof(nursery, [station, snippet("safety").make_driver()])
    station.silent = True
    assert await closed(client, "the weather station is silent") <= 181


async def test_when_the_station_fails(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    station = make_station()
    client = await open_roof(nursery, [station, snippet("safety").make_driver()])

    async def fail() -> None:
        raise OSError("the station is unplugged")

    station.start_soon(fail)
    assert await closed(client, "the weather station is gone") <= 1


async def test_it_stays_closed_where_there_is_no_station(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = await start_server(nursery, [snippet("safety").make_driver()], contain_errors=True)
    await trio.sleep(3600)
    with pytest.raises(PropertyAlert, match="The weather is bad, or not known"):
        await client.set_and_wait("Roof", "SHUTTER", {"OPEN": True})


async def test_when_its_own_driver_was_started_again(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    station = make_station()
    roof = snippet("safety").make_driver()
    client = await open_roof(nursery, [station, roof])

    async def fail() -> None:
        raise OSError("the motor is unplugged")

    station.silent = True
    roof.start_soon(fail)
    await trio.sleep(1)
    assert await closed(client, "the weather station is silent") <= 2
    station.silent = False
    await trio.sleep(61)
    await client.set_and_wait("Roof", "SHUTTER", {"OPEN": True})
