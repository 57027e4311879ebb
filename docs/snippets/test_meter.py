"""A driver that reads its meter in a worker thread, in virtual time."""

import threads
import trio

from trindi.testing import at_once


class Meter:
    def read(self):
        return 19.8


async def test_the_meter_is_read(start_driver, autojump_clock, monkeypatch):
    monkeypatch.setattr(trio.to_thread, "run_sync", at_once)
    client = await start_driver(threads.make_driver(Meter()))
    await client.wait_for("Light Meter", "SKY", lambda v: v["BRIGHTNESS"] == 19.8)
