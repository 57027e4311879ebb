"""A test of the thermostat whose target clients set, which stands beside this file."""

from thermostat_target import make_driver


async def test_the_room_is_kept_at_the_target(start_driver, autojump_clock):
    client = await start_driver(make_driver())
    await client["Thermostat"]["targetvector"].set_and_wait(target=18)
    await client.wait_for("Thermostat", "temperaturevector", lambda v: v["temperature"] < 18)
    await client.wait_for("Thermostat", "temperaturevector", lambda v: v["temperature"] > 18)


async def test_the_night_that_was_recorded(start_replay, autojump_clock):
    client = await start_replay("night.jsonl")
    await client.wait_for("Thermostat", "targetvector", lambda v: v["target"] == 20)
