"""A night that went wrong, as a test: its recording stands beside this file."""

from pathlib import Path

import trio

from thermostat_target import make_driver

NIGHT = Path(__file__).with_name("night.jsonl")


async def test_the_driver_answers_as_it_should(replay_to, autojump_clock):
    heard = await replay_to(make_driver(), NIGHT)
    answers = [entry for entry in heard if entry.item.vectorname == "targetvector"]
    assert [(entry.time, entry.item.state) for entry in answers] == [
        (0, "Ok"),
        (12, "Ok"),
        (15, "Alert"),
    ]


async def test_my_program_sees_the_alert(start_replay, autojump_clock):
    client = await start_replay(NIGHT)
    target = await client.wait_state("Thermostat", "targetvector", "Alert")
    assert "not within 5 and 30" in target.message
    assert trio.current_time() == 15


async def test_it_is_recorded_anew(start_driver, autojump_clock, tmp_path):
    client = await start_driver(make_driver(), recording=tmp_path / "night.jsonl")
    await client["Thermostat"]["targetvector"].set_and_wait(target=18)
    assert '"target": 18.0' in (tmp_path / "night.jsonl").read_text()
