"""A thermostat's 24 hours in a moment: Trio's mock clock jumps to whatever is due next.

Run it with ``python examples/night.py``; a driver that works here works unchanged on a server.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing

import thermostat
from trindi import Event, IPyDriver, setBLOBVector, setNumberVector
from trindi.driver import core_of

DAY = 24 * 60 * 60


class Logbook:
    """Stands where the clients of a driver would, and keeps the temperatures it reports."""

    def __init__(self) -> None:
        self.temperatures: list[float] = []

    def publish(self, event: Event) -> None:
        """Note what the driver says."""
        if isinstance(event, setNumberVector):
            self.temperatures.append(event["temperature"])

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        """A thermostat sends no BLOBs."""


async def simulate(driver: IPyDriver, seconds: float) -> list[float]:
    """Run a driver for some time, and return the temperatures it has reported."""
    logbook = Logbook()
    # Half a second more, so that what is due at the very end is not lost.
    with trio.move_on_after(seconds + 0.5):
        await core_of(driver).serve(logbook)
    return logbook.temperatures


async def only_sleep(seconds: float) -> None:
    """Sleep as often as the thermostat does: every two seconds to control, every ten to report."""

    async def sleep_on(period: float) -> None:
        while True:  # noqa: ASYNC110  # the sleeps are what is measured
            await trio.sleep(period)

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sleep_on, 2)
            nursery.start_soon(sleep_on, 10)


def measure(run: Callable[..., Awaitable[object]], *args: object) -> tuple[Any, float]:
    """Run an async function in virtual time; return its result, and the seconds that it took."""
    start = time.perf_counter()
    result = trio.run(run, *args, clock=trio.testing.MockClock(autojump_threshold=0))
    return result, time.perf_counter() - start


def main() -> None:
    """Simulate a day, and print the figures."""
    temperatures, wall = measure(simulate, thermostat.make_driver(), DAY)
    _, bare = measure(only_sleep, DAY)
    # It starts at 20C, and has cooled to its target after less than five minutes.
    settled = temperatures[30:]
    print(f"{len(temperatures)} reports in {DAY // 3600} hours")
    print(f"from {temperatures[0]:.1f}C, then {min(settled):.1f}C to {max(settled):.1f}C")
    print(f"{wall:.2f} s of wall time, {wall / bare:.1f} times as long as bare Trio sleeps")


if __name__ == "__main__":
    main()
