"""A thermostat's 24 hours in about a second: Trio's mock clock jumps to whatever is due next.

Run it with ``python examples/night.py``; a driver that works here works unchanged on a server.
"""

import time

import trio
import trio.testing

import thermostat
from trindi import Event, IPyDriver, setBLOBVector, setNumberVector

DAY = 24 * 60 * 60


class Logbook:
    """Stands where the clients of a driver would, and keeps the temperatures it reports."""

    def __init__(self) -> None:
        self.temperatures: list[float] = []

    def publish(self, event: Event) -> None:
        """Note what the driver says."""
        if isinstance(event, setNumberVector):
            self.temperatures.append(event["temperature"])

    async def publish_blob(self, event: setBLOBVector) -> None:
        """A thermostat sends no BLOBs."""


async def simulate(driver: IPyDriver, seconds: float) -> list[float]:
    """Run a driver for some time, and return the temperatures it has reported."""
    logbook = Logbook()
    # Half a second more, so that what is due at the very end is not lost.
    with trio.move_on_after(seconds + 0.5):
        await driver.serve(logbook)
    return logbook.temperatures


def main() -> None:
    """Simulate a day, and print the figures."""
    start = time.perf_counter()
    clock = trio.testing.MockClock(autojump_threshold=0)
    temperatures = trio.run(simulate, thermostat.make_driver(), DAY, clock=clock)
    wall = time.perf_counter() - start
    # It starts at 20C, and has cooled to its target after less than five minutes.
    settled = temperatures[30:]
    print(f"{len(temperatures)} reports in {DAY // 3600} hours")
    print(f"from {temperatures[0]:.1f}C, then {min(settled):.1f}C to {max(settled):.1f}C")
    print(f"{wall:.2f} s of wall time")


if __name__ == "__main__":
    main()
