"""A day of the thermostat, without pytest."""

import trio
from trio.testing import MockClock

from thermostat_target import make_driver
from trindi.testing import start_driver


async def main() -> float:
    async with trio.open_nursery() as nursery:
        client = await start_driver(nursery, make_driver())
        await trio.sleep(24 * 3600)
        temperature = client["Thermostat"]["temperaturevector"]["temperature"]
        nursery.cancel_scope.cancel()
    return float(temperature)


if __name__ == "__main__":
    print(trio.run(main, clock=MockClock(autojump_threshold=0)))
