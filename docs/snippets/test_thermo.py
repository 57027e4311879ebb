"""The thermostat in virtual time: a day of it takes a moment."""

import pytest
import trio
from thermo import make_driver

pytestmark = pytest.mark.trio


async def test_the_room_stays_near_its_target(start_driver, autojump_clock):
    client = await start_driver(make_driver())
    await trio.sleep(3600)
    temperatures = []
    with trio.move_on_after(24 * 3600):
        async for report in client.events("Thermostat", "temperaturevector"):
            temperatures.append(report["temperature"])
    assert len(temperatures) > 8000
    assert all(14.3 < temperature < 15.7 for temperature in temperatures)


async def test_a_client_sets_the_target(start_driver, autojump_clock):
    client = await start_driver(make_driver())
    await client["Thermostat"]["targetvector"].set_and_wait(target=18)
    await trio.sleep(3600)
    assert 17.3 < client["Thermostat"]["temperaturevector"]["temperature"] < 18.7


async def test_a_target_out_of_range_is_refused(start_driver, autojump_clock):
    client = await start_driver(make_driver())
    with pytest.raises(ValueError, match="between 5 and 30, not 90"):
        await client["Thermostat"]["targetvector"].set(target=90)
