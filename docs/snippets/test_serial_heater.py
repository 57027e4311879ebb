import os

import pytest
import serial_heater
import trio

from trindi import PropertyAlert


class Heater:
    """The instrument at the other end of the line, on a pseudo-terminal."""

    def __init__(self):
        ours, self.theirs = os.openpty()
        self.port = os.ttyname(self.theirs)
        self.line = trio.lowlevel.FdStream(ours)

    async def run(self):
        received = ""
        async for data in self.line:
            *commands, received = (received + data.decode()).split("\r")
            for command in commands:
                answer = "T 4.2" if command == "T?" else command
                await self.line.send_all(f"{answer}\r".encode())


async def test_the_heater_is_read_and_set(start_driver, nursery):
    heater = Heater()
    nursery.start_soon(heater.run)
    client = await start_driver(serial_heater.make_driver(heater.port))
    with trio.fail_after(10):
        await client.wait_for("Dew Heater", "LENS", lambda v: v["TEMPERATURE"] == 4.2)
        await client.set_and_wait("Dew Heater", "POWER", {"PERCENT": 60})


async def test_a_silent_heater_is_an_alert(start_driver):
    heater = Heater()
    client = await start_driver(serial_heater.make_driver(heater.port), contain_errors=True)
    with trio.fail_after(10):
        with pytest.raises(PropertyAlert, match="no answer to 'P 60' within 1 s"):
            await client.set_and_wait("Dew Heater", "POWER", {"PERCENT": 60})
