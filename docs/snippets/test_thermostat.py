"""Tests of the thermostats of trindi's examples, which stand beside this file."""

import pytest
import trio

import thermostat
import thermostat_target
from trindi import IPyServer, PropertyAlert
from trindi.testing import Cut, Garbage, Slow, join


async def test_the_room_is_at_20_degrees(start_driver, autojump_clock):
    client = await start_driver(thermostat.make_driver())
    assert client["Thermostat"]["temperaturevector"]["temperature"] == 20


async def test_the_room_follows_the_target(start_driver, autojump_clock):
    client = await start_driver(thermostat_target.make_driver())
    await client["Thermostat"]["targetvector"].set_and_wait(target=25)
    await client.wait_for("Thermostat", "temperaturevector", lambda v: v["temperature"] > 24)
    assert trio.current_time() < 150


async def test_a_night_stays_warm(start_driver, autojump_clock):
    client = await start_driver(thermostat_target.make_driver())
    temperatures = []
    with trio.move_on_after(12 * 3600):
        async for report in client.events("Thermostat", "temperaturevector"):
            temperatures.append(report["temperature"])
    assert len(temperatures) > 4000
    assert all(14 < temperature < 16 for temperature in temperatures[60:])


async def test_the_target_has_limits(start_driver, autojump_clock):
    client = await start_driver(thermostat_target.make_driver())
    with pytest.raises(ValueError, match=r"5.*30"):
        await client["Thermostat"]["targetvector"].set(target=31)


async def test_a_fault_of_the_heater_is_an_alert(start_driver, autojump_clock, monkeypatch):
    async def fail(event):
        raise OSError("the heater does not answer")

    driver = thermostat_target.make_driver()
    monkeypatch.setattr(driver, "clientevent", fail)
    client = await start_driver(driver, contain_errors=True)
    with pytest.raises(PropertyAlert, match="the heater does not answer"):
        await client["Thermostat"]["targetvector"].set_and_wait(target=25)


async def test_a_bad_line_harms_nobody_else(start_server, nursery, autojump_clock):
    server = IPyServer([thermostat_target.make_driver()])
    client = await start_server(server)
    await join(nursery, server, faults=[Slow(100, time=60), Garbage(time=300), Cut(time=600)])
    with trio.fail_after(120):
        await client.wait_for("Thermostat", "temperaturevector", lambda v: v["temperature"] < 15)
    await trio.sleep(3600)
    assert client.connected
    assert len(server.statistics().clients) == 1
