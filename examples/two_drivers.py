"""Two drivers in one server: the window snoops on the thermostat beside it."""

import trio

import thermostat
import window
from trindi import IPyDriver, IPyServer


def make_driver() -> list[IPyDriver]:
    """Return both drivers; `trindi serve` takes a list as well as a single one."""
    return [thermostat.make_driver(), window.make_driver()]


if __name__ == "__main__":
    trio.run(IPyServer(make_driver()).run)
